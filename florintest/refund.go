package florintest

import (
	"context"
	"fmt"
	"maps"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/simulator/tokens"
	"github.com/florinpay/florin/payment"
)

// refund is a refund in the fake's memory, with the request that began it.
type refund struct {
	record[payment.Refund]
	req payment.RefundRequest
	// of is the refunded payment; nil if the refund was refused.
	of *charge
}

// copyRefund returns a copy that shares nothing with r.
func copyRefund(r payment.Refund) payment.Refund {
	r.Decline, r.Failure = clone(r.Decline), clone(r.Failure)
	return r
}

// Refund implements [florin.API].
func (f *Fake) Refund(ctx context.Context, req payment.RefundRequest) (payment.Refund, error) {
	workflowID := payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey)
	return call(ctx, f, Refund, workflowID, req.Validate, func(ctx context.Context) (payment.Refund, error) {
		r, err := f.startRefund(req)
		if err == nil {
			err = r.refused
		}
		if err == nil {
			err = f.await(ctx, workflowID, func() bool { return r.value.Status.HasOutcome() })
		}
		if err != nil {
			return payment.Refund{}, err
		}
		return copyRefund(r.value), nil
	})
}

// StartRefund implements [florin.API].
func (f *Fake) StartRefund(ctx context.Context, req payment.RefundRequest) (florin.Run, error) {
	workflowID := payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey)
	return call(ctx, f, StartRefund, workflowID, req.Validate, func(context.Context) (florin.Run, error) {
		r, err := f.startRefund(req)
		return r.run(r.value.RefundID), err
	})
}

// GetRefund implements [florin.API].
func (f *Fake) GetRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return get(ctx, f, GetRefund, payment.RefundWorkflowID(merchantID, idempotencyKey), f.refunds, id{merchantID, idempotencyKey})
}

// WaitRefund implements [florin.API].
func (f *Fake) WaitRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return wait(ctx, f, WaitRefund, payment.RefundWorkflowID(merchantID, idempotencyKey), f.refunds, id{merchantID, idempotencyKey})
}

// refund returns ErrNotFound if no refund has this key.
func (f *Fake) refund(merchantID, idempotencyKey string) (*refund, error) {
	return find(f.refunds, id{merchantID, idempotencyKey}, payment.RefundWorkflowID(merchantID, idempotencyKey))
}

// startRefund returns the refund of the request, which it executes if it is new. The refund is returned with an error, too.
func (f *Fake) startRefund(req payment.RefundRequest) (*refund, error) {
	key := id{req.MerchantID, req.IdempotencyKey}
	if r := f.refunds[key]; r != nil && r.refused == nil {
		return r, r.checkSame(req.Fingerprint())
	}
	req.Amount, req.Metadata = clone(req.Amount), maps.Clone(req.Metadata)
	r := &refund{req: req}
	r.workflowID, r.fingerprint = payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey), req.Fingerprint()
	r.copy, r.resolutions = copyRefund, map[string]payment.Refund{}
	now := f.time()
	r.value = payment.Refund{
		RefundID:       payment.RefundID(req.MerchantID, req.IdempotencyKey),
		PaymentID:      req.PaymentID,
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Currency:       req.Currency,
		CreatedAt:      now,
		UpdatedAt:      now,
	}
	if req.Amount != nil {
		r.value.Amount = *req.Amount
	}
	f.refunds[key] = r
	if refusal := f.reserve(r); refusal != nil {
		r.value.Status, r.closed, r.refused = payment.Failed, true, r.errorf("%w", refusal)
		r.value.Failure = &payment.Failure{Class: payment.ClassInvalidRequest, Message: refusal.Message}
		return r, nil
	}
	f.begunRefunds = append(f.begunRefunds, r)
	if f.isTooLate(req.SendBy) {
		r.value.Failure = clone(&notSent)
		f.transitionRefund(r, payment.Failed)
		return r, nil
	}
	f.executeRefund(r)
	return r, nil
}

