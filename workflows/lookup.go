package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// pollUntilResolved looks up what a send without a response, or a pending payment, has come to. It does so on durable timers until done.
// soon makes the first lookup an early one. An unknown outcome that the processor does not report within the time of the terms needs
// reconciliation; it is still looked up, more rarely, and adopted once it is known. pollUntilResolved returns true before done if the
// workflow should continue in a new run.
func (o *operation) pollUntilResolved(ctx workflow.Context, done func() bool, soon bool) (continues bool) {
	lookups := newSchedule(o.terms, o.subject.status(), o.pollingSince(), soon)
	due := lookups.due(workflow.Now(ctx))
	for !done() {
		if current := lookups.in(o.subject.status(), o.pollingSince()); current != lookups {
			lookups, due = current, current.due(workflow.Now(ctx))
		}
		if o.resendsBefore(due) {
			o.waitToResend(ctx, done)
			continue
		}
		lookups.made++
		why := fmt.Sprintf("%s #%d", lookupReason(o.subject.status()), lookups.made)
		prompt := o.wait(ctx, max(due.Sub(workflow.Now(ctx)), 0), done, why)
		if o.handleResolution(ctx); done() {
			return false
		}
		found := o.lookUp(ctx, why, prompt)
		o.apply(ctx, found)
		if found.verdict == notAsked {
			lookups.made--
		} else {
			due = lookups.due(workflow.Now(ctx))
		}
		if o.handleResolution(ctx); done() {
			return false
		}
		if o.subject.status() == payment.Unknown && lookups.isOver(workflow.Now(ctx), o.lastSent) {
			o.needReconciliation(ctx)
		}
		if o.subject.shouldContinue(ctx) {
			return true
		}
	}
	return false
}

// pollingSince is when the series of lookups of the current status began: for an unknown outcome, not before this run has sent the
// operation. What needs reconciliation is past the end of the series.
func (o *operation) pollingSince() time.Time {
	since := o.subject.pollingSince()
	switch status := o.subject.status(); {
	case status == payment.NeedsReconciliation:
		return since.Add(-time.Duration(o.terms.Resolve.For))
	case status == payment.Unknown && since.Before(o.firstSent):
		return o.firstSent
	default:
		return since
	}
}

// resendsBefore reports whether the operation is to be sent again before the next lookup.
func (o *operation) resendsBefore(lookup time.Time) bool {
	return !o.resendAt.IsZero() && o.subject.status() == payment.Unknown && !o.resendAt.After(lookup)
}

