package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// subject is the payment or the refund that an operation is about.
type subject interface {
	status() payment.Status
	// transition changes the status; failure is the reason, nil clears the previous one.
	transition(ctx workflow.Context, to payment.Status, failure *payment.Failure)
	// persist stores the current state; cause is who changed it, and by which evidence.
	persist(ctx workflow.Context, cause activities.Cause)

	// notExecuted takes over that provably nothing was executed, for the reason of the failure.
	// found is the status of the record that shows it, if there is one.
	notExecuted(ctx workflow.Context, failure payment.Failure, found payment.Status)
	// isUnchanged reports whether the processor's record shows nothing of the operation.
	isUnchanged(found processor.Result) bool
	// adopt takes over the processor's record.
	adopt(ctx workflow.Context, result processor.Result)
	// applyResolution takes over an operator's decision. It returns the refusal of one that the store does not accept.
	applyResolution(ctx workflow.Context, r payment.Resolution, cause activities.Cause) error
	// deadline is when the current status is given up; zero: never.
	deadline() time.Time
	// acknowledged reports whether the processor has named the payment or refund.
	acknowledged() bool
	// processorPaymentID is the processor's id of the payment; empty if it is not known.
	processorPaymentID() string
}

// operation is one charge, capture, void or refund at a processor, from its first send until its outcome is known.
type operation struct {
	terms       activities.Terms
	subject     subject
	resolutions *resolutions
	// kind and reference identify the processor's record: captures and voids are found in the record of their charge.
	kind      payment.Operation
	reference string
	// recordedSince is no later than the creation of that record.
	recordedSince time.Time
	// activity makes the call.
	activity, summary string
	call              any
	// firstUsed is no later than the first send under the key. sendBy is when nothing is sent any more, if the caller has set it.
	firstUsed, sendBy time.Time
	sends             sends
	// resendAt is when the processor has asked to be sent an ambiguous operation again; zero: not at all.
	resendAt time.Time
	// declined is a decline that followed a send which may have been executed: one lookup decides whether it counts.
	declined *processor.Result
	// lookupFailure is the last lookup without a response.
	lookupFailure string
}

// outcome is what a send or a lookup of an operation proves.
type outcome struct {
	verdict verdict
	// result is the processor's record, if it is adopted.
	result processor.Result
	// found is the status of the record that shows nothing of the operation.
	found payment.Status
	// failure is why the operation was not executed, or why that is unknown.
	failure payment.Failure
	cause   activities.Cause
}

type verdict int

const (
	// nothingNew: a lookup brought no response, or no proof yet.
	nothingNew verdict = iota
	// adopted: the processor's record says how the operation ended, or that it is pending.
	adopted
	// notExecuted: provably nothing was executed.
	notExecuted
	// unknown: it may or may not have been executed.
	unknown
)

// apply is the one place where an outcome changes the payment or refund.
func (o *operation) apply(ctx workflow.Context, out outcome) {
	switch out.verdict {
	case nothingNew:
		return
	case adopted:
		o.subject.adopt(ctx, out.result)
	case notExecuted:
		o.subject.notExecuted(ctx, out.failure, out.found)
	case unknown:
		// A payment that needs reconciliation stays there.
		if o.subject.status() != payment.NeedsReconciliation {
			o.subject.transition(ctx, payment.Unknown, &out.failure)
		}
	}
	o.subject.persist(ctx, out.cause)
}

// start sends the operation, unless the processor has acknowledged it to an earlier run: then it would repeat its first response,
// which a capture may have made untrue. earlierRun reports that there was one, so that
// the operation may have been sent. Canceling the workflow prevents the send only if provably nothing was sent before.
func (o *operation) start(ctx, cancellable workflow.Context, earlierRun bool, failure *payment.Failure) {
	if failure != nil {
		o.sends.failure = *failure
	}
	status := o.subject.status()
	if status == payment.Processing || status == payment.Unknown && !o.subject.acknowledged() {
		if earlierRun {
			o.sends.state = ambiguous
		}
		o.apply(ctx, o.send(ctx, cancellable))
		return
	}
	o.sends.last = workflow.Now(ctx)
	o.sends.state = answered
	if earlierRun && !o.subject.acknowledged() && o.sends.failure.Class == payment.ClassOutcomeUnknown {
		o.sends.state = ambiguous
	}
}

// sendUntil is when nothing is sent any more: the caller's or the configuration's limit, or when the processor may begin to discard
// the key, minus the time that one series of attempts takes.
func (o *operation) sendUntil() time.Time {
	until := o.firstUsed.Add(time.Duration(o.terms.KeyLifetime - o.terms.ScheduleToClose))
	if limit := o.sendLimit(); limit.Before(until) {
		return limit
	}
	return until
}

