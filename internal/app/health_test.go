package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/telemetry"
	"github.com/florinpay/florin/payment"
)

// healthClient is a Temporal client whose health check returns err.
type healthClient struct {
	client.Client
	err error
}

func (c healthClient) CheckHealth(ctx context.Context, _ *client.CheckHealthRequest) (*client.CheckHealthResponse, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("the health check has no deadline")
	}
	return &client.CheckHealthResponse{}, c.err
}

func TestHealthReportsWhetherTemporalIsReachable(t *testing.T) {
	request := func(temporal client.Client, method, path string) *httptest.ResponseRecorder {
		response := httptest.NewRecorder()
		HealthHandler(temporal, nil).ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return response
	}
	reachable, unreachable := healthClient{}, healthClient{err: errors.New("dial tcp 10.0.0.7:7233: refused")}
	for _, tt := range []struct {
		name         string
		temporal     healthClient
		method, path string
		want         int
	}{
		{name: "reachable", temporal: reachable, method: http.MethodGet, path: "/healthz", want: http.StatusOK},
		{name: "unreachable", temporal: unreachable, method: http.MethodGet, path: "/healthz", want: http.StatusServiceUnavailable},
		{name: "HEAD", temporal: reachable, method: http.MethodHead, path: "/healthz", want: http.StatusOK},
		{name: "POST", temporal: reachable, method: http.MethodPost, path: "/healthz", want: http.StatusMethodNotAllowed},
		{name: "another path", temporal: reachable, method: http.MethodGet, path: "/", want: http.StatusNotFound},
		{name: "path below", temporal: reachable, method: http.MethodGet, path: "/healthz/x", want: http.StatusNotFound},
		{name: "metrics are off", temporal: reachable, method: http.MethodGet, path: "/metrics", want: http.StatusNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, request(tt.temporal, tt.method, tt.path).Code)
		})
	}
	require.Equal(t, "ok\n", request(reachable, http.MethodGet, "/healthz").Body.String())
	require.Equal(t, "temporal is not reachable\n", request(unreachable, http.MethodGet, "/healthz").Body.String(),
		"internal addresses are not disclosed")
}

// healthStore is a store whose check returns err.
type healthStore struct{ err error }

func (s healthStore) CheckWrite(context.Context) error { return s.err }

func (healthStore) CheckRead(context.Context) error { return nil }

func (healthStore) Backlog(context.Context) ([]store.Backlog, error) { return nil, nil }

func (healthStore) UnfinishedBatches(context.Context) (map[payment.BatchState]store.BatchBacklog, error) {
	return nil, nil
}

func (healthStore) OpenDivergences(context.Context) (map[payment.DivergenceKind]int64, error) {
	return nil, nil
}

func (healthStore) Watermarks(context.Context) (map[string]time.Time, error) { return nil, nil }

func (healthStore) LastReconciliations(context.Context) ([]payment.Reconciliation, error) {
	return nil, nil
}

// A worker without its store is alive, so that nothing restarts it, but not ready.
func TestReadyRequiresTheStoreAndTemporal(t *testing.T) {
	down := errors.New("dial tcp 10.0.0.8:5432: refused")
	for name, tt := range map[string]struct {
		store    telemetry.Store
		temporal error
		healthy  int
		ready    int
		body     string
	}{
		"both are up":       {store: healthStore{}, healthy: http.StatusOK, ready: http.StatusOK, body: "ok\n"},
		"no store is open":  {healthy: http.StatusOK, ready: http.StatusServiceUnavailable, body: "the store cannot be written and read\n"},
		"the store is down": {store: healthStore{err: down}, healthy: http.StatusOK, ready: http.StatusServiceUnavailable, body: "the store cannot be written and read\n"},
		"Temporal is down":  {store: healthStore{}, temporal: down, healthy: http.StatusServiceUnavailable, ready: http.StatusServiceUnavailable, body: "temporal is not reachable\n"},
	} {
		t.Run(name, func(t *testing.T) {
			metrics := telemetry.New(nil)
			metrics.SetSources(telemetry.Sources{Store: tt.store})
			handler := HealthHandler(healthClient{err: tt.temporal}, metrics)
			get := func(path string) *httptest.ResponseRecorder {
				response := httptest.NewRecorder()
				handler.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
				return response
			}
			require.Equal(t, tt.healthy, get("/healthz").Code)
			require.Equal(t, tt.ready, get("/readyz").Code)
			require.Equal(t, tt.body, get("/readyz").Body.String(), "internal addresses are not disclosed")
		})
	}
}

