package simulator

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// pay makes a payment and returns its id.
func (b *bench) pay(token, key string, capture bool) string {
	b.t.Helper()
	var p payment
	b.post("/charges", key, fmt.Sprintf(`{"card_token":%q,"amount":1000,"currency":"EUR","capture":%t,"reference":%q}`,
		token, capture, key)).into(b.t, &p)
	return p.ID
}

func TestCaptureAndVoidFollowTheState(t *testing.T) {
	b := start(t, Options{})
	partly, wholly, voided := b.pay("tok_visa", "1", false), b.pay("tok_visa", "2", false), b.pay("tok_visa", "3", false)
	for i, tc := range []struct{ path, body, want string }{
		{"/payments/" + partly + "/capture", `{"amount":1001}`, "422 capture_exceeds_authorized"},
		{"/payments/" + partly + "/capture", `{"amount":0}`, "422 capture_exceeds_authorized"},
		{"/payments/" + partly + "/capture", `{"amount":600}`, "200 succeeded"},
		{"/payments/" + partly + "/capture", `{"amount":400}`, "409 state_conflict"},
		{"/payments/" + partly + "/void", ``, "409 state_conflict"},
		{"/payments/" + wholly + "/capture", ``, "200 succeeded"},
		{"/payments/" + voided + "/void", `{}`, "200 voided"},
		{"/payments/" + voided + "/void", `{}`, "409 state_conflict"},
		{"/payments/" + voided + "/capture", ``, "409 state_conflict"},
		{"/payments/" + voided + "/void", `{"amount":1}`, "400 json_invalid"},
		{"/payments/ch_unknown/capture", ``, "404 payment_not_found"},
		{"/payments/ch_unknown/void", ``, "404 payment_not_found"},
	} {
		require.Equal(t, tc.want, b.post(tc.path, fmt.Sprint("key-", i), tc.body).String(), "%d: %s", i, tc.path)
	}
	captured := map[string]int64{}
	for _, p := range b.ledger().Payments {
		captured[p.ID] = p.CapturedAmount
	}
	require.Equal(t, map[string]int64{partly: 600, wholly: 1000, voided: 0}, captured)
}

// As a processor cancels a payment that waits for its customer.
func TestAVoidCallsOffWhatWaitsForTheCustomerAndNothingElse(t *testing.T) {
	for token, want := range map[string]struct {
		meets, settled string
		replay         string
	}{
		"tok_requires_action":    {"200 voided", statusVoided, "200 voided, replayed"},
		"tok_pending":            {"409 state_conflict", statusAuthorized, "409 state_conflict"},
		"tok_pending_declined":   {"409 state_conflict", statusDeclined, "409 state_conflict"},
		"tok_insufficient_funds": {"409 state_conflict", statusDeclined, "409 state_conflict"},
	} {
		t.Run(token, func(t *testing.T) {
			b := start(t, Options{})
			b.pay(token, "charge", false)
			path := "/payments/" + b.ledger().Payments[0].ID + "/void"
			require.Equal(t, want.meets, b.post(path, "void", "").String())
			require.Equal(t, want.replay, b.post(path, "void", "").String())
			b.clock.advance(DefaultPendingFor)
			require.Equal(t, want.settled, b.ledger().Payments[0].Status)
		})
	}
}

func TestADeclinedCaptureLeavesWhatCanBeVoided(t *testing.T) {
	b := start(t, Options{})
	path := "/payments/" + b.pay("tok_capture_declined", "charge", false)
	require.Equal(t, "422 capture_exceeds_authorized", b.post(path+"/capture", "too-much", `{"amount":1001}`).String())
	require.Equal(t, "402 card_declined hard expired_authorization", b.post(path+"/capture", "capture", "").String())
	require.Equal(t, "200 voided", b.post(path+"/void", "void", "").String())
	require.Equal(t, "409 state_conflict", b.post(path+"/capture", "again", "").String())
}

func TestRefundsTakeWhatIsLeftAndNoMore(t *testing.T) {
	b := start(t, Options{})
	paid, authorized, declined := b.pay("tok_visa", "1", true), b.pay("tok_visa", "2", false), b.pay("tok_declined_200", "3", true)
	for i, tc := range []struct{ payment, amount, want string }{
		{paid, `,"amount":300`, "200 succeeded"},
		{paid, `,"amount":701`, "422 refund_exceeds_captured"},
		{paid, `,"amount":0`, "422 amount_invalid"},
		{paid, `,"amount":-1`, "422 amount_invalid"},
		{paid, ``, "200 succeeded"},
		{paid, ``, "422 refund_exceeds_captured"},
		{authorized, ``, "409 payment_not_refundable"},
		{declined, ``, "409 payment_not_refundable"},
		{"ch_unknown", ``, "404 payment_not_found"},
		{paid, `,"currency":"EUR"`, "400 json_invalid"},
	} {
		body := fmt.Sprintf(`{"payment_id":%q,"reference":"r-%d","metadata":{"a":"b"}%s}`, tc.payment, i, tc.amount)
		require.Equal(t, tc.want, b.post("/refunds", fmt.Sprint("refund-", i), body).String(), "%d: %s", i, body)
	}
	ledger := b.ledger()
	require.Len(t, ledger.Refunds, 2)
	require.Equal(t, int64(300), ledger.Refunds[0].Amount)
	require.Equal(t, int64(700), ledger.Refunds[1].Amount)
	require.Equal(t, map[string]string{"a": "b"}, ledger.Refunds[0].Metadata)
	require.Equal(t, int64(1000), ledger.Payments[0].RefundedAmount)
}

func TestConcurrentRefundsNeverExceedWhatWasCaptured(t *testing.T) {
	b := start(t, Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	paid := b.pay("tok_visa", "1", true)
	counts := together(50, func(i int) string {
		return b.post("/refunds", fmt.Sprint("refund-", i), fmt.Sprintf(`{"payment_id":%q,"amount":100}`, paid)).String()
	})
	require.Equal(t, map[string]int{"200 succeeded": 10, "422 refund_exceeds_captured": 40}, counts)
	require.Equal(t, int64(1000), b.ledger().Payments[0].RefundedAmount)
}

func TestAPendingRefundIsTakenAndADeclinedOneIsNot(t *testing.T) {
	b := start(t, Options{})
	for token, want := range map[string]int64{"tok_refund_pending": 400, "tok_refund_declined": 0} {
		paid := b.pay(token, token, true)
		b.post("/refunds", "refund-"+token, fmt.Sprintf(`{"payment_id":%q,"amount":400}`, paid))
		var p payment
		b.get("/payments/"+paid).into(t, &p)
		require.Equal(t, want, p.RefundedAmount, token)
	}
}

func TestTheDatabaseItselfRefusesToRefundTooMuch(t *testing.T) {
	b := start(t, Options{})
	b.pay("tok_visa", "1", true)
	for _, set := range []string{
		"refunded_amount = 1001", "refunded_amount = -1", "captured_amount = 1001", "amount = 0", "status = 'paid'",
		"status = 'voided'",
	} {
		_, err := b.sim.db.ExecContext(t.Context(), "UPDATE payments SET "+set)
		require.ErrorContains(t, err, "CHECK constraint failed", set)
	}
}