// sendLimit is when nothing is sent any more, whatever the processor's keys.
func (o *operation) sendLimit() time.Time {
	within := max(o.terms.SendWithin, o.terms.ScheduleToClose)
	limit := o.firstUsed.Add(time.Duration(within))
	if !o.sendBy.IsZero() && o.sendBy.Before(limit) {
		return o.sendBy
	}
	return limit
}

func (o *operation) sendable(ctx workflow.Context) bool {
	return workflow.Now(ctx).Before(o.sendUntil())
}

// send makes the call. While provably nothing was executed, it makes it again after every wait that is too long for the retry policy.
// An ambiguous operation is never put off: it returns, to be looked up, and is sent again beside the lookups.
func (o *operation) send(ctx, cancellable workflow.Context) outcome {
	o.resendAt, o.declined = time.Time{}, nil
	for {
		if !o.sendable(ctx) { // also if a worker has come late, after a wait
			return o.expired(ctx)
		}
		result, err := o.attempt(ctx)
		switch {
		case err != nil:
		case o.subject.isUnchanged(result.Result):
			// The processor has accepted the call and has not executed it, or not yet.
			o.sends.fail(workflow.Now(ctx), activities.CallFailure{Ambiguous: true, Failure: payment.Failure{
				Class: payment.ClassInvalidResponse, Message: fmt.Sprintf("the processor accepted the request and responded that the payment is %s", result.Status),
			}}, true)
			return o.unanswered(byProcessor(result.Result))
		case result.Status == payment.Declined && (result.AmbiguousBefore || o.mayBeExecuted(ctx)):
			o.declined = &result.Result
			o.sends.fail(workflow.Now(ctx), activities.CallFailure{Ambiguous: true, Earlier: true, Failure: payment.Failure{
				Class: payment.ClassOutcomeUnknown, Message: "declined after a send without a response: that one is looked up first", ProcessorCode: result.Decline.Code,
			}}, true)
			return o.unanswered(byProcessor(result.Result))
		default:
			o.sends.state, o.sends.last = answered, workflow.Now(ctx)
			return outcome{verdict: adopted, result: result.Result, cause: byProcessor(result.Result)}
		}
		failure := activities.FailureOf(err)
		if !failure.Ambiguous || failure.Class == payment.ClassStateConflict || failure.NeverTaken {
			o.mayBeExecuted(ctx)
		}
		o.sends.fail(workflow.Now(ctx), failure, o.subject.acknowledged())
		wait := time.Duration(failure.Wait)
		again := workflow.Now(ctx).Add(wait)
		switch {
		case wait <= 0:
		case !again.Before(o.sendUntil()):
			o.sends.failure.Message += fmt.Sprintf("; it may be tried again after %s, which is too late for this one", formatTime(again))
		case o.sends.mayBeExecuted():
			o.resendAt = again
		case waitToSend(cancellable, wait):
			continue
		default:
			o.sends.failure = payment.Failure{Class: payment.ClassNotSent, Message: "canceled while waiting to send"}
		}
		return o.unanswered(activities.Cause{By: "processor", Evidence: evidence("request_id", failure.RequestID)})
	}
}

// expired is the outcome of an operation that is not sent, or not again, because its time has ended.
func (o *operation) expired(ctx workflow.Context) outcome {
	failure := payment.Failure{Class: payment.ClassNotSent, Message: fmt.Sprintf("not sent: its time ended at %s", formatTime(o.sendUntil()))}
	if o.mayBeExecuted(ctx) {
		failure = payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "an earlier run may have sent it, and its time to be sent again has ended"}
	}
	o.sends.last, o.sends.failure = workflow.Now(ctx), failure
	return o.unanswered(activities.Cause{By: "workflow"})
}

// mayBeExecuted reports whether any send may have been executed, including those of the run that this one was reset from.
func (o *operation) mayBeExecuted(ctx workflow.Context) bool {
	if o.sends.state < ambiguous && wasReset(ctx) {
		o.sends.state = ambiguous
	}
	return o.sends.mayBeExecuted()
}

// waitToSend reports whether the wait has passed without a cancellation.
func waitToSend(cancellable workflow.Context, wait time.Duration) bool {
	return workflow.NewTimerWithOptions(cancellable, wait, workflow.TimerOptions{
		Summary: fmt.Sprintf("wait %s, as the processor asked (Retry-After)", roundForDisplay(wait)),
	}).Get(cancellable, nil) == nil
}

// unanswered is the outcome of sends without a response that decides.
func (o *operation) unanswered(cause activities.Cause) outcome {
	if o.sends.mayBeExecuted() {
		return outcome{verdict: unknown, failure: o.sends.failure, cause: cause}
	}
	return outcome{verdict: notExecuted, failure: o.sends.failure, cause: cause}
}

