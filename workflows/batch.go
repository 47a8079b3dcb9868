package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

const (
	// sweepFirst is the pause before the open lines of a batch are read again, if no other line waits. It doubles up to sweepLongest.
	sweepFirst   = time.Minute
	sweepLongest = time.Hour
	// maxSends limits the executions of SendBatchLines in one run, and so its history: each adds six events. The workflow then continues as new.
	maxSends = 400
)

// Batch has the lines of a batch started, until all of them have ended. Everything about the batch is in the store: the workflow only repeats
// the activity that sends lines, waits between its executions if there is nothing to start, and shows the numbers. A signal, which says that
// a caller has paused, resumed, canceled or limited the batch, ends a wait.
func Batch(ctx workflow.Context, req payment.BatchRequest) (payment.Batch, error) {
	b := &batch{changed: workflow.GetSignalChannel(ctx, payment.SignalBatchChanged)}
	if err := workflow.SetQueryHandler(ctx, payment.QueryStatus, func() (payment.Batch, error) { return b.value, nil }); err != nil {
		return payment.Batch{}, err
	}
	calls := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           payment.BatchTaskQueue,
		StartToCloseTimeout: 5 * time.Minute, // it ends after half a minute, and after less than two at the lowest rate
		HeartbeatTimeout:    10 * time.Second,
		WaitForCancellation: true,
		Summary:             "start lines, and persist how they end",
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, MaximumInterval: 30 * time.Second, BackoffCoefficient: 2,
		},
	})
	for range maxSends {
		drain(b.changed)
		began := workflow.Now(ctx)
		before := b.value
		if err := workflow.ExecuteActivity(calls, payment.ActivitySendBatchLines, req).Get(ctx, &b.value); err != nil {
			return b.value, err
		}
		b.measure(before, workflow.Now(ctx).Sub(began))
		workflow.SetCurrentDetails(ctx, b.details())
		if b.value.Finished() {
			return b.value, nil
		}
		if err := b.wait(ctx); err != nil {
			return b.value, err
		}
		if info := workflow.GetInfo(ctx); info.GetContinueAsNewSuggested() || info.GetTargetWorkerDeploymentVersionChanged() {
			break
		}
	}
	return b.value, workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
		InitialVersioningBehavior: workflow.ContinueAsNewVersioningBehaviorAutoUpgrade, // a long batch must not keep its build running
	}, payment.WorkflowBatch, req)
}

type batch struct {
	value   payment.Batch
	changed workflow.ReceiveChannel
	// perSecond is how many lines ended in a second during the last execution; 0 before the second one.
	perSecond float64
	// sweeps counts the executions since one that could start lines.
	sweeps int
}

// measure computes the rate of the last execution.
func (b *batch) measure(before payment.Batch, took time.Duration) {
	b.perSecond = 0
	if ended := b.value.Ended() - before.Ended(); before.Name != "" && took > time.Second {
		b.perSecond = float64(ended) / took.Seconds()
	}
}

// wait waits before the next execution: not at all if lines wait to be started, until a signal if the batch is paused, and otherwise for the
// outcomes of lines that are open. It returns an error only if the workflow is canceled.
func (b *batch) wait(ctx workflow.Context) error {
	why, pause := "the batch is paused", sweepLongest
	switch {
	case b.value.State == payment.BatchRunning && b.value.Waiting > 0:
		b.sweeps = 0
		return nil
	case b.value.State != payment.BatchPaused:
		why, pause = fmt.Sprintf("%d lines are open", b.value.Open), sweepFirst
		for range b.sweeps {
			pause = min(2*pause, sweepLongest)
		}
		b.sweeps++
	}
	if b.changed.Len() > 0 {
		return nil
	}
	ctx, stop := workflow.WithCancel(ctx)
	defer stop()
	timer := workflow.NewTimerWithOptions(ctx, pause, workflow.TimerOptions{Summary: fmt.Sprintf("wait %s, or for a change: %s", pause, why)})
	return workflow.Await(ctx, func() bool { return timer.IsReady() || b.changed.Len() > 0 })
}

// details describes the batch: its state, its numbers, and what a caller can do.
func (b *batch) details() string {
	v := b.value
	text := fmt.Sprintf("**%s.** %d of %d lines have ended.", v.State, v.Ended(), v.Lines)
	if b.perSecond > 0 {
		text += fmt.Sprintf(" %.1f lines per second", b.perSecond)
		if v.State == payment.BatchRunning && v.Waiting > 0 {
			left := time.Duration(float64(v.Waiting+v.Open) / b.perSecond * float64(time.Second))
			text += fmt.Sprintf(", %s left", roundForDisplay(left))
		}
		text += "."
	}
	text += fmt.Sprintf("\n\n| waiting | open | succeeded | authorized | declined | failed | conflicted | refused |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- |\n| %d | %d | %d | %d | %d | %d | %d | %d |",
		v.Waiting, v.Open, v.Succeeded, v.Authorized, v.Declined, v.Failed, v.Conflicted, v.Refused)
	text += fmt.Sprintf("\n\nAt most %d lines are in flight", v.InFlight)
	if v.PerSecond > 0 {
		text += fmt.Sprintf(", and %g are started per second", v.PerSecond)
	}
	text += "."
	if v.Reason != "" {
		text += fmt.Sprintf("\n\nLatest change, by %s: %s", temporalweb.Escape(v.By), temporalweb.Escape(v.Reason))
	}
	name := temporalweb.Escape(v.Name)
	if v.Finished() {
		return text + "\n\nResults: `starter batch results` " + name
	}
	return text + "\n\nWhat you can do: `starter batch pause`, `resume`, `cancel` or `rate`, and `starter batch results --status declined`, with the name " +
		name + "."
}
