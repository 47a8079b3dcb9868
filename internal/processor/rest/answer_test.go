package rest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// paid returns a payment in the JSON of the protocol. more is inserted at the end of the object.
func paid(status, more string) string {
	return fmt.Sprintf(`{"id":"ch_1","status":%q,"amount":1250,"currency":"USD","reference":%q,`+
		`"created_at":"2026-01-15T12:00:00Z"%s}`, status, key, more)
}

func TestEveryStatusOfAChargeIsMapped(t *testing.T) {
	for _, tc := range []struct {
		http         int
		status, more string
		want         payment.Status
		captured     int64
		refunded     int64
		unreported   bool // the refunded amount
		decline      *payment.Decline
		open         bool
	}{
		{http: 200, status: "succeeded", want: payment.Succeeded, captured: 1250, unreported: true},
		{http: 201, status: "success", want: payment.Succeeded, captured: 1250, unreported: true},
		{http: 200, status: "succeeded", more: `,"refunded_amount":0`, want: payment.Succeeded, captured: 1250},
		{http: 200, status: "succeeded", more: `,"captured_amount":1000,"refunded_amount":250`, want: payment.Succeeded,
			captured: 1000, refunded: 250},
		{http: 200, status: "succeeded", more: `,"captured_amount":null,"unknown":{}`, want: payment.Succeeded,
			captured: 1250, unreported: true},
		{http: 200, status: "authorized", more: `,"captured_amount":0`, want: payment.Authorized},
		{http: 202, status: "pending", want: payment.Pending},
		{http: 200, status: "pending", want: payment.Pending},
		{http: 200, status: "requires_action", want: payment.RequiresAction},
		{http: 200, status: "voided", want: payment.Voided},
		{http: 200, status: "declined", want: payment.Declined,
			decline: &payment.Decline{Code: "unspecified", Kind: payment.DeclineSoft}},
		{http: 200, status: "declined", more: `,"decline_code":"lost_card","decline_kind":"hard"`,
			want: payment.Declined, decline: &payment.Decline{Code: "lost_card", Kind: payment.DeclineHard}},
		{http: 200, status: "declined", more: `,"decline_code":"sca","decline_kind":"action"`, want: payment.Declined,
			decline: &payment.Decline{Code: "sca", Kind: payment.DeclineAction}},
		{http: 200, status: "declined", more: `,"decline_kind":"odd"`, want: payment.Declined,
			decline: &payment.Decline{Code: "unspecified", Kind: payment.DeclineSoft}},
		{http: 200, status: "declined", more: `,"decline_code":"sca","can_still_succeed":true`, want: payment.Declined,
			decline: &payment.Decline{Code: "sca", Kind: payment.DeclineSoft}, open: true},
		{http: 200, status: "declined", more: `,"decline_code":"sca","can_still_succeed":false`, want: payment.Declined,
			decline: &payment.Decline{Code: "sca", Kind: payment.DeclineSoft}},
		{http: 200, status: "declined", more: `,"decline_code":"sca","can_still_succeed":null`, want: payment.Declined,
			decline: &payment.Decline{Code: "sca", Kind: payment.DeclineSoft}},
		{http: 200, status: "succeeded", more: `,"can_still_succeed":false`, want: payment.Succeeded, captured: 1250, unreported: true},
	} {
		t.Run(tc.status+tc.more, func(t *testing.T) {
			got, err := start(t, tc.http, paid(tc.status, tc.more)).Charge(t.Context(), chargeCall)
			require.NoError(t, err)
			require.Equal(t, processor.Result{ID: "ch_1", Status: tc.want, Amount: 1250, Currency: "USD",
				CapturedAmount: tc.captured,
				RefundedAmount: tc.refunded, RefundedUnknown: tc.unreported, Reference: key, RequestID: "req_1", Decline: tc.decline,
				CanStillSucceed: tc.open}, got)
		})
	}
}

