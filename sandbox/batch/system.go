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
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/sandbox/environment"
	"github.com/florinpay/florin/sandbox/process"
)

const (
	loopback = "127.0.0.1"
	apiKey   = "sim_batch_key" //nolint:gosec // protects nothing
	// maxInMemory is up to how many lines the database of Temporal is in memory.
	maxInMemory = 50_000
)

// system is the system under test: a Temporal server, a worker and the starter in processes of their own, and the simulator in this one.
type system struct {
	options
	dir, address string
	simulated    *simulator.Simulator
	store        *store.Store
	temporal     client.Client
	worker       *process.Process
	cleanups     []func() error
}

// startSystem starts everything. The caller must stop the returned system, even after an error.
func startSystem(ctx context.Context, o options) (*system, error) {
	s := &system{options: o}
	var err error
	if s.dir, err = os.MkdirTemp("", "florin-batch-test-"); err != nil {
		return s, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", s.dir, "./cmd/worker", "./cmd/starter") //nolint:gosec // a directory of its own
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return s, fmt.Errorf("go build: %w (the working directory must be sandbox): %s", err, out)
	}
	for _, start := range []func(context.Context) error{s.startTemporal, s.startWorker} {
		if err := start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *system) startTemporal(ctx context.Context) error {
	ports, err := environment.FreePorts(ctx, 1)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.address = net.JoinHostPort(loopback, strconv.Itoa(ports[0]))
	if s.temporal, err = client.NewLazyClient(client.Options{HostPort: s.address, Logger: app.TemporalLogger(zap.NewNop())}); err != nil {
		return err
	}
	s.onStop(func() error { s.temporal.Close(); return nil })
	dir := "" // the database is in memory, which takes 100 KB for each workflow
	if s.lines > maxInMemory {
		dir = s.dir
	}
	p := &process.Process{
		Name: "temporal", Dir: s.dir, Arguments: []string{self, "temporal", "--port", strconv.Itoa(ports[0]), "--dir", dir},
		Ready: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return app.CheckNamespace(ctx, s.temporal, client.DefaultNamespace)
		},
	}
	s.onStop(p.Kill)
	return p.Start(ctx)
}

// startSimulator serves the simulator, and returns its URL.
func (s *system) startSimulator(ctx context.Context) (string, error) {
	var err error
	// Some responses are lost, so that the outcome has to be looked up, and some requests are refused with 429.
	faults := simulator.Rates{"429": 0.01, "tok_timeout_after_charge": 0.0005}
	if s.simulated, err = simulator.Open(ctx, simulator.Options{APIKey: apiKey, Faults: faults, Seed: 1}); err != nil {
		return "", err
	}
	s.onStop(s.simulated.Close)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", loopback+":0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: s.simulated.Handler(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	s.onStop(func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return "http://" + listener.Addr().String(), nil
}

// startStore creates the database, and returns the line of the worker's configuration for it.
func (s *system) startStore(ctx context.Context) (string, error) {
	dsn, line := "sqlite://"+filepath.Join(s.dir, "florin.db"), fmt.Sprintf("sqlite: %q", filepath.Join(s.dir, "florin.db"))
	if !s.sqlite {
		if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // the user postgres must reach its directory in there
			return "", err
		}
		dir := filepath.Join(s.dir, "postgres")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", err
		}
		cluster, err := postgrestest.Start(ctx, dir)
		s.onStop(cluster.Stop)
		if err != nil {
			return "", err
		}
		dsn = cluster.DSN()
		url := filepath.Join(s.dir, "postgres.url")
		if err := os.WriteFile(url, []byte(dsn), 0o600); err != nil {
			return "", err
		}
		line = fmt.Sprintf("postgres: {file: %q}, allow_owner: true", url)
	}
	if _, _, err := store.Migrate(ctx, dsn); err != nil {
		return "", err
	}
	var err error
	if s.store, err = store.Open(ctx, dsn, store.AllowOwner(true)); err != nil {
		return "", err
	}
	s.onStop(s.store.Close)
	return line, nil
}

func (s *system) startWorker(ctx context.Context) error {
	url, err := s.startSimulator(ctx)
	if err != nil {
		return err
	}
	storeLine, err := s.startStore(ctx)
	if err != nil {
		return err
	}
	ports, err := environment.FreePorts(ctx, 1)
	if err != nil {
		return err
	}
	health := net.JoinHostPort(loopback, strconv.Itoa(ports[0]))
	config := filepath.Join(s.dir, "worker.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
health: {listen: %q}
worker: {stop_timeout: 20s}
store: {%s}
audit: {path: "off"}
default_processor: simulator
processors:
  simulator: {adapter: rest, base_url: %q, api_key: {env: SIMULATOR_API_KEY}, http_timeout: 5s, start_to_close: 10s,
    breaker: {min_calls: 10000}, absence_proof_after: 10s, retry: {initial: 200ms, max: 2s}, resolve: {initial: 1s, max: 5s, for: 1h}}
`, health, storeLine, url), 0o600); err != nil {
		return err
	}
	s.worker = &process.Process{
		Name: "worker", Dir: s.dir, Arguments: []string{filepath.Join(s.dir, "worker"), "--config", config},
		Env: []string{"TEMPORAL_ADDRESS=" + s.address, "SIMULATOR_API_KEY=" + apiKey},
		Ready: func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health+"/healthz", nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err == nil {
				_ = response.Body.Close() // only the status matters
				if response.StatusCode != http.StatusOK {
					err = errors.New(response.Status)
				}
			}
			return err
		},
	}
	s.onStop(s.worker.Kill)
	return s.worker.Start(ctx)
}

// starter returns a command of the starter, with its output in a file.
func (s *system) starter(ctx context.Context, arguments ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, "starter.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s.onStop(log.Close)
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "starter"), arguments...) //nolint:gosec // what was just built
	cmd.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "TEMPORAL_ADDRESS=" + s.address}
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, nil
}

// memory returns the resident memory of a process, and its peak, in MB.
func memory(pid int) (current, peak int) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, 0
	}
	value := func(name string) int {
		_, after, _ := strings.Cut(string(status), name+":")
		fields := strings.Fields(after)
		if len(fields) == 0 {
			return 0
		}
		kilobytes, err := strconv.Atoi(fields[0])
		if err != nil {
			return 0
		}
		return kilobytes >> 10
	}
	return value("VmRSS"), value("VmHWM")
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
