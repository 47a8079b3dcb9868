package stripe

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// paid returns the result for the payment in testdata.
func paid(status payment.Status, captured, refunded int64) processor.Result {
	return processor.Result{ID: intentID, Status: status, Amount: 1250, Currency: "USD", CapturedAmount: captured,
		RefundedAmount: refunded, Reference: key, RequestID: "req_1", MerchantID: "acme"}
}

// unexpanded returns the result for a response that has the id of the charge only, and so not what was refunded.
func unexpanded(result processor.Result) processor.Result {
	result.RefundedUnknown = true
	return result
}

func declinedWith(result processor.Result, d payment.Decline) processor.Result {
	result.Decline = &d
	return result
}

// open marks a declined payment that the customer can still pay.
func open(result processor.Result) processor.Result {
	result.CanStillSucceed = true
	return result
}

var lostCard = payment.Decline{Code: "lost_card", Kind: payment.DeclineHard, NetworkCode: "41", AdviceCode: "03",
	Message: "Your card has been declined."}

func TestEveryStatusOfAPaymentIsMapped(t *testing.T) {
	for name, want := range map[string]processor.Result{
		"payment_succeeded":         unexpanded(paid(payment.Succeeded, 1250, 0)),
		"payment_authorized":        paid(payment.Authorized, 0, 0),
		"payment_captured_in_part":  paid(payment.Succeeded, 1000, 0),
		"payment_refunded_in_part":  paid(payment.Succeeded, 1000, 400),
		"payment_processing":        paid(payment.Pending, 0, 0),
		"payment_requires_action":   paid(payment.RequiresAction, 0, 0),
		"payment_canceled":          paid(payment.Voided, 0, 0),
		"payment_declined":          open(declinedWith(paid(payment.Declined, 0, 0), lostCard)),
		"payment_declined_canceled": declinedWith(paid(payment.Declined, 0, 0), lostCard),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := start(t, saved(t, 200, name)).Charge(t.Context(), chargeCall)
			require.NoError(t, err)
			require.Equal(t, want, got)

			lookup := chargeLookup
			lookup.ProcessorPaymentID = intentID
			got, found, err := start(t, saved(t, 200, name)).Lookup(t.Context(), lookup)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, want, got)
		})
	}
}

func TestUnconfirmedPaymentIsPending(t *testing.T) {
	for _, status := range []string{"requires_confirmation", "requires_payment_method"} {
		got, err := start(t, saved(t, 200, "payment_processing").replaced(t, `"status": "processing"`,
			`"status": "`+status+`"`)).Charge(t.Context(), chargeCall)
		require.NoError(t, err)
		require.Equal(t, payment.Pending, got.Status)
	}
}

// The error is that of a capture: the authorization itself was not declined.
func TestCanceledAuthorizationWithAnErrorIsVoided(t *testing.T) {
	a := saved(t, 200, "payment_canceled").replaced(t, `"last_payment_error": null`,
		`"last_payment_error": {"type": "card_error", "code": "card_declined"}`)
	got, err := start(t, a).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Voided, 0, 0), got)
}

func TestDeclineCanStillSucceedUntilThePaymentIsCanceled(t *testing.T) {
	lookup := chargeLookup
	lookup.ProcessorPaymentID = intentID
	// A challenge of 3-D Secure has failed: there is no charge.
	failed := saved(t, 200, "payment_requires_action").replaced(t, `"status": "requires_action"`, `"status": "requires_payment_method"`).
		replaced(t, `"last_payment_error": null`,
			`"last_payment_error": {"type": "invalid_request_error", "code": "payment_intent_authentication_failure"}`)
	f := start(t, failed)
	for name, call := range map[string]func() (processor.Result, error){
		"charge":  func() (processor.Result, error) { return f.Charge(t.Context(), chargeCall) },
		"capture": func() (processor.Result, error) { return f.Capture(t.Context(), captureCall) },
		"void":    func() (processor.Result, error) { return f.Void(t.Context(), voidCall) },
		"lookup": func() (processor.Result, error) {
			got, _, err := f.Lookup(t.Context(), lookup)
			return got, err
		},
	} {
		got, err := call()
		require.NoError(t, err, name)
		require.Equal(t, []any{payment.Declined, true}, []any{got.Status, got.CanStillSucceed}, name)
	}
	for status, want := range map[string]bool{
		"requires_payment_method": true, "requires_confirmation": true, "requires_action": true, "canceled": false,
	} {
		refused := saved(t, 402, "error_declined").replaced(t, `"status": "requires_payment_method"`, `"status": "`+status+`"`)
		for name, call := range operations {
			got, err := call(t.Context(), start(t, refused).Processor)
			require.NoError(t, err)
			require.Equal(t, payment.Declined, got.Status)
			require.Equal(t, want && name != "refund", got.CanStillSucceed, "%s: %s", name, status)
		}
	}
	got, err := start(t, saved(t, 402, "error_insufficient_funds")).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.False(t, got.CanStillSucceed, "the response names no payment that could be voided")
}