func TestOnlyStatusesOfARefundAreAcceptedForARefund(t *testing.T) {
	for status, want := range map[string]payment.Status{"succeeded": payment.Succeeded, "success": payment.Succeeded,
		"pending": payment.Pending, "declined": payment.Declined} {
		got, err := start(t, 200, paid(status, `,"payment_id":"ch_1"`)).Refund(t.Context(), refundCall)
		require.NoError(t, err)
		got.Decline = nil
		// CapturedAmount and RefundedAmount belong to the payment.
		require.Equal(t, processor.Result{ID: "ch_1", Status: want, Amount: 1250, Currency: "USD", Reference: key,
			RequestID: "req_1"}, got)
	}
	// A refund has no transition to these.
	for _, status := range []string{"authorized", "voided", "requires_action", "failed"} {
		_, err := start(t, 200, paid(status, "")).Refund(t.Context(), refundCall)
		requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		_, _, err = start(t, 200, `{"data":[`+paid(status, "")+`]}`).Lookup(t.Context(),
			processor.LookupCall{Operation: payment.OperationRefund, Reference: key})
		requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	}
}

func TestEveryMappedStatusIsALegalTransition(t *testing.T) {
	for _, tc := range []struct {
		statuses    map[string]payment.Status
		transitions map[payment.Status][]payment.Status
	}{{statuses: chargeStatuses, transitions: payment.PaymentTransitions},
		{statuses: refundStatuses, transitions: payment.RefundTransitions}} {
		for _, from := range []payment.Status{payment.Processing, payment.Unknown, payment.Pending,
			payment.NeedsReconciliation} {
			for name, to := range tc.statuses {
				require.True(t, from == to || slices.Contains(tc.transitions[from], to), "%s: %s to %s", name, from, to)
			}
		}
	}
}

func TestMalformedSuccessIsAmbiguous(t *testing.T) {
	whole := paid("succeeded", "")
	for name, body := range map[string]string{
		"empty":                      ``,
		"blank":                      "\n",
		"null":                       `null`,
		"empty object":               `{}`,
		"list":                       `[` + whole + `]`,
		"HTML":                       `<html><body>OK</body></html>`,
		"text":                       `OK`,
		"half the body":              whole[:len(whole)-20],
		"the body twice":             whole + whole,
		"an error":                   `{"error":{"code":"card_declined"}}`,
		"no id":                      strings.Replace(whole, `"id":"ch_1",`, ``, 1),
		"empty id":                   strings.Replace(whole, `"ch_1"`, `""`, 1),
		"number as id":               strings.Replace(whole, `"ch_1"`, `1`, 1),
		"no status":                  strings.Replace(whole, `"status":"succeeded",`, ``, 1),
		"unknown status":             paid("settled", ""),
		"status in upper case":       paid("SUCCEEDED", ""),
		"no amount":                  strings.Replace(whole, `"amount":1250,`, ``, 1),
		"zero amount":                strings.Replace(whole, `1250`, `0`, 1),
		"negative amount":            strings.Replace(whole, `1250`, `-1250`, 1),
		"fractional amount":          strings.Replace(whole, `1250`, `12.5`, 1),
		"amount as text":             strings.Replace(whole, `1250`, `"1250"`, 1),
		"huge amount":                strings.Replace(whole, `1250`, `99999999999999999999`, 1),
		"amount with an exponent":    strings.Replace(whole, `1250`, `1.25e3`, 1),
		"whole amount with decimals": strings.Replace(whole, `1250`, `1250.0`, 1),
		"status twice":               paid("succeeded", `,"status":"declined"`),
		"id twice, once escaped":     paid("succeeded", `,"\u0069d":"ch_2"`),
		"metadata twice":             paid("succeeded", `,"metadata":{"florin_merchant_id":"a"},"metadata":{"florin_merchant_id":"b"}`),
		"merchant id twice":          paid("succeeded", `,"metadata":{"florin_merchant_id":"a","florin_merchant_id":"b"}`),
		"unknown name twice":         paid("succeeded", `,"unknown":{"a":1,"a":2}`),
		"name in another case":       strings.Replace(whole, `"id"`, `"ID"`, 1),
		"invalid UTF-8":              paid("succeeded", ",\"unknown\":\"\xff\""),
		"invalid UTF-8 in the id":    strings.Replace(whole, `ch_1`, "ch_\xff", 1),
		"paid, can still succeed":    paid("succeeded", `,"can_still_succeed":true`),
		"voided, can still succeed":  paid("voided", `,"can_still_succeed":true`),
		"can still succeed, as text": paid("declined", `,"can_still_succeed":"true"`),
		"can still succeed, as 1":    paid("declined", `,"can_still_succeed":1`),
		"can still succeed, twice":   paid("declined", `,"can_still_succeed":true,"can_still_succeed":false`),
		"negative captured amount":   paid("succeeded", `,"captured_amount":-1`),
		"captured amount 0":          paid("succeeded", `,"captured_amount":0`),
		"negative refunded amount":   paid("succeeded", `,"refunded_amount":-1`),
		"id of 256 characters":       strings.Replace(whole, `ch_1`, strings.Repeat("c", 256), 1),
		"no currency":                strings.Replace(whole, `"currency":"USD",`, ``, 1),
		"no reference":               strings.Replace(whole, key, ``, 1),
		"body beyond the size limit": whole[:len(whole)-1] + strings.Repeat(" ", 1<<20) + `}`,
		"card number":                `4111 1111 1111 1111`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := start(t, 200, body).Charge(t.Context(), chargeCall)
			e := requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			require.Equal(t, 200, e.HTTPStatus)
		})
	}
}

