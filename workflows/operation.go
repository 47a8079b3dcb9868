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
	// undone is where it stands if the call provably did nothing.
	undone() payment.Status
	// unchanged holds for a record of the processor that says no more than the one before the call.
	unchanged(found processor.Result) bool
	// deadline is when not to wait any longer where it stands; zero is never.
	deadline() time.Time
	// acknowledged: the processor has named it, so it cannot become one that never was.
	acknowledged() bool
	// processorPayment is the processor's id of the payment, empty where it is not known.
	processorPayment() string
	// move changes the status; failure says why, nil clears it.
	move(ctx workflow.Context, to payment.Status, failure *payment.Failure)
	// adopt takes over what the processor says.
	adopt(ctx workflow.Context, result processor.Result)
	// resolve takes over what an operator says.
	resolve(ctx workflow.Context, r payment.Resolution)
	// tell records in the store where the subject stands now, and why.
	tell(ctx workflow.Context, cause activities.Cause)
}

// operation is one thing asked of a processor, from the first send until it is known how it ended.
type operation struct {
	terms   activities.Terms
	kind    payment.Operation
	subject subject
	// activity makes the call. reference is what the processor's record is found by.
	activity, summary, reference string
	call                         any
	// word is where an operator's resolution arrives.
	word *word

	// firstUsed is no later than the first send under the key.
	firstUsed time.Time
	// alert: something has happened that the processor may soon have news of.
	alert bool
	// open: a send may have moved money without our knowing. Once true, only the processor can close it.
	open bool
	// neverTaken: all that is open is a call that waited in its queue until its time was up.
	neverTaken bool
	lastSend   time.Time
	// failure is what the last send said, of an earlier workflow at first.
	failure payment.Failure
}

// begin sends the call, unless the processor knows of it from an earlier workflow. Cancelling the workflow stops it
// only where provably nothing was sent; otherwise the truth is found out first.
func (o *operation) begin(ctx, cancellable workflow.Context) {
	status := o.subject.status()
	if status == payment.Processing || status == payment.Unknown && !o.subject.acknowledged() {
		o.send(ctx, cancellable)
		return
	}
	// The processor has acknowledged it to an earlier workflow, unless that knew nothing but that it does not know.
	o.open = o.open && !o.subject.acknowledged() && o.failure.Class == payment.ClassOutcomeUnknown
	o.lastSend = workflow.Now(ctx)
}

// sendUntil is when the processor may begin to forget the key, less the time that one series of attempts takes.
func (o *operation) sendUntil() time.Time {
	return o.firstUsed.Add(time.Duration(o.terms.KeyLifetime - o.terms.ScheduleToClose))
}

// send makes the call, again after every wait that is too long for the retry policy, while the key is valid.
func (o *operation) send(ctx, cancellable workflow.Context) {
	neverSent := !o.open || o.neverTaken
	o.neverTaken = false
	if !workflow.Now(ctx).Before(o.sendUntil()) {
		// It was begun by an earlier workflow, so long ago that the processor may have forgotten its key.
		o.open, o.lastSend = true, workflow.Now(ctx)
		o.failure = payment.Failure{Class: payment.ClassOutcomeUnknown, Message: "begun too long ago to send it again"}
		o.lose(ctx)
		o.subject.tell(ctx, activities.Cause{By: "workflow"})
		return
	}
	for {
		var result processor.Result
		o.word.sending = true
		err := workflow.ExecuteActivity(o.sendOptions(ctx), o.activity, o.call).Get(ctx, &result)
		// What an operator has said before is not about this call.
		*o.word = word{}
		o.lastSend = workflow.Now(ctx)
		if err == nil && o.subject.unchanged(result) {
			// It took the call and has not done it, or not yet.
			o.open = true
			o.failure = payment.Failure{
				Class: payment.ClassInvalidResponse, Message: fmt.Sprintf("the processor took the request and answered that the payment is %s", result.Status),
			}
			o.lose(ctx)
			o.subject.tell(ctx, byProcessor(result))
			return
		}
		if err == nil {
			o.open = false
			o.subject.adopt(ctx, result)
			o.subject.tell(ctx, byProcessor(result))
			return
		}
		failure := activities.FailureOf(err)
		o.neverTaken = failure.NeverTaken && neverSent && !o.subject.acknowledged() && absenceProvesWhatNobodyTook(ctx)
		neverSent = neverSent && !failure.Open
		o.open = o.open || failure.Open
		wait := time.Duration(failure.Wait)
		if wait > 0 && workflow.Now(ctx).Add(wait).Before(o.sendUntil()) {
			if workflow.NewTimerWithOptions(cancellable, wait, workflow.TimerOptions{
				Summary: fmt.Sprintf("wait %s: the processor asked for it (Retry-After)", lasting(wait)),
			}).Get(cancellable, nil) == nil {
				continue
			}
			failure.Failure = payment.Failure{Class: payment.ClassNotSent, Message: "cancelled while waiting to send"}
		}
		o.failure = failure.Failure
		if o.open {
			o.lose(ctx)
		} else {
			o.subject.move(ctx, o.subject.undone(), &o.failure)
		}
		o.subject.tell(ctx, activities.Cause{By: "processor", Evidence: evidence("request_id", failure.RequestID)})
		return
	}
}

