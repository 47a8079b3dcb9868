package rest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestChargeRequest(t *testing.T) {
	f := start(t, 200, `{}`)
	for capture, want := range map[payment.Capture]string{"": "true", payment.CaptureAutomatic: "true",
		payment.CaptureManual: "false"} {
		call := chargeCall
		call.Capture = capture
		_, err := f.Charge(t.Context(), call)
		require.Error(t, err)
		sent := <-f.seen
		require.Equal(t, []string{"POST", "/charges", key}, []string{sent.method, sent.uri, sent.key})
		require.JSONEq(t, `{"card_token":"tok_visa","amount":1250,"currency":"USD","capture":`+want+`,"reference":"`+key+`",
			"metadata":{"order":"1","florin_payment_id":"pay_1","florin_merchant_id":"acme"}}`, sent.body)
	}
	require.Equal(t, "forged", chargeCall.Metadata["florin_payment_id"], "the metadata of the call is not modified")
}

func TestRefundRequest(t *testing.T) {
	f := start(t, 200, `{}`)
	_, err := f.Refund(t.Context(), refundCall)
	require.Error(t, err)
	sent := <-f.seen
	require.Equal(t, []string{"POST", "/refunds", key}, []string{sent.method, sent.uri, sent.key})
	require.JSONEq(t, `{"payment_id":"ch_1","amount":250,"reference":"`+key+`",
		"metadata":{"order":"1","florin_refund_id":"ref_1","florin_merchant_id":"acme"}}`, sent.body)
}

func TestCaptureAndVoidRequests(t *testing.T) {
	f := start(t, 200, `{}`)
	_, err := f.Capture(t.Context(), processor.CaptureCall{Key: key, ProcessorPaymentID: "ch_1", Amount: 1000,
		Currency: "USD"})
	require.Error(t, err)
	require.Equal(t, request{method: "POST", uri: "/payments/ch_1/capture", key: key, body: `{"amount":1000}`}, <-f.seen)
	// An amount of 0 is sent, not omitted: without an amount, a processor may capture everything.
	_, err = f.Capture(t.Context(), processor.CaptureCall{Key: key, ProcessorPaymentID: "ch_1"})
	require.Error(t, err)
	require.Equal(t, request{method: "POST", uri: "/payments/ch_1/capture", key: key, body: `{"amount":0}`}, <-f.seen)
	_, err = f.Void(t.Context(), processor.VoidCall{Key: key, ProcessorPaymentID: "ch_1"})
	require.Error(t, err)
	require.Equal(t, request{method: "POST", uri: "/payments/ch_1/void", key: key, body: `{}`}, <-f.seen)
}

func TestIDIsEscapedInThePath(t *testing.T) {
	for id, path := range map[string]string{
		"ch_1": "ch_1", "a/b": "a%2Fb", "../charges": "..%2Fcharges", "a?b=c": "a%3Fb=c", "a#b": "a%23b",
		"%2e%2e": "%252e%252e", "...": "...",
	} {
		f := start(t, 200, `{}`)
		_, err := f.Void(t.Context(), processor.VoidCall{Key: key, ProcessorPaymentID: id})
		requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse) // the request was sent
		require.Equal(t, "/payments/"+path+"/void", (<-f.seen).uri)
	}
	for _, id := range []string{"", ".", "..", strings.Repeat("i", 256)} {
		f := start(t, 200, `{}`)
		_, capture := f.Capture(t.Context(), processor.CaptureCall{Key: key, ProcessorPaymentID: id, Amount: 1})
		_, void := f.Void(t.Context(), processor.VoidCall{Key: key, ProcessorPaymentID: id})
		_, refund := f.Refund(t.Context(), processor.RefundCall{Key: key, ProcessorPaymentID: id, Amount: 1})
		for _, err := range []error{capture, void, refund} {
			var e *processor.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, []any{processor.NotExecuted, payment.ClassInvalidRequest, false},
				[]any{e.Certainty, e.Class, e.Retry})
		}
		require.Empty(t, f.seen)
	}
}

func TestRepeatedCallSendsTheSameBytes(t *testing.T) {
	f := start(t, 500, ``)
	bodies := map[request]bool{}
	for range 10 {
		_, err := f.Charge(t.Context(), chargeCall)
		require.Error(t, err)
		bodies[<-f.seen] = true
	}
	require.Len(t, bodies, 1)
}

func TestLookupRequest(t *testing.T) {
	for operation, path := range map[payment.Operation]string{payment.OperationCharge: "/payments",
		payment.OperationRefund: "/refunds"} {
		f := start(t, 200, `{"data":[]}`)
		_, found, err := f.Lookup(t.Context(), processor.LookupCall{Operation: operation, Reference: "a&b"})
		require.NoError(t, err)
		require.False(t, found)
		require.Equal(t, request{method: http.MethodGet, uri: path + "?reference=a%26b"}, <-f.seen)
	}
}

func TestOperationWithoutAKeyIsNotSent(t *testing.T) {
	f := start(t, 200, `{}`)
	_, err := f.Charge(t.Context(), processor.ChargeCall{})
	require.ErrorContains(t, err, "needs an idempotency key")
	_, err = f.Capture(t.Context(), processor.CaptureCall{ProcessorPaymentID: "ch_1"})
	require.ErrorContains(t, err, "needs an idempotency key")
	_, err = f.Void(t.Context(), processor.VoidCall{ProcessorPaymentID: "ch_1"})
	require.ErrorContains(t, err, "needs an idempotency key")
	_, err = f.Refund(t.Context(), processor.RefundCall{ProcessorPaymentID: "ch_1"})
	require.ErrorContains(t, err, "needs an idempotency key")
	require.Empty(t, f.seen)
}

// draft-ietf-httpapi-idempotency-key-header, section 2.7.
func TestProfileFollowsTheIdempotencyKeyDraft(t *testing.T) {
	p := Profile()
	require.Equal(t, []time.Duration{24 * time.Hour, 0}, []time.Duration{p.KeyLifetime, p.AbsenceProofAfter})
	require.False(t, p.Unavailable503NotExecuted)
	require.True(t, p.InFlight(409, "idempotency_in_flight"))
	require.False(t, p.InFlight(409, "state_conflict"))
	require.False(t, p.InFlight(422, "idempotency_in_flight"))
	for _, status := range []int{400, 409, 422} {
		require.True(t, p.Mismatch(status, "idempotency_mismatch"))
		require.False(t, p.Mismatch(status, ""))
	}
}