// The protocol's names are in lower case. A name in another case is unknown, and unknown names are ignored.
func TestNameInAnotherCaseIsIgnored(t *testing.T) {
	got, err := start(t, 200, paid("succeeded", `,"ID":"customer-77","STATUS":"declined","Amount":1,"captured_Amount":1,`+
		`"\u017ftatus":"declined","Decline_Code":"stolen","metadata":{"Florin_Merchant_Id":"b"}`)).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, processor.Result{ID: "ch_1", Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1250,
		RefundedUnknown: true, Reference: key, RequestID: "req_1"}, got)
	got, err = start(t, 402, `{"error":{"code":"card_declined","decline_code":"limit","DECLINE_CODE":"stolen","Decline_Kind":"hard"}}`).
		Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, &payment.Decline{Code: "limit", Kind: payment.DeclineSoft}, got.Decline)
}

// The workflow compares them with the request.
func TestAmountCurrencyAndReferenceOfTheResponseAreReported(t *testing.T) {
	got, err := start(t, 200, strings.NewReplacer("1250", "999", "USD", "EUR", key, "other").Replace(paid("succeeded",
		""))).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, []any{int64(999), "EUR", "other"}, []any{got.Amount, got.Currency, got.Reference})
}

func TestDeclineIsAResult(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		want   payment.Decline
	}{
		{status: 402, body: `{"error":{"code":"card_declined","message":"no","decline_code":"lost_card","decline_kind":"hard"}}`,
			want: payment.Decline{Code: "lost_card", Kind: payment.DeclineHard, Message: "no"}},
		{status: 402, body: `{"error":{"code":"card_declined","decline_code":"insufficient_funds"}}`,
			want: payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft}},
		{status: 402, body: `{"error":{"code":"card_declined"}}`,
			want: payment.Decline{Code: "card_declined", Kind: payment.DeclineSoft}},
		{status: 422, body: `{"error":{"code":"card_declined","decline_code":"expired_card"}}`,
			want: payment.Decline{Code: "expired_card", Kind: payment.DeclineSoft}},
		{status: 402, body: `{"error":{"decline_code":"x","message":"card 4111 1111 1111 1111 refused"}}`,
			want: payment.Decline{Code: "x", Kind: payment.DeclineSoft,
				Message: "(withheld: looks like a card number or a secret)"}},
	} {
		t.Run(fmt.Sprint(tc.status, tc.body), func(t *testing.T) {
			got, err := start(t, tc.status, tc.body).Charge(t.Context(), chargeCall)
			require.NoError(t, err)
			require.Equal(t, processor.Result{Status: payment.Declined, Reference: key, RequestID: "req_1",
				Decline: &tc.want}, got)
			got, err = start(t, tc.status, tc.body).Refund(t.Context(), refundCall)
			require.NoError(t, err)
			require.Equal(t, payment.Declined, got.Status)
		})
	}
}

