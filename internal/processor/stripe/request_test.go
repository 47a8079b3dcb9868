package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// form returns the form parameters in the body.
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

func TestChargeIsCreatedAndConfirmedInOneRequest(t *testing.T) {
	for capture, want := range map[payment.Capture]string{"": "automatic", payment.CaptureAutomatic: "automatic",
		payment.CaptureManual: "manual"} {
		f := start(t, saved(t, 200, "payment_succeeded"))
		call := chargeCall
		call.Capture = capture
		_, err := f.Charge(t.Context(), call)
		require.NoError(t, err)
		sent := <-f.seen
		require.Equal(t, []string{"POST", "/v1/payment_intents", key},
			[]string{sent.method, sent.path, sent.header.Get("Idempotency-Key")})
		require.Equal(t, map[string]string{
			"amount": "1250", "currency": "usd", "payment_method": "pm_card_visa", "capture_method": want, "confirm": "true",
			"automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "never",
			"customer": "cus_9s6XKzkNRiz8i3", "description": "two books", "metadata[order]": "1",
			"metadata[florin_reference]": key, "metadata[florin_payment_id]": "pay_1",
			"metadata[florin_merchant_id]": "acme",
		}, sent.form(t))
		require.Equal(t, "forged", call.Metadata["florin_payment_id"], "the metadata of the call is not modified")
	}
}

func TestEmptyFieldsOfAChargeAreOmitted(t *testing.T) {
	f := start(t, saved(t, 200, "payment_succeeded"))
	call := chargeCall
	call.CustomerID, call.Description = "", ""
	_, err := f.Charge(t.Context(), call)
	require.NoError(t, err)
	require.NotContains(t, (<-f.seen).body, "customer")
}

func TestCaptureVoidAndRefundRequests(t *testing.T) {
	for name, want := range map[string]struct {
		path, response string
		form           map[string]string
	}{
		"capture": {path: "/v1/payment_intents/" + intentID + "/capture", response: "payment_captured_in_part",
			form: map[string]string{"amount_to_capture": "1000"}},
		"void": {path: "/v1/payment_intents/" + intentID + "/cancel", response: "payment_canceled",
			form: map[string]string{}},
		"refund": {path: "/v1/refunds", response: "refund_succeeded",
			form: map[string]string{"payment_intent": intentID, "amount": "250", "metadata[order]": "1",
				"metadata[florin_reference]": key, "metadata[florin_refund_id]": "ref_1",
				"metadata[florin_merchant_id]": "acme"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, saved(t, 200, want.response))
			_, err := operations[name](t.Context(), f.Processor)
			require.NoError(t, err)
			sent := <-f.seen
			require.Equal(t, []string{"POST", want.path, key},
				[]string{sent.method, sent.path, sent.header.Get("Idempotency-Key")})
			require.Equal(t, want.form, sent.form(t))
		})
	}
}

func TestRepeatedCallSendsTheSameBytes(t *testing.T) {
	f := start(t, response{status: 500})
	bodies := map[string]bool{}
	for range 10 {
		_, err := f.Charge(t.Context(), chargeCall)
		require.Error(t, err)
		bodies[(<-f.seen).body] = true
	}
	require.Len(t, bodies, 1)
}

func TestHeadersOfStripeGoAreSent(t *testing.T) {
	f := start(t, saved(t, 200, "payment_succeeded"))
	_, err := f.Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	sent := <-f.seen
	require.NotEmpty(t, sent.header.Get("Stripe-Version"))
	require.Contains(t, sent.header.Get("User-Agent"), "Stripe/v1 GoBindings/")
	require.Empty(t, sent.header.Get("X-Stripe-Client-Telemetry"))
}

func TestListRequestHasTheParametersOfTheCall(t *testing.T) {
	for operation, of := range map[payment.Operation]struct{ path, page, expand string }{
		"":                      {path: "/v1/payment_intents", page: "payments_page", expand: "data.latest_charge"},
		payment.OperationCharge: {path: "/v1/payment_intents", page: "payments_page", expand: "data.latest_charge"},
		payment.OperationRefund: {path: "/v1/refunds", page: "refunds_page_1"},
	} {
		for _, tc := range []struct {
			call processor.ListCall
			want map[string]string
		}{
			{call: processor.ListCall{}, want: map[string]string{}},
			{call: processor.ListCall{CreatedAfter: time.Unix(1680800504, 999), Cursor: "pi_9", Limit: 25},
				want: map[string]string{"created[gte]": "1680800504", "starting_after": "pi_9", "limit": "25"}},
			{call: processor.ListCall{Limit: 1000}, want: map[string]string{"limit": "100"}},
		} {
			f := start(t, saved(t, 200, of.page))
			tc.call.Operation = operation
			_, err := f.List(t.Context(), tc.call)
			require.NoError(t, err)
			sent := <-f.seen
			require.Equal(t, []string{http.MethodGet, of.path}, []string{sent.method, sent.path})
			if of.expand != "" {
				tc.want["expand[0]"] = of.expand
			}
			require.Equal(t, tc.want, flat(sent.query))
		}
	}
}

