package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/fleet"
	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/telemetry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
	"github.com/florinpay/florin/workflows"
)

// Workers are all Temporal workers of one process: one for the workflows, with the activities that write the store, one for the reads, one for
// the lines of batches, and one for each processor's calls.
type Workers struct {
	workers    []worker.Worker
	processors []*OpenProcessor
	fleet      *fleet.Fleet
	webhooks   *webhookServer // nil: off
	schedules  *schedules
	store      *store.Store
	audit      *audit.Log // nil: off
	logger     *zap.Logger
	keys       *authorize.Keys // of the issuers; nil: callers do not have to prove who they are
	signaling  client.Client   // of the endpoint for webhooks; nil: it uses that of the workers
	fatal      chan error
	refused    <-chan error
}

// WorkersOptions are the parts of the workers that do not come from the configuration.
type WorkersOptions struct {
	// Adapters are those that the configuration was completed with. Nil: the built-in ones.
	Adapters config.Adapters
	Logger   *zap.Logger
	// Telemetry may be nil.
	Telemetry    *telemetry.Telemetry
	Interceptors []interceptor.WorkerInterceptor
	// Client are the options of the Temporal client, as far as they are known: its namespace and its data converter. The endpoint for
	// webhooks makes a client with them if signals have to be signed.
	Client client.Options
	// Refused receives the refusal of this worker's version, see [WatchRefusals]. Nil: a worker that is refused keeps polling.
	Refused <-chan error
}

// pollers is the number of pollers per task queue. A task that finds a waiting poller is dispatched at once; one that finds none
// is first written to Temporal's database and read again. With 16 pollers instead of 5, a charge cost about 6 % less (make bench,
// 16 concurrent charges). A waiting poller costs almost nothing.
const pollers = 16