func Test402WithoutAnErrorCodeIsNotADecline(t *testing.T) {
	for _, body := range []string{``, `{}`, `<html>Payment Required</html>`, `{"error":{"code":"card_decl`,
		`{"error":{"code":"card_declined","code":"ok"}}`, `{"error":{"CODE":"card_declined"}}`} {
		_, err := start(t, 402, body).Charge(t.Context(), chargeCall)
		requireError(t, err, processor.Ambiguous, false, payment.ClassInvalidResponse)
	}
}

func TestRefusalIsClassifiedByStatusAndCode(t *testing.T) {
	for _, tc := range []struct {
		status    int
		code      string
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
	}{
		{status: 400, code: "json_invalid", certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{status: 400, code: "idempotency_mismatch", certainty: processor.Ambiguous, class: payment.ClassIdempotencyMismatch},
		{status: 401, code: "unauthorized", certainty: processor.NotExecuted, class: payment.ClassAuthentication},
		{status: 404, code: "not_found", certainty: processor.NotExecuted, class: payment.ClassConfig},
		{status: 409, code: "idempotency_in_flight", certainty: processor.Ambiguous, retry: true,
			class: payment.ClassOutcomeUnknown},
		{status: 409, code: "state_conflict", certainty: processor.Ambiguous, class: payment.ClassStateConflict},
		{status: 409, code: "idempotency_mismatch", certainty: processor.Ambiguous, class: payment.ClassIdempotencyMismatch},
		{status: 422, code: "idempotency_mismatch", certainty: processor.Ambiguous, class: payment.ClassIdempotencyMismatch},
		{status: 422, code: "amount_invalid", certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		{status: 429, code: "rate_limited", certainty: processor.NotExecuted, retry: true, class: payment.ClassRateLimited},
		{status: 500, code: "internal", certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
		{status: 503, code: "unavailable", certainty: processor.Ambiguous, retry: true, class: payment.ClassUnavailable},
	} {
		t.Run(fmt.Sprint(tc.status, tc.code), func(t *testing.T) {
			_, err := start(t, tc.status,
				fmt.Sprintf(`{"error":{"code":%q,"message":"text"}}`, tc.code)).Charge(t.Context(), chargeCall)
			e := requireError(t, err, tc.certainty, tc.retry, tc.class)
			require.Equal(t, []any{tc.status, tc.code, "text"}, []any{e.HTTPStatus, e.Code, e.Message})
		})
	}
}

func TestRefusalWithoutAReadableErrorIsClassifiedByStatus(t *testing.T) {
	for _, body := range []string{``, `<html>4111 1111 1111 1111</html>`, `{"error":"broken"}`, `{"error":{"code":7}}`,
		`[]`, `{"error":`} {
		_, err := start(t, 502, body).Charge(t.Context(), chargeCall)
		e := requireError(t, err, processor.Ambiguous, true, payment.ClassUnavailable)
		require.Equal(t, "Bad Gateway", e.Message)
		require.Empty(t, e.Code)
	}
}

func TestCodeAndMessageInErrorsAreClippedAndContainNoCardNumber(t *testing.T) {
	for _, text := range []string{"4111 1111 1111 1111", "card 4111111111111111 12/27", strings.Repeat("語", 5000)} {
		_, err := start(t, 400, fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, text, text)).Charge(t.Context(),
			chargeCall)
		e := requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest)
		require.Less(t, len(e.Error()), 500)
		require.True(t, utf8.ValidString(e.Error()), "Temporal cannot store %q", e.Error())
	}
}