func TestInvalidCallIsNotSent(t *testing.T) {
	f := start(t, saved(t, 200, "payment_succeeded"))
	charge, capture, refund := chargeCall, captureCall, refundCall
	charge.Amount, charge.Currency = 1251, "MGA"
	capture.Amount, capture.Currency = 1251, "KWD"
	refund.Amount = 0
	_, errCharge := f.Charge(t.Context(), charge)
	_, errCapture := f.Capture(t.Context(), capture)
	_, errRefund := f.Refund(t.Context(), refund)
	for _, err := range []error{errCharge, errCapture, errRefund} {
		requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest)
	}
	for _, id := range []string{"", "..", "pi_1/refunds", "pi_1?a=b", "pi 1", "4111111111111111 "} {
		capture, void, refund, lookup := captureCall, voidCall, refundCall, refundLookup
		capture.ProcessorPaymentID, void.ProcessorPaymentID, refund.ProcessorPaymentID, lookup.ProcessorPaymentID = id, id, id, id
		_, errCapture := f.Capture(t.Context(), capture)
		_, errVoid := f.Void(t.Context(), void)
		_, errRefund := f.Refund(t.Context(), refund)
		_, _, errLookup := f.Lookup(t.Context(), lookup)
		for _, err := range []error{errCapture, errVoid, errRefund, errLookup} {
			requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest)
		}
	}
	require.Empty(t, f.seen)
}

// stripe-go would generate a missing key, a new one for every attempt.
func TestOperationWithoutAKeyIsNotSent(t *testing.T) {
	f := start(t, saved(t, 200, "payment_succeeded"))
	call := chargeCall
	call.Key = ""
	_, err := f.Charge(t.Context(), call)
	require.ErrorContains(t, err, "needs an idempotency key")
	require.Empty(t, f.seen)
}

func TestExpiredKeyIsNotSent(t *testing.T) {
	f := start(t, saved(t, 200, "payment_succeeded"))
	call := chargeCall
	call.KeyFirstUsed = time.Now().Add(-24 * time.Hour)
	_, err := f.Charge(t.Context(), call)
	require.Equal(t, processor.CodeKeyExpired,
		requireError(t, err, processor.Ambiguous, false, payment.ClassOutcomeUnknown).Code)
	require.Empty(t, f.seen)
}

// Stripe accepts 50 pairs, and Florin adds some: a request at the limit must not exceed it at Stripe.
func TestRequestAtTheLimitsOfMetadataHasFiftyPairs(t *testing.T) {
	metadata := map[string]string{}
	for i := range 47 {
		metadata[fmt.Sprintf("%02d%s", i, strings.Repeat("k", 38))] = strings.Repeat("v", 500)
	}
	require.Empty(t, Profile().CheckCharge(payment.ChargeRequest{Amount: 1250, Currency: "USD", Metadata: metadata,
		Description: strings.Repeat("d", 1000)}))
	require.Empty(t, Profile().CheckRefund(payment.RefundRequest{Metadata: metadata}, "USD"))
	charge, refund := chargeCall, refundCall
	charge.Metadata, refund.Metadata = metadata, metadata
	f := start(t, saved(t, 200, "payment_succeeded"), saved(t, 200, "refund_succeeded"))
	_, errCharge := f.Charge(t.Context(), charge)
	_, errRefund := f.Refund(t.Context(), refund)
	require.NoError(t, errors.Join(errCharge, errRefund))
	for range 2 {
		form, err := url.ParseQuery((<-f.seen).body)
		require.NoError(t, err)
		require.Len(t, sentMetadata(form), 50)
	}
	metadata["48"] = ""
	want := []payment.FieldError{{Field: "metadata", Problem: "has 48 pairs: the processor accepts at most 47 besides Florin's own"}}
	require.Equal(t, want, Profile().CheckCharge(payment.ChargeRequest{Amount: 1250, Currency: "USD", Metadata: metadata}))
	require.Equal(t, want, Profile().CheckRefund(payment.RefundRequest{Metadata: metadata}, "USD"))
}

func TestWhatStripeDoesNotAcceptIsReportedBeforeAnythingIsSent(t *testing.T) {
	for name, c := range map[string]struct {
		request payment.ChargeRequest
		want    payment.FieldError
	}{
		"bracket in a key": {request: payment.ChargeRequest{Amount: 1250, Currency: "USD", Metadata: map[string]string{"a[b": ""}},
			want: payment.FieldError{Field: "metadata", Problem: `key "a[b": the processor does not accept '[' in a key`}},
		"closing bracket in a key": {request: payment.ChargeRequest{Amount: 1250, Currency: "USD", Metadata: map[string]string{"a]": ""}},
			want: payment.FieldError{Field: "metadata", Problem: `key "a]": the processor does not accept ']' in a key`}},
		"precision": {request: payment.ChargeRequest{Amount: 1251, Currency: "KWD"},
			want: payment.FieldError{Field: "amount", Problem: "1.251 KWD: Stripe does not accept amounts of this precision in KWD"}},
		"a currency with three decimals": {request: payment.ChargeRequest{Amount: 1250, Currency: "LYD"},
			want: payment.FieldError{Field: "amount", Problem: "currency LYD has 3 decimals: Stripe does not document its minor unit"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, []payment.FieldError{c.want}, Profile().CheckCharge(c.request))
		})
	}
	require.Len(t, Profile().CheckCapture(payment.CaptureRequest{Amount: new(int64(1251))}, "KWD"), 1)
	require.Len(t, Profile().CheckRefund(payment.RefundRequest{Amount: new(int64(1251))}, "KWD"), 1)
}
