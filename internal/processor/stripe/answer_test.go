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

// paid is the payment of the fixtures.
func paid(status payment.Status, captured, refunded int64) processor.Result {
	return processor.Result{ID: intentID, Status: status, Amount: 1250, Currency: "USD", CapturedAmount: captured,
		RefundedAmount: refunded, Reference: key, RequestID: "req_1", MerchantID: "acme"}
}

func declinedWith(result processor.Result, d payment.Decline) processor.Result {
	result.Decline = &d
	return result
}

var lostCard = payment.Decline{Code: "lost_card", Kind: payment.DeclineHard, NetworkCode: "41", AdviceCode: "03", Message: "Your card has been declined."}

func TestEveryStatusOfAPaymentIsUnderstood(t *testing.T) {
	for name, want := range map[string]processor.Result{
		"payment_succeeded":         paid(payment.Succeeded, 1250, 0),
		"payment_authorized":        paid(payment.Authorized, 0, 0),
		"payment_captured_in_part":  paid(payment.Succeeded, 1000, 0),
		"payment_refunded_in_part":  paid(payment.Succeeded, 1000, 400),
		"payment_processing":        paid(payment.Pending, 0, 0),
		"payment_requires_action":   paid(payment.RequiresAction, 0, 0),
		"payment_canceled":          paid(payment.Voided, 0, 0),
		"payment_declined":          declinedWith(paid(payment.Declined, 0, 0), lostCard),
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

func TestAPaymentThatIsNotConfirmedYetIsPending(t *testing.T) {
	for _, status := range []string{"requires_confirmation", "requires_payment_method"} {
		got, err := start(t, saved(t, 200, "payment_processing").replaced(t, `"status": "processing"`, `"status": "`+status+`"`)).Charge(t.Context(), chargeCall)
		require.NoError(t, err)
		require.Equal(t, payment.Pending, got.Status)
	}
}

// A hold that could not be captured in time was a hold: nobody declined it.
func TestACanceledHoldWithAnErrorIsVoided(t *testing.T) {
	a := saved(t, 200, "payment_canceled").replaced(t, `"last_payment_error": null`, `"last_payment_error": {"type": "card_error", "code": "card_declined"}`)
	got, err := start(t, a).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Voided, 0, 0), got)
}

func TestManualAndAutomaticCapture(t *testing.T) {
	manual := chargeCall
	manual.Capture = payment.CaptureManual
	b := start(t, saved(t, 200, "payment_authorized"), saved(t, 200, "payment_captured_in_part"))
	held, err := b.Charge(t.Context(), manual)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Authorized, 0, 0), held)
	taken, err := b.Capture(t.Context(), captureCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Succeeded, 1000, 0), taken)

	b = start(t, saved(t, 200, "payment_authorized"), saved(t, 200, "payment_canceled"))
	_, err = b.Charge(t.Context(), manual)
	require.NoError(t, err)
	released, err := b.Void(t.Context(), voidCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Voided, 0, 0), released)

	atOnce, err := start(t, saved(t, 200, "payment_succeeded")).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Succeeded, 1250, 0), atOnce)
}

func TestEveryStatusOfARefundIsUnderstood(t *testing.T) {
	refunded := processor.Result{ID: refundID, Status: payment.Succeeded, Amount: 250, Currency: "USD", Reference: key, RequestID: "req_1", MerchantID: "acme"}
	got, err := start(t, saved(t, 200, "refund_succeeded")).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, refunded, got)

	for status, want := range map[string]payment.Status{"pending": payment.Pending, "requires_action": payment.Pending} {
		refunded.Status = want
		got, err = start(t, saved(t, 200, "refund_succeeded").replaced(t, `"status": "succeeded"`, `"status": "`+status+`"`)).Refund(t.Context(), refundCall)
		require.NoError(t, err)
		require.Equal(t, refunded, got)
	}
	refunded.Status = payment.Declined
	got, err = start(t, saved(t, 200, "refund_failed")).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, declinedWith(refunded, payment.Decline{Code: "lost_or_stolen_card", Kind: payment.DeclineHard}), got)
	got, err = start(t, saved(t, 200, "refund_succeeded").replaced(t, `"status": "succeeded"`, `"status": "canceled"`)).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, declinedWith(refunded, payment.Decline{Code: "canceled", Kind: payment.DeclineSoft}), got)
}

