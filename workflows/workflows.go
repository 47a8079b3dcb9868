// Package workflows holds Charge, Refund, Recheck, Reconcile and Batch: durable, deterministic, replayable.
//
//	charge.go, refund.go   what happens to a payment and a refund
//	modification.go        captures and voids of a payment that waits
//	operation.go           one operation at a processor, and what its outcome changes
//	send.go                sending it, and what is known about its sends so far: ambiguity is sticky
//	lookup.go              looking it up until its outcome is known
//	schedule.go            when an outcome is looked up next
//	machine.go             the status machine: transition, persist, publish
//	resolution.go          an operator's decision on an unknown outcome
//	recheck.go             what a processor still says about something final
//	reconcile.go           everything that a processor has, compared with the store
//	batch.go               the lines of a file, one by one
//	details.go             what Temporal Web describes
//	versions.go            version gates
package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/payment"
)

// Register registers the workflows under their names in package payment, so that renaming a Go function breaks no history.
func Register(r worker.WorkflowRegistry) { Hosted{}.Register(r) }

// Hosted is what the worker of the workflows does by itself. Only texts for Temporal Web depend on it, so every worker can replay the
// histories of every other: what is done inline is decided by the activities ChargeInline and RefundInline.
type Hosted struct {
	// Default is the processor of a charge that names none.
	Default string
	// Inline reports for each configured processor, by its name, whether the worker makes its first attempts inline.
	Inline map[string]bool
}

// Register is the function [Register] for this worker.
func (h Hosted) Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(h.charge, workflow.RegisterOptions{Name: payment.WorkflowCharge})
	r.RegisterWorkflowWithOptions(h.refund, workflow.RegisterOptions{Name: payment.WorkflowRefund})
	r.RegisterWorkflowWithOptions(Recheck, workflow.RegisterOptions{Name: payment.WorkflowRecheck})
	r.RegisterWorkflowWithOptions(Reconcile, workflow.RegisterOptions{Name: payment.WorkflowReconcile})
	r.RegisterWorkflowWithOptions(Batch, workflow.RegisterOptions{Name: payment.WorkflowBatch})
}

// firstCharge is the summary of what begins a charge.
func (h Hosted) firstCharge(req payment.ChargeRequest) string {
	name := cmp.Or(req.Processor, h.Default)
	if !h.Inline[name] {
		return summaryBegin
	}
	return fmt.Sprintf("charge %s via %s, first attempt", payment.Money{Amount: req.Amount, Currency: req.Currency}, name)
}

// firstRefund is the summary of what begins a refund. Which processor has its payment is not known yet.
func (h Hosted) firstRefund(req payment.RefundRequest) string {
	for _, name := range workflow.DeterministicKeys(h.Inline) {
		if !h.Inline[name] {
			return summaryBegin
		}
	}
	switch {
	case len(h.Inline) == 0:
		return summaryBegin
	case req.Amount == nil || req.Currency == "":
		return "refund, first attempt"
	default:
		return fmt.Sprintf("refund %s, first attempt", payment.Money{Amount: *req.Amount, Currency: req.Currency})
	}
}

const summaryBegin = "begin"

// applicationError turns a refusal or an invalid request into an application error of Temporal, for a workflow that fails or an update
// that is rejected.
func applicationError(err error) error {
	var refusal *payment.Refusal
	var invalid *payment.InvalidRequestError
	switch {
	case errors.As(err, &refusal):
		return temporal.NewNonRetryableApplicationError(refusal.Message, string(refusal.Code), nil)
	case errors.As(err, &invalid):
		return temporal.NewNonRetryableApplicationError(invalid.Error(), string(payment.ErrInvalidRequest), nil, invalid)
	default:
		return err
	}
}

// refuse is [payment.Refuse] as an application error.
func refuse(code payment.RefusalCode, format string, args ...any) error {
	return applicationError(payment.Refuse(code, format, args...))
}

