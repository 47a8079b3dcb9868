package florintest

import (
	"context"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/simulator/tokens"
	"github.com/florinpay/florin/payment"
)

// modification is a capture or a void.
type modification struct {
	operation payment.Operation
	// amount is the amount to capture.
	amount int64
	// done reports whether the payment is as requested.
	done func(payment.Charge) bool
}

// Capture implements [florin.API].
func (f *Fake) Capture(ctx context.Context, merchantID, idempotencyKey string, req payment.CaptureRequest) (payment.Charge, error) {
	workflowID := payment.ChargeWorkflowID(merchantID, idempotencyKey)
	return call(ctx, f, Capture, workflowID, req.Validate, func(context.Context) (payment.Charge, error) {
		c, err := f.charge(merchantID, idempotencyKey)
		if err != nil {
			return payment.Charge{}, err
		}
		m := modification{
			operation: payment.OperationCapture, amount: req.AmountOf(c.value),
			done: func(charge payment.Charge) bool { return charge.Captured(req) },
		}
		return f.modify(c, m, florin.ErrNotCapturable, func() error { return c.capturable(req) })
	})
}

// Void implements [florin.API].
func (f *Fake) Void(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	workflowID := payment.ChargeWorkflowID(merchantID, idempotencyKey)
	return call(ctx, f, Void, workflowID, nil, func(context.Context) (payment.Charge, error) {
		c, err := f.charge(merchantID, idempotencyKey)
		if err != nil {
			return payment.Charge{}, err
		}
		m := modification{
			operation: payment.OperationVoid,
			done:      func(charge payment.Charge) bool { return charge.Status == payment.Voided },
		}
		return f.modify(c, m, florin.ErrNotVoidable, c.voidable)
	})
}

// modify executes m, unless its outcome is unknown already. A payment that has ended otherwise refuses it with refusal, and one that
// has not ended with the error of check.
func (f *Fake) modify(c *charge, m modification, refusal error, check func() error) (payment.Charge, error) {
	if c.closed {
		if !m.done(c.value) {
			return copyCharge(c.value), c.errorf("%w: it is %s", refusal, c.value.Status)
		}
		return copyCharge(c.value), nil
	}
	if err := check(); err != nil {
		return payment.Charge{}, err
	}
	if c.inFlight == nil {
		f.executeModification(c, m)
	}
	return copyCharge(c.value), c.modified(m)
}

// modified returns nil if the payment is as requested, and otherwise the error that describes what is known.
func (c *charge) modified(m modification) error {
	switch {
	case m.done(c.value):
		return nil
	case c.inFlight != nil:
		return c.errorf("%w: the payment is %s", florin.ErrOutcomePending, c.value.Status)
	default:
		return &florin.NotExecutedError{Operation: m.operation, Payment: copyCharge(c.value)}
	}
}

// capturable refuses a capture of a payment that has not ended.
func (c *charge) capturable(req payment.CaptureRequest) error {
	amount := req.AmountOf(c.value)
	switch m := c.inFlight; {
	case req.Currency != "" && req.Currency != c.value.Currency:
		return c.refuseField("currency", "%q: the payment is in %s", req.Currency, c.value.Currency)
	case amount > c.value.Amount:
		return c.refuse(payment.ErrCaptureExceedsAuthorized, "capture of %s exceeds the authorized %s",
			payment.Money{Amount: amount, Currency: c.value.Currency}, c.value.Money())
	case m != nil && m.operation == payment.OperationCapture && m.amount == amount:
		return nil
	case m != nil:
		return c.refuse(payment.ErrNotCapturable, "a %s is in flight", m.operation)
	case c.value.Status != payment.Authorized:
		return c.refuse(payment.ErrNotCapturable, "it is %s: only an authorized payment can be captured", c.value.Status)
	}
	return nil
}

// voidable refuses a void of a payment that has not ended.
func (c *charge) voidable() error {
	switch m := c.inFlight; {
	case m != nil && m.operation == payment.OperationVoid:
		return nil
	case m != nil:
		return c.refuse(payment.ErrNotVoidable, "a %s is in flight", m.operation)
	}
	switch c.value.Status {
	case payment.Authorized, payment.RequiresAction, payment.Pending:
		return nil
	default:
		return c.refuse(payment.ErrNotVoidable, "it is %s: only a payment that is authorized, requires an action or is pending can be voided",
			c.value.Status)
	}
}

// executeModification captures or voids as the payment method describes.
func (f *Fake) executeModification(c *charge, m modification) {
	token, _ := tokens.Find(c.req.PaymentMethod)
	expected := payment.Succeeded
	if token.Scope == tokens.Capture {
		expected = payment.Status(token.ExpectedStatus)
	}
	if m.operation == payment.OperationVoid && token.DeclineCode != "" {
		expected = payment.Succeeded // only a capture is declined
	}
	c.value.Modification = &payment.Modification{
		Operation: m.operation, StatusBefore: c.value.Status, BeganAt: f.time(),
	}
	if m.operation == payment.OperationCapture {
		c.value.Modification.Amount = m.amount
	}
	c.value.Revision++
	switch {
	case c.value.Status == payment.Pending:
		f.notExecuted(c, nil, voidOfPending)
	case expected == payment.NeedsReconciliation:
		c.inFlight = &m
		c.value.Failure = clone(&outcomeUnknown)
		f.transition(c, payment.Unknown)
		f.transition(c, payment.NeedsReconciliation)
	case expected == payment.Authorized && token.DeclineCode != "":
		f.notExecuted(c, captureDecline(token), declinedCapture(token))
	case expected == payment.Authorized:
		f.notExecuted(c, nil, *failureOf(token))
	default:
		f.applyModification(c, m)
	}
}

// endModification notes that the capture or void in flight, if there is one, has ended.
func (c *charge) endModification() {
	c.inFlight = nil
	if c.value.Modification != nil {
		c.value.Modification = nil
		c.value.Modifications++
	}
}

// applyModification records that m was executed.
func (f *Fake) applyModification(c *charge, m modification) {
	c.value.Decline, c.value.Failure = nil, nil
	if m.operation == payment.OperationVoid {
		f.transition(c, payment.Voided)
		return
	}
	c.value.CapturedAmount = m.amount
	f.transition(c, payment.Succeeded)
}

// notExecuted records why a modification had no effect.
func (f *Fake) notExecuted(c *charge, decline *payment.Decline, failure payment.Failure) {
	if c.value.Failure == nil || *c.value.Failure != failure {
		c.value.Revision++
	}
	if decline != nil {
		c.value.Decline = decline
	}
	c.value.Failure = &failure
	c.endModification()
	f.notify()
}
