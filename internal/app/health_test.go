package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/internal/telemetry"
)

// pulse is a Temporal client that only knows whether it is well.
type pulse struct {
	client.Client
	err error
}

func (p pulse) CheckHealth(ctx context.Context, _ *client.CheckHealthRequest) (*client.CheckHealthResponse, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("a prober would wait for ever")
	}
	return &client.CheckHealthResponse{}, p.err
}

func TestHealthIsThatOfTheConnectionToTemporal(t *testing.T) {
	ask := func(temporal client.Client, method, path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		HealthHandler(temporal, nil).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return answer
	}
	well, ill := pulse{}, pulse{err: errors.New("dial tcp 10.0.0.7:7233: refused")}
	for name, c := range map[string]struct {
		temporal     pulse
		method, path string
		want         int
	}{
		"Temporal answers":      {well, http.MethodGet, "/healthz", http.StatusOK},
		"Temporal is away":      {ill, http.MethodGet, "/healthz", http.StatusServiceUnavailable},
		"a prober without body": {well, http.MethodHead, "/healthz", http.StatusOK},
		"another path":          {well, http.MethodGet, "/", http.StatusNotFound},
		"nothing is measured":   {well, http.MethodGet, "/metrics", http.StatusNotFound},
		"below the path":        {well, http.MethodGet, "/healthz/x", http.StatusNotFound},
		"another method":        {well, http.MethodPost, "/healthz", http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, ask(c.temporal, c.method, c.path).Code)
		})
	}
	require.Equal(t, "ok\n", ask(well, http.MethodGet, "/healthz").Body.String())
	require.Equal(t, "temporal is not reachable\n", ask(ill, http.MethodGet, "/healthz").Body.String(), "inner addresses stay inside")
}

func TestMetricsAreThereWhateverTemporalDoes(t *testing.T) {
	answer := httptest.NewRecorder()
	ill := pulse{err: errors.New("refused")}
	HealthHandler(ill, telemetry.New(nil)).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, answer.Code)
	require.Contains(t, answer.Body.String(), "go_goroutines ")
}

func TestAPortInUseNamesTheAddressAndTheSetting(t *testing.T) {
	taken, err := Listen(t.Context(), "127.0.0.1:0", "health.listen")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	_, err = Listen(t.Context(), taken.Addr().String(), "health.listen in worker.yaml")
	require.ErrorContains(t, err, "cannot listen on "+taken.Addr().String()+": choose another address with health.listen in worker.yaml")
	require.ErrorContains(t, err, "address already in use")
}