// waitToResend waits until the operation is to be sent again, and sends it.
func (o *operation) waitToResend(ctx workflow.Context, done func() bool) {
	at := o.resendAt
	prompt := o.wait(ctx, max(at.Sub(workflow.Now(ctx)), 0), done, "send it again under the same key")
	if o.handleResolution(ctx); done() || o.subject.status() != payment.Unknown {
		return
	}
	if workflow.Now(ctx).Before(at) { // an event has ended the wait
		o.apply(ctx, o.lookUp(ctx, lookupReason(o.subject.status()), prompt))
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

// wait waits for d, or until the processor has sent an event, an operator has resolved the outcome, or there is nothing to wait for. It
// returns the signals about the event that has ended the wait; nil if something else has.
func (o *operation) wait(ctx workflow.Context, d time.Duration, done func() bool, why string) *authorize.Prompt {
	summary := fmt.Sprintf("wait %s, then %s", roundForDisplay(d), why)
	if deadline := o.subject.deadline(); !deadline.IsZero() {
		if left := max(deadline.Sub(workflow.Now(ctx)), 0); left <= d {
			d, summary = left, fmt.Sprintf("%s until %s", o.subject.status(), formatTime(deadline))
		}
	}
	end := workflow.Now(ctx).Add(d)
	events := workflow.GetSignalChannel(ctx, payment.SignalProcessorEvent)
	interrupted := func() bool { return o.resolutions.waiting != nil || done() }
	await(ctx, d, summary, func() bool { return interrupted() || events.Len() > 0 })
	// What an event says is not trusted: it is a reason to look up.
	hurry := events.Len() > 0
	drain(events)
	if !hurry || interrupted() {
		authorize.TakePrompt(ctx)
		return nil
	}
	if left := o.hurryAt.Sub(workflow.Now(ctx)); left > 0 {
		await(ctx, min(left, end.Sub(workflow.Now(ctx))), "the processor has sent another event: "+lookupReason(o.subject.status()), func() bool {
			authorize.StampSignals(ctx)
			return interrupted()
		})
		drain(events)
	}
	o.hurryPause = min(max(2*o.hurryPause, time.Duration(o.terms.Resolve.Initial)), longestHurryPause)
	o.hurryAt = workflow.Now(ctx).Add(o.hurryPause)
	prompt := authorize.TakePrompt(ctx)
	if !workflow.Now(ctx).Before(end) { // signals must not keep what is due from being looked up
		return nil
	}
	return prompt
}

// longestHurryPause is the longest time between two lookups that events cause. A processor may send any number of events.
const longestHurryPause = time.Hour

// await waits for d or until the condition holds. The context is disconnected: nothing cancels the wait.
func await(ctx workflow.Context, d time.Duration, summary string, condition func() bool) {
	options := workflow.AwaitOptions{Timeout: d, TimerOptions: workflow.TimerOptions{Summary: summary}}
	_, _ = workflow.AwaitWithOptions(ctx, options, condition)
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

// lookUp asks the processor for its record once: prompted by signals, or because it is due.
func (o *operation) lookUp(ctx workflow.Context, why string, prompt *authorize.Prompt) outcome {
	asked := workflow.Now(ctx)
	found, err := o.callLookup(ctx, why, "", prompt)
	switch {
	case err != nil: // no response is no news
		o.lookupFailure = activities.FailureOf(err).Message
		return outcome{verdict: nothingNew}
	case found.NotAsked: // a signal that is not permitted must not delay the lookup that a permitted one causes
		o.hurryPause, o.hurryAt = o.hurryPause/2, workflow.Now(ctx).Add(time.Duration(o.terms.Resolve.Initial))
		return outcome{verdict: notAsked}
	case found.Found && o.subject.isUnchanged(found.Result) && o.isDeclined():
		o.declined.ID = "" // the record of the payment says that it is not declined: its modification is
		return o.decline(found.Result)
	case found.Found && o.subject.isUnchanged(found.Result):
		return o.unchanged(ctx, found.Result, asked)
	case found.Found:
		return o.found(found.Result)
	case o.isDeclined() && o.isOpen(), o.declined != nil && o.provesAbsence(asked):
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

// found is the outcome of a lookup that shows the operation.
func (o *operation) found(result processor.Result) outcome {
	o.sends.state, o.declined = answered, nil
	return outcome{verdict: adopted, result: result, cause: activities.Cause{By: "lookup", Evidence: evidence("request_id", result.RequestID)}}
}

// isDeclined reports whether the last send was declined, for a reason that is not "seen before": the processor honours the key, so an
// earlier send was not executed either, unless its record says otherwise.
func (o *operation) isDeclined() bool { return o.declined != nil && !o.declined.SeenBefore }

// decline is the outcome of a lookup that shows nothing of the sends before a decline: the processor honours the key, so the decline is
// about all of them.
func (o *operation) decline(found processor.Result) outcome {
	declined := o.declined.Result
	o.sends.state, o.declined = answered, nil
	return outcome{verdict: adopted, result: declined, cause: activities.Cause{By: "lookup", Evidence: evidence("request_id", found.RequestID)}}
}

// isOpen reports whether "not found" can mean that nothing was executed: the outcome is unknown, and the processor has never
// acknowledged the payment or refund.
func (o *operation) isOpen() bool {
	return o.isUnknown() && !o.subject.acknowledged()
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
		if o.sends.state == untaken {
			failure.Class = payment.ClassNotSent
		}
		if o.sends.state == answered { // the processor had accepted it
			failure = payment.Failure{Class: payment.ClassStateConflict, Message: "the processor accepted it and did not execute it"}
		}
		failure.Message += fmt.Sprintf("; according to the processor the payment is %s", found.Status)
		return outcome{verdict: notExecuted, failure: failure, found: found.Status, cause: activities.Cause{By: "lookup", Evidence: evidence("request_id", found.RequestID)}}
	}
}

// callLookup reads the record of the operation; with an id, the record that the processor has under it, whatever it is about.
func (o *operation) callLookup(ctx workflow.Context, why, id string, prompt *authorize.Prompt) (found activities.LookupResult, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              payment.ProcessorTaskQueue(o.terms.Processor),
		StartToCloseTimeout:    time.Duration(o.terms.StartToClose),
		ScheduleToCloseTimeout: 2 * time.Duration(o.terms.StartToClose),
		Summary:                why,
		Priority:               o.lookupPriority(ctx),
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	call := processor.LookupCall{
		Operation: o.kind, Reference: o.reference, ProcessorPaymentID: o.subject.processorPaymentID(), ID: id, NotBefore: o.recordedSince,
	}
	err = workflow.ExecuteActivity(authorize.WithPrompt(ctx, prompt), payment.ActivityProcessorLookup, call).Get(ctx, &found)
	return found, err
}

// oldAfter is the time in one status from which a payment is looked up in the background: its customer has gone.
const oldAfter = time.Hour

// lookupPriority is the priority of a lookup: that of the workflow, as of the operation itself, or less if the payment is old. An unknown
// outcome is never old: money may have moved.
func (o *operation) lookupPriority(ctx workflow.Context) temporal.Priority {
	if o.isUnknown() || workflow.Now(ctx).Sub(o.pollingSince()) < oldAfter {
		return temporal.Priority{}
	}
	return priority.Background("")
}
