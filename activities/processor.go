package activities

import (
	"context"
	"math/rand/v2"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/batch"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Processor holds the calls to one processor. They run on a task queue of their own. Each attempt makes one call and never
// retries by itself: Temporal's retry policy does, after the delay that the error carries.
type Processor struct {
	processor processor.Processor
	profile   processor.Profile
	backoff   retry.Backoff
	// longestWait is the longest wait that is left to the retry policy. A longer one becomes a timer of the workflow, which is
	// visible in Temporal Web and occupies no attempt.
	longestWait time.Duration
	random      func() float64
	guard       Guard
}

// Guard is what protects the calls to a processor.
type Guard struct {
	// Refused is called for each call that is refused: operation is its activity, and reason one of few words. Nil: they are not counted.
	Refused func(operation, reason string)
	// Authorizer decides who may ask the processor. Nil: everyone who may use the Temporal namespace.
	Authorizer *authorize.Authorizer
	// Processor is the name of the processor.
	Processor string
	// Store has what was requested. A capture, void or refund is sent only if it is about the processor's payment that the store has, and,
	// if callers have to prove who they are, a charge only as it is stored. Nil: nothing is compared.
	Store *store.Store
}

// NewProcessor returns the activities of one processor, whose adapter has the given profile.
func NewProcessor(p processor.Processor, profile processor.Profile, backoff retry.Backoff, longestWait time.Duration, guard Guard) *Processor {
	return &Processor{processor: p, profile: profile, backoff: backoff, longestWait: longestWait, random: rand.Float64, guard: guard}
}

// Register registers the activities under their names in package payment.
func (p *Processor) Register(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(p.ProcessorCharge, activity.RegisterOptions{Name: payment.ActivityProcessorCharge})
	r.RegisterActivityWithOptions(p.ProcessorCapture, activity.RegisterOptions{Name: payment.ActivityProcessorCapture})
	r.RegisterActivityWithOptions(p.ProcessorVoid, activity.RegisterOptions{Name: payment.ActivityProcessorVoid})
	r.RegisterActivityWithOptions(p.ProcessorRefund, activity.RegisterOptions{Name: payment.ActivityProcessorRefund})
	r.RegisterActivityWithOptions(p.ProcessorLookup, activity.RegisterOptions{Name: payment.ActivityProcessorLookup})
	r.RegisterActivityWithOptions(p.AskProcessor, activity.RegisterOptions{Name: payment.ActivityAskProcessor})
}

// ProcessorCharge charges once. A decline is a result; every error carries a [CallFailure]. It is safe to repeat with the same
// call, which contains the idempotency key. A caller that has made no attempts before may leave out before.
func (p *Processor) ProcessorCharge(ctx context.Context, call processor.ChargeCall, before Before) (CallResult, error) {
	from := originOf(ctx)
	return once(ctx, p, p.processor.Charge, call, before, from.requireCharge(payment.OperationCharge, 0, call.PaymentID, call.Key),
		func() error { return p.requireStoredCharge(ctx, from, call) })
}

// ProcessorCapture captures an authorized payment once, as [Processor.ProcessorCharge] charges. An amount that the processor does not
// accept is not sent.
func (p *Processor) ProcessorCapture(ctx context.Context, call processor.CaptureCall) (CallResult, error) {
	from := originOf(ctx)
	return once(ctx, p, p.capture, call, Before{}, from.requireCharge(payment.OperationCapture, call.Sequence, call.PaymentID, call.Key),
		func() error { return p.requireStoredPayment(ctx, from, call.PaymentID, call.ProcessorPaymentID) })
}

func (p *Processor) capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	if problems := p.profile.CheckCapture(payment.CaptureRequest{Amount: &call.Amount}, call.Currency); len(problems) > 0 {
		return processor.Result{}, &processor.Error{
			Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted, Message: problems[0].Field + ": " + problems[0].Problem,
		}
	}
	return p.processor.Capture(ctx, call)
}

// ProcessorVoid voids an authorized or pending payment once, as [Processor.ProcessorCharge] charges.
func (p *Processor) ProcessorVoid(ctx context.Context, call processor.VoidCall) (CallResult, error) {
	from := originOf(ctx)
	return once(ctx, p, p.processor.Void, call, Before{}, from.requireCharge(payment.OperationVoid, call.Sequence, call.PaymentID, call.Key),
		func() error { return p.requireStoredPayment(ctx, from, call.PaymentID, call.ProcessorPaymentID) })
}

// ProcessorRefund refunds once, as [Processor.ProcessorCharge] charges.
func (p *Processor) ProcessorRefund(ctx context.Context, call processor.RefundCall, before Before) (CallResult, error) {
	from := originOf(ctx)
	return once(ctx, p, p.processor.Refund, call, before, from.requireRefund(call.RefundID, call.Key),
		func() error { return p.requireStoredRefund(ctx, from, call) })
}

// CallResult is the processor's record after a call that moves money.
type CallResult struct {
	processor.Result
	// AmbiguousBefore reports that an earlier attempt may have moved money: a decline then proves nothing about that.
	AmbiguousBefore bool `json:"ambiguous_before,omitempty"`
	// SeenBefore reports that the decline means "this looks like an earlier request", see [processor.Profile.SeenBefore].
	SeenBefore bool `json:"seen_before,omitempty"`
}

// Before is what the attempts of an operation before this activity leave open.
type Before struct {
	// Attempts is their number.
	Attempts int `json:"attempts"`
	// Ambiguous reports that one of them may have moved money.
	Ambiguous bool `json:"ambiguous,omitempty"`
}

