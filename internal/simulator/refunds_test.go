package simulator

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// pay charges 10.00 EUR and returns the ID of the payment.
func (h *harness) pay(token, key string, capture bool) string {
	h.t.Helper()
	var p payment
	h.post("/charges", key, fmt.Sprintf(`{"card_token":%q,"amount":1000,"currency":"EUR","capture":%t,"reference":%q}`,
		token, capture, key)).into(h.t, &p)
	return p.ID
}

func TestCaptureAndVoidDependOnTheStatus(t *testing.T) {
	h := start(t, Options{})
	partial, whole, voided := h.pay("tok_visa", "1", false), h.pay("tok_visa", "2", false), h.pay("tok_visa", "3", false)
	for i, tc := range []struct{ path, body, want string }{
		{path: "/payments/" + partial + "/capture", body: `{"amount":1001}`, want: "422 capture_exceeds_authorized"},
		{path: "/payments/" + partial + "/capture", body: `{"amount":0}`, want: "422 capture_exceeds_authorized"},
		{path: "/payments/" + partial + "/capture", body: `{"amount":600}`, want: "200 succeeded"},
		{path: "/payments/" + partial + "/capture", body: `{"amount":400}`, want: "409 state_conflict"},
		{path: "/payments/" + partial + "/void", body: ``, want: "409 state_conflict"},
		{path: "/payments/" + whole + "/capture", body: ``, want: "200 succeeded"},
		{path: "/payments/" + voided + "/void", body: `{}`, want: "200 voided"},
		{path: "/payments/" + voided + "/void", body: `{}`, want: "409 state_conflict"},
		{path: "/payments/" + voided + "/capture", body: ``, want: "409 state_conflict"},
		{path: "/payments/" + voided + "/void", body: `{"amount":1}`, want: "400 json_invalid"},
		{path: "/payments/ch_unknown/capture", body: ``, want: "404 payment_not_found"},
		{path: "/payments/ch_unknown/void", body: ``, want: "404 payment_not_found"},
	} {
		require.Equal(t, tc.want, h.post(tc.path, fmt.Sprint("key-", i), tc.body).String(), "%d: %s", i, tc.path)
	}
	captured := map[string]int64{}
	for _, p := range h.ledger().Payments {
		captured[p.ID] = p.CapturedAmount
	}
	require.Equal(t, map[string]int64{partial: 600, whole: 1000, voided: 0}, captured)
}

// Real processors, too, can cancel a payment that waits for an action of the customer.
func TestVoidCancelsAPaymentThatRequiresActionButNotAPendingOne(t *testing.T) {
	for token, want := range map[string]struct {
		response, replay, finalStatus string
	}{
		"tok_requires_action":    {response: "200 voided", replay: "200 voided, replayed", finalStatus: statusVoided},
		"tok_pending":            {response: "409 state_conflict", replay: "409 state_conflict", finalStatus: statusAuthorized},
		"tok_pending_declined":   {response: "409 state_conflict", replay: "409 state_conflict", finalStatus: statusDeclined},
		"tok_insufficient_funds": {response: "409 state_conflict", replay: "409 state_conflict", finalStatus: statusDeclined},
	} {
		t.Run(token, func(t *testing.T) {
			h := start(t, Options{})
			h.pay(token, "charge", false)
			path := "/payments/" + h.ledger().Payments[0].ID + "/void"
			require.Equal(t, want.response, h.post(path, "void", "").String())
			require.Equal(t, want.replay, h.post(path, "void", "").String())
			h.clock.advance(DefaultPendingFor)
			require.Equal(t, want.finalStatus, h.ledger().Payments[0].Status)
		})
	}
}