// attempt runs the activity, with its retries. A resolution that was recorded before is void: it is not about this call.
func (o *operation) attempt(ctx workflow.Context) (result activities.CallResult, err error) {
	o.resolutions.callInFlight = true
	left := o.sendLimit().Sub(workflow.Now(ctx))
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
		},
	})
	err = workflow.ExecuteActivity(ctx, o.activity, o.call).Get(ctx, &result)
	*o.resolutions = resolutions{}
	return result, err
}

func byProcessor(result processor.Result) activities.Cause {
	return activities.Cause{By: "processor", Evidence: evidence("request_id", result.RequestID)}
}

func evidence(name, value string) map[string]string {
	if value == "" {
		return nil
	}
	return map[string]string{name: value}
}

// pollUntilResolved looks the operation up, on durable timers, until done: the outcome of a send without a response, or of a
// pending payment. soon makes the first lookup an early one. An unknown outcome that the processor does not report within the time
// of the terms needs reconciliation; it is still looked up, more rarely, and adopted once it is known.
func (o *operation) pollUntilResolved(ctx workflow.Context, done func() bool, soon bool) {
	lookups := newSchedule(o.terms, o.subject.status(), workflow.Now(ctx), soon)
	for !done() {
		lookups = lookups.in(o.subject.status(), workflow.Now(ctx))
		pause := lookups.next(workflow.Now(ctx))
		if o.isDue(ctx, pause) {
			if o.waitToResend(ctx, done); done() {
				return
			}
			continue
		}
		lookups.made++
		why := fmt.Sprintf("%s #%d", lookupReason(o.subject.status()), lookups.made)
		o.wait(ctx, pause, done, why)
		if o.handleResolution(ctx); done() {
			return
		}
		o.apply(ctx, o.lookUp(ctx, why))
		if o.handleResolution(ctx); done() {
			return
		}
		if o.subject.status() == payment.Unknown && lookups.isOver(workflow.Now(ctx)) {
			o.needReconciliation(ctx)
		}
	}
}

// isDue reports whether the operation is to be sent again before the next lookup.
func (o *operation) isDue(ctx workflow.Context, pause time.Duration) bool {
	return !o.resendAt.IsZero() && o.subject.status() == payment.Unknown && !o.resendAt.After(workflow.Now(ctx).Add(pause))
}

// waitToResend waits until the processor has asked for the operation again, and sends it.
func (o *operation) waitToResend(ctx workflow.Context, done func() bool) {
	at := o.resendAt
	o.wait(ctx, max(at.Sub(workflow.Now(ctx)), 0), done, "send it again, as the processor asked (Retry-After)")
	if o.handleResolution(ctx); done() || o.subject.status() != payment.Unknown {
		return
	}
	if workflow.Now(ctx).Before(at) { // an event has ended the wait
		o.apply(ctx, o.lookUp(ctx, lookupReason(o.subject.status())))
		return
	}
	o.apply(ctx, o.send(ctx, ctx))
}

// needReconciliation alerts an operator, with what is known: the processor's last responses that did not help.
func (o *operation) needReconciliation(ctx workflow.Context) {
	message := fmt.Sprintf("the processor did not report the outcome within %s: ask it about reference %s", o.terms.Resolve.For, o.reference)
	if o.sends.failure.Message != "" {
		message += "; the last send: " + o.sends.failure.Message
	}
	if o.lookupFailure != "" {
		message += "; the last lookup: " + o.lookupFailure
	}
	o.subject.transition(ctx, payment.NeedsReconciliation, &payment.Failure{
		Class: payment.ClassOutcomeUnknown, Message: message, HTTPStatus: o.sends.failure.HTTPStatus, ProcessorCode: o.sends.failure.ProcessorCode,
	})
	o.subject.persist(ctx, activities.Cause{By: "workflow", Evidence: evidence("asked_for", o.terms.Resolve.For.String())})
}

// wait waits for d, or until the processor has sent an event, an operator has resolved the outcome, or there is nothing to wait for.
func (o *operation) wait(ctx workflow.Context, d time.Duration, done func() bool, why string) {
	summary := fmt.Sprintf("wait %s, then %s", roundForDisplay(d), why)
	if deadline := o.subject.deadline(); !deadline.IsZero() {
		if left := max(deadline.Sub(workflow.Now(ctx)), 0); left <= d {
			d, summary = left, fmt.Sprintf("%s until %s", o.subject.status(), formatTime(deadline))
		}
	}
	events := workflow.GetSignalChannel(ctx, payment.SignalProcessorEvent)
	// The context is disconnected: nothing cancels the wait.
	_, _ = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: d, TimerOptions: workflow.TimerOptions{Summary: summary}},
		func() bool { return o.resolutions.pending != nil || events.Len() > 0 || done() })
	// What an event says is not trusted: it is a reason to look up.
	drain(events)
}

