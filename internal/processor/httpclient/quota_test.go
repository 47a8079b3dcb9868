package httpclient

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

func TestExhaustedQuotaDelaysOtherCalls(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit", `"default";r=0;t=60`)
		w.Header().Set("RateLimit-Policy", `"default";q=100;w=60`)
	})
	c := newClient(t, s.URL)
	_, err := c.Do(t.Context(), charge())
	require.NoError(t, err)
	_, err = c.Do(t.Context(), charge())
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, processor.NotExecuted, e.Certainty)
	require.Greater(t, e.RetryAfter, 59*time.Second)
}