// reserve finds the payment and completes the refund, or returns why there is nothing to refund.
func (f *Fake) reserve(r *refund) *payment.Refusal {
	c := f.paymentByID(r.req.MerchantID, r.req.PaymentID)
	if c == nil {
		return payment.Refuse(payment.ErrPaymentNotFound, "payment %s of merchant %q", r.req.PaymentID, r.req.MerchantID)
	}
	requested := payment.Money{Amount: r.value.Amount, Currency: c.value.Currency}
	remaining := payment.Money{Amount: c.value.CapturedAmount - f.refundedOrReserved(c), Currency: c.value.Currency}
	switch {
	case c.value.Status != payment.Succeeded:
		return payment.Refuse(payment.ErrPaymentNotRefundable, "its status is %s: only a succeeded payment can be refunded", c.value.Status)
	case c.value.ProcessorPaymentID == "":
		return payment.Refuse(payment.ErrPaymentNotRefundable, "its id at the processor is unknown: it was resolved without one")
	case r.req.Currency != "" && r.req.Currency != c.value.Currency:
		return payment.Refuse(payment.ErrInvalidRequest, "refund in %q, payment in %s", r.req.Currency, c.value.Currency)
	case remaining.Amount == 0:
		return payment.Refuse(payment.ErrRefundExceedsCaptured, "nothing remains to refund")
	case requested.Amount > remaining.Amount:
		return payment.Refuse(payment.ErrRefundExceedsCaptured, "refund of %s, remaining %s", requested, remaining)
	case requested.Amount == 0:
		r.value.Amount = remaining.Amount
	}
	r.of, r.value.Currency, r.value.Processor = c, c.value.Currency, c.value.Processor
	return nil
}

// paymentByID returns the payment of a merchant; nil if there is none.
func (f *Fake) paymentByID(merchantID, paymentID string) *charge {
	for _, c := range f.begun {
		if c.value.PaymentID == paymentID && c.value.MerchantID == merchantID {
			return c
		}
	}
	return nil
}

// refundedOrReserved returns the sum of the refunds of a payment that succeeded or may still succeed.
func (f *Fake) refundedOrReserved(c *charge) (sum int64) {
	for _, r := range f.begunRefunds {
		if r.of == c && r.value.Status != payment.Declined && r.value.Status != payment.Failed {
			sum += r.value.Amount
		}
	}
	return sum
}

// executeRefund refunds as the payment method of the payment describes.
func (f *Fake) executeRefund(r *refund) {
	token, _ := tokens.Find(r.of.req.PaymentMethod)
	switch {
	case token.Scope != tokens.Refund:
		r.acknowledge()
		f.transitionRefund(r, payment.Succeeded)
	case token.FirstStatus != "":
		r.acknowledge()
		f.transitionRefund(r, payment.Status(token.FirstStatus))
	default:
		f.endRefund(r, token)
	}
}

// endRefund gives the refund the status that the token describes.
func (f *Fake) endRefund(r *refund, token tokens.Token) {
	switch status := payment.Status(token.ExpectedStatus); status {
	case payment.Succeeded:
		r.acknowledge()
		f.transitionRefund(r, status)
	case payment.Declined:
		r.value.Decline = refundDecline(token)
		f.transitionRefund(r, status)
	case payment.Failed:
		r.value.Failure = failureOf(token)
		f.transitionRefund(r, status)
	case payment.NeedsReconciliation:
		r.value.Failure = clone(&outcomeUnknown)
		f.transitionRefund(r, payment.Unknown)
		f.transitionRefund(r, status)
	default:
		panic(fmt.Sprintf("token %s: no refund ends as %s", token.Name, status))
	}
}

// acknowledge records that the processor has the refund.
func (r *refund) acknowledge() {
	if r.value.ProcessorRefundID == "" {
		r.value.ProcessorRefundID = processorID("re_", payment.ProcessorKey(r.value.RefundID, payment.OperationRefund, 0))
	}
}

// transitionRefund changes the status, as transition does, and the refunded amount of the payment.
func (f *Fake) transitionRefund(r *refund, to payment.Status) {
	if !legal(payment.RefundTransitions, r.value.Status, to) {
		panic(fmt.Sprintf("illegal transition from %s to %s", r.value.Status, to))
	}
	if r.value.Status == payment.Succeeded {
		r.of.value.RefundedAmount -= r.value.Amount
	}
	r.value.Status = to
	if now := f.time(); now.After(r.value.UpdatedAt) {
		r.value.UpdatedAt = now
	}
	if to.Final() {
		r.closed, r.result = true, copyRefund(r.value)
	}
	if to == payment.Succeeded {
		r.of.value.RefundedAmount += r.value.Amount
	}
	f.notify()
}
