package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/florinpay/florin/internal/processor/batch"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// InlineTimeout bounds ChargeInline and RefundInline. It is shorter than the time after which the SDK extends a workflow task for a local
// activity: 8 of the 10 seconds that Temporal gives a workflow task by default.
const InlineTimeout = 7 * time.Second

// InlineEnded is how long after a payment or refund was found begun no first attempt of an earlier execution is in flight any more, and none
// persists its response.
const InlineEnded = InlineTimeout + time.Second

const (
	// firstAttemptTimeout bounds the processor's call of a first attempt. One that takes longer is looked up, and sent again under the same
	// key.
	firstAttemptTimeout = 5 * time.Second
	// toPersist is the time that remains after the call for persisting its response.
	toPersist = time.Second
	// leastToSend is the least time for a call that is begun: a shorter one would probably have an unknown outcome.
	leastToSend = 2 * time.Second
)

// Inline makes first attempts in the activity that begins a payment or refund. The nil Inline makes none.
type Inline struct {
	processors map[string]FirstAttempts
	// slots bounds the first attempts at the same time: each occupies a workflow task.
	slots chan struct{}
}

// FirstAttempts are how first attempts are made at one processor.
type FirstAttempts struct {
	Processor *Processor
	// Ready reports whether a call would be sent now, without waiting for a limit or an open breaker. Nil: always.
	Ready func() bool
}

// NewInline returns an Inline that makes the first attempts at these processors, by their names, and at most size of them at the same time.
func NewInline(processors map[string]FirstAttempts, size int) *Inline {
	return &Inline{processors: processors, slots: make(chan struct{}, size)}
}

// FirstAttempt is the first attempt at a processor, if it was made by the activity that began the payment or refund. Without a result and a
// failure, its response is persisted.
type FirstAttempt struct {
	// Result is a response that is not persisted: it is not what was requested, or the store could not persist it in time.
	Result *CallResult `json:"result,omitempty"`
	// Failure is why there is no response.
	Failure *CallFailure `json:"failure,omitempty"`
}

// IsPersisted reports whether the attempt was made, and its response is persisted.
func (f *FirstAttempt) IsPersisted() bool { return f != nil && f.Result == nil && f.Failure == nil }

// byProcessor is the cause of what a processor has responded.
func byProcessor(requestID string) Cause {
	cause := Cause{By: "processor"}
	if requestID != "" {
		cause.Evidence = map[string]string{"request_id": requestID}
	}
	return cause
}

// ChargeInline begins a payment as [Payments.BeginPayment] does and, if the payment is new, makes the first attempt at its processor and
// persists the response. A payment that has begun before may have been sent: ChargeInline does not send it again. So it is safe to repeat at
// any time, and no attempt is forgotten: the persisted payment shows that there may have been one.
//
// It sends nothing either if the processor's first attempts are queued, if the call would have to wait, and in a run that was reset. Then
// BeginResult.First is nil, and the payment is sent by the activity of its processor.
func (p *Payments) ChargeInline(ctx context.Context, req payment.ChargeRequest, start Start) (BeginResult, error) {
	begun, err := p.BeginPayment(ctx, req, start)
	if err != nil || begun.Resumed {
		return begun, err
	}
	call := ChargeCall(req, begun.Charge)
	begun.First = p.Inline.attempt(ctx, begun.Terms, start, begun.Charge.CreatedAt, req.SendBy,
		func(ctx context.Context, to *Processor) (processor.Result, error) {
			return to.processor.Charge(ctx, call)
		})
	if begun.First == nil || begun.First.Result == nil {
		return begun, nil
	}
	charged := begun.Charge
	if !chargedAsRequested(&charged, req, begun.First.Result.Result, call.Key) {
		return begun, nil
	}
	persisting, cancel := whileReturnable(ctx)
	defer cancel()
	stored, err := p.Store.RecordPayment(persisting, charged, byProcessor(charged.ProcessorRequestID))
	if err != nil { // the workflow persists it, however long that takes
		activity.GetLogger(ctx).Warn("the response of a first attempt is not persisted yet", "payment_id", charged.PaymentID, "error", err)
		return begun, nil
	}
	begun.Charge, begun.First = stored, &FirstAttempt{}
	if stored.Final() {
		begun.Terms = Terms{}
	}
	return begun, nil
}

// RefundInline reserves a refund as [Payments.ReserveRefund] does and, if the refund is new, makes the first attempt at its processor and
// persists the response, as [Payments.ChargeInline] does.
func (p *Payments) RefundInline(ctx context.Context, req payment.RefundRequest, start Start) (ReserveResult, error) {
	reserved, err := p.ReserveRefund(ctx, req, start)
	if err != nil || reserved.Resumed {
		return reserved, err
	}
	call := RefundCall(req, reserved.Refund, reserved.Payment.ProcessorPaymentID)
	reserved.First = p.Inline.attempt(ctx, reserved.Terms, start, reserved.Refund.CreatedAt, req.SendBy,
		func(ctx context.Context, to *Processor) (processor.Result, error) {
			return to.processor.Refund(ctx, call)
		})
	if reserved.First == nil || reserved.First.Result == nil {
		return reserved, nil
	}
	refunded := reserved.Refund
	if !refundedAsRequested(&refunded, reserved.First.Result.Result, call.Key) {
		return reserved, nil
	}
	persisting, cancel := whileReturnable(ctx)
	defer cancel()
	stored, err := p.Store.SettleRefund(persisting, refunded, byProcessor(reserved.First.Result.RequestID))
	if err != nil {
		activity.GetLogger(ctx).Warn("the response of a first attempt is not persisted yet", "refund_id", refunded.RefundID, "error", err)
		return reserved, nil
	}
	reserved.Refund, reserved.First = stored, &FirstAttempt{}
	if stored.Final() {
		reserved.Terms, reserved.Payment = Terms{}, payment.Charge{}
	}
	return reserved, nil
}

