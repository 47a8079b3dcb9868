package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

// sendUntil is when nothing is sent any more.
func (o *operation) sendUntil() time.Time { return o.terms.SendUntil(o.firstUsed, o.sendBy) }

func (o *operation) sendable(ctx workflow.Context) bool {
	return workflow.Now(ctx).Before(o.sendUntil())
}

// send makes the call. While provably nothing was executed, it makes it again after every wait that is too long for the retry policy.
// An ambiguous operation is never put off: it returns, to be looked up, and is sent again beside the lookups.
func (o *operation) send(ctx, cancellable workflow.Context) outcome {
	o.resendAt, o.declined = time.Time{}, nil
	if o.firstSent.IsZero() {
		o.firstSent = workflow.Now(ctx)
	}
	for {
		if o.first == nil && !o.sendable(ctx) { // also if a worker has come late, after a wait
			return o.sendingEnded(ctx)
		}
		wasFirst := o.first != nil
		resent := o.sends.state >= ambiguous && o.before == (activities.Before{})
		if now := workflow.Now(ctx); now.Before(o.seriesEnd()) {
			o.lastSent = now
		}
		result, failure := o.attempt(ctx, resent)
		switch {
		case failure != nil:
		case o.subject.isUnchanged(result.Result):
			// The processor has accepted the call and has not executed it, or not yet.
			o.sends.fail(workflow.Now(ctx), activities.CallFailure{Ambiguous: true, Failure: payment.Failure{
				Class: payment.ClassInvalidResponse, Message: fmt.Sprintf("the processor accepted the request and responded that the payment is %s", result.Status),
			}}, true)
			return o.undecided(byProcessor(result.Result))
		case result.Status == payment.Declined && (result.AmbiguousBefore || o.mayBeExecuted(ctx)):
			o.declined = &result
			o.sends.fail(workflow.Now(ctx), activities.CallFailure{Ambiguous: true, Earlier: true, Failure: payment.Failure{
				Class: payment.ClassOutcomeUnknown, Message: "declined after a send without a response: that one is looked up first", ProcessorCode: result.Decline.Code,
			}}, true)
			return o.undecided(byProcessor(result.Result))
		default:
			o.sends = sends{state: answered, last: workflow.Now(ctx)}
			return outcome{verdict: adopted, result: result.Result, cause: byProcessor(result.Result)}
		}
		if !failure.Ambiguous || failure.Class == payment.ClassStateConflict || failure.NeverTaken {
			o.mayBeExecuted(ctx)
		}
		o.sends.fail(workflow.Now(ctx), *failure, o.subject.acknowledged() && !o.modifies)
		wait := time.Duration(failure.Wait)
		again := workflow.Now(ctx).Add(wait)
		switch {
		case wait <= 0:
		case wasFirst && o.sends.mayBeExecuted() && wait <= time.Duration(o.terms.RetryMax):
			// The series of quick sends continues in the queue. Canceling the workflow does not end it.
			o.before = activities.Before{Attempts: 1, Ambiguous: true}
			o.waitToSend(ctx, wait)
			continue
		case o.sends.mayBeExecuted() && wait <= time.Duration(o.terms.RetryMax):
			o.resendSoon(ctx, wait)
		case !again.Before(o.sendUntil()):
			o.sends.failure.Message += fmt.Sprintf("; it may be tried again after %s, which is too late for this one", formatTime(again))
		case o.sends.mayBeExecuted():
			o.resendAt = again
		case o.waitToSend(cancellable, wait):
			if wasFirst {
				o.before.Attempts = 1
			}
			continue
		default:
			o.sends.failure = payment.Failure{Class: payment.ClassNotSent, Message: "canceled while waiting to send"}
		}
		return o.undecided(activities.Cause{By: "processor", Evidence: evidence("request_id", failure.RequestID)})
	}
}

