package florintest

import (
	"context"
	"fmt"
	"maps"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/simulator/tokens"
	"github.com/florinpay/florin/payment"
)

// charge is a payment in the fake's memory, with the request that began it.
type charge struct {
	record[payment.Charge]
	req payment.ChargeRequest
	// inFlight is the capture or void whose outcome is unknown; nil if there is none.
	inFlight *modification
}

// copyCharge returns a copy that shares nothing with c.
func copyCharge(c payment.Charge) payment.Charge {
	c.Decline, c.Failure, c.Modification = clone(c.Decline), clone(c.Failure), clone(c.Modification)
	return c
}

// Charge implements [florin.API].
func (f *Fake) Charge(ctx context.Context, req payment.ChargeRequest) (payment.Charge, error) {
	workflowID := payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey)
	return call(ctx, f, Charge, workflowID, req.Validate, func(ctx context.Context) (payment.Charge, error) {
		c, err := f.startCharge(req)
		if err == nil {
			err = c.refused
		}
		if err == nil {
			err = f.await(ctx, workflowID, func() bool { return c.value.Status.HasOutcome() })
		}
		switch {
		case err != nil:
			return payment.Charge{}, err
		case c.closed && !c.reported:
			return copyCharge(c.result), nil
		default:
			c.reported = true
			return copyCharge(c.value), nil
		}
	})
}

// StartCharge implements [florin.API].
func (f *Fake) StartCharge(ctx context.Context, req payment.ChargeRequest) (florin.Run, error) {
	workflowID := payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey)
	return call(ctx, f, StartCharge, workflowID, req.Validate, func(context.Context) (florin.Run, error) {
		c, err := f.startCharge(req)
		return c.run(c.value.PaymentID), err
	})
}

// Get implements [florin.API].
func (f *Fake) Get(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return get(ctx, f, Get, payment.ChargeWorkflowID(merchantID, idempotencyKey), f.charges, id{merchantID, idempotencyKey})
}

// Wait implements [florin.API].
func (f *Fake) Wait(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return wait(ctx, f, Wait, payment.ChargeWorkflowID(merchantID, idempotencyKey), f.charges, id{merchantID, idempotencyKey})
}

// charge returns ErrNotFound if no payment has this key.
func (f *Fake) charge(merchantID, idempotencyKey string) (*charge, error) {
	return find(f.charges, id{merchantID, idempotencyKey}, payment.ChargeWorkflowID(merchantID, idempotencyKey))
}

// startCharge returns the payment of the request, which it executes if it is new. The payment is returned with an error, too.
func (f *Fake) startCharge(req payment.ChargeRequest) (*charge, error) {
	key := id{req.MerchantID, req.IdempotencyKey}
	if c := f.charges[key]; c != nil && c.refused == nil {
		return c, c.checkSame(req.Fingerprint())
	}
	req.Metadata = maps.Clone(req.Metadata)
	c := &charge{req: req}
	c.workflowID, c.fingerprint = payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey), req.Fingerprint()
	c.copy, c.resolutions = copyCharge, map[string]payment.Charge{}
	now := f.time()
	c.value = payment.Charge{
		PaymentID:      payment.PaymentID(req.MerchantID, req.IdempotencyKey),
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Amount:         req.Amount,
		Currency:       req.Currency,
		PaymentMethod:  req.PaymentMethod,
		CreatedAt:      now,
		UpdatedAt:      now,
	}
	f.charges[key] = c
	name, refusal := f.processor(req.Processor)
	if refusal != nil {
		c.value.Status, c.closed, c.refused = payment.Failed, true, c.errorf("%w", refusal)
		c.value.Failure = &payment.Failure{Class: payment.ClassInvalidRequest, Message: refusal.Message}
		return c, nil
	}
	c.value.Processor, c.value.Revision = name, 1
	f.begun = append(f.begun, c)
	if f.isTooLate(req.SendBy) {
		c.value.Failure = clone(&notSent)
		f.transition(c, payment.Failed)
		return c, nil
	}
	f.execute(c)
	return c, nil
}

// execute charges as the payment method describes.
func (f *Fake) execute(c *charge) {
	token, known := tokens.Find(c.req.PaymentMethod)
	switch {
	case !known:
		c.value.Failure = clone(&unknownPaymentMethod)
		f.transition(c, payment.Failed)
	case token.Scope != tokens.Charge:
		f.succeed(c)
	case token.FirstStatus != "":
		c.acknowledge()
		f.transition(c, payment.Status(token.FirstStatus))
	default:
		f.end(c, token)
	}
}

// end gives the payment the status that its token describes.
func (f *Fake) end(c *charge, token tokens.Token) {
	switch status := payment.Status(token.ExpectedStatus); status {
	case payment.Succeeded:
		f.succeed(c)
	case payment.Declined:
		c.value.Decline = chargeDecline(token)
		if c.value.Decline.Message == "" {
			c.acknowledge() // the response has a payment instead of an error
		}
		f.transition(c, status)
	case payment.NeedsReconciliation:
		c.value.Failure = clone(&outcomeUnknown)
		f.transition(c, payment.Unknown)
		f.transition(c, status)
	case payment.Conflicted:
		c.acknowledge()
		c.value.Failure = clone(&conflict)
		f.transition(c, status)
	case payment.Failed:
		c.value.Failure = failureOf(token)
		f.transition(c, status)
	default:
		panic(fmt.Sprintf("token %s: no charge ends as %s", token.Name, status))
	}
}

// succeed takes the money, or holds it if the capture is manual.
func (f *Fake) succeed(c *charge) {
	c.acknowledge()
	if c.req.Capture == payment.CaptureManual {
		f.transition(c, payment.Authorized)
		return
	}
	c.value.CapturedAmount = c.value.Amount
	f.transition(c, payment.Succeeded)
}

// acknowledge records that the processor has the payment.
func (c *charge) acknowledge() {
	if c.value.ProcessorPaymentID == "" {
		c.value.ProcessorPaymentID = processorID("ch_", payment.ProcessorKey(c.value.PaymentID, payment.OperationCharge, 0))
	}
}

// transition changes the status. Its caller has set the details. An illegal transition is a mistake of this package.
func (f *Fake) transition(c *charge, to payment.Status) {
	if !legal(payment.PaymentTransitions, c.value.Status, to) {
		panic(fmt.Sprintf("illegal transition from %s to %s", c.value.Status, to))
	}
	c.value.Status = to
	c.value.Revision++
	if to != payment.Unknown && to != payment.NeedsReconciliation {
		c.endModification()
	}
	if now := f.time(); now.After(c.value.UpdatedAt) {
		c.value.UpdatedAt = now
	}
	if to.Final() {
		c.closed, c.result = true, copyCharge(c.value)
	}
	f.notify()
}