func drain(events workflow.ReceiveChannel) {
	for events.ReceiveAsync(nil) {
	}
}

// lookupReason is why a payment or refund of this status is looked up.
func lookupReason(status payment.Status) string {
	switch status {
	case payment.Authorized:
		return "check the authorization"
	case payment.RequiresAction:
		return "check whether the customer has acted"
	case payment.Pending:
		return "check the pending payment"
	default:
		return "look up the unknown outcome"
	}
}

// lookUp asks the processor for its record once.
func (o *operation) lookUp(ctx workflow.Context, why string) outcome {
	asked := workflow.Now(ctx)
	found, err := o.lookup(ctx, why)
	switch {
	case err != nil: // no response is no news
		o.lookupFailure = activities.FailureOf(err).Message
		return outcome{verdict: nothingNew}
	case found.Found && o.subject.isUnchanged(found.Result) && o.declined != nil:
		o.declined.ID = "" // the record of the payment says that it is not declined: its modification is
		return o.decline(found.Result)
	case found.Found && o.subject.isUnchanged(found.Result):
		return o.unchanged(ctx, found.Result, asked)
	case found.Found:
		o.sends.state, o.declined = answered, nil
		return outcome{verdict: adopted, result: found.Result, cause: activities.Cause{By: "lookup", Evidence: evidence("request_id", found.Result.RequestID)}}
	case o.declined != nil && o.isOpen():
		return o.decline(found.Result)
	case o.provesAbsence(asked):
		failure := o.sends.failure
		failure.Message += "; the processor has no record of it: no money moved"
		if o.sends.state == untaken {
			failure.Class = payment.ClassNotSent
		}
		return outcome{verdict: notExecuted, failure: failure, cause: activities.Cause{By: "lookup", Evidence: evidence("found", "nothing")}}
	default:
		return outcome{verdict: nothingNew}
	}
}

// decline is the outcome of a lookup that shows nothing of the sends before a decline: the processor honours the key, so the decline is
// about all of them.
func (o *operation) decline(found processor.Result) outcome {
	declined := *o.declined
	o.sends.state, o.declined = answered, nil
	return outcome{verdict: adopted, result: declined, cause: activities.Cause{By: "lookup", Evidence: evidence("request_id", found.RequestID)}}
}

// isOpen reports whether "not found" can mean that nothing was executed: the outcome is unknown, and the processor has never
// acknowledged the payment or refund.
func (o *operation) isOpen() bool {
	status := o.subject.status()
	return (status == payment.Unknown || status == payment.NeedsReconciliation) && !o.subject.acknowledged()
}

// provesAbsence reports whether "not found", in response to a lookup at asked, proves that nothing was executed.
func (o *operation) provesAbsence(asked time.Time) bool {
	complete := o.kind == payment.OperationRefund && o.terms.CompleteRefundLists
	return o.isOpen() && o.sends.provesAbsence(asked, time.Duration(o.terms.AbsenceProofAfter), complete)
}

// unchanged is the outcome of a lookup whose record shows nothing of the operation.
func (o *operation) unchanged(ctx workflow.Context, found processor.Result, asked time.Time) outcome {
	grace := time.Duration(o.terms.AbsenceProofAfter)
	if grace == 0 {
		// Not finding a record may never be proof, but this one was read. A send does not arrive any more once its key has expired.
		grace = time.Duration(o.terms.KeyLifetime)
	}
	switch o.sends.onUnchanged(asked, grace, o.sendable(ctx)) {
	case wait:
		return outcome{verdict: nothingNew}
	case resend:
		if workflow.Now(ctx).Before(o.resendAt) {
			return outcome{verdict: nothingNew}
		}
		return o.send(ctx, ctx)
	default:
		failure := o.sends.failure
		failure.Message += fmt.Sprintf("; according to the processor the payment is %s", found.Status)
		return outcome{verdict: notExecuted, failure: failure, found: found.Status, cause: activities.Cause{By: "lookup", Evidence: evidence("request_id", found.RequestID)}}
	}
}

func (o *operation) lookup(ctx workflow.Context, why string) (found activities.LookupResult, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              payment.ProcessorTaskQueue(o.terms.Processor),
		StartToCloseTimeout:    time.Duration(o.terms.StartToClose),
		ScheduleToCloseTimeout: 2 * time.Duration(o.terms.StartToClose),
		Summary:                why,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	call := processor.LookupCall{
		Operation: o.kind, Reference: o.reference, ProcessorPaymentID: o.subject.processorPaymentID(), NotBefore: o.recordedSince,
	}
	err = workflow.ExecuteActivity(ctx, payment.ActivityProcessorLookup, call).Get(ctx, &found)
	return found, err
}