func TestEveryStatusThatIsUnderstoodIsALegalMove(t *testing.T) {
	for _, from := range []payment.Status{payment.Processing, payment.Unknown, payment.Pending, payment.NeedsReconciliation} {
		for name, to := range paymentStatuses {
			require.True(t, from == to || slices.Contains(payment.PaymentTransitions[from], to), "%s: %s to %s", name, from, to)
		}
		require.Contains(t, payment.PaymentTransitions[from], payment.Declined)
		for name, to := range refundStatuses {
			require.True(t, from == to || slices.Contains(payment.RefundTransitions[from], to), "%s: %s to %s", name, from, to)
		}
	}
}

// Stripe's 12500 of which 10000 were taken, of which 400 came back.
func TestAmountsAreReadAsStripeCountsThem(t *testing.T) {
	whole := saved(t, 200, "payment_refunded_in_part").
		replaced(t, `"amount": 1250`, `"amount": 12500`).replaced(t, `"amount_received": 1000`, `"amount_received": 10000`).
		replaced(t, `"amount_captured": 1000`, `"amount_captured": 10000`).replaced(t, `"amount_refunded": 650`, `"amount_refunded": 2900`)
	for currency, want := range map[string][]int64{
		"USD": {12500, 10000, 400}, "JPY": {12500, 10000, 400}, "ISK": {125, 100, 4}, "MGA": {1250000, 1000000, 40000}, "KWD": {12500, 10000, 400},
	} {
		got, err := start(t, whole.replaced(t, `"usd"`, `"`+strings.ToLower(currency)+`"`)).Charge(t.Context(), chargeCall)
		require.NoError(t, err)
		amounts := []int64{got.Amount, got.CapturedAmount, got.RefundedAmount}
		require.Equal(t, want, amounts, currency)
		require.Equal(t, currency, got.Currency)
	}
}

func TestASuccessThatCannotBeBelievedIsAmbiguous(t *testing.T) {
	whole := saved(t, 200, "payment_succeeded")
	for name, a := range map[string]answer{
		"empty":            {status: 200},
		"no content":       {status: 204},
		"null":             {status: 200, body: `null`},
		"empty object":     {status: 200, body: `{}`},
		"an id alone":      {status: 200, body: `"pi_1"`},
		"list":             {status: 200, body: `[` + whole.body + `]`},
		"HTML":             {status: 200, body: `<html><body>OK</body></html>`},
		"half":             {status: 200, body: whole.body[:len(whole.body)/2]},
		"cut":              {status: 200, body: whole.body[:len(whole.body)/2], cut: true},
		"two":              {status: 200, body: whole.body + whole.body},
		"an error":         saved(t, 200, "error_declined"),
		"no id":            whole.replaced(t, `"id": "`+intentID+`",`, ``),
		"an id with a /":   whole.replaced(t, `"id": "`+intentID, `"id": "pi/1`),
		"unknown status":   whole.replaced(t, `"status": "succeeded"`, `"status": "settled"`),
		"no amount":        whole.replaced(t, `"amount": 1250,`, ``),
		"negative amount":  whole.replaced(t, `"amount": 1250,`, `"amount": -1250,`),
		"amount as text":   whole.replaced(t, `"amount": 1250,`, `"amount": "1250",`),
		"fraction":         whole.replaced(t, `"amount": 1250,`, `"amount": 12.5,`),
		"captured nothing": whole.replaced(t, `"amount_received": 1250`, `"amount_received": 0`),
		"captured below 0": whole.replaced(t, `"amount_received": 1250`, `"amount_received": -1`),
		"no currency":      whole.replaced(t, `"currency": "usd",`, ``),
		"unknown currency": whole.replaced(t, `"usd"`, `"xxx"`),
		"half a krona":     whole.replaced(t, `"usd"`, `"isk"`),
		"no reference":     whole.replaced(t, `"florin_reference"`, `"order2"`),
		"over the limit":   {status: 200, body: whole.body + strings.Repeat(" ", 1<<20)},
		"card number":      {status: 200, body: `4111 1111 1111 1111`},
	} {
		t.Run(name, func(t *testing.T) {
			for move, call := range moves {
				b := start(t, a)
				_, err := call(t.Context(), b.Processor)
				require.Equal(t, a.status, requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse).HTTPStatus, move)
				require.Contains(t, b.audit.String(), `"certainty":"ambiguous"`, "the audit log knows it too")
			}
		})
	}
}