// NewWorkers builds the workers of a complete configuration. They do not poll before Start. If NewWorkers returns an error, it
// has closed everything that it had opened. Otherwise the caller must call Start and Stop, or Run.
func NewWorkers(ctx context.Context, temporal client.Client, c config.Config, o WorkersOptions) (*Workers, error) {
	if o.Adapters == nil {
		o.Adapters = BuiltIn
	}
	w := &Workers{fatal: make(chan error, 1), refused: o.Refused, logger: o.Logger}
	if err := w.open(ctx, temporal, c, o); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// open opens the parts in the order of their dependencies. After an error, the caller must call close.
func (w *Workers) open(ctx context.Context, temporal client.Client, c config.Config, o WorkersOptions) (err error) {
	deployment, err := deploymentOptions(c.Worker)
	if err != nil {
		return err
	}
	if w.audit, err = openAudit(c.Audit, o.Logger); err != nil {
		return err
	}
	if w.store, err = OpenStore(ctx, c.Store, o.Logger); err != nil {
		return err
	}
	w.store.SetObserver(o.Telemetry.CountTransition)
	options := worker.Options{
		DeploymentOptions: deployment,
		WorkerStopTimeout: time.Duration(c.Worker.StopTimeout),
		// A bug must block a payment, not fail it: it continues once the code is corrected.
		WorkflowPanicPolicy: worker.BlockWorkflow,
		OnFatalError:        w.fail,
		Interceptors:        o.Interceptors,
	}
	verifiers, err := webhookVerifiers(c, o.Logger)
	if err != nil {
		return err
	}
	authorizer, err := openAuthorizer(ctx, c.Authorize, verifiers, o.Telemetry.CountRefused, o.Logger)
	if err != nil {
		return err
	}
	signaler := temporal
	if authorizer != nil {
		w.keys = authorizer.Verifier.Keys
		if len(verifiers) > 0 {
			if w.signaling, err = signalingClient(ctx, temporal, o.Client); err != nil {
				return err
			}
			signaler = w.signaling
		}
		options.Interceptors = append(slices.Clone(o.Interceptors), authorize.NewWorkerInterceptor(authorizer))
	}
	payments := &activities.Payments{
		Authorizer: authorizer, Store: w.store, Default: c.DefaultProcessor, Terms: map[string]activities.Terms{}, Profiles: map[string]processor.Profile{},
		Windows: map[string]store.Window{},
	}
	names := slices.Sorted(maps.Keys(c.Processors))
	hosted, first := workflows.Hosted{Default: c.DefaultProcessor, Inline: map[string]bool{}}, map[string]activities.FirstAttempts{}
	for _, name := range names {
		p := c.Processors[name]
		payments.Profiles[name] = o.Adapters[p.Adapter].Profile
		payments.Terms[name] = p.Terms(name, payments.Profiles[name])
		opened, err := openProcessor(ctx, name, p, o.Adapters, c.Audit.Allow, w.audit, nil, o.Telemetry)
		if err != nil {
			return fmt.Errorf("processors.%s: %w", name, err)
		}
		w.processors = append(w.processors, opened)
		callOptions := options
		callOptions.DisableWorkflowWorker = true
		if callOptions.Tuner, err = newCallTuner(p.MaxConcurrentCalls, opened.limiter); err != nil {
			return fmt.Errorf("processors.%s.max_concurrent_calls: %w", name, err)
		}
		callOptions.MaxConcurrentActivityTaskPollers = pollers
		calls := worker.New(temporal, payment.ProcessorTaskQueue(name), callOptions)
		called := activities.NewProcessor(opened, payments.Profiles[name], p.Backoff(), time.Duration(p.Retry.LongestWait), activities.Guard{
			Refused: o.Telemetry.CountRefused, Authorizer: authorizer, Processor: name, Store: w.store,
		})
		called.Register(calls)
		w.workers = append(w.workers, calls, newReconcileWorker(temporal, p, options, reconciler{
			opened: opened, store: w.store, refused: o.Telemetry.CountRefused, hurry: hurrier(signaler, name, authorizer != nil, verifiers[name]),
		}))
		payments.Windows[name] = window(p.Reconcile)
		if hosted.Inline[name] = p.FirstAttempt == config.Inline; hosted.Inline[name] {
			first[name] = activities.FirstAttempts{Processor: called, Ready: opened.Client.Ready}
		}
	}
	// Half of the workflow tasks stay free for payments that wait: a slow processor must not hold all of them.
	payments.Inline = activities.NewInline(first, c.Worker.MaxConcurrentWorkflowTasks/2)
	w.fleet = newFleet(c, w.store, w.processors, o.Logger)
	readOptions := options
	readOptions.DisableWorkflowWorker = true
	readOptions.MaxConcurrentActivityTaskPollers = pollers
	reads := worker.New(temporal, payment.ReadTaskQueue, readOptions)
	payments.RegisterReads(reads)
	w.workers = append(w.workers, reads)
	batches := &activities.Batches{
		Store: w.store, Authorizer: authorizer, Workflows: newBatchWorkflows(temporal, o.Client.DataConverter), Ended: o.Telemetry.CountBatchLines,
	}
	batches.RegisterReads(reads)
	sends := worker.New(temporal, payment.BatchTaskQueue, batchOptions(options))
	batches.RegisterSends(sends)
	w.workers = append(w.workers, sends)
	options.LocalActivityWorkerOnly = true
	options.MaxConcurrentWorkflowTaskExecutionSize = c.Worker.MaxConcurrentWorkflowTasks
	options.MaxConcurrentWorkflowTaskPollers = pollers
	main := worker.New(temporal, payment.TaskQueue, options)
	hosted.Register(main)
	payments.RegisterWrites(main)
	w.workers = append(w.workers, main)
	if w.webhooks, err = openWebhooks(ctx, c, verifiers, o.Adapters, w.store, signaler, o.Telemetry.CountEvent, o.Logger); err != nil {
		return err
	}
	w.schedules = newSchedules(temporal, c, o.Logger)
	o.Telemetry.SetSources(w.sources())
	o.Logger.Info("workers built", zap.Strings("processors", names), zap.String("default_processor", c.DefaultProcessor),
		zap.String("deployment", deployment.Version.DeploymentName), zap.String("build_id", deployment.Version.BuildID))
	return nil
}

// sources returns what the gauges read.
func (w *Workers) sources() telemetry.Sources {
	s := telemetry.Sources{
		Processors: map[string]*httpclient.Client{}, Store: w.store, SharesAge: w.fleet.Age, Intervals: w.schedules.intervals(),
	}
	for _, p := range w.processors {
		s.Processors[p.Client.Name()] = p.Client
	}
	if w.audit != nil {
		s.AuditLost = w.audit.Failures
	}
	return s
}

// openAudit returns nil if the audit log is off.
func openAudit(c config.Audit, logger *zap.Logger) (*audit.Log, error) {
	if c.Path == "off" {
		return nil, nil
	}
	log, err := audit.Open(audit.Options{
		Path: c.Path, MaxSizeMB: c.MaxSizeMB, MaxBackups: c.MaxBackups, MaxAgeDays: *c.MaxAgeDays, Compress: c.Compress,
		Fallback: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("audit.path: %w", err)
	}
	return log, nil
}

// WebhooksAddress returns the address at which the endpoint for webhooks listens; empty if it is off.
func (w *Workers) WebhooksAddress() string { return w.webhooks.address() }

// fail ends Run with err. Only the first error counts.
func (w *Workers) fail(err error) {
	select {
	case w.fatal <- err:
	default:
	}
}

// Start begins to poll. If one worker cannot start, Start stops the others, closes everything and returns the error.
func (w *Workers) Start() error {
	if err := w.fleet.Start(context.Background()); err != nil {
		w.close()
		return err
	}
	for i, one := range w.workers {
		if err := one.Start(); err != nil {
			for _, started := range w.workers[:i] {
				started.Stop()
			}
			w.close()
			return fmt.Errorf("starting a worker: %w", err)
		}
	}
	w.webhooks.serve(w.fail)
	w.schedules.start()
	return nil
}

// Run polls until ctx is done, a worker fails or Temporal refuses its version, and then calls Stop. It returns nil if ctx ended it.
func (w *Workers) Run(ctx context.Context) error {
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-w.refused:
		return err
	case err := <-w.fatal:
		return errors.Join(errors.New("a worker failed"), err)
	}
}

// Stop stops polling, waits for the calls in flight, at most for worker.stop_timeout, and closes everything.
func (w *Workers) Stop() {
	w.schedules.stop()
	w.webhooks.close() // before the store, which it uses
	// The workers stop concurrently, because each may take the whole stop timeout.
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
	w.close()
}

// close closes everything that is open, in the reverse order of open.
func (w *Workers) close() {
	w.webhooks.close()
	w.webhooks = nil
	if w.signaling != nil {
		w.signaling.Close()
	}
	if w.fleet != nil {
		w.fleet.Stop()
	}
	for _, p := range w.processors {
		p.Close()
	}
	if w.keys != nil {
		w.keys.Close()
	}
	if w.store != nil {
		if err := w.store.Close(); err != nil {
			w.logger.Error("closing the store", zap.Error(err))
		}
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
