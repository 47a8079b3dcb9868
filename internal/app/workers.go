package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/telemetry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/workflows"
)

// Workers are everything that works on payments in one process: the workflows, and the calls to each
// processor on a queue of its own.
type Workers struct {
	workers    []worker.Worker
	processors []*OpenProcessor
	webhooks   *webhookServer // nil: off
	store      *store.Store
	audit      *audit.Log // nil: off
	logger     *zap.Logger
	fatal      chan error
}

// pollers is how many requests for work to one task queue wait at the server. A task that finds one waiting is handed over at
// once; one that finds none is written to Temporal's database first, and read again. Sixteen instead of five made a charge
// about 6 % cheaper (make bench, 16 at once); one that waits costs next to nothing.
const pollers = 16

// NewWorkers builds the workers of a configuration. Nothing is polled before Start. told hears how payments go; it may be nil.
func NewWorkers(ctx context.Context, temporal client.Client, c Config, logger *zap.Logger, told *telemetry.Telemetry) (*Workers, error) {
	w := &Workers{fatal: make(chan error, 1), logger: logger}
	var err error
	if w.audit, err = openAudit(c.Audit, logger); err != nil {
		return nil, err
	}
	deployment, err := c.Worker.deployment()
	if err != nil {
		return nil, err
	}
	options := worker.Options{
		DeploymentOptions: deployment,
		WorkerStopTimeout: time.Duration(c.Worker.StopTimeout),
		// A bug must stop a payment, not fail it: it goes on when the code is right again.
		WorkflowPanicPolicy: worker.BlockWorkflow,
		OnFatalError:        w.fail,
	}

	if w.store, err = c.Store.Open(ctx, logger); err != nil {
		return nil, err
	}
	w.store.SetObserver(told.CountTransition)
	keeping := &activities.Payments{Store: w.store, Default: c.DefaultProcessor, Processors: map[string]activities.Terms{}}
	for _, name := range slices.Sorted(maps.Keys(c.Processors)) {
		p := c.Processors[name]
		keeping.Processors[name] = p.terms(name)
		opened, err := openProcessor(ctx, name, p, w.audit, nil, told)
		if err != nil {
			return nil, fmt.Errorf("processors.%s: %w", name, err)
		}
		w.processors = append(w.processors, opened)
		callOptions := options
		callOptions.DisableWorkflowWorker = true
		callOptions.MaxConcurrentActivityExecutionSize = p.MaxConcurrentCalls
		callOptions.MaxConcurrentActivityTaskPollers = pollers
		callWorker := worker.New(temporal, payment.ProcessorTaskQueue(name), callOptions)
		activities.NewProcessor(opened, p.backoff(), time.Duration(p.Retry.LongestWait)).Register(callWorker)
		w.workers = append(w.workers, callWorker)
	}

	options.MaxConcurrentWorkflowTaskExecutionSize = c.Worker.MaxConcurrentWorkflowTasks
	options.MaxConcurrentWorkflowTaskPollers = pollers
	payments := worker.New(temporal, payment.TaskQueue, options)
	workflows.Register(payments)
	keeping.Register(payments)
	w.workers = append(w.workers, payments)
	if w.webhooks, err = openWebhooks(ctx, c, w.store, temporal, logger); err != nil {
		return nil, err
	}
	told.SetSources(w.sources())
	logger.Info("workers built", zap.Strings("processors", slices.Sorted(maps.Keys(c.Processors))), zap.String("default_processor", c.DefaultProcessor),
		zap.String("deployment", deployment.Version.DeploymentName), zap.String("build_id", deployment.Version.BuildID))
	return w, nil
}

// sources are what the gauges are read from.
func (w *Workers) sources() telemetry.Sources {
	s := telemetry.Sources{Processors: map[string]*processor.Client{}, Backlog: w.store.Backlog}
	for _, p := range w.processors {
		s.Processors[p.Client.Name()] = p.Client
	}
	if w.audit != nil {
		s.AuditLost = w.audit.Failures
	}
	return s
}

func openAudit(c Audit, logger *zap.Logger) (*audit.Log, error) {
	if c.Path == "off" {
		return nil, nil
	}
	log, err := audit.Open(audit.Options{
		Path: c.Path, MaxSizeMB: c.MaxSizeMB, MaxBackups: c.MaxBackups, MaxAgeDays: c.MaxAgeDays, Compress: c.Compress,
		Allow: c.Allow, Fallback: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("audit.path: %w", err)
	}
	return log, nil
}

// WebhooksAddress is where processors send their events; empty where none does.
func (w *Workers) WebhooksAddress() string { return w.webhooks.address() }

// fail stops the process; one reason is enough.
func (w *Workers) fail(err error) {
	select {
	case w.fatal <- err:
	default:
	}
}

// Start begins to poll. Where one worker cannot start, none is left running.
func (w *Workers) Start() error {
	for i, one := range w.workers {
		if err := one.Start(); err != nil {
			for _, started := range w.workers[:i] {
				started.Stop()
			}
			w.webhooks.close()
			return fmt.Errorf("starting a worker: %w", err)
		}
	}
	w.webhooks.serve(w.fail)
	return nil
}

// Run polls until ctx ends or a worker cannot go on, then lets the calls in flight finish.
func (w *Workers) Run(ctx context.Context) error {
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-w.fatal:
		return errors.Join(errors.New("a worker cannot go on"), err)
	}
}

// Stop takes no more work and lets the calls in flight finish. It returns when they have.
func (w *Workers) Stop() {
	w.webhooks.close() // before the store is
	// The workers stop side by side: each may take its whole stop timeout.
	done := make(chan struct{})
	for _, one := range w.workers {
		go func() {
			one.Stop()
			done <- struct{}{}
		}()
	}
	for range w.workers {
		<-done
	}
	for _, p := range w.processors {
		p.Close()
	}
	if err := w.store.Close(); err != nil {
		w.logger.Error("closing the store", zap.Error(err))
	}
	if w.audit == nil {
		return
	}
	if err := w.audit.Close(); err != nil {
		w.logger.Error("closing the audit log", zap.Error(err))
	}
	if lost := w.audit.Failures(); lost > 0 {
		w.logger.Error("audit records were lost", zap.Uint64("records", lost))
	}
}
