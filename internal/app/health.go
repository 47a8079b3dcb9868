package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
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
// metrics is nil, it also serves GET /readyz, which requires the store as well, and GET /metrics. Temporal is asked at most once a
// second, and the store every ten seconds, however many requests there are.
func HealthHandler(temporal client.Client, metrics *telemetry.Telemetry) http.Handler {
	checked := &reachability{temporal: temporal}
	mux := http.NewServeMux()
	if metrics != nil {
		mux.Handle("GET /metrics", metrics.Handler())
		mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
			//nolint:contextcheck // one query serves several probes, so none of them may cancel it
			if metrics.CheckStore() != nil {
				http.Error(w, "the store cannot be written and read", http.StatusServiceUnavailable)
				return
			}
			checked.respond(w) //nolint:contextcheck // as above
		})
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		checked.respond(w) //nolint:contextcheck // one call serves several probes, so none of them may cancel it
	})
	return mux
}

// The health of Temporal is checked at most once per healthInterval. A check takes at most healthTimeout.
const (
	healthInterval = time.Second
	healthTimeout  = 2 * time.Second
)

// reachability reports whether Temporal is reachable. Concurrent probes wait for one call and share its result.
type reachability struct {
	temporal client.Client

	mu sync.Mutex
	// checked is the time of the latest check, and err its result.
	checked time.Time
	err     error
}

func (r *reachability) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) >= healthInterval {
		ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
		defer cancel()
		_, r.err = r.temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
		r.checked = time.Now()
	}
	return r.err
}

// respond responds with 200 if Temporal is reachable. Errors are not in the response: they contain internal addresses.
func (r *reachability) respond(w http.ResponseWriter) {
	if r.check() != nil {
		http.Error(w, "temporal is not reachable", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n")) // the prober may have closed the connection
}

// HealthServer returns the server of a [HealthHandler]. Its time limits include the checks of the store and of Temporal.
func HealthServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second, // includes the time to read the request
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