func TestPaymentCanBeVoidedAfterADeclinedCapture(t *testing.T) {
	h := start(t, Options{})
	path := "/payments/" + h.pay("tok_capture_declined", "charge", false)
	require.Equal(t, "422 capture_exceeds_authorized", h.post(path+"/capture", "too-much", `{"amount":1001}`).String())
	require.Equal(t, "402 card_declined hard expired_authorization", h.post(path+"/capture", "capture", "").String())
	require.Equal(t, "200 voided", h.post(path+"/void", "void", "").String())
	require.Equal(t, "409 state_conflict", h.post(path+"/capture", "again", "").String())
}

func TestRefundsNeverExceedTheRemainingAmount(t *testing.T) {
	h := start(t, Options{})
	paid, authorized, declined := h.pay("tok_visa", "1", true), h.pay("tok_visa", "2", false), h.pay("tok_declined_200", "3", true)
	for i, tc := range []struct{ payment, fields, want string }{
		{payment: paid, fields: `,"amount":300`, want: "200 succeeded"},
		{payment: paid, fields: `,"amount":701`, want: "422 refund_exceeds_captured"},
		{payment: paid, fields: `,"amount":0`, want: "422 amount_invalid"},
		{payment: paid, fields: `,"amount":-1`, want: "422 amount_invalid"},
		{payment: paid, fields: ``, want: "200 succeeded"},
		{payment: paid, fields: ``, want: "422 refund_exceeds_captured"},
		{payment: authorized, fields: ``, want: "409 payment_not_refundable"},
		{payment: declined, fields: ``, want: "409 payment_not_refundable"},
		{payment: "ch_unknown", fields: ``, want: "404 payment_not_found"},
		{payment: paid, fields: `,"currency":"EUR"`, want: "400 json_invalid"},
	} {
		body := fmt.Sprintf(`{"payment_id":%q,"reference":"r-%d","metadata":{"a":"b"}%s}`, tc.payment, i, tc.fields)
		require.Equal(t, tc.want, h.post("/refunds", fmt.Sprint("refund-", i), body).String(), "%d: %s", i, body)
	}
	ledger := h.ledger()
	require.Len(t, ledger.Refunds, 2)
	require.Equal(t, int64(300), ledger.Refunds[0].Amount)
	require.Equal(t, int64(700), ledger.Refunds[1].Amount)
	require.Equal(t, map[string]string{"a": "b"}, ledger.Refunds[0].Metadata)
	require.Equal(t, int64(1000), ledger.Payments[0].RefundedAmount)
}

func TestConcurrentRefundsNeverExceedTheCapturedAmount(t *testing.T) {
	h := start(t, Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	paid := h.pay("tok_visa", "1", true)
	counts := concurrently(50, func(i int) string {
		return h.post("/refunds", fmt.Sprint("refund-", i), fmt.Sprintf(`{"payment_id":%q,"amount":100}`, paid)).String()
	})
	require.Equal(t, map[string]int{"200 succeeded": 10, "422 refund_exceeds_captured": 40}, counts)
	require.Equal(t, int64(1000), h.ledger().Payments[0].RefundedAmount)
}

func TestPendingRefundCountsAsRefundedAndADeclinedOneDoesNot(t *testing.T) {
	h := start(t, Options{})
	for token, want := range map[string]int64{"tok_refund_pending": 400, "tok_refund_declined": 0} {
		paid := h.pay(token, token, true)
		h.post("/refunds", "refund-"+token, fmt.Sprintf(`{"payment_id":%q,"amount":400}`, paid))
		var p payment
		h.get("/payments/"+paid).into(t, &p)
		require.Equal(t, want, p.RefundedAmount, token)
	}
}

func TestDatabaseConstraintsRefuseInvalidPayments(t *testing.T) {
	h := start(t, Options{})
	h.pay("tok_visa", "1", true)
	for _, set := range []string{
		"refunded_amount = 1001", "refunded_amount = -1", "captured_amount = 1001", "amount = 0", "status = 'paid'",
		"status = 'voided'",
	} {
		_, err := h.sim.db.ExecContext(t.Context(), "UPDATE payments SET "+set)
		require.ErrorContains(t, err, "CHECK constraint failed", set)
	}
}
