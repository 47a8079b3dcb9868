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

// Listen opens a TCP listener. Its error names the address and the setting to change.
func Listen(ctx context.Context, address, setting string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: choose another address with %s: %w", address, setting, err)
	}
	return listener, nil
}

// HealthServer answers GET /healthz, 200 while Temporal can be reached, 503 otherwise, and GET /metrics, unless told is nil.
func HealthServer(temporal client.Client, told *telemetry.Telemetry) *http.Server {
	mux := http.NewServeMux()
	if told != nil {
		mux.Handle("GET /metrics", told.Handler())
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if _, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
			http.Error(w, "temporal cannot be reached", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // a prober that went away needs no answer
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
}