// Stripe keeps the error of the last attempt in a payment that was canceled.
func TestDeclinedPaymentIsVoidedByItsCancellation(t *testing.T) {
	f := start(t, saved(t, 200, "payment_declined_canceled"))
	got, err := f.Void(t.Context(), voidCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Voided, 0, 0), got)
	require.Equal(t, "/v1/payment_intents/"+intentID+"/cancel", (<-f.seen).path)

	lookup := chargeLookup
	lookup.ProcessorPaymentID = intentID
	got, found, err := f.Lookup(t.Context(), lookup)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, declinedWith(paid(payment.Declined, 0, 0), lostCard), got, "the decline, which is final")
}

func TestVoidOfAPaymentThatWasPaidMeanwhileIsAConflict(t *testing.T) {
	_, err := start(t, saved(t, 400, "error_unexpected_state")).Void(t.Context(), voidCall)
	requireError(t, err, processor.Ambiguous, false, payment.ClassStateConflict)
	// A response with the paid payment does not mean that it was canceled either.
	got, err := start(t, saved(t, 200, "payment_succeeded")).Void(t.Context(), voidCall)
	require.NoError(t, err)
	want := paid(payment.Succeeded, 1250, 0)
	want.RefundedUnknown = true
	require.Equal(t, want, got)
}

func TestManualAndAutomaticCapture(t *testing.T) {
	manual := chargeCall
	manual.Capture = payment.CaptureManual
	f := start(t, saved(t, 200, "payment_authorized"), saved(t, 200, "payment_captured_in_part"))
	authorized, err := f.Charge(t.Context(), manual)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Authorized, 0, 0), authorized)
	captured, err := f.Capture(t.Context(), captureCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Succeeded, 1000, 0), captured)

	f = start(t, saved(t, 200, "payment_authorized"), saved(t, 200, "payment_canceled"))
	_, err = f.Charge(t.Context(), manual)
	require.NoError(t, err)
	voided, err := f.Void(t.Context(), voidCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Voided, 0, 0), voided)

	charged, err := start(t, saved(t, 200, "payment_succeeded")).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, unexpanded(paid(payment.Succeeded, 1250, 0)), charged)
}

func TestEveryStatusOfARefundIsMapped(t *testing.T) {
	refunded := processor.Result{ID: refundID, Status: payment.Succeeded, Amount: 250, Currency: "USD", Reference: key,
		RequestID: "req_1", MerchantID: "acme"}
	got, err := start(t, saved(t, 200, "refund_succeeded")).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, refunded, got)

	for status, want := range map[string]payment.Status{"pending": payment.Pending, "requires_action": payment.Pending} {
		refunded.Status = want
		got, err = start(t, saved(t, 200, "refund_succeeded").replaced(t, `"status": "succeeded"`,
			`"status": "`+status+`"`)).Refund(t.Context(), refundCall)
		require.NoError(t, err)
		require.Equal(t, refunded, got)
	}
	refunded.Status = payment.Declined
	got, err = start(t, saved(t, 200, "refund_failed")).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, declinedWith(refunded, payment.Decline{Code: "lost_or_stolen_card", Kind: payment.DeclineHard}), got)
	got, err = start(t, saved(t, 200, "refund_succeeded").replaced(t, `"status": "succeeded"`,
		`"status": "canceled"`)).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, declinedWith(refunded, payment.Decline{Code: "canceled", Kind: payment.DeclineSoft}), got)
}

