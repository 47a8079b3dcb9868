package florintest

import (
	"context"
	"fmt"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// Resolve implements [florin.API].
func (f *Fake) Resolve(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Charge, error) {
	workflowID := payment.ChargeWorkflowID(merchantID, idempotencyKey)
	validate := func() error { return r.Validate(payment.ResolvedPaymentStatuses) }
	return call(ctx, f, Resolve, workflowID, validate, func(context.Context) (payment.Charge, error) {
		c, err := f.charge(merchantID, idempotencyKey)
		if err != nil {
			return payment.Charge{}, err
		}
		if resolved, repeated := c.resolutions[r.Fingerprint()]; repeated {
			return copyCharge(resolved), nil
		}
		if err := c.resolvable(c.value.Status); err != nil {
			return payment.Charge{}, err
		}
		if err := c.fits(r); err != nil {
			return payment.Charge{}, err
		}
		if c.value.Modification != nil && r.Status != payment.Authorized {
			// Florin looks the payment up first, and the simulated processor shows nothing of the capture or void.
			return payment.Charge{}, c.refuse(payment.ErrNotResolvable, "according to the processor the payment is %s", payment.Authorized)
		}
		f.resolve(c, r)
		c.resolutions[r.Fingerprint()] = copyCharge(c.value)
		return copyCharge(c.value), nil
	})
}

// ResolveRefund implements [florin.API].
func (f *Fake) ResolveRefund(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Refund, error) {
	workflowID := payment.RefundWorkflowID(merchantID, idempotencyKey)
	validate := func() error { return r.Validate(payment.ResolvedRefundStatuses) }
	return call(ctx, f, ResolveRefund, workflowID, validate, func(context.Context) (payment.Refund, error) {
		refund, err := f.refund(merchantID, idempotencyKey)
		if err != nil {
			return payment.Refund{}, err
		}
		if resolved, repeated := refund.resolutions[r.Fingerprint()]; repeated {
			return copyRefund(resolved), nil
		}
		if err := refund.resolvable(refund.value.Status); err != nil {
			return payment.Refund{}, err
		}
		if r.CapturedAmount != 0 {
			return payment.Refund{}, refund.refuseField("captured_amount", "a refund captures nothing")
		}
		if lacksProcessorID(r, refund.value.ProcessorRefundID) {
			return payment.Refund{}, refund.refuseField("processor_id", "is missing: give it, or set without_processor_id")
		}
		if err := refund.sameID(r.ProcessorID, refund.value.ProcessorRefundID); err != nil {
			return payment.Refund{}, err
		}
		f.resolveRefund(refund, r)
		refund.resolutions[r.Fingerprint()] = copyRefund(refund.value)
		return copyRefund(refund.value), nil
	})
}

// resolvable returns ErrNotResolvable unless the outcome is unknown.
func (r *record[T]) resolvable(status payment.Status) error {
	switch {
	case r.closed:
		return r.errorf("%w: the workflow is no longer running", florin.ErrNotResolvable)
	case status != payment.Unknown && status != payment.NeedsReconciliation:
		return r.refuse(payment.ErrNotResolvable, "it is %s: only what is %s or %s can be resolved",
			status, payment.Unknown, payment.NeedsReconciliation)
	}
	return nil
}

// sameID refuses a resolution with another id than the processor's own. A fake processor has no record that Florin does not find: the id
// that an operator names is none of its ids.
func (r *record[T]) sameID(resolved, known string) error {
	switch {
	case resolved == "", resolved == known:
		return nil
	case known == "":
		return r.refuseField("processor_id", "%q: the processor has nothing under this id", resolved)
	default:
		return r.refuseField("processor_id", "%q: the processor's id is %q", resolved, known)
	}
}

// lacksProcessorID reports whether a resolution as succeeded leaves the processor's id unknown without saying so.
func lacksProcessorID(r payment.Resolution, known string) bool {
	return r.Status == payment.Succeeded && known == "" && r.ProcessorID == "" && !r.WithoutProcessorID
}

// fits refuses a resolution that does not fit the payment.
func (c *charge) fits(r payment.Resolution) error {
	switch {
	case r.Status == payment.Authorized && c.value.ProcessorPaymentID == "" && r.ProcessorID == "":
		return c.refuseField("processor_id", "is missing: the payment cannot be captured or voided without it")
	case r.Status == payment.Succeeded && r.CapturedAmount == 0 && c.req.Capture == payment.CaptureManual:
		return c.refuseField("captured_amount", "is missing: the capture is manual")
	case r.CapturedAmount > c.value.Amount:
		return c.refuseField("captured_amount", "%d: the payment is of %d", r.CapturedAmount, c.value.Amount)
	case lacksProcessorID(r, c.value.ProcessorPaymentID):
		return c.refuseField("processor_id", "is missing: give it, or set without_processor_id")
	default:
		return c.sameID(r.ProcessorID, c.value.ProcessorPaymentID)
	}
}

func (f *Fake) resolve(c *charge, r payment.Resolution) {
	c.value.Failure = nil
	switch r.Status {
	case payment.Succeeded:
		c.value.CapturedAmount = c.value.Amount
		if r.CapturedAmount > 0 {
			c.value.CapturedAmount = r.CapturedAmount
		}
	case payment.Declined:
		c.value.Decline = resolvedDecline(r)
	default:
		c.value.Failure = resolvedFailure(r)
	}
	f.transition(c, r.Status)
}

func (f *Fake) resolveRefund(refund *refund, r payment.Resolution) {
	refund.value.Failure = nil
	switch r.Status {
	case payment.Declined:
		refund.value.Decline = resolvedDecline(r)
	case payment.Failed:
		refund.value.Failure = resolvedFailure(r)
	default:
	}
	f.transitionRefund(refund, r.Status)
}

func resolvedFailure(r payment.Resolution) *payment.Failure {
	return &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: resolvedBy(r)}
}

func resolvedDecline(r payment.Resolution) *payment.Decline {
	return &payment.Decline{Code: "resolved", Kind: payment.DeclineSoft, Message: resolvedBy(r)}
}

func resolvedBy(r payment.Resolution) string {
	return fmt.Sprintf("resolved by %s: %s", r.By, r.Evidence)
}
