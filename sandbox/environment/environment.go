// Package environment starts a whole Florin in one process: a Temporal server, Temporal Web, the simulated
// processor and the worker. Everything listens on loopback only.
package environment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/telemetry"
)

// The names under which the worker knows the simulated processor: as two, so that what holds one back leaves
// the other alone. Both have one ledger.
const (
	ProcessorName = "simulator"
	BackupName    = "backup"
)

// Ports are those that people use. 0 takes any free one.
type Ports struct{ Temporal, Web, Simulator, Health int }

// Options of an Environment. The zero value keeps everything in memory, on free ports, without Temporal Web.
type Options struct {
	// DataDir keeps Temporal's database and the simulator's ledger, to go on from later. Empty: in memory.
	DataDir string
	Ports   Ports
	// Web starts Temporal Web.
	Web       bool
	Simulator simulator.Options
	// Tune changes the worker's configuration before it starts.
	Tune func(*config.Config)
	// Spans is where the traces of the worker go; nil: nowhere.
	Spans trace.TracerProvider
	// Logger hears from every part.
	Logger *zap.Logger
}

// Environment is a running Florin.
type Environment struct {
	Temporal  client.Client
	Florin    *florin.Client
	Simulator *simulator.Simulator
	// Config is the worker's.
	Config config.Config
	Ports  Ports

	options  Options
	logger   *zap.Logger
	told     *telemetry.Telemetry
	workers  *app.Workers
	cleanups []func() error
}

// Start starts all parts in order and returns once payments can be made. On an error nothing is left running.
func Start(ctx context.Context, o Options) (_ *Environment, err error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	e := &Environment{options: o, logger: o.Logger, told: telemetry.New(o.Spans)}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()
	if err := e.takePorts(ctx); err != nil {
		return nil, err
	}
	dir, err := e.directory()
	if err != nil {
		return nil, err
	}
	in, err := inSQLite(dir, o.DataDir != "")
	if err != nil {
		return nil, err
	}
	server, err := startTemporal(ctx, e.Ports.Temporal, in, o.Logger.Named("temporal"), namespace)
	if err != nil {
		return nil, err
	}
	e.onStop(server.stop)
	if o.Web {
		web, err := startWeb(ctx, e.Ports.Web, server.address)
		if err != nil {
			return nil, err
		}
		e.onStop(func() error { web.stop(); return nil })
	}
	if err := e.startSimulator(ctx, dir); err != nil {
		return nil, err
	}
	if err := e.dial(ctx, server.address); err != nil {
		return nil, err
	}
	e.Config, err = workerConfig(dir, fmt.Sprintf("http://%s:%d", loopback, e.Ports.Simulator))
	if err != nil {
		return nil, err
	}
	if o.Tune != nil {
		o.Tune(&e.Config)
	}
	if err := e.StartWorker(ctx); err != nil {
		return nil, err
	}
	return e, e.startHealth(ctx)
}

