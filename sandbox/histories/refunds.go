package main

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// givesBack is a refund of a payment that was paid with the token; 0 is all of it.
func givesBack(name, shows, token string, amount int64, want payment.Status) scenario {
	return scenario{name: name, shows: shows, run: func(ctx context.Context, r *recording) error {
		c, err := r.paid(ctx, token)
		if err != nil {
			return err
		}
		return r.refund(ctx, c.PaymentID, amount, want)
	}}
}

var refunds = []scenario{
	givesBack("refund-full", "all that is left", "tok_visa", 0, payment.Succeeded),
	givesBack("refund-partial", "5.00 of 12.50 USD", "tok_visa", 500, payment.Succeeded),
	givesBack("refund-declined", "422 refund_declined", "tok_refund_declined", 0, payment.Declined),
	givesBack("refund-failed", "500 always: absence proves that nothing was given back", "tok_refund_500_always", 0, payment.Failed),
	givesBack("refund-retried", "500 twice, then given back", "tok_refund_500_twice", 500, payment.Succeeded),
	givesBack("refund-lost-found", "no answer, and then its repetition", "tok_refund_timeout_after", 500, payment.Succeeded),
	{name: "refund-asynchronously", shows: "nobody waits for the outcome", run: func(ctx context.Context, r *recording) error {
		c, err := r.paid(ctx, "tok_visa")
		if err != nil {
			return err
		}
		if _, err := r.env.Florin.StartRefund(ctx, r.refundRequest(c.PaymentID, 500)); err != nil {
			return err
		}
		return r.refundReaches(ctx, payment.Succeeded)
	}},
	{name: "refund-pending", shows: "pending, asked for until it succeeds", run: func(ctx context.Context, r *recording) error {
		c, err := r.paid(ctx, "tok_refund_pending")
		if err != nil {
			return err
		}
		if err := r.refund(ctx, c.PaymentID, 500, payment.Pending); err != nil {
			return err
		}
		return r.refundReaches(ctx, payment.Succeeded)
	}},
	{name: "refund-resolved", shows: "an operator says how it ended", run: func(ctx context.Context, r *recording) error {
		c, err := r.paid(ctx, "tok_refund_lost")
		if err != nil {
			return err
		}
		if err := r.refund(ctx, c.PaymentID, 500, payment.NeedsReconciliation); err != nil {
			return err
		}
		said := payment.Resolution{Status: payment.Failed, Evidence: "not in the dashboard", By: "jane"}
		refund, err := r.env.Florin.ResolveRefund(ctx, merchant, r.key, said)
		return errors.Join(err, expect(refund.Status, payment.Failed))
	}},
	{name: "refund-exceeds-captured", shows: "fails: more than was captured", run: func(ctx context.Context, r *recording) error {
		c, err := r.paid(ctx, "tok_visa")
		if err != nil {
			return err
		}
		return r.refused(ctx, r.refundRequest(c.PaymentID, 1251), florin.ErrRefundExceedsCaptured)
	}},
	{name: "refund-not-refundable", shows: "fails: the money is only held", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.held("tok_visa"), payment.Authorized); err != nil {
			return err
		}
		return r.refused(ctx, r.refundRequest(payment.PaymentID(merchant, r.key), 500), florin.ErrPaymentNotRefundable)
	}},
	{name: "refund-payment-not-found", shows: "fails: there is no such payment", run: func(ctx context.Context, r *recording) error {
		return r.refused(ctx, r.refundRequest(payment.PaymentID(merchant, "never"), 500), florin.ErrPaymentNotFound)
	}},
	{name: "refund-invalid-request", shows: "fails: the input is none that can be worked on", run: func(ctx context.Context, r *recording) error {
		req := r.refundRequest("pay_1", 500)
		return r.fails(ctx, payment.WorkflowRefund, r.workflowID, req)
	}},
	{name: "refund-terminated", shows: "terminated while it waits for an answer", run: func(ctx context.Context, r *recording) error {
		c, err := r.paid(ctx, "tok_refund_500_always")
		if err != nil {
			return err
		}
		if _, err := r.env.Florin.StartRefund(ctx, r.refundRequest(c.PaymentID, 500)); err != nil {
			return err
		}
		if err := r.happens(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED); err != nil {
			return err
		}
		return r.terminate(ctx)
	}},
	{name: "refund-resumed", shows: "started again after it was terminated", run: func(ctx context.Context, r *recording) error {
		c, err := r.paid(ctx, "tok_refund_500_twice")
		if err != nil {
			return err
		}
		req := r.refundRequest(c.PaymentID, 500)
		if _, err := r.env.Florin.StartRefund(ctx, req); err != nil {
			return err
		}
		if err := r.happens(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED); err != nil {
			return err
		}
		if err := r.terminate(ctx); err != nil {
			return err
		}
		if _, err := r.env.Florin.StartRefund(ctx, req); err != nil {
			return err
		}
		return r.refundReaches(ctx, payment.Succeeded)
	}},
}

// refused is a refund that has to be refused for this reason.
func (r *recording) refused(ctx context.Context, req payment.RefundRequest, want error) error {
	if _, err := r.env.Florin.Refund(ctx, req); !errors.Is(err, want) {
		return fmt.Errorf("want %w, got %w", want, err)
	}
	return nil
}