// invalidField refuses one field of an input.
func invalidField(field, format string, args ...any) error {
	return applicationError(&payment.InvalidRequestError{Fields: []payment.FieldError{{Field: field, Problem: fmt.Sprintf(format, args...)}}})
}

// withStoreOptions returns a context for the local activities that write the store: they are fast, and retried as long as a local
// activity may be.
func withStoreOptions(ctx workflow.Context, summary string) workflow.Context {
	return withLocalOptions(ctx, summary, 5*time.Second)
}

func withLocalOptions(ctx workflow.Context, summary string, startToClose time.Duration) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: startToClose,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 100 * time.Millisecond, MaximumInterval: 30 * time.Second, BackoffCoefficient: 2,
		},
	})
}

// beginning are the local activities with which a payment or refund begins.
type beginning struct {
	// inline also makes the first attempt, unless there may have been one; only never sends anything.
	inline, only string
	// summary is that of inline.
	summary string
}

// beginAfter is begin for what was begun before, by an execution that may still make the first attempt: the attempt has ended after a wait.
// What it has persisted until then is read again. Without the wait, its late response could be persisted over what this run has sent
// meanwhile.
func beginAfter(ctx workflow.Context, how beginning, request, result any) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := workflow.NewTimerWithOptions(ctx, activities.InlineEnded, workflow.TimerOptions{
		Summary: "wait until no first attempt of an earlier execution is in flight",
	}).Get(ctx, nil); err != nil {
		return err
	}
	return begin(ctx, beginning{inline: how.only, only: how.only, summary: summaryBegin}, request, result)
}

// begin runs the local activity that persists a new payment or refund, in a context that nothing cancels, because the workflow has to
// know what was persisted. The only error is a refusal. While the store is down, the workflow task fails with the reason and is
// retried: the payment waits.
func begin(ctx workflow.Context, how beginning, request, result any) error {
	canceled := ctx.Err() != nil
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	info := workflow.GetInfo(ctx)
	start := activities.Start{
		At:        info.WorkflowStartTime, // a run that was reset has the start time of the run that it was reset from
		Continued: isContinued(info),
		Reset:     isReset(info),
		Batch:     priority.IsBatch(info.Priority),
		Proof:     authorize.ProofOf(ctx),
	}
	activity := how.inline
	if start.Continued || canceled {
		activity, ctx = how.only, withStoreOptions(ctx, summaryBegin)
	} else {
		ctx = withLocalOptions(ctx, how.summary, activities.InlineTimeout)
	}
	err := workflow.ExecuteLocalActivity(ctx, activity, request, start).Get(ctx, result)
	var refusal *temporal.ApplicationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal) && refusal.NonRetryable():
		return refusal // without the activity's error around it: Temporal Web shows what the workflow failed with
	default:
		panic(fmt.Sprintf("%s: %v", activity, err))
	}
}

// wasReset reports whether this run began with a part of another run's history. What that run sent after it is not known here. The
// answer is recorded, so that a run which is reset later replays the answer of the run before it.
func wasReset(ctx workflow.Context) (reset bool) {
	err := workflow.SideEffect(ctx, func(ctx workflow.Context) any {
		return isReset(workflow.GetInfo(ctx))
	}).Get(&reset)
	if err != nil {
		panic(err)
	}
	return reset
}

// isContinued reports whether a run of Florin has continued in this one. The runs of a cron schedule and the attempts of a retry policy
// continue each other, too, but not what a run of Florin has begun.
func isContinued(info *workflow.Info) bool {
	return info.ContinuedExecutionRunID != "" && info.CronSchedule == "" && info.Attempt <= 1
}

// isReset reports whether the run was reset from another one. The SDK's test environment has no original run.
func isReset(info *workflow.Info) bool {
	return info.OriginalRunID != "" && info.OriginalRunID != info.WorkflowExecution.RunID
}

// canceledInTime is the failure of a payment that was canceled before it was sent. Its workflow succeeds: no money moved.
var canceledInTime = payment.Failure{Class: payment.ClassNotSent, Message: "canceled before anything was sent"}