func TestEveryMappedStatusIsALegalTransition(t *testing.T) {
	for _, from := range []payment.Status{payment.Processing, payment.Unknown, payment.Pending,
		payment.NeedsReconciliation} {
		for name, to := range paymentStatuses {
			require.True(t, from == to || slices.Contains(payment.PaymentTransitions[from], to), "%s: %s to %s", name,
				from, to)
		}
		require.Contains(t, payment.PaymentTransitions[from], payment.Declined)
		for name, to := range refundStatuses {
			require.True(t, from == to || slices.Contains(payment.RefundTransitions[from], to), "%s: %s to %s", name,
				from, to)
		}
	}
}

// Stripe's amount is 12500, of which 10000 were captured, of which 400 were refunded.
func TestAmountsAreConvertedFromStripesMinorUnits(t *testing.T) {
	whole := saved(t, 200, "payment_refunded_in_part").
		replaced(t, `"amount": 1250`, `"amount": 12500`).replaced(t, `"amount_received": 1000`, `"amount_received": 10000`).
		replaced(t, `"amount_captured": 1000`, `"amount_captured": 10000`).replaced(t, `"amount_refunded": 650`,
		`"amount_refunded": 2900`)
	for currency, want := range map[string][]int64{
		"USD": {12500, 10000, 400}, "JPY": {12500, 10000, 400}, "ISK": {125, 100, 4}, "MGA": {1250000, 1000000, 40000},
		"KWD": {12500, 10000, 400},
	} {
		got, err := start(t, whole.replaced(t, `"usd"`, `"`+strings.ToLower(currency)+`"`)).Charge(t.Context(), chargeCall)
		require.NoError(t, err)
		amounts := []int64{got.Amount, got.CapturedAmount, got.RefundedAmount}
		require.Equal(t, want, amounts, currency)
		require.Equal(t, currency, got.Currency)
	}
}

func TestMalformedSuccessIsAmbiguous(t *testing.T) {
	whole := saved(t, 200, "payment_succeeded")
	for name, a := range map[string]response{
		"empty":                      {status: 200},
		"no content":                 {status: 204},
		"null":                       {status: 200, body: `null`},
		"empty object":               {status: 200, body: `{}`},
		"a JSON string":              {status: 200, body: `"pi_1"`},
		"list":                       {status: 200, body: `[` + whole.body + `]`},
		"HTML":                       {status: 200, body: `<html><body>OK</body></html>`},
		"half the body":              {status: 200, body: whole.body[:len(whole.body)/2]},
		"truncated body":             {status: 200, body: whole.body[:len(whole.body)/2], truncated: true},
		"the body twice":             {status: 200, body: whole.body + whole.body},
		"an error":                   saved(t, 200, "error_declined"),
		"no id":                      whole.replaced(t, `"id": "`+intentID+`",`, ``),
		"an id with a /":             whole.replaced(t, `"id": "`+intentID, `"id": "pi/1`),
		"unknown status":             whole.replaced(t, `"status": "succeeded"`, `"status": "settled"`),
		"no amount":                  whole.replaced(t, `"amount": 1250,`, ``),
		"negative amount":            whole.replaced(t, `"amount": 1250,`, `"amount": -1250,`),
		"amount as text":             whole.replaced(t, `"amount": 1250,`, `"amount": "1250",`),
		"fractional amount":          whole.replaced(t, `"amount": 1250,`, `"amount": 12.5,`),
		"amount with an exponent":    whole.replaced(t, `"amount": 1250,`, `"amount": 1.25e3,`),
		"whole amount with decimals": whole.replaced(t, `"amount": 1250,`, `"amount": 1250.0,`),
		"status twice":               whole.replaced(t, `"status": "succeeded"`, `"status": "processing", "status": "succeeded"`),
		"id twice, once escaped":     whole.replaced(t, `"object": "payment_intent"`, `"object": "payment_intent", "\u0069d": "pi_2"`),
		"reference twice":            whole.replaced(t, `"florin_reference"`, `"florin_reference": "other", "florin_reference"`),
		"unknown name twice":         whole.replaced(t, `"tip": {}`, `"tip": {}, "tip": {}`),
		"names in another case":      whole.replaced(t, `"id": "`, `"ID": "`),
		"amount in another case":     whole.replaced(t, `"amount": 1250`, `"Amount": 1250`),
		"invalid UTF-8":              whole.replaced(t, `"two books"`, "\"two \xff\""),
		"captured amount 0":          whole.replaced(t, `"amount_received": 1250`, `"amount_received": 0`),
		"negative captured amount":   whole.replaced(t, `"amount_received": 1250`, `"amount_received": -1`),
		"no currency":                whole.replaced(t, `"currency": "usd",`, ``),
		"unknown currency":           whole.replaced(t, `"usd"`, `"xxx"`),
		"fraction of a króna":        whole.replaced(t, `"usd"`, `"isk"`),
		"no reference":               whole.replaced(t, `"florin_reference"`, `"order2"`),
		"body beyond the size limit": {status: 200, body: whole.body + strings.Repeat(" ", 1<<20)},
		"card number":                {status: 200, body: `4111 1111 1111 1111`},
	} {
		t.Run(name, func(t *testing.T) {
			for operation, call := range operations {
				f := start(t, a)
				_, err := call(t.Context(), f.Processor)
				require.Equal(t, a.status,
					requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse).HTTPStatus, operation)
				require.Contains(t, f.audit.String(), `"certainty":"ambiguous"`, "certainty in the audit log")
			}
		})
	}
}