// resendSoon plans to send the operation again after a growing pause, until the end of the series.
func (o *operation) resendSoon(ctx workflow.Context, wait time.Duration) {
	o.resendPause = max(wait, min(2*o.resendPause, time.Duration(o.terms.RetryMax)))
	again := workflow.Now(ctx).Add(o.resendPause)
	if again.Before(o.seriesEnd()) && again.Before(o.sendUntil()) {
		o.resendAt = again
	}
}

// seriesEnd is when this run ends its first series of sends. Later sends are those that a lookup or the processor has asked for.
func (o *operation) seriesEnd() time.Time {
	return o.firstSent.Add(time.Duration(o.terms.ScheduleToClose))
}

// sendingEnded is the outcome of an operation that is not sent, or not again, because its time has ended.
func (o *operation) sendingEnded(ctx workflow.Context) outcome {
	failure := payment.Failure{Class: payment.ClassNotSent, Message: fmt.Sprintf("not sent: its time ended at %s", formatTime(o.sendUntil()))}
	if o.mayBeExecuted(ctx) {
		failure = payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "an earlier run may have sent it, and its time to be sent again has ended"}
	}
	o.sends.last, o.sends.failure = workflow.Now(ctx), failure
	return o.undecided(activities.Cause{By: "workflow"})
}

// mayBeExecuted reports whether any send may have been executed, including those of the run that this one was reset from.
func (o *operation) mayBeExecuted(ctx workflow.Context) bool {
	if o.sends.state < ambiguous && wasReset(ctx) {
		o.sends.state = ambiguous
	}
	return o.sends.mayBeExecuted()
}

// waitToSend reports whether the wait has passed without a cancellation.
func (o *operation) waitToSend(cancellable workflow.Context, wait time.Duration) bool {
	summary := fmt.Sprintf("wait %s to send it again", roundForDisplay(wait))
	if wait > time.Duration(o.terms.RetryMax) {
		summary = fmt.Sprintf("wait %s, as the processor asked (Retry-After)", roundForDisplay(wait))
	}
	return workflow.NewTimerWithOptions(cancellable, wait, workflow.TimerOptions{Summary: summary}).Get(cancellable, nil) == nil
}

// undecided is the outcome of sends that decide nothing.
func (o *operation) undecided(cause activities.Cause) outcome {
	if o.sends.mayBeExecuted() {
		return outcome{verdict: unknown, failure: o.sends.failure, cause: cause}
	}
	return outcome{verdict: notExecuted, failure: o.sends.failure, cause: cause}
}

// attempt returns what the first attempt has brought that the payment or refund began with, and otherwise calls the processor. once is as
// for callProcessor; then the failure says when the operation may be sent again.
func (o *operation) attempt(ctx workflow.Context, once bool) (result activities.CallResult, failed *activities.CallFailure) {
	if first := o.first; first != nil {
		o.first = nil
		if first.Failure != nil {
			return result, first.Failure
		}
		return *first.Result, nil
	}
	result, err := o.callProcessor(ctx, once)
	if err == nil {
		return result, nil
	}
	failure := activities.FailureOf(err)
	if once && failure.Wait == 0 {
		failure.Wait = activities.Duration(activities.RetryDelay(err, time.Duration(o.terms.RetryInitial)))
	}
	return result, &failure
}

// callProcessor runs the activity, with its retries; without any if the operation is sent again. A resolution that was recorded before is
// void: it is not about this call.
func (o *operation) callProcessor(ctx workflow.Context, once bool) (result activities.CallResult, err error) {
	attempts := int32(0) // until the time is up
	if once {
		attempts = 1
	}
	o.resolutions.callInFlight = true
	left := o.terms.SendLimit(o.firstUsed, o.sendBy).Sub(workflow.Now(ctx))
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              payment.ProcessorTaskQueue(o.terms.Processor),
		StartToCloseTimeout:    time.Duration(o.terms.StartToClose),
		ScheduleToCloseTimeout: min(time.Duration(o.terms.ScheduleToClose), left),
		Summary:                o.summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        time.Duration(o.terms.RetryInitial),
			MaximumInterval:        time.Duration(o.terms.RetryMax),
			BackoffCoefficient:     o.terms.RetryMultiplier,
			NonRetryableErrorTypes: activities.NeverRetried,
			MaximumAttempts:        attempts,
		},
	})
	args := []any{o.call}
	if o.before != (activities.Before{}) {
		args, o.before = append(args, o.before), activities.Before{}
	}
	err = workflow.ExecuteActivity(ctx, o.activity, args...).Get(ctx, &result)
	*o.resolutions = resolutions{updates: o.resolutions.updates}
	return result, err
}

