// Package environment runs a complete Florin system in one process: a Temporal server, Temporal Web, the simulated
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
	"go.temporal.io/server/common/dynamicconfig"
	"go.uber.org/zap"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/telemetry"
)

// The worker has the simulated processor under two names, so that rate limits and backpressure of one do not affect the
// other. Both share one ledger.
const (
	ProcessorName = "simulator"
	BackupName    = "backup"
)

// Ports are the ports that clients connect to. Zero selects a free port.
type Ports struct{ Temporal, Web, Simulator, Health int }

// Options configures an [Environment]. The zero value keeps nothing after Stop, uses free ports and has no Temporal Web.
type Options struct {
	// DataDir keeps Temporal's database, the store and the simulator's ledger for the next Start. Empty: nothing is kept.
	DataDir string
	Ports   Ports
	// Web starts Temporal Web.
	Web       bool
	Simulator simulator.Options
	// Tune changes the worker's configuration before it starts.
	Tune func(*config.Config)
	// TemporalConfig replaces settings of the Temporal server's dynamic configuration, such as the length from which it suggests that a
	// workflow continues as new.
	TemporalConfig map[dynamicconfig.Key]any
	// TracerProvider receives the spans of the worker and of the client Florin. Nil: no tracing.
	TracerProvider trace.TracerProvider
	// Logger receives the logs of all components. Nil: no logs.
	Logger *zap.Logger
}

// Environment is a running Florin system.
type Environment struct {
	Temporal  client.Client
	Florin    *florin.Client
	Simulator *simulator.Simulator
	// Config is the worker's configuration. StartWorker reads it.
	Config config.Config
	Ports  Ports

	options   Options
	logger    *zap.Logger
	telemetry *telemetry.Telemetry
	workers   *app.Workers
	cleanups  []func() error
}

// Start starts all components in order and returns once payments can be made. If it fails, it stops what it has started.
func Start(ctx context.Context, o Options) (_ *Environment, err error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	e := &Environment{options: o, logger: o.Logger, telemetry: telemetry.New(o.TracerProvider)}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()
	if err := e.choosePorts(ctx); err != nil {
		return nil, err
	}
	dir, err := e.directory()
	if err != nil {
		return nil, err
	}
	db, err := sqliteStorage(dir, o.DataDir != "")
	if err != nil {
		return nil, err
	}
	server, err := startTemporal(ctx, e.Ports.Temporal, db, o.TemporalConfig, o.Logger.Named("temporal"), namespace)
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

// choosePorts sets Ports and checks that each is free before anything starts, so that an error can name the flag.
func (e *Environment) choosePorts(ctx context.Context) error {
	free, err := FreePorts(ctx, 4)
	if err != nil {
		return err
	}
	e.Ports = e.options.Ports
	for i, p := range []struct {
		port *int
		flag string
	}{
		{port: &e.Ports.Temporal, flag: "--temporal-port"}, {port: &e.Ports.Web, flag: "--web-port"},
		{port: &e.Ports.Simulator, flag: "--simulator-port"}, {port: &e.Ports.Health, flag: "--health-port"},
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
	dir, err := os.MkdirTemp(memoryDir(), "florin-sandbox-")
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
	// The worker reads its API key from a file, as in production.
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
	app.Uncompressed(&options)
	e.telemetry.Temporal(&options)
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
	e.serve(app.HealthServer(app.HealthHandler(e.Temporal, e.telemetry)), listener)
	return nil
}

// StartWorker starts a worker with Config, after [Environment.StopWorker] has stopped the one before.
func (e *Environment) StartWorker(ctx context.Context) error {
	workers, err := app.NewWorkers(ctx, e.Temporal, e.Config, app.WorkersOptions{Logger: e.logger, Telemetry: e.telemetry})
	if err != nil {
		return err
	}
	if err := workers.Start(); err != nil {
		return err
	}
	e.workers = workers
	return nil
}

// StopWorker stops the worker as SIGTERM would: calls in flight may finish. Without a worker it does nothing.
func (e *Environment) StopWorker() {
	if e.workers != nil {
		e.workers.Stop()
		e.workers = nil
	}
}

// WebhookURL returns the address for the events of a processor, if Tune has given it a webhook secret.
func (e *Environment) WebhookURL(processor string) string {
	return "http://" + e.workers.WebhooksAddress() + "/webhooks/" + processor
}

// WebURL returns the address of Temporal Web.
func (e *Environment) WebURL() string { return webURL(e.Ports.Web) }

// WorkflowURL returns the address of the page of a workflow's latest run in Temporal Web.
func (e *Environment) WorkflowURL(ctx context.Context, workflowID string) (string, error) {
	described, err := e.Temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return "", err
	}
	return workflowURL(e.Ports.Web, workflowID, described.GetWorkflowExecutionInfo().GetExecution().GetRunId()), nil
}

func (e *Environment) onStop(f func() error) { e.cleanups = append(e.cleanups, f) }

// Stop stops all components in reverse order.
func (e *Environment) Stop() error {
	e.StopWorker()
	var errs []error
	for i := len(e.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, e.cleanups[i]())
	}
	e.cleanups = nil
	return errors.Join(errs...)
}

// workerConfig has short timeouts, so that a payment reaches each of its outcomes within seconds.
func workerConfig(dir, simulatorURL string) (config.Config, error) {
	duration := func(d time.Duration) activities.Duration { return activities.Duration(d) }
	p := config.Processor{
		Adapter:           "rest",
		BaseURL:           simulatorURL,
		APIKey:            config.Secret{File: filepath.Join(dir, "simulator.key")},
		HTTPTimeout:       duration(1200 * time.Millisecond),
		StartToClose:      duration(2 * time.Second),
		ScheduleToClose:   duration(4 * time.Second),
		SendWithin:        duration(time.Minute),
		AbsenceProofAfter: new(duration(2 * time.Second)),
		Retry: config.Retry{
			Strategy: retry.Exponential, Initial: duration(200 * time.Millisecond), Max: duration(2 * time.Second),
			Multiplier: 2, LongestWait: duration(3 * time.Second),
		},
		Resolve:   activities.Poll{Initial: duration(250 * time.Millisecond), Max: duration(2 * time.Second), For: duration(5 * time.Second)},
		Pending:   activities.Poll{Initial: duration(500 * time.Millisecond), Max: duration(2 * time.Second), For: duration(time.Hour)},
		RateLimit: config.RateLimit{MaxWait: new(duration(time.Second))},
		// Effectively disabled: the demo and the tests inject faults at rates that would open it.
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