// whileReturnable ends early enough before ctx that the activity can still return a response which a store that hangs has not persisted.
func whileReturnable(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-toPersist/2))
}

// ChargeCall is the call that charges a payment.
func ChargeCall(req payment.ChargeRequest, c payment.Charge) processor.ChargeCall {
	return processor.ChargeCall{
		Key:           payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0),
		KeyFirstUsed:  c.CreatedAt,
		PaymentID:     c.PaymentID,
		MerchantID:    req.MerchantID,
		Amount:        req.Amount,
		Currency:      req.Currency,
		PaymentMethod: req.PaymentMethod,
		Capture:       req.Capture,
		CustomerID:    req.CustomerID,
		Description:   req.Description,
		Metadata:      req.Metadata,
	}
}

// RefundCall is the call that refunds the processor's payment with the given id.
func RefundCall(req payment.RefundRequest, r payment.Refund, processorPaymentID string) processor.RefundCall {
	return processor.RefundCall{
		Key:                payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0),
		KeyFirstUsed:       r.CreatedAt,
		RefundID:           r.RefundID,
		MerchantID:         req.MerchantID,
		ProcessorPaymentID: processorPaymentID,
		Amount:             r.Amount,
		Currency:           r.Currency,
		Metadata:           req.Metadata,
	}
}

// attempt makes the first attempt at the processor of these terms, for something that began at began. It returns nil if nothing was sent.
func (i *Inline) attempt(
	ctx context.Context, terms Terms, start Start, began, sendBy time.Time, send func(context.Context, *Processor) (processor.Result, error),
) *FirstAttempt {
	if i == nil || start.Reset || start.Continued || activity.GetInfo(ctx).Attempt > 1 {
		return nil // an attempt that the store has lost may have been sent
	}
	to, hosted := i.processors[terms.Processor]
	if !hosted || to.Ready != nil && !to.Ready() {
		return nil
	}
	end := time.Now().Add(firstAttemptTimeout)
	if deadline, bounded := ctx.Deadline(); bounded && deadline.Add(-toPersist).Before(end) {
		end = deadline.Add(-toPersist)
	}
	if until := terms.SendUntil(began, sendBy); until.Before(end) {
		end = until
	}
	if time.Until(end) < leastToSend {
		return nil
	}
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	default:
		return nil
	}
	// It is canceled, and not timed out: a processor that takes longer than a first attempt may is no reason for the breaker to open.
	if start.Batch {
		ctx = batch.WithKind(ctx, batch.Inline)
	}
	ctx, cancel := context.WithCancel(retry.WithAttempt(ctx, 1))
	defer cancel()
	defer time.AfterFunc(time.Until(end), cancel).Stop()
	result, err := send(ctx, to.Processor)
	if err == nil {
		seenBefore := to.Processor.completeDecline(&result)
		return &FirstAttempt{Result: &CallResult{Result: result, SeenBefore: seenBefore}}
	}
	e := processorError(err)
	if e.Certainty == processor.NotExecuted && e.Retry && e.HTTPStatus == 0 {
		return nil // it did not reach the processor
	}
	if e.Class == payment.ClassOutcomeUnknown && ctx.Err() != nil {
		e.Message = "no response in the time of a first attempt"
	}
	failure := callFailure(e, false)
	if e.Retry {
		wait := to.Processor.backoff.Delay(1, e.RetryAfter, to.Processor.random).Round(time.Millisecond)
		failure.Wait = Duration(max(wait, time.Millisecond)) // 0 would mean that it is not retried
	}
	return &FirstAttempt{Failure: &failure}
}

// chargedAsRequested reports whether the result is a clear outcome of the request, and sets it. What it leaves to the workflow is rare.
func chargedAsRequested(c *payment.Charge, req payment.ChargeRequest, r processor.Result, key string) bool {
	switch r.Status {
	case payment.Succeeded:
		if req.Capture == payment.CaptureManual || r.CapturedAmount != req.Amount {
			return false
		}
	case payment.Authorized, payment.Declined, payment.Pending, payment.RequiresAction:
		if r.CapturedAmount != 0 {
			return false
		}
	default:
		return false
	}
	if Mismatch(r, processor.Result{Amount: req.Amount, Currency: req.Currency, Reference: key}) != nil {
		return false
	}
	c.Status, c.UpdatedAt = r.Status, time.Now().UTC()
	c.ProcessorPaymentID, c.ProcessorRequestID, c.CapturedAmount, c.Decline = r.ID, r.RequestID, r.CapturedAmount, r.Decline
	return true
}

// refundedAsRequested is chargedAsRequested for a refund.
func refundedAsRequested(refund *payment.Refund, r processor.Result, key string) bool {
	switch r.Status {
	case payment.Succeeded, payment.Declined, payment.Pending:
	default:
		return false
	}
	if Mismatch(r, processor.Result{Amount: refund.Amount, Currency: refund.Currency, Reference: key}) != nil {
		return false
	}
	refund.Status, refund.UpdatedAt, refund.ProcessorRefundID, refund.Decline = r.Status, time.Now().UTC(), r.ID, r.Decline
	return true
}