func TestARefundThatCannotBeBelievedIsAmbiguous(t *testing.T) {
	whole := saved(t, 200, "refund_succeeded")
	for name, a := range map[string]answer{
		"half":           {status: 200, body: whole.body[:len(whole.body)/2]},
		"no id":          whole.replaced(t, `"id": "`+refundID+`",`, ``),
		"unknown status": whole.replaced(t, `"status": "succeeded"`, `"status": "done"`),
		"no amount":      whole.replaced(t, `"amount": 250,`, ``),
		"no currency":    whole.replaced(t, `"currency": "usd",`, ``),
		"no reference":   whole.replaced(t, `"florin_reference"`, `"order2"`),
		"no kind":        whole.replaced(t, `"object": "refund",`, ``),
	} {
		t.Run(name, func(t *testing.T) {
			for move, call := range moves {
				_, err := call(t.Context(), start(t, a).Processor)
				require.Equal(t, 200, requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse).HTTPStatus, move)
			}
		})
	}
	// A payment is not taken for its refund, nor the other way round.
	_, err := start(t, saved(t, 200, "payment_succeeded")).Refund(t.Context(), refundCall)
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	_, err = start(t, whole).Charge(t.Context(), chargeCall)
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
}

// Whether they match what was asked is the workflow's to see: it knows both.
func TestAnotherPaymentIsReportedAsItIs(t *testing.T) {
	a := saved(t, 200, "payment_succeeded").replaced(t, "1250", "999").replaced(t, `"usd"`, `"eur"`).replaced(t, key, "other")
	got, err := start(t, a).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, []any{int64(999), "EUR", "other"}, []any{got.Amount, got.Currency, got.Reference})
}

func TestADeclineIsAResult(t *testing.T) {
	inline := func(status int, body string) answer { return answer{status: status, body: body} }
	alone := processor.Result{Status: payment.Declined, Reference: key, RequestID: "req_1"}
	for name, tc := range map[string]struct {
		answer answer
		want   processor.Result
	}{
		"hard": {answer: saved(t, 402, "error_declined"), want: declinedWith(paid(payment.Declined, 0, 0), lostCard)},
		"soft": {answer: saved(t, 402, "error_insufficient_funds"), want: declinedWith(alone, payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft,
			NetworkCode: "51", Message: "Your card has insufficient funds."})},
		"action": {answer: saved(t, 402, "error_authentication_required"), want: declinedWith(paid(payment.Declined, 0, 0), payment.Decline{Code: "authentication_required",
			Kind: payment.DeclineAction, Message: "Your card was declined. This transaction requires authentication."})},
		"without a decline code": {answer: inline(402, `{"error":{"type":"card_error","code":"expired_card","message":"no"}}`),
			want: declinedWith(alone, payment.Decline{Code: "expired_card", Kind: payment.DeclineHard, Message: "no"})},
		"without any code": {answer: inline(402, `{"error":{"type":"card_error"}}`), want: declinedWith(alone, payment.Decline{Code: "card_error", Kind: payment.DeclineSoft})},
		"a code of tomorrow": {answer: inline(402, `{"error":{"type":"card_error","code":"card_declined","decline_code":"bad_hair_day"}}`),
			want: declinedWith(alone, payment.Decline{Code: "bad_hair_day", Kind: payment.DeclineSoft})},
		"of another type": {answer: inline(402, `{"error":{"type":"invalid_request_error","code":"payment_intent_authentication_failure","message":"no"}}`),
			want: declinedWith(alone, payment.Decline{Code: "payment_intent_authentication_failure", Kind: payment.DeclineAction, Message: "no"})},
		"with advice": {answer: inline(402, `{"error":{"type":"card_error","code":"card_declined","decline_code":"do_not_honor","advice_code":"do_not_try_again"}}`),
			want: declinedWith(alone, payment.Decline{Code: "do_not_honor", Kind: payment.DeclineHard, AdviceCode: "do_not_try_again"})},
		"with a card number": {answer: inline(402, `{"error":{"type":"card_error","code":"incorrect_number","message":"4111 1111 1111 1111 is wrong","payment_intent":"pi_1"}}`),
			want: declinedWith(alone, payment.Decline{Code: "incorrect_number", Kind: payment.DeclineHard, Message: processor.Clip("4111 1111 1111 1111")})},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, tc.answer)
			got, err := b.Charge(t.Context(), chargeCall)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.Contains(t, b.audit.String(), `"certainty":"answered"`)
			require.NotContains(t, got.Decline.Message+b.audit.String(), "4111")
		})
	}
}

// It is not the payment that was declined.
func TestADeclinedRefundIsNotItsPayment(t *testing.T) {
	got, err := start(t, saved(t, 402, "error_declined")).Refund(t.Context(), refundCall)
	require.NoError(t, err)
	require.Equal(t, declinedWith(processor.Result{Status: payment.Declined, Reference: key, RequestID: "req_1"}, lostCard), got)
}

