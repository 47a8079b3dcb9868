package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// subject is the payment or the refund that an operation is about.
type subject interface {
	status() payment.Status
	failure() *payment.Failure
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
	// deadline is when the current status is given up; zero: never. pollingSince is when the lookups of the current status began.
	deadline() time.Time
	pollingSince() time.Time
	// shouldContinue reports whether the workflow should continue in a new run.
	shouldContinue(ctx workflow.Context) bool
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
	// kind and reference identify the processor's record. modifies reports that the operation is a capture or a void: it has no record
	// of its own, and its outcome is in the record of its charge.
	kind      payment.Operation
	reference string
	modifies  bool
	// recordedSince is no later than the creation of that record.
	recordedSince time.Time
	// activity makes the call.
	activity, summary string
	call              any
	// firstUsed is no later than the first send under the key. sendBy is when nothing is sent any more, if the caller has set it.
	firstUsed, sendBy time.Time
	// first is the first attempt that was made when the payment or refund began; nil once it counts in sends.
	first *activities.FirstAttempt
	// before is what first leaves open for the series of sends that follows it.
	before activities.Before
	sends  sends
	// firstSent and lastSent are when this run began and ended its first series of sends so far; zero: not yet.
	firstSent, lastSent time.Time
	// resendAt is when an ambiguous operation is sent again, beside its lookups; zero: not at all. resendPause is how long that is after
	// the last send: it grows.
	resendAt    time.Time
	resendPause time.Duration
	// declined is a decline that followed a send which may have been executed: one lookup decides whether it counts. One that means
	// "seen before" counts only once nothing was provably executed.
	declined *activities.CallResult
	// hurryAt is when an event may cause the next lookup, hurryPause how long that was after the one before: it grows.
	hurryAt    time.Time
	hurryPause time.Duration
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
	// notAsked: no lookup was made, because no permitted signal has asked for it.
	notAsked
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
	case nothingNew, notAsked:
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

// start sends the operation, unless the processor has acknowledged it to an earlier run: the processor would replay its first response,
// which no longer holds after a capture. earlierRun reports that there was an earlier run, so that the operation may have been sent.
// Canceling the workflow prevents the send only if provably nothing was sent before. first is the first attempt, if this run began with one.
func (o *operation) start(ctx, cancellable workflow.Context, earlierRun bool, first *activities.FirstAttempt, failure *payment.Failure) {
	if failure != nil {
		o.sends.failure = *failure
	}
	if !first.IsPersisted() {
		o.first = first
	}
	status := o.subject.status()
	if status == payment.Processing || status == payment.Unknown && !o.subject.acknowledged() && o.sendable(ctx) {
		if earlierRun {
			o.sends.state = ambiguous
		}
		o.apply(ctx, o.send(ctx, cancellable))
		return
	}
	o.sends.last = workflow.Now(ctx)
	o.sends.state = answered
	if earlierRun && !o.subject.acknowledged() && (status == payment.Unknown || o.sends.failure.Class == payment.ClassOutcomeUnknown) {
		o.sends.state = ambiguous
	}
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