// lose notes that nobody knows what became of the call. What a human was asked about already stays with him.
func (o *operation) lose(ctx workflow.Context) {
	if o.subject.status() != payment.NeedsReconciliation {
		o.subject.move(ctx, payment.Unknown, &o.failure)
	}
}

// known is the failure that is stored, if there is one.
func known(failure *payment.Failure) payment.Failure {
	if failure == nil {
		return payment.Failure{}
	}
	return *failure
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

func (o *operation) sendOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              payment.ProcessorTaskQueue(o.terms.Processor),
		StartToCloseTimeout:    time.Duration(o.terms.StartToClose),
		ScheduleToCloseTimeout: time.Duration(o.terms.ScheduleToClose),
		Summary:                o.summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:        time.Duration(o.terms.RetryInitial),
			MaximumInterval:        time.Duration(o.terms.RetryMax),
			BackoffCoefficient:     o.terms.RetryMultiplier,
			NonRetryableErrorTypes: activities.NeverRetried,
		},
	})
}

// slowest is the longest pause between two lookups once nobody waits for them: rare enough for a year of them to fit in
// one history.
const slowest = 24 * time.Hour

// series is how often a status is looked up: whether an answer that was lost is found, whether a pending payment has
// ended, and whether somebody has captured or voided at the processor what is held.
func (o *operation) series(status payment.Status) activities.Poll {
	switch status {
	case payment.Unknown:
		return o.terms.Resolve
	case payment.Authorized:
		return activities.Poll{Initial: activities.Duration(slowest), Max: activities.Duration(slowest)}
	default:
		return o.terms.Pending
	}
}

// settle asks the processor, on durable timers, until the subject has settled: what became of a call whose answer
// was lost, or how a pending payment ended. A lost answer that it cannot clear up in the time that the terms give needs
// reconciliation; it is still asked for now and then, and adopted once known.
func (o *operation) settle(ctx workflow.Context, settled func() bool) {
	poll, began := o.terms.Resolve, workflow.Now(ctx)
	pause := time.Duration(poll.Initial)
	var pursued payment.Status
	for try := 1; !settled(); try++ {
		if status := o.subject.status(); status != pursued && status != payment.NeedsReconciliation {
			// The first question after something has happened comes soon, whatever the status.
			first := pursued == "" && o.alert
			pursued, try, began, poll = status, 1, workflow.Now(ctx), o.series(status)
			if pause = time.Duration(poll.Initial); first {
				pause = time.Duration(o.terms.Resolve.Initial)
			}
		}
		why := fmt.Sprintf("%s, try %d", lookupReason(o.subject.status()), try)
		o.wait(ctx, pause, settled, fmt.Sprintf("wait %s, then %s", lasting(pause), why))
		if o.heed(ctx); settled() {
			return
		}
		asked := workflow.Now(ctx)
		found, err := o.lookup(ctx, why)
		switch {
		case err != nil:
			// No answer is no news.
		case found.Found && o.subject.unchanged(found.Result):
			o.stillUndone(ctx, found.Result, asked)
		case found.Found:
			o.open = false
			o.subject.adopt(ctx, found.Result)
			o.subject.tell(ctx, activities.Cause{By: "lookup", Evidence: evidence("request_id", found.Result.RequestID)})
		case o.absenceIsProof(asked):
			failure := o.failure
			failure.Message += "; the processor has no record of it: no money moved"
			if o.neverTaken {
				failure.Class = payment.ClassNotSent
			}
			o.subject.move(ctx, o.subject.undone(), &failure)
			o.subject.tell(ctx, activities.Cause{By: "lookup", Evidence: evidence("found", "nothing")})
		}
		if o.heed(ctx); settled() {
			return
		}
		limit := time.Duration(poll.Max)
		if workflow.Now(ctx).Sub(began) >= time.Duration(poll.For) {
			limit = slowest
			if o.subject.status() == payment.Unknown {
				o.subject.move(ctx, payment.NeedsReconciliation, &payment.Failure{
					Class: payment.ClassOutcomeUnknown,
					Message: fmt.Sprintf("the processor could not say in %s how this ended: ask it about reference %s",
						poll.For, o.reference),
				})
				o.subject.tell(ctx, activities.Cause{By: "workflow", Evidence: evidence("asked_for", poll.For.String())})
			}
		}
		pause = min(pause*2, limit)
	}
}