// countingClient is a Temporal client that counts the health checks. If block is not nil, each one waits until it is closed.
type countingClient struct {
	client.Client
	calls *atomic.Int32
	block chan struct{}
	err   error
}

func (c *countingClient) CheckHealth(context.Context, *client.CheckHealthRequest) (*client.CheckHealthResponse, error) {
	c.calls.Add(1)
	if c.block != nil {
		<-c.block
	}
	return &client.CheckHealthResponse{}, c.err
}

func probe(t *testing.T, handler http.Handler, path string) int {
	t.Helper()
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return response.Code
}

func TestProbesDoNotBecomeCallsOfTemporal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		temporal := &countingClient{calls: &calls}
		metrics := telemetry.New(nil)
		metrics.SetSources(telemetry.Sources{Store: healthStore{}})
		handler := HealthHandler(temporal, metrics)
		for range 100 {
			require.Equal(t, http.StatusOK, probe(t, handler, "/healthz"))
			require.Equal(t, http.StatusOK, probe(t, handler, "/readyz"))
		}
		require.EqualValues(t, 1, calls.Load())
		temporal.err = errors.New("refused")
		<-time.After(healthInterval)
		for range 100 {
			require.Equal(t, http.StatusServiceUnavailable, probe(t, handler, "/healthz"), "the state is at most a second old")
			require.Equal(t, http.StatusServiceUnavailable, probe(t, handler, "/readyz"))
		}
		require.EqualValues(t, 2, calls.Load())
		temporal.err = nil
		<-time.After(healthInterval)
		require.Equal(t, http.StatusOK, probe(t, handler, "/healthz"))
		require.EqualValues(t, 3, calls.Load())
	})
}

func TestConcurrentProbesShareOneCallThatNoneOfThemCancels(t *testing.T) {
	var calls atomic.Int32
	temporal := &countingClient{calls: &calls, block: make(chan struct{})}
	handler := HealthHandler(temporal, nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, httptest.NewRequestWithContext(ctx, http.MethodGet, "/healthz", nil))
			require.Equal(t, http.StatusOK, response.Code)
		})
	}
	close(temporal.block)
	all.Wait()
	require.EqualValues(t, 1, calls.Load())
}

func TestHealthServerIsBounded(t *testing.T) {
	server := HealthServer(HealthHandler(healthClient{}, telemetry.New(nil)))
	for _, timeout := range []time.Duration{server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout} {
		require.Positive(t, timeout)
		require.LessOrEqual(t, timeout, time.Minute)
	}
	require.Greater(t, server.WriteTimeout, server.ReadTimeout+healthTimeout, "time remains to check and to respond")
	listener, err := Listen(t.Context(), "127.0.0.1:0", "")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
		require.NoError(t, err)
		r.Header.Set("X-Long", strings.Repeat("x", 32<<10))
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
	}
}

func TestMetricsAreServedWhileTemporalIsUnreachable(t *testing.T) {
	response := httptest.NewRecorder()
	unreachable := healthClient{err: errors.New("refused")}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	HealthHandler(unreachable, telemetry.New(nil)).ServeHTTP(response, request)
	require.Equal(t, http.StatusOK, response.Code)
	require.Contains(t, response.Body.String(), "go_goroutines ")
}

func TestErrorOfAPortInUseNamesTheAddressAndTheSetting(t *testing.T) {
	taken, err := Listen(t.Context(), "127.0.0.1:0", "health.listen")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	_, err = Listen(t.Context(), taken.Addr().String(), "health.listen in worker.yaml")
	require.ErrorContains(t, err, "cannot listen on "+taken.Addr().String()+": choose another address with health.listen in worker.yaml")
	require.ErrorContains(t, err, "address already in use")
}