func TestWhatEachRefusalProves(t *testing.T) {
	const (
		notExecuted = processor.NotExecuted
		ambiguous   = processor.Ambiguous
	)
	for name, tc := range map[string]struct {
		answer    answer
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
		code      string
	}{
		"parameter":                 {answer: saved(t, 400, "error_parameter"), certainty: notExecuted, class: payment.ClassInvalidRequest, code: "parameter_missing"},
		"no such object":            {answer: saved(t, 404, "error_resource_missing"), certainty: notExecuted, class: payment.ClassConfig, code: "resource_missing"},
		"API key":                   {answer: saved(t, 401, "error_api_key"), certainty: notExecuted, class: payment.ClassAuthentication, code: "invalid_request_error"},
		"permission":                {answer: saved(t, 403, "error_api_key"), certainty: notExecuted, class: payment.ClassPermission, code: "invalid_request_error"},
		"another payload":           {answer: saved(t, 400, "error_idempotency"), certainty: ambiguous, class: payment.ClassIdempotencyMismatch, code: "idempotency_error"},
		"key in use":                {answer: saved(t, 409, "error_key_in_use"), certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown, code: "idempotency_key_in_use"},
		"key in use, says the type": {answer: saved(t, 409, "error_idempotency"), certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown, code: "idempotency_error"},
		"other conflict":            {answer: saved(t, 409, "error_parameter"), certainty: ambiguous, class: payment.ClassStateConflict, code: "parameter_missing"},
		"rate limit":                {answer: saved(t, 429, "error_rate_limit"), certainty: notExecuted, retry: true, class: payment.ClassRateLimited, code: "rate_limit"},
		"object locked":             {answer: saved(t, 429, "error_lock_timeout"), certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown, code: "lock_timeout"},
		"already captured":          {answer: saved(t, 400, "error_unexpected_state"), certainty: ambiguous, class: payment.ClassStateConflict, code: "payment_intent_unexpected_state"},
		"already refunded":          {answer: saved(t, 400, "error_already_refunded"), certainty: ambiguous, class: payment.ClassStateConflict, code: "charge_already_refunded"},
		"too late to capture": {answer: answer{status: 402, body: `{"error":{"type":"card_error","code":"capture_charge_authorization_expired"}}`},
			certainty: ambiguous, class: payment.ClassStateConflict, code: "capture_charge_authorization_expired"},
		"capture declined, hold stays": {answer: saved(t, 402, "error_capture_declined"), certainty: ambiguous, class: payment.ClassInvalidResponse, code: "card_declined"},
		"a gateway's 402":              {answer: answer{status: 402, body: `<html>pay</html>`}, certainty: ambiguous, class: payment.ClassInvalidResponse},
		"402 of no decline":            {answer: saved(t, 402, "error_parameter"), certainty: ambiguous, class: payment.ClassInvalidResponse, code: "parameter_missing"},
		"a decline cut off":            {answer: answer{status: 402, body: `{"error":{"type":"card_error"`, cut: true}, certainty: ambiguous, retry: true, class: payment.ClassInvalidResponse},
		"dependency":                   {answer: saved(t, 424, "error_api"), certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown, code: "api_error"},
		"500":                          {answer: saved(t, 500, "error_api"), certainty: ambiguous, retry: true, class: payment.ClassUnavailable, code: "api_error"},
		"500 replayed":                 {answer: saved(t, 500, "error_api").with("Stripe-Should-Retry", "false"), certainty: ambiguous, class: payment.ClassUnavailable, code: "api_error"},
		"503":                          {answer: saved(t, 503, "error_api"), certainty: ambiguous, retry: true, class: payment.ClassUnavailable, code: "api_error"},
		"503 of state":                 {answer: saved(t, 503, "error_unexpected_state"), certainty: ambiguous, retry: true, class: payment.ClassUnavailable, code: "payment_intent_unexpected_state"},
		"Stripe says try again":        {answer: saved(t, 400, "error_parameter").with("Stripe-Should-Retry", "true"), certainty: notExecuted, retry: true, class: payment.ClassInvalidRequest, code: "parameter_missing"},
		"Stripe says do not":           {answer: saved(t, 429, "error_rate_limit").with("Stripe-Should-Retry", "false"), certainty: notExecuted, class: payment.ClassRateLimited, code: "rate_limit"},
		"redirect":                     {answer: answer{status: 307}.with("Location", "/"), certainty: ambiguous, class: payment.ClassConfig},
		"reset":                        {answer: answer{}, certainty: ambiguous, retry: true, class: payment.ClassOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			for move, call := range moves {
				_, err := call(context.WithoutCancel(t.Context()), start(t, tc.answer).Processor)
				require.Equal(t, tc.code, requireError(t, err, tc.certainty, tc.retry, tc.class).Code, move)
			}
		})
	}
}