func TestMalformedRefundIsAmbiguous(t *testing.T) {
	whole := saved(t, 200, "refund_succeeded")
	for name, a := range map[string]response{
		"half the body":  {status: 200, body: whole.body[:len(whole.body)/2]},
		"no id":          whole.replaced(t, `"id": "`+refundID+`",`, ``),
		"unknown status": whole.replaced(t, `"status": "succeeded"`, `"status": "done"`),
		"no amount":      whole.replaced(t, `"amount": 250,`, ``),
		"no currency":    whole.replaced(t, `"currency": "usd",`, ``),
		"no reference":   whole.replaced(t, `"florin_reference"`, `"order2"`),
		"no object type": whole.replaced(t, `"object": "refund",`, ``),
	} {
		t.Run(name, func(t *testing.T) {
			for operation, call := range operations {
				_, err := call(t.Context(), start(t, a).Processor)
				require.Equal(t, 200, requireError(t, err, processor.Ambiguous, true,
					payment.ClassInvalidResponse).HTTPStatus, operation)
			}
		})
	}
	// A payment is not accepted as a refund, nor a refund as a payment.
	_, err := start(t, saved(t, 200, "payment_succeeded")).Refund(t.Context(), refundCall)
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	_, err = start(t, whole).Charge(t.Context(), chargeCall)
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
}

// Stripe's names are in lower case. A name in another case is unknown, and unknown names are ignored.
func TestNameInAnotherCaseIsIgnored(t *testing.T) {
	a := saved(t, 200, "payment_refunded_in_part")
	more := `"ID": "pi_customer77", "STATUS": "processing", "Amount": 1, "amount_Received": 1, "\u017ftatus": "canceled",
		"LATEST_CHARGE": null, "Last_Payment_Error": {"code": "card_declined"}, "object": `
	got, err := start(t, a.replaced(t, `"object": "payment_intent",`, more+`"payment_intent",`).
		replaced(t, `"amount_captured"`, `"Amount_Refunded": 1, "CAPTURED": false, "amount_captured"`)).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Succeeded, 1000, 400), got)

	got, err = start(t, saved(t, 402, "error_insufficient_funds").replaced(t, `"code"`, `"Decline_Code": "stolen_card", "code"`)).
		Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, "insufficient_funds", got.Decline.Code)
}

