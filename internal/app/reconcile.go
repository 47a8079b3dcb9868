package app

import (
	"context"
	"errors"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdktemporal "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
)

// reconciler is what the worker for the reconciliation of a processor needs beside its configuration.
type reconciler struct {
	opened  *OpenProcessor
	store   *store.Store
	refused func(operation, reason string)
	hurry   func(ctx context.Context, workflowID string) error
}

// newReconcileWorker returns the worker for the reconciliation of a processor. It has a task queue of its own, and executes few parts at a
// time, so that no payment waits for them.
func newReconcileWorker(temporal client.Client, p config.Processor, options worker.Options, r reconciler) worker.Worker {
	settings, name := p.Reconcile, r.opened.Client.Name()
	options.DisableWorkflowWorker = true
	options.MaxConcurrentActivityExecutionSize = 2
	options.MaxConcurrentActivityTaskPollers = 1
	w := worker.New(temporal, payment.ReconcileTaskQueue(name), options)
	activity := &activities.Reconciler{
		Processor: r.opened, Name: name, Store: r.store, PageSize: settings.PageSize, Hurry: r.hurry, Refused: r.refused,
		Runs: func(ctx context.Context, workflowID string) (bool, error) { return runs(ctx, temporal, workflowID) },
	}
	if perSecond := p.RateLimit.PerSecond; perSecond > 0 {
		activity.Pace = rate.NewLimiter(rate.Limit(perSecond*settings.Share), 1).Wait
	}
	activity.Register(w)
	return w
}

func window(r config.Reconcile) store.Window {
	return store.Window{Lag: time.Duration(r.Lag), Overlap: time.Duration(r.Overlap)}
}

// hurrier returns how a reconciliation notifies a workflow of a difference. It returns nil if signals have to be signed and the processor has
// no webhook secret: a workflow that runs finds out by itself.
func hurrier(temporal webhook.Signaler, name string, signed bool, secret *webhook.Rotating) func(ctx context.Context, workflowID string) error {
	if signed && secret == nil {
		return nil
	}
	return func(ctx context.Context, workflowID string) error {
		if signed {
			var err error
			if ctx, err = webhook.Prove(ctx, secret, name, workflowID); err != nil {
				return err
			}
		}
		return temporal.SignalWorkflow(ctx, workflowID, "", payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "reconcile", Type: "reconcile"})
	}
}

// describer describes workflows; a client.Client implements it.
type describer interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// runs reports whether the workflow with an ID runs, or is paused.
func runs(ctx context.Context, temporal describer, workflowID string) (bool, error) {
	described, err := temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return false, nil
	}
	switch described.GetWorkflowExecutionInfo().GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return true, err
	default:
		return false, err
	}
}

// schedulesRetry is the pause before a schedule is set again that could not be set.
const schedulesRetry = 30 * time.Second

// schedules keeps the schedules of reconciliations in Temporal as they are configured.
type schedules struct {
	temporal client.Client
	logger   *zap.Logger
	names    map[string]config.Reconcile
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

func newSchedules(temporal client.Client, c config.Config, logger *zap.Logger) *schedules {
	s := &schedules{temporal: temporal, logger: logger, names: map[string]config.Reconcile{}}
	for name, p := range c.Processors {
		s.names[name] = p.Reconcile
	}
	return s
}

// intervals returns the times between two reconciliations, by the name of the processor.
func (s *schedules) intervals() map[string]time.Duration {
	intervals := map[string]time.Duration{}
	for name, settings := range s.names {
		if settings.Every > 0 {
			intervals[name] = time.Duration(settings.Every)
		}
	}
	return intervals
}

// start sets the schedules in the background: payments do not wait for them. A schedule that cannot be set is logged, and set again later.
func (s *schedules) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for name, settings := range s.names {
		s.running.Go(func() {
			for {
				err := s.set(ctx, name, settings)
				if err == nil || ctx.Err() != nil {
					return
				}
				s.logger.Warn("failed to set the schedule of a reconciliation: it is tried again", zap.String("processor", name), zap.Error(err))
				select {
				case <-time.After(schedulesRetry):
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// stop ends what start has begun. It does nothing without start.
func (s *schedules) stop() {
	if s == nil || s.cancel == nil {
		return
	}
	s.cancel()
	s.running.Wait()
}

// set creates the schedule of a processor, changes it, or deletes it.
func (s *schedules) set(ctx context.Context, name string, settings config.Reconcile) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	all := s.temporal.ScheduleClient()
	handle := all.GetHandle(ctx, payment.ReconcileScheduleID(name))
	if settings.Every == 0 {
		err := handle.Delete(ctx)
		var missing *serviceerror.NotFound
		if errors.As(err, &missing) {
			return nil
		}
		return err
	}
	wanted := scheduleOf(name, settings)
	_, err := all.Create(ctx, wanted)
	if !errors.Is(err, sdktemporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return handle.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(current client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		schedule := current.Description.Schedule // its state stays: an operator may have paused it
		schedule.Spec, schedule.Action = &wanted.Spec, wanted.Action
		schedule.Policy = &client.SchedulePolicies{Overlap: wanted.Overlap, CatchupWindow: wanted.CatchupWindow, PauseOnFailure: wanted.PauseOnFailure}
		return &client.ScheduleUpdate{Schedule: &schedule}, nil
	}})
}

// maxScheduleJitter limits how late a reconciliation begins.
const maxScheduleJitter = 5 * time.Minute

// scheduleOf returns the schedule of a processor.
func scheduleOf(name string, settings config.Reconcile) client.ScheduleOptions {
	every, request := time.Duration(settings.Every), payment.ReconcileRequest{Processor: name}
	attributes := sdktemporal.NewSearchAttributes(temporalweb.ReconcileAttributes(request)...)
	return client.ScheduleOptions{
		ID: payment.ReconcileScheduleID(name),
		Spec: client.ScheduleSpec{
			Intervals: []client.ScheduleIntervalSpec{{Every: every}},
			// Not all processors, nor all installations at one processor, at the full hour.
			Jitter: min(every/10, maxScheduleJitter),
		},
		Action: &client.ScheduleWorkflowAction{
			ID: payment.ReconcileScheduleID(name), Workflow: payment.WorkflowReconcile, Args: []any{request}, TaskQueue: payment.TaskQueue,
			TypedSearchAttributes: attributes, StaticSummary: temporalweb.ReconcileSummary(request), StaticDetails: temporalweb.ReconcileDetails(request),
			Priority: priority.Background(""),
		},
		// A reconciliation that takes longer than the interval compares everything up to its begin. Another one beside it would read the same
		// lists and end the first one.
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		// After an outage of Temporal, one missed reconciliation is enough: the window of the next one begins where the last complete one has
		// ended.
		CatchupWindow: every,
		// A failed reconciliation leaves the watermark, and there is an alert on its age. A pause would need an operator, and hide what is
		// found once the cause is gone.
		PauseOnFailure:        false,
		TypedSearchAttributes: sdktemporal.NewSearchAttributes(temporalweb.ReconcileAttributes(request)[0]),
		Note:                  "kept by the workers of Florin as configured in processors." + name + ".reconcile",
	}
}
