package main

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// refundEnds refunds a payment that was made with the token. Amount 0 refunds the remaining amount. The refund must return
// the final status want.
func refundEnds(name, about, token string, amount int64, want payment.Status) scenario {
	return scenario{name: name, about: about, run: func(ctx context.Context, r *recording) error {
		c, err := r.paidCharge(ctx, token)
		if err != nil {
			return err
		}
		return r.refund(ctx, c.PaymentID, amount, want)
	}}
}

// refunds are the scenarios of refunds.
var refunds = []scenario{
	refundEnds("refund-full", "the remaining amount is refunded", "tok_visa", 0, payment.Succeeded),
	refundEnds("refund-partial", "5.00 of 12.50 USD are refunded", "tok_visa", 500, payment.Succeeded),
	refundEnds("refund-declined", "422 refund_declined", "tok_refund_declined", 0, payment.Declined),
	refundEnds("refund-failed", "500 to every attempt: absence proves that the refund was not executed",
		"tok_refund_500_always", 0, payment.Failed),
	refundEnds("refund-retried", "500 twice, then refunded", "tok_refund_500_twice", 500, payment.Succeeded),
	refundEnds("refund-lost-found", "no response to the first attempt; its repetition returns the executed refund",
		"tok_refund_timeout_after", 500, payment.Succeeded),
	{
		name: "refund-asynchronously", about: "the caller does not wait for the outcome",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_visa")
			if err != nil {
				return err
			}
			if _, err := r.env.Florin.StartRefund(ctx, r.refundRequest(c.PaymentID, 500)); err != nil {
				return err
			}
			return r.waitForRefundStatus(ctx, payment.Succeeded)
		},
	},
	{
		name: "refund-pending", about: "pending, polled until it succeeds",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_refund_pending")
			if err != nil {
				return err
			}
			if err := r.refund(ctx, c.PaymentID, 500, payment.Pending); err != nil {
				return err
			}
			return r.waitForRefundStatus(ctx, payment.Succeeded)
		},
	},
	{
		name: "refund-resolved", about: "an operator resolves the unknown outcome",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_refund_lost")
			if err != nil {
				return err
			}
			if err := r.refund(ctx, c.PaymentID, 500, payment.NeedsReconciliation); err != nil {
				return err
			}
			resolution := payment.Resolution{Status: payment.Failed, Evidence: "not in the dashboard", By: "jane"}
			refund, err := r.env.Florin.ResolveRefund(ctx, merchant, r.key, resolution)
			return errors.Join(err, expect(refund.Status, payment.Failed))
		},
	},
	{
		name: "refund-exceeds-captured", about: "the workflow fails: the refund exceeds the captured amount",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_visa")
			if err != nil {
				return err
			}
			return r.refundRefused(ctx, r.refundRequest(c.PaymentID, 1251), florin.ErrRefundExceedsCaptured)
		},
	},
	{
		name: "refund-not-refundable", about: "the workflow fails: the payment is only authorized",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.authorization("tok_visa"), payment.Authorized); err != nil {
				return err
			}
			return r.refundRefused(ctx, r.refundRequest(payment.PaymentID(merchant, r.key), 500), florin.ErrPaymentNotRefundable)
		},
	},
	{
		name: "refund-payment-not-found", about: "the workflow fails: the payment does not exist",
		run: func(ctx context.Context, r *recording) error {
			return r.refundRefused(ctx, r.refundRequest(payment.PaymentID(merchant, "never"), 500), florin.ErrPaymentNotFound)
		},
	},
	{
		name: "refund-invalid-request", about: "the workflow fails: the request is invalid",
		run: func(ctx context.Context, r *recording) error {
			req := r.refundRequest("pay_1", 500)
			return r.startFails(ctx, payment.WorkflowRefund, r.workflowID, req)
		},
	},
	{
		name: "refund-terminated", about: "terminated while a processor activity is scheduled",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_refund_500_always")
			if err != nil {
				return err
			}
			if _, err := r.env.Florin.StartRefund(ctx, r.refundRequest(c.PaymentID, 500)); err != nil {
				return err
			}
			if err := r.waitForEvent(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED); err != nil {
				return err
			}
			return r.terminate(ctx)
		},
	},
	{
		name: "refund-resumed", about: "started again after a termination",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_refund_500_twice")
			if err != nil {
				return err
			}
			req := r.refundRequest(c.PaymentID, 500)
			if _, err := r.env.Florin.StartRefund(ctx, req); err != nil {
				return err
			}
			if err := r.waitForEvent(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED); err != nil {
				return err
			}
			if err := r.terminate(ctx); err != nil {
				return err
			}
			if _, err := r.env.Florin.StartRefund(ctx, req); err != nil {
				return err
			}
			return r.waitForRefundStatus(ctx, payment.Succeeded)
		},
	},
}

// refundRefused requests a refund that must be refused with the error want.
func (r *recording) refundRefused(ctx context.Context, req payment.RefundRequest, want error) error {
	if _, err := r.env.Florin.Refund(ctx, req); !errors.Is(err, want) {
		return fmt.Errorf("refund: got %w, want %w", err, want)
	}
	return nil
}
