package healthcheck

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthcheckSucceedsOnlyIfTheStatusIs200(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	check := func() error {
		cmd := Command("http://127.0.0.1:1/never")
		cmd.SetArgs([]string{"--url", server.URL})
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		return cmd.ExecuteContext(t.Context())
	}
	require.NoError(t, check())
	status = http.StatusServiceUnavailable
	require.ErrorContains(t, check(), "503")
	server.Close()
	require.Error(t, check(), "no process listens")
}
