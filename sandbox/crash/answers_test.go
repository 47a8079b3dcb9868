package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func TestAnAnswerHasToBeTrueInTheEnd(t *testing.T) {
	is := func(status payment.Status, captured int64) payment.Charge {
		return payment.Charge{Status: status, CapturedAmount: captured, ProcessorPaymentID: "ch_1"}
	}
	told := func(call string, c payment.Charge) answer[payment.Charge] {
		return answer[payment.Charge]{call: call, value: c}
	}
	refused := func(call string, err error) answer[payment.Charge] {
		return answer[payment.Charge]{call: call, refusal: fmt.Errorf("workflow: %w", err)}
	}
	other := is(payment.Succeeded, 100)
	other.ProcessorPaymentID = "ch_2"
	tests := []struct {
		name  string
		told  answer[payment.Charge]
		final payment.Charge
		want  string // empty: it is true
	}{
		{"succeeded, and so it is", told("charge", is(payment.Succeeded, 100)), is(payment.Succeeded, 100), ""},
		{"succeeded, but declined", told("charge", is(payment.Succeeded, 100)), is(payment.Declined, 0), "told succeeded, but it is declined"},
		{"failed, but the money moved", told("charge", is(payment.Failed, 0)), is(payment.Succeeded, 100), "told failed, but it is succeeded"},
		{"declined, but the money moved", told("get", is(payment.Declined, 0)), is(payment.Succeeded, 100), "told declined, but it is succeeded"},
		{"pending, later succeeded", told("charge", is(payment.Pending, 0)), is(payment.Succeeded, 100), ""},
		{"not known, later succeeded", told("charge", is(payment.NeedsReconciliation, 0)), is(payment.Succeeded, 100), ""},
		{"succeeded, later not known", told("charge", is(payment.Succeeded, 100)), is(payment.NeedsReconciliation, 0), "but it is needs_reconciliation"},
		{"another amount", told("capture", is(payment.Succeeded, 50)), is(payment.Succeeded, 100), "50 captured"},
		{"another payment", told("charge", other), is(payment.Succeeded, 100), `"ch_2"`},
		{"held, later expired", told("charge", is(payment.Authorized, 0)), is(payment.Expired, 0), ""},
		{"a capture refused, voided", refused("capture", florin.ErrNotCapturable), is(payment.Voided, 0), ""},
		{"a capture refused, taken", refused("capture", florin.ErrNotCapturable), is(payment.Succeeded, 100), "but the money was taken"},
		{"a void refused, taken", refused("void", florin.ErrNotVoidable), is(payment.Succeeded, 100), ""},
		{"a void refused, voided", refused("void", florin.ErrNotVoidable), is(payment.Voided, 0), "but it is voided"},
		{"a charge refused", refused("charge", florin.ErrIdempotencyMismatch), is(payment.Succeeded, 100), "charge was refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { requireSays(t, tt.want, contradiction(tt.told, tt.final)) })
	}
}

func TestAnAnswerAboutARefundHasToBeTrueInTheEnd(t *testing.T) {
	is := func(status payment.Status) payment.Refund {
		return payment.Refund{Status: status, Amount: 50, ProcessorRefundID: "re_1"}
	}
	refused := func(err error) answer[payment.Refund] { return answer[payment.Refund]{call: "refund", refusal: err} }
	told := func(status payment.Status) answer[payment.Refund] {
		return answer[payment.Refund]{call: "refund", value: is(status)}
	}
	var none payment.Refund // its workflow failed
	tests := []struct {
		name      string
		told      answer[payment.Refund]
		final     payment.Refund
		mayExceed bool
		want      string
	}{
		{"succeeded, and so it is", told(payment.Succeeded), is(payment.Succeeded), false, ""},
		{"failed, but the money moved", told(payment.Failed), is(payment.Succeeded), false, "told failed, but it is succeeded"},
		{"pending, later succeeded", told(payment.Pending), is(payment.Succeeded), false, ""},
		{"succeeded, but refused", told(payment.Succeeded), none, true, "its workflow failed"},
		{"more than there is, refused", refused(florin.ErrRefundExceedsCaptured), none, true, ""},
		{"more than there is, told as failed", told(payment.Failed), none, true, ""},
		{"refused, although it fits", refused(florin.ErrRefundExceedsCaptured), none, false, "was refused"},
		{"refused, but the money moved", refused(florin.ErrRefundExceedsCaptured), is(payment.Succeeded), true, "was refused"},
		{"refused for another reason", refused(florin.ErrPaymentNotRefundable), none, true, "was refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { requireSays(t, tt.want, refundContradiction(tt.told, tt.final, tt.mayExceed)) })
	}
}

func requireSays(t *testing.T, want, got string) {
	t.Helper()
	if want == "" {
		require.Empty(t, got)
		return
	}
	require.Contains(t, got, want)
}