// sends is what is known about the sends of one operation so far.
type sends struct {
	state sendState
	// last is when the last send ended, failure how: of an earlier run at first.
	last    time.Time
	failure payment.Failure
}

// sendState is what the sends so far leave open. Failures only raise it: ambiguity is sticky, a later refusal proves nothing about an
// earlier send.
type sendState int

const (
	// unsent: provably nothing was executed.
	unsent sendState = iota
	// untaken: no worker has picked up the call in time. Temporal's account of that may have a gap, so one lookup has to confirm
	// it.
	untaken
	// rejected: the only send was refused because the payment is not in a state for the operation. No send can have been executed,
	// but the processor's record may say more: one lookup decides.
	rejected
	// ambiguous: a send may have been executed.
	ambiguous
	// answered: the processor has responded with its record of the operation, now or to an earlier run. It cannot become one
	// that was never executed.
	answered
)

// fail adds a send that brought no outcome. acknowledged reports that the processor has named what the operation makes already.
func (s *sends) fail(at time.Time, f activities.CallFailure, acknowledged bool) {
	state := unsent
	switch {
	case f.NeverTaken && !acknowledged:
		state = untaken
	case f.Ambiguous && f.Class == payment.ClassStateConflict && !f.Earlier:
		state = rejected
	case f.Ambiguous:
		state = ambiguous
	}
	s.state, s.last, s.failure = max(s.state, state), at, f.Failure
}

// mayBeExecuted reports whether a send may have been executed, or has to be looked up before that is known.
func (s *sends) mayBeExecuted() bool { return s.state != unsent }

// provesAbsence reports whether "not found", in response to a lookup at asked, proves that nothing was executed. grace is how long a
// processor may fail to find what it has; 0: forever. complete reports that the lookup reads a complete list: what it does not contain
// after a refusal was not executed. A call that no worker has picked up needs no time to become known.
func (s *sends) provesAbsence(asked time.Time, grace time.Duration, complete bool) bool {
	switch s.state {
	case untaken:
		return true
	case rejected:
		return complete || s.graceIsOver(asked, grace)
	case ambiguous:
		return s.graceIsOver(asked, grace)
	default:
		return false
	}
}

func (s *sends) graceIsOver(asked time.Time, grace time.Duration) bool {
	return grace > 0 && asked.Sub(s.last) >= grace
}

// action is what follows from a record that shows nothing of a capture or void.
type action int

const (
	// wait: look it up again later.
	wait action = iota
	// resend: send it again under the same key. The caller wants it executed, and a record that shows nothing proves nothing
	// about a call in flight: only the response does. A lookup never sends a charge again.
	resend
	// conclude: nothing was executed.
	conclude
)

// onUnchanged decides what to do if the processor's record, as it was when asked, shows nothing of the operation. sendable reports
// whether it may be sent again. Without a response, only the grace period proves that nothing was executed, as for charges.
func (s *sends) onUnchanged(asked time.Time, grace time.Duration, sendable bool) action {
	switch {
	case s.state == rejected:
		return conclude
	case sendable && isWorthResending(s.failure.Class):
		return resend
	case s.state == untaken, s.graceIsOver(asked, grace):
		return conclude
	default:
		return wait
	}
}

// isWorthResending reports whether the same call may get another response.
func isWorthResending(class payment.FailureClass) bool {
	switch class {
	case payment.ClassOutcomeUnknown, payment.ClassUnavailable, payment.ClassRateLimited, payment.ClassNotSent:
		return true
	default:
		return false
	}
}
