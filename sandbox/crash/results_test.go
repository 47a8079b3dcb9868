package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func TestChargeResultMustAgreeWithTheFinalState(t *testing.T) {
	charge := func(status payment.Status, captured int64) payment.Charge {
		return payment.Charge{Status: status, CapturedAmount: captured, ProcessorPaymentID: "ch_1"}
	}
	returned := func(call string, c payment.Charge) callResult[payment.Charge] {
		return callResult[payment.Charge]{call: call, value: c}
	}
	refused := func(call string, err error) callResult[payment.Charge] {
		return callResult[payment.Charge]{call: call, refusal: fmt.Errorf("workflow: %w", err)}
	}
	succeeded, otherPayment := charge(payment.Succeeded, 100), charge(payment.Succeeded, 100)
	otherPayment.ProcessorPaymentID = "ch_2"
	tests := []struct {
		name   string
		result callResult[payment.Charge]
		final  payment.Charge
		want   string // empty: no contradiction
	}{
		{name: "returned succeeded, is succeeded", result: returned("charge", succeeded), final: succeeded},
		{
			name: "returned succeeded, is declined", result: returned("charge", succeeded), final: charge(payment.Declined, 0),
			want: "returned succeeded, but the charge is declined",
		},
		{
			name: "returned failed, is succeeded", result: returned("charge", charge(payment.Failed, 0)), final: succeeded,
			want: "returned failed, but the charge is succeeded",
		},
		{
			name: "returned declined, is succeeded", result: returned("get", charge(payment.Declined, 0)), final: succeeded,
			want: "returned declined, but the charge is succeeded",
		},
		{name: "returned pending, succeeded later", result: returned("charge", charge(payment.Pending, 0)), final: succeeded},
		{
			name:   "returned needs_reconciliation, succeeded later",
			result: returned("charge", charge(payment.NeedsReconciliation, 0)), final: succeeded,
		},
		{
			name: "returned succeeded, is needs_reconciliation", result: returned("charge", succeeded),
			final: charge(payment.NeedsReconciliation, 0),
			want:  "but the charge is needs_reconciliation",
		},
		{
			name: "another captured amount", result: returned("capture", charge(payment.Succeeded, 50)), final: succeeded,
			want: "50 captured",
		},
		{name: "another payment at the processor", result: returned("charge", otherPayment), final: succeeded, want: `"ch_2"`},
		{
			name: "returned authorized, expired later", result: returned("charge", charge(payment.Authorized, 0)),
			final: charge(payment.Expired, 0),
		},
		{name: "capture refused, is voided", result: refused("capture", florin.ErrNotCapturable), final: charge(payment.Voided, 0)},
		{
			name: "capture refused, is captured", result: refused("capture", florin.ErrNotCapturable), final: succeeded,
			want: "but the money was captured",
		},
		{name: "void refused, is captured", result: refused("void", florin.ErrNotVoidable), final: succeeded},
		{
			name: "void refused, is voided", result: refused("void", florin.ErrNotVoidable), final: charge(payment.Voided, 0),
			want: "but the charge is voided",
		},
		{
			name: "charge refused", result: refused("charge", florin.ErrIdempotencyMismatch), final: succeeded,
			want: "charge was refused",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { requireContradiction(t, tt.want, contradiction(tt.result, tt.final)) })
	}
}

func TestRefundResultMustAgreeWithTheFinalState(t *testing.T) {
	refund := func(status payment.Status) payment.Refund {
		return payment.Refund{Status: status, Amount: 50, ProcessorRefundID: "re_1"}
	}
	returned := func(status payment.Status) callResult[payment.Refund] {
		return callResult[payment.Refund]{call: "refund", value: refund(status)}
	}
	refused := func(err error) callResult[payment.Refund] {
		return callResult[payment.Refund]{call: "refund", refusal: err}
	}
	var workflowFailed payment.Refund
	tests := []struct {
		name      string
		result    callResult[payment.Refund]
		final     payment.Refund
		mayExceed bool
		// failedLate: the processor has reported that the refund failed after it had succeeded.
		failedLate bool
		want       string // empty: no contradiction
	}{
		{name: "returned succeeded, is succeeded", result: returned(payment.Succeeded), final: refund(payment.Succeeded)},
		{
			name: "returned failed, is succeeded", result: returned(payment.Failed), final: refund(payment.Succeeded),
			want: "returned failed, but the refund is succeeded",
		},
		{name: "returned pending, succeeded later", result: returned(payment.Pending), final: refund(payment.Succeeded)},
		{
			name: "returned succeeded, failed later", result: returned(payment.Succeeded), final: refund(payment.Failed), failedLate: true,
		},
		{
			name: "returned succeeded, is failed, and the processor did not report that", result: returned(payment.Succeeded),
			final: refund(payment.Failed),
			want:  "returned succeeded, but the refund is failed, and the processor did not report that it failed later",
		},
		{
			name: "returned succeeded, workflow failed", result: returned(payment.Succeeded), final: workflowFailed,
			mayExceed: true,
			want:      "its workflow failed",
		},
		{
			name: "exceeds the captured amount, refused", result: refused(florin.ErrRefundExceedsCaptured), final: workflowFailed,
			mayExceed: true,
		},
		{
			name: "exceeds the captured amount, returned failed", result: returned(payment.Failed), final: workflowFailed,
			mayExceed: true,
		},
		{
			name: "refused, although it cannot exceed the captured amount", result: refused(florin.ErrRefundExceedsCaptured),
			final: workflowFailed,
			want:  "was refused",
		},
		{
			name: "refused, is succeeded", result: refused(florin.ErrRefundExceedsCaptured), final: refund(payment.Succeeded),
			mayExceed: true,
			want:      "was refused",
		},
		{
			name: "refused for another reason", result: refused(florin.ErrPaymentNotRefundable), final: workflowFailed,
			mayExceed: true,
			want:      "was refused",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireContradiction(t, tt.want, refundContradiction(tt.result, tt.final, tt.mayExceed, tt.failedLate))
		})
	}
}

func requireContradiction(t *testing.T, want, got string) {
	t.Helper()
	if want == "" {
		require.Empty(t, got)
		return
	}
	require.Contains(t, got, want)
}