// once makes one attempt at a call that moves money. before is about the attempts before those of this activity. foreign is why the call is not sent: another program than Florin's workflow has
// scheduled it. requireStored compares it with the store.
func once[C any](
	ctx context.Context, p *Processor, send func(context.Context, C) (processor.Result, error), call C, before Before, foreign error,
	requireStored func() error,
) (CallResult, error) {
	if foreign != nil {
		return CallResult{}, p.refuseForeign(ctx, foreign)
	}
	if err := requireStored(); err != nil {
		return CallResult{}, err
	}
	before.Ambiguous = ambiguousBefore(ctx) || before.Ambiguous
	info := activity.GetInfo(ctx)
	attempt := retry.WithAttempt(ctx, before.Attempts+int(info.Attempt))
	if priority.IsBatch(info.Priority) {
		attempt = batch.WithKind(attempt, batch.Queued)
	}
	result, err := send(attempt, call)
	if err != nil {
		return CallResult{}, p.applicationErrorAfter(ctx, err, before)
	}
	seenBefore := p.completeDecline(&result)
	return CallResult{Result: result, AmbiguousBefore: before.Ambiguous, SeenBefore: seenBefore}, nil
}

// completeDecline adds the reason to a decline that has none, and reports whether the decline means "seen before". Such a one is marked as
// hard: a soft decline invites the caller to charge again.
func (p *Processor) completeDecline(r *processor.Result) (seenBefore bool) {
	if r.Status == payment.Declined && r.Decline == nil {
		r.Decline = &payment.Decline{Code: "unspecified", Kind: payment.DeclineHard}
	}
	if r.Decline == nil || p.profile.SeenBefore == nil || !p.profile.SeenBefore(r.Decline.Code) {
		return false
	}
	if r.Decline.Kind == payment.DeclineSoft {
		hard := *r.Decline
		hard.Kind = payment.DeclineHard
		r.Decline = &hard
	}
	return true
}

// LookupResult is the result of a lookup.
type LookupResult struct {
	Found  bool             `json:"found"`
	Result processor.Result `json:"result,omitzero"`
	// NotAsked reports that the processor was not asked: none of the signals that were to cause the lookup is permitted.
	NotAsked bool `json:"not_asked,omitempty"`
}

// ProcessorLookup returns the processor's record of an operation, unless the lookup was prompted by signals of
// which none is permitted. It moves no money.
func (p *Processor) ProcessorLookup(ctx context.Context, call processor.LookupCall) (LookupResult, error) {
	origin := originOf(ctx)
	if foreign := origin.requireLookup(call); foreign != nil {
		return LookupResult{}, p.refuseForeign(ctx, foreign)
	}
	if !p.guard.Authorizer.AllowsPrompt(authorize.PromptOf(ctx), origin.workflowID, origin.merchantID, p.guard.Processor) {
		return LookupResult{NotAsked: true}, nil
	}
	return p.lookUp(ctx, origin.id, call)
}

// AskProcessor is [Processor.ProcessorLookup] for an operator, who needs no workflow. What he can ask for is the record of one payment or
// refund of a merchant for which he may act.
func (p *Processor) AskProcessor(ctx context.Context, q payment.ProcessorQuestion) (LookupResult, error) {
	_, err := p.guard.Authorizer.Allow(authorize.ProofOfRead(ctx), readRequest(payment.ActivityAskProcessor, q), q.MerchantID, time.Now())
	if err != nil {
		return LookupResult{}, err
	}
	call := processor.LookupCall{
		Operation: q.Operation(), Reference: payment.ProcessorKey(q.ID(), q.Operation(), 0),
		ProcessorPaymentID: q.ProcessorPaymentID, NotBefore: q.NotBefore,
	}
	found, err := p.lookUp(ctx, q.ID(), call)
	if err == nil && found.Found && found.Result.Reference != call.Reference { // of another payment, perhaps another merchant's
		return LookupResult{}, p.applicationError(ctx, &processor.Error{
			Class: payment.ClassInvalidResponse, Certainty: processor.NotExecuted, Message: "the processor's record has another reference",
		}, false)
	}
	return found, err
}

func (p *Processor) lookUp(ctx context.Context, id string, call processor.LookupCall) (LookupResult, error) {
	ctx = audit.WithPaymentID(ctx, id)
	result, found, err := p.processor.Lookup(ctx, call)
	if err != nil {
		return LookupResult{}, p.applicationError(ctx, err, false)
	}
	p.completeDecline(&result)
	return LookupResult{Found: found, Result: result}, nil
}

// attempts is what an attempt passes to the next one, as heartbeat details: Temporal itself passes only the last error to the
// workflow, and a 503 proves nothing about the timeout before it.
type attempts struct {
	// LastReported is the number of the latest attempt that these details are about.
	LastReported int32 `json:"through"`
	// Ambiguous reports that this attempt or one before it may have moved money.
	Ambiguous bool `json:"ambiguous"`
}

// ambiguousBefore reports whether an earlier attempt of this activity may have moved money: one was ambiguous, or ended without
// reporting anything. The attempt number alone is not evidence: resetting an activity, in Temporal Web or on the command line,
// makes it 1 again.
func ambiguousBefore(ctx context.Context) bool {
	info := activity.GetInfo(ctx)
	if !activity.HasHeartbeatDetails(ctx) {
		return info.Attempt > 1 || info.StartedTime.Sub(info.ScheduledTime) >= info.StartToCloseTimeout
	}
	var before attempts
	if activity.GetHeartbeatDetails(ctx, &before) != nil {
		return true
	}
	// This attempt counts as ambiguous until it reports otherwise: it may end without reporting, and the next may have its
	// number.
	activity.RecordHeartbeat(ctx, attempts{LastReported: info.Attempt, Ambiguous: true})
	return before.Ambiguous || before.LastReported != info.Attempt-1
}
