package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/sandbox/environment"
	"github.com/florinpay/florin/sandbox/process"
)

const (
	processorName = "simulator"
	apiKey        = "sim_reconcile_key" //nolint:gosec // protects nothing
	// perSecond is the processor's rate, and share the part of it that a reconciliation may use.
	perSecond, share = 100, 0.2
)

// system is the system under test: the Temporal server and the worker are processes of their own, and this process serves the simulator.
type system struct {
	dir       string
	store     *store.Store
	simulator *simulator.Simulator
	temporal  client.Client
	florin    *florin.Client
	server    *process.Process
	worker    *process.Process
	// configure writes the worker's configuration, with the overlap of the windows.
	configure      func(overlap string) error
	pages, lookups *gate
	cleanups       []func() error
}

// gate counts requests to the processor. At the one with the number holdAt, held is closed, and the response waits for release.
type gate struct {
	requests      atomic.Int64
	holdAt        int64
	held, release chan struct{}
}

func newGate(holdAt int64) *gate {
	return &gate{holdAt: holdAt, held: make(chan struct{}), release: make(chan struct{})}
}

func (g *gate) pass() {
	if g.requests.Add(1) == g.holdAt {
		close(g.held)
		<-g.release
	}
}

// startSystem starts everything but the worker, which needs the payments. The caller must stop the returned system, even after an error.
func startSystem(ctx context.Context, pages, lookups *gate) (*system, error) {
	s := &system{pages: pages, lookups: lookups}
	var err error
	if s.dir, err = os.MkdirTemp("", "florin-reconcile-"); err != nil {
		return s, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", s.dir, "./cmd/worker", "./cmd/starter") //nolint:gosec // our own directory
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return s, fmt.Errorf("go build: %w (the working directory must be sandbox): %s", err, out)
	}
	if _, _, err := store.Migrate(ctx, s.dsn()); err != nil {
		return s, err
	}
	if s.store, err = store.Open(ctx, s.dsn()); err != nil {
		return s, err
	}
	s.onStop(s.store.Close)
	ports, err := environment.FreePorts(ctx, 3)
	if err != nil {
		return s, err
	}
	for _, start := range []func() error{
		func() error { return s.startSimulator(ctx, ports[0]) },
		func() error { return s.startTemporal(ctx, ports[1]) },
		func() error { return s.prepareWorker(ports[0], ports[1], ports[2]) },
	} {
		if err := start(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *system) file() string { return filepath.Join(s.dir, "florin.db") }

func (s *system) dsn() string { return "sqlite://" + s.file() }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (s *system) startSimulator(ctx context.Context, port int) error {
	var err error
	if s.simulator, err = simulator.Open(ctx, simulator.Options{APIKey: apiKey}); err != nil {
		return err
	}
	s.onStop(s.simulator.Close)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address(port))
	if err != nil {
		return err
	}
	serve := s.simulator.Handler()
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet:
		case r.URL.Query().Has("created_after"):
			s.pages.pass()
		default:
			s.lookups.pass()
		}
		serve.ServeHTTP(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	s.onStop(func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

func (s *system) startTemporal(ctx context.Context, port int) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if s.temporal, err = client.NewLazyClient(client.Options{HostPort: address(port), Logger: app.TemporalLogger(zap.NewNop())}); err != nil {
		return err
	}
	s.onStop(func() error { s.temporal.Close(); return nil })
	s.florin = florin.NewClient(s.temporal, florin.Options{})
	s.server = &process.Process{
		Name: "temporal", Dir: s.dir, Arguments: []string{self, "temporal", "--port", strconv.Itoa(port), "--dir", s.dir},
		Ready: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return app.CheckNamespace(ctx, s.temporal, client.DefaultNamespace)
		},
	}
	s.onStop(s.server.Kill)
	return s.server.Start(ctx)
}

func (s *system) prepareWorker(simulatorPort, temporalPort, health int) error {
	s.configure = func(overlap string) error {
		return os.WriteFile(filepath.Join(s.dir, "worker.yaml"), fmt.Appendf(nil, `
health: {listen: %q}
worker: {stop_timeout: 5s, memory_mb: 256}
store: {sqlite: %q}
audit: {path: "off"}
processors:
  %s:
    adapter: rest
    base_url: http://%s
    api_key: {env: SIMULATOR_API_KEY}
    http_timeout: 2s
    start_to_close: 4s
    schedule_to_close: 20s
    retry: {initial: 200ms, max: 2s, longest_wait: 3s}
    absence_proof_after: 3s
    rate_limit: {per_second: %d, burst: 20, max_wait: 1s}
    reconcile: {every: 24h, overlap: %s, lag: 100ms, share: %g}
`, address(health), s.file(), processorName, address(simulatorPort), perSecond, overlap, share), 0o600)
	}
	s.worker = &process.Process{
		Name: "worker", Dir: s.dir, Arguments: []string{filepath.Join(s.dir, "worker"), "--config", filepath.Join(s.dir, "worker.yaml")},
		Env: []string{"TEMPORAL_ADDRESS=" + address(temporalPort), "SIMULATOR_API_KEY=" + apiKey},
		Ready: func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(health)+"/readyz", nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return errors.New(response.Status)
			}
			return nil
		},
	}
	s.onStop(s.worker.Kill)
	return s.configure("2h")
}

// starter runs the command of the operator, and returns its output and its exit code.
func (s *system) starter(ctx context.Context, arguments ...string) (out string, code int, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "starter"), arguments...) //nolint:gosec // our own
	cmd.Env = append([]string{"HOME=" + s.dir}, s.worker.Env...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return string(text), cmd.ProcessState.ExitCode(), err
}

// onStop registers a function that stop calls.
func (s *system) onStop(f func() error) { s.cleanups = append(s.cleanups, f) }

// stop stops everything, in the reverse order of its start.
func (s *system) stop() error {
	var errs []error
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, s.cleanups[i]())
	}
	s.cleanups = nil
	return errors.Join(errs...)
}