// takePorts makes sure that every port is free before anything starts, so that an error can name its flag.
func (e *Environment) takePorts(ctx context.Context) error {
	free, err := FreePorts(ctx, 4)
	if err != nil {
		return err
	}
	e.Ports = e.options.Ports
	for i, p := range []struct {
		port *int
		flag string
	}{
		{&e.Ports.Temporal, "--temporal-port"}, {&e.Ports.Web, "--web-port"},
		{&e.Ports.Simulator, "--simulator-port"}, {&e.Ports.Health, "--health-port"},
	} {
		if *p.port == 0 {
			*p.port = free[i]
		}
		listener, err := app.Listen(ctx, net.JoinHostPort(loopback, strconv.Itoa(*p.port)), p.flag)
		if err != nil {
			return err
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Environment) directory() (string, error) {
	if e.options.DataDir != "" {
		return e.options.DataDir, os.MkdirAll(e.options.DataDir, 0o700)
	}
	dir, err := os.MkdirTemp("", "florin-sandbox-")
	if err != nil {
		return "", err
	}
	e.onStop(func() error { return os.RemoveAll(dir) })
	return dir, nil
}

func (e *Environment) startSimulator(ctx context.Context, dir string) error {
	o := e.options.Simulator
	o.APIKey = "sim_sandbox_key"
	if e.options.DataDir != "" {
		o.Path = filepath.Join(dir, "simulator.db")
	}
	// The worker reads its key from a file, as it would in production.
	if err := os.WriteFile(filepath.Join(dir, "simulator.key"), []byte(o.APIKey), 0o600); err != nil {
		return err
	}
	var err error
	if e.Simulator, err = simulator.Open(ctx, o); err != nil {
		return err
	}
	listener, err := app.Listen(ctx, net.JoinHostPort(loopback, strconv.Itoa(e.Ports.Simulator)), "--simulator-port")
	if err != nil {
		return errors.Join(err, e.Simulator.Close())
	}
	e.serve(&http.Server{Handler: e.Simulator.Handler(), ReadHeaderTimeout: 5 * time.Second}, listener)
	e.onStop(e.Simulator.Close)
	return nil
}

func (e *Environment) serve(server *http.Server, listener net.Listener) {
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	e.onStop(func() error {
		err := server.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
}

func (e *Environment) dial(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	options := client.Options{HostPort: address, Namespace: namespace, Logger: app.TemporalLogger(e.logger)}
	e.told.Temporal(&options)
	temporal, err := client.DialContext(ctx, options)
	if err != nil {
		return fmt.Errorf("the embedded Temporal server does not answer: %w", err)
	}
	e.Temporal, e.Florin = temporal, florin.NewClient(temporal, florin.Options{})
	e.onStop(func() error { temporal.Close(); return nil })
	return app.CheckNamespace(ctx, temporal, namespace)
}

func (e *Environment) startHealth(ctx context.Context) error {
	listener, err := app.Listen(ctx, net.JoinHostPort(loopback, strconv.Itoa(e.Ports.Health)), "--health-port")
	if err != nil {
		return err
	}
	e.serve(app.HealthServer(app.HealthHandler(e.Temporal, e.told)), listener)
	return nil
}

// StartWorker starts the worker; StopWorker stops it as SIGTERM would.
func (e *Environment) StartWorker(ctx context.Context) error {
	workers, err := app.NewWorkers(ctx, e.Temporal, e.Config, app.WorkersOptions{Logger: e.logger, Telemetry: e.told})
	if err != nil {
		return err
	}
	if err := workers.Start(); err != nil {
		return err
	}
	e.workers = workers
	return nil
}

// StopWorker lets the calls in flight finish.
func (e *Environment) StopWorker() {
	if e.workers != nil {
		e.workers.Stop()
		e.workers = nil
	}
}

// WebURL is the address of Temporal Web.
func (e *Environment) WebURL() string { return webURL(e.Ports.Web) }

// WorkflowURL is the page of one workflow in Temporal Web.
func (e *Environment) WorkflowURL(workflowID string) string {
	return workflowURL(e.Ports.Web, workflowID)
}

func (e *Environment) onStop(f func() error) { e.cleanups = append(e.cleanups, f) }

// Stop stops all parts, the last first.
func (e *Environment) Stop() error {
	e.StopWorker()
	var errs []error
	for i := len(e.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, e.cleanups[i]())
	}
	e.cleanups = nil
	return errors.Join(errs...)
}

// workerConfig is short of patience, so that every ending of a payment can be watched within seconds.
func workerConfig(dir, simulatorURL string) (config.Config, error) {
	duration := func(d time.Duration) activities.Duration { return activities.Duration(d) }
	p := config.Processor{
		Adapter:           "rest",
		BaseURL:           simulatorURL,
		APIKey:            config.Secret{File: filepath.Join(dir, "simulator.key")},
		HTTPTimeout:       duration(1200 * time.Millisecond),
		StartToClose:      duration(2 * time.Second),
		ScheduleToClose:   duration(4 * time.Second),
		AbsenceProofAfter: duration(2 * time.Second),
		Retry: config.Retry{
			Strategy: retry.Exponential, Initial: duration(200 * time.Millisecond), Max: duration(2 * time.Second),
			Multiplier: 2, LongestWait: duration(3 * time.Second),
		},
		Resolve:   activities.Poll{Initial: duration(250 * time.Millisecond), Max: duration(2 * time.Second), For: duration(5 * time.Second)},
		Pending:   activities.Poll{Initial: duration(500 * time.Millisecond), Max: duration(2 * time.Second), For: duration(time.Hour)},
		RateLimit: config.RateLimit{MaxWait: duration(time.Second)},
		// The demo and the tests ask for more faults at once than an outage has.
		Breaker: config.Breaker{MinCalls: 1000},
	}
	c := config.Config{
		DefaultProcessor: ProcessorName,
		Store:            config.Store{SQLite: filepath.Join(dir, "florin.db")},
		Audit:            config.Audit{Path: filepath.Join(dir, "audit.jsonl")},
		Processors:       map[string]config.Processor{ProcessorName: p, BackupName: p},
		Worker:           config.Worker{StopTimeout: duration(5 * time.Second)},
	}
	return c.Complete(app.BuiltIn)
}
