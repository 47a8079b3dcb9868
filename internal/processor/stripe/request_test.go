package stripe

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// form is the body of a request as its parameters.
func (r request) form(t *testing.T) map[string]string {
	t.Helper()
	require.Equal(t, "application/x-www-form-urlencoded", r.header.Get("Content-Type"))
	values, err := url.ParseQuery(r.body)
	require.NoError(t, err)
	return flat(values)
}

func flat(values url.Values) map[string]string {
	m := map[string]string{}
	for name := range values {
		m[name] = values.Get(name)
	}
	return m
}

func TestAChargeIsMadeAndConfirmedInOneRequest(t *testing.T) {
	for capture, want := range map[payment.Capture]string{"": "automatic", payment.CaptureAutomatic: "automatic", payment.CaptureManual: "manual"} {
		b := start(t, saved(t, 200, "payment_succeeded"))
		call := chargeCall
		call.Capture = capture
		_, err := b.Charge(t.Context(), call)
		require.NoError(t, err)
		sent := <-b.seen
		require.Equal(t, []string{"POST", "/v1/payment_intents", key}, []string{sent.method, sent.path, sent.header.Get("Idempotency-Key")})
		require.Equal(t, map[string]string{
			"amount": "1250", "currency": "usd", "payment_method": "pm_card_visa", "capture_method": want, "confirm": "true",
			"automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "never",
			"customer": "cus_9s6XKzkNRiz8i3", "description": "two books", "metadata[order]": "1",
			"metadata[florin_reference]": key, "metadata[florin_payment_id]": "pay_1", "metadata[florin_merchant_id]": "acme",
		}, sent.form(t))
		require.Equal(t, "forged", call.Metadata["florin_payment_id"], "the call itself is left alone")
	}
}

func TestWhatAChargeDoesNotHaveIsLeftOut(t *testing.T) {
	b := start(t, saved(t, 200, "payment_succeeded"))
	call := chargeCall
	call.CustomerID, call.Description = "", ""
	_, err := b.Charge(t.Context(), call)
	require.NoError(t, err)
	require.NotContains(t, (<-b.seen).body, "customer")
}

func TestTheOtherCallsThatMoveMoney(t *testing.T) {
	for name, want := range map[string]struct {
		path, answer string
		form         map[string]string
	}{
		"capture": {path: "/v1/payment_intents/" + intentID + "/capture", answer: "payment_captured_in_part", form: map[string]string{"amount_to_capture": "1000"}},
		"void":    {path: "/v1/payment_intents/" + intentID + "/cancel", answer: "payment_canceled", form: map[string]string{}},
		"refund": {path: "/v1/refunds", answer: "refund_succeeded", form: map[string]string{"payment_intent": intentID, "amount": "250", "metadata[order]": "1",
			"metadata[florin_reference]": key, "metadata[florin_refund_id]": "ref_1", "metadata[florin_merchant_id]": "acme"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, saved(t, 200, want.answer))
			_, err := moves[name](t.Context(), b.Processor)
			require.NoError(t, err)
			sent := <-b.seen
			require.Equal(t, []string{"POST", want.path, key}, []string{sent.method, sent.path, sent.header.Get("Idempotency-Key")})
			require.Equal(t, want.form, sent.form(t))
		})
	}
}

func TestTheSameCallIsSentWithTheSameBytes(t *testing.T) {
	b := start(t, answer{status: 500})
	bodies := map[string]bool{}
	for range 10 {
		_, err := b.Charge(t.Context(), chargeCall)
		require.Error(t, err)
		bodies[(<-b.seen).body] = true
	}
	require.Len(t, bodies, 1)
}

func TestStripesOwnHeadersAreSent(t *testing.T) {
	b := start(t, saved(t, 200, "payment_succeeded"))
	_, err := b.Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	sent := <-b.seen
	require.NotEmpty(t, sent.header.Get("Stripe-Version"))
	require.Contains(t, sent.header.Get("User-Agent"), "Stripe/v1 GoBindings/")
	require.Empty(t, sent.header.Get("X-Stripe-Client-Telemetry"))
}

func TestTheListIsAskedFor(t *testing.T) {
	for _, tc := range []struct {
		call processor.ListCall
		want map[string]string
	}{
		{call: processor.ListCall{}, want: map[string]string{}},
		{call: processor.ListCall{CreatedAfter: time.Unix(1680800504, 999), Cursor: "pi_9", Limit: 25},
			want: map[string]string{"created[gte]": "1680800504", "starting_after": "pi_9", "limit": "25"}},
		{call: processor.ListCall{Limit: 1000}, want: map[string]string{"limit": "100"}},
	} {
		b := start(t, saved(t, 200, "payments_page"))
		_, err := b.List(t.Context(), tc.call)
		require.NoError(t, err)
		sent := <-b.seen
		require.Equal(t, []string{http.MethodGet, "/v1/payment_intents"}, []string{sent.method, sent.path})
		tc.want["expand[0]"] = "data.latest_charge"
		require.Equal(t, tc.want, flat(sent.query))
	}
}

func TestACallThatStripeCouldNotBeAskedIsNotSent(t *testing.T) {
	b := start(t, saved(t, 200, "payment_succeeded"))
	charge, capture, refund := chargeCall, captureCall, refundCall
	charge.Amount, charge.Currency = 1251, "MGA"
	capture.Amount, capture.Currency = 1251, "KWD"
	refund.Amount = 0
	_, errCharge := b.Charge(t.Context(), charge)
	_, errCapture := b.Capture(t.Context(), capture)
	_, errRefund := b.Refund(t.Context(), refund)
	for _, err := range []error{errCharge, errCapture, errRefund} {
		requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest)
	}
	for _, id := range []string{"", "..", "pi_1/refunds", "pi_1?a=b", "pi 1", "4111111111111111 "} {
		capture, void, refund, lookup := captureCall, voidCall, refundCall, refundLookup
		capture.ProcessorPaymentID, void.ProcessorPaymentID, refund.ProcessorPaymentID, lookup.ProcessorPaymentID = id, id, id, id
		_, errCapture := b.Capture(t.Context(), capture)
		_, errVoid := b.Void(t.Context(), void)
		_, errRefund := b.Refund(t.Context(), refund)
		_, _, errLookup := b.Lookup(t.Context(), lookup)
		for _, err := range []error{errCapture, errVoid, errRefund, errLookup} {
			requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest)
		}
	}
	require.Empty(t, b.seen)
}

// stripe-go would draw a key of its own where it is given none.
func TestACallWithoutAKeyIsNotSent(t *testing.T) {
	b := start(t, saved(t, 200, "payment_succeeded"))
	call := chargeCall
	call.Key = ""
	_, err := b.Charge(t.Context(), call)
	require.ErrorContains(t, err, "needs an idempotency key")
	require.Empty(t, b.seen)
}

func TestAKeyThatStripeHasForgottenIsNotSent(t *testing.T) {
	b := start(t, saved(t, 200, "payment_succeeded"))
	call := chargeCall
	call.KeyFirstUsed = time.Now().Add(-24 * time.Hour)
	_, err := b.Charge(t.Context(), call)
	require.Equal(t, processor.CodeKeyExpired, requireError(t, err, processor.Ambiguous, false, payment.ClassOutcomeUnknown).Code)
	require.Empty(t, b.seen)
}