// stillUndone is for a call of which the processor's own record, as it was when asked, shows nothing. Where no answer to
// the call had come, it is made again under the same key: only its answer tells what the record will be.
func (o *operation) stillUndone(ctx workflow.Context, found processor.Result, asked time.Time) {
	sendable := workflow.Now(ctx).Before(o.sendUntil())
	grace := time.Duration(o.terms.AbsenceProofAfter)
	switch o.failure.Class {
	case payment.ClassStateConflict, payment.ClassIdempotencyMismatch:
		// The processor has answered, and does not have it.
	case payment.ClassOutcomeUnknown, payment.ClassUnavailable, payment.ClassRateLimited, payment.ClassNotSent:
		if sendable {
			o.send(ctx, ctx)
			return
		}
	default:
		if sendable && (grace <= 0 || asked.Sub(o.lastSend) < grace) {
			return
		}
	}
	failure := o.failure
	failure.Message += fmt.Sprintf("; the processor's record says that the payment is %s", found.Status)
	o.open = false
	o.subject.move(ctx, o.subject.undone(), &failure)
	o.subject.tell(ctx, activities.Cause{By: "lookup", Evidence: evidence("request_id", found.RequestID)})
}

// absenceIsProof holds when the processor would have known by the time it was asked, and knew nothing: only for
// a call of ours that may not have arrived. A payment that it once acknowledged cannot become one that never was. A call
// that nobody took needs no time to become known.
func (o *operation) absenceIsProof(asked time.Time) bool {
	grace := time.Duration(o.terms.AbsenceProofAfter)
	switch o.subject.status() {
	case payment.Unknown, payment.NeedsReconciliation:
		return o.open && !o.subject.acknowledged() && (o.neverTaken || grace > 0 && asked.Sub(o.lastSend) >= grace)
	default:
		return false
	}
}

// lookupReason is why a payment or refund that stands so is looked up.
func lookupReason(status payment.Status) string {
	switch status {
	case payment.Authorized:
		return "look after what is held"
	case payment.RequiresAction:
		return "ask whether the customer has acted"
	case payment.Pending:
		return "ask whether it is decided"
	default:
		return "look up after a lost answer"
	}
}

// lookup asks once: its caller decides on the next time.
func (o *operation) lookup(ctx workflow.Context, why string) (found activities.Found, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              payment.ProcessorTaskQueue(o.terms.Processor),
		StartToCloseTimeout:    time.Duration(o.terms.StartToClose),
		ScheduleToCloseTimeout: 2 * time.Duration(o.terms.StartToClose),
		Summary:                why,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	call := processor.LookupCall{Operation: o.kind, Reference: o.reference, ProcessorPaymentID: o.subject.processorPayment()}
	err = workflow.ExecuteActivity(ctx, payment.ActivityProcessorLookup, call).Get(ctx, &found)
	return found, err
}

// mustBeLegal stops a payment at a move that the vocabulary forbids. It panics: the workflow task fails and
// is retried, so that the payment waits, unharmed, for corrected code.
func mustBeLegal(transitions map[payment.Status][]payment.Status, from, to payment.Status) {
	for _, legal := range transitions[from] {
		if legal == to {
			return
		}
	}
	panic(fmt.Sprintf("illegal transition from %s to %s", from, to))
}