func TestErrorThatCanBeReadInTwoWaysIsNotADecline(t *testing.T) {
	whole := saved(t, 402, "error_declined")
	for name, a := range map[string]response{
		"code twice":                          whole.replaced(t, `"doc_url"`, `"code": "card_declined", "doc_url"`),
		"status twice in the payment":         whole.replaced(t, `"object": "payment_intent"`, `"status": "succeeded", "object": "payment_intent"`),
		"invalid UTF-8":                       whole.replaced(t, `"Your card`, "\"Your \xff card"),
		"type and code in another case":       {status: 402, body: `{"error": {"TYPE": "card_error", "CODE": "card_declined"}}`},
		"the error itself is in another case": {status: 402, body: `{"ERROR": {"type": "card_error", "code": "card_declined"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range operations {
				_, err := call(t.Context(), start(t, a).Processor)
				requireError(t, err, processor.Ambiguous, false, payment.ClassInvalidResponse)
			}
		})
	}
}

// The workflow compares them with the request.
func TestAmountCurrencyAndReferenceOfTheResponseAreReported(t *testing.T) {
	a := saved(t, 200, "payment_succeeded").replaced(t, "1250", "999").replaced(t, `"usd"`, `"eur"`).replaced(t, key,
		"other")
	got, err := start(t, a).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, []any{int64(999), "EUR", "other"}, []any{got.Amount, got.Currency, got.Reference})
}

func TestDeclineIsAResult(t *testing.T) {
	inline := func(status int, body string) response { return response{status: status, body: body} }
	alone := processor.Result{Status: payment.Declined, Reference: key, RequestID: "req_1"}
	for name, tc := range map[string]struct {
		response response
		want     processor.Result
	}{
		"hard": {response: saved(t, 402, "error_declined"), want: open(declinedWith(paid(payment.Declined, 0, 0), lostCard))},
		"soft": {response: saved(t, 402, "error_insufficient_funds"),
			want: declinedWith(alone, payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft,
				NetworkCode: "51", Message: "Your card has insufficient funds."})},
		"action": {response: saved(t, 402, "error_authentication_required"),
			want: open(declinedWith(paid(payment.Declined, 0, 0), payment.Decline{Code: "authentication_required",
				Kind: payment.DeclineAction, Message: "Your card was declined. This transaction requires authentication."}))},
		"without a decline code": {response: inline(402,
			`{"error":{"type":"card_error","code":"expired_card","message":"no"}}`),
			want: declinedWith(alone, payment.Decline{Code: "expired_card", Kind: payment.DeclineHard, Message: "no"})},
		"without any code": {response: inline(402, `{"error":{"type":"card_error"}}`),
			want: declinedWith(alone, payment.Decline{Code: "card_error", Kind: payment.DeclineSoft})},
		"an unknown code": {response: inline(402,
			`{"error":{"type":"card_error","code":"card_declined","decline_code":"bad_hair_day"}}`),
			want: declinedWith(alone, payment.Decline{Code: "bad_hair_day", Kind: payment.DeclineSoft})},
		"another error type": {response: inline(402,
			`{"error":{"type":"invalid_request_error","code":"payment_intent_authentication_failure","message":"no"}}`),
			want: declinedWith(alone, payment.Decline{Code: "payment_intent_authentication_failure",
				Kind: payment.DeclineAction, Message: "no"})},
		"with advice": {response: inline(402,
			`{"error":{"type":"card_error","code":"card_declined","decline_code":"do_not_honor","advice_code":"do_not_try_again"}}`),
			want: declinedWith(alone, payment.Decline{Code: "do_not_honor", Kind: payment.DeclineHard,
				AdviceCode: "do_not_try_again"})},
		"with a card number": {response: inline(402,
			`{"error":{"type":"card_error","code":"incorrect_number","message":"4111 1111 1111 1111 is wrong","payment_intent":"pi_1"}}`),
			want: declinedWith(alone, payment.Decline{Code: "incorrect_number", Kind: payment.DeclineHard,
				Message: processor.Clip("4111 1111 1111 1111")})},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, tc.response)
			got, err := f.Charge(t.Context(), chargeCall)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Contains(t, f.audit.String(), `"certainty":"answered"`)
			require.NotContains(t, got.Decline.Message+f.audit.String(), "4111 1111")
		})
	}
}

// The error contains the payment, but the refund was declined.
func TestDeclinedRefundHasNoRecord(t *testing.T) {
	got, err := start(t, saved(t, 402, "error_declined")).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, declinedWith(processor.Result{Status: payment.Declined, Reference: key, RequestID: "req_1"},
		lostCard), got)
}

func TestClassificationOfRefusals(t *testing.T) {
	const (
		notExecuted = processor.NotExecuted
		ambiguous   = processor.Ambiguous
	)
	for name, tc := range map[string]struct {
		response  response
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
		code      string
	}{
		"parameter": {response: saved(t, 400, "error_parameter"), certainty: notExecuted,
			class: payment.ClassInvalidRequest, code: "parameter_missing"},
		"no such object": {response: saved(t, 404, "error_resource_missing"), certainty: notExecuted,
			class: payment.ClassConfig, code: "resource_missing"},
		"API key": {response: saved(t, 401, "error_api_key"), certainty: notExecuted,
			class: payment.ClassAuthentication, code: "invalid_request_error"},
		"permission": {response: saved(t, 403, "error_api_key"), certainty: notExecuted,
			class: payment.ClassPermission, code: "invalid_request_error"},
		"another payload": {response: saved(t, 400, "error_idempotency"), certainty: ambiguous,
			class: payment.ClassIdempotencyMismatch, code: "idempotency_error"},
		"key in use": {response: saved(t, 409, "error_key_in_use"), certainty: ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown, code: "idempotency_key_in_use"},
		"key in use, by its type": {response: saved(t, 409, "error_idempotency"), certainty: ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown, code: "idempotency_error"},
		"409 for another reason": {response: saved(t, 409, "error_parameter"), certainty: ambiguous,
			class: payment.ClassStateConflict, code: "parameter_missing"},
		"rate limit": {response: saved(t, 429, "error_rate_limit"), certainty: notExecuted, retry: true,
			class: payment.ClassRateLimited, code: "rate_limit"},
		"lock timeout": {response: saved(t, 429, "error_lock_timeout"), certainty: ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown, code: "lock_timeout"},
		"already captured": {response: saved(t, 400, "error_unexpected_state"), certainty: ambiguous,
			class: payment.ClassStateConflict, code: "payment_intent_unexpected_state"},
		"already refunded": {response: saved(t, 400, "error_already_refunded"), certainty: ambiguous,
			class: payment.ClassStateConflict, code: "charge_already_refunded"},
		"too late to capture": {response: response{status: 402,
			body: `{"error":{"type":"card_error","code":"capture_charge_authorization_expired"}}`},
			certainty: ambiguous, class: payment.ClassStateConflict, code: "capture_charge_authorization_expired"},
		"declined capture, authorization unchanged": {response: saved(t, 402, "error_capture_declined"),
			certainty: ambiguous, class: payment.ClassInvalidResponse, code: "card_declined"},
		"a gateway's 402": {response: response{status: 402, body: `<html>pay</html>`},
			certainty: ambiguous, class: payment.ClassInvalidResponse},
		"402 that is not a decline": {response: saved(t, 402, "error_parameter"), certainty: ambiguous,
			class: payment.ClassInvalidResponse, code: "parameter_missing"},
		"truncated decline": {response: response{status: 402, body: `{"error":{"type":"card_error"`,
			truncated: true}, certainty: ambiguous, retry: true, class: payment.ClassInvalidResponse},
		"failed dependency (424)": {response: saved(t, 424, "error_api"), certainty: ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown, code: "api_error"},
		"500": {response: saved(t, 500, "error_api"), certainty: ambiguous, retry: true,
			class: payment.ClassUnavailable, code: "api_error"},
		"500 with Stripe-Should-Retry: false": {response: saved(t, 500, "error_api").with("Stripe-Should-Retry",
			"false"), certainty: ambiguous, class: payment.ClassUnavailable, code: "api_error"},
		"503": {response: saved(t, 503, "error_api"), certainty: ambiguous, retry: true,
			class: payment.ClassUnavailable, code: "api_error"},
		"503 with a state conflict": {response: saved(t, 503, "error_unexpected_state"), certainty: ambiguous,
			retry: true, class: payment.ClassUnavailable, code: "payment_intent_unexpected_state"},
		"Stripe-Should-Retry: true": {response: saved(t, 400, "error_parameter").with("Stripe-Should-Retry",
			"true"), certainty: notExecuted, retry: true, class: payment.ClassInvalidRequest, code: "parameter_missing"},
		"Stripe-Should-Retry: false": {response: saved(t, 429, "error_rate_limit").with("Stripe-Should-Retry",
			"false"), certainty: notExecuted, class: payment.ClassRateLimited, code: "rate_limit"},
		"redirect": {response: response{status: 307}.with("Location", "/"),
			certainty: ambiguous, class: payment.ClassConfig},
		"reset": {response: response{}, certainty: ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			for operation, call := range operations {
				_, err := call(context.WithoutCancel(t.Context()), start(t, tc.response).Processor)
				require.Equal(t, tc.code, requireError(t, err, tc.certainty, tc.retry, tc.class).Code, operation)
			}
		})
	}
}
