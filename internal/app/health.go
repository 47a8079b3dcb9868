package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/internal/telemetry"
)

// Listen opens a TCP listener. Its error names the address and the setting that changes it.
func Listen(ctx context.Context, address, setting string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: choose another address with %s: %w", address, setting, err)
	}
	return listener, nil
}

// HealthHandler returns a handler of GET /healthz, which responds with 200 while Temporal is reachable and otherwise with 503. Unless
// metrics is nil, it also serves GET /readyz, which requires the store as well, and GET /metrics.
func HealthHandler(temporal client.Client, metrics *telemetry.Telemetry) http.Handler {
	mux := http.NewServeMux()
	if metrics != nil {
		mux.Handle("GET /metrics", metrics.Handler())
		mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
			//nolint:contextcheck // one query serves several probes, so none of them may cancel it
			if metrics.CheckStore() != nil {
				http.Error(w, "the store cannot be written and read", http.StatusServiceUnavailable)
				return
			}
			respondIfReachable(w, r, temporal)
		})
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { respondIfReachable(w, r, temporal) })
	return mux
}

// respondIfReachable responds with 200 if Temporal is reachable. Errors are not in the response: they contain internal addresses.
func respondIfReachable(w http.ResponseWriter, r *http.Request, temporal client.Client) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		http.Error(w, "temporal is not reachable", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n")) // the prober may have closed the connection
}

// HealthServer returns the server of a [HealthHandler].
func HealthServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
}
