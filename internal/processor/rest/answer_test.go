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

// paid is a payment in the words of the protocol, with something else in it.
func paid(status, more string) string {
	return fmt.Sprintf(`{"id":"ch_1","status":%q,"amount":1250,"currency":"USD","reference":%q,"created_at":"2026-01-15T12:00:00Z"%s}`, status, key, more)
}

func TestEveryStatusOfAChargeIsUnderstood(t *testing.T) {
	for _, tc := range []struct {
		http         int
		status, more string
		want         payment.Status
		captured     int64
		refunded     int64
		decline      *payment.Decline
	}{
		{200, "succeeded", ``, payment.Succeeded, 1250, 0, nil},
		{201, "success", ``, payment.Succeeded, 1250, 0, nil},
		{200, "succeeded", `,"captured_amount":1000,"refunded_amount":250`, payment.Succeeded, 1000, 250, nil},
		{200, "succeeded", `,"captured_amount":null,"unknown":{}`, payment.Succeeded, 1250, 0, nil},
		{200, "authorized", `,"captured_amount":0`, payment.Authorized, 0, 0, nil},
		{202, "pending", ``, payment.Pending, 0, 0, nil},
		{200, "pending", ``, payment.Pending, 0, 0, nil},
		{200, "requires_action", ``, payment.RequiresAction, 0, 0, nil},
		{200, "voided", ``, payment.Voided, 0, 0, nil},
		{200, "declined", ``, payment.Declined, 0, 0, &payment.Decline{Code: "unspecified", Kind: payment.DeclineSoft}},
		{200, "declined", `,"decline_code":"lost_card","decline_kind":"hard"`, payment.Declined, 0, 0, &payment.Decline{Code: "lost_card", Kind: payment.DeclineHard}},
		{200, "declined", `,"decline_code":"sca","decline_kind":"action"`, payment.Declined, 0, 0, &payment.Decline{Code: "sca", Kind: payment.DeclineAction}},
		{200, "declined", `,"decline_kind":"odd"`, payment.Declined, 0, 0, &payment.Decline{Code: "unspecified", Kind: payment.DeclineSoft}},
	} {
		t.Run(tc.status+tc.more, func(t *testing.T) {
			got, err := start(t, tc.http, paid(tc.status, tc.more)).Charge(t.Context(), chargeCall)
			require.NoError(t, err)
			require.Equal(t, processor.Result{ID: "ch_1", Status: tc.want, Amount: 1250, Currency: "USD", CapturedAmount: tc.captured,
				RefundedAmount: tc.refunded, Reference: key, RequestID: "req_1", Decline: tc.decline}, got)
		})
	}
}

func TestEveryStatusOfARefundIsUnderstoodAndNoOther(t *testing.T) {
	for status, want := range map[string]payment.Status{"succeeded": payment.Succeeded, "success": payment.Succeeded,
		"pending": payment.Pending, "declined": payment.Declined} {
		got, err := start(t, 200, paid(status, `,"payment_id":"ch_1"`)).Refund(t.Context(), refundCall)
		require.NoError(t, err)
		got.Decline = nil
		// What was captured and refunded is the payment's to say.
		require.Equal(t, processor.Result{ID: "ch_1", Status: want, Amount: 1250, Currency: "USD", Reference: key, RequestID: "req_1"}, got)
	}
	// They would be illegal moves of a refund.
	for _, status := range []string{"authorized", "voided", "requires_action", "failed"} {
		_, err := start(t, 200, paid(status, "")).Refund(t.Context(), refundCall)
		requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		_, _, err = start(t, 200, `{"data":[`+paid(status, "")+`]}`).Lookup(t.Context(), processor.LookupCall{Operation: payment.OperationRefund, Reference: key})
		requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	}
}

func TestEveryStatusThatIsUnderstoodIsALegalMove(t *testing.T) {
	for _, tc := range []struct {
		statuses    map[string]payment.Status
		transitions map[payment.Status][]payment.Status
	}{{chargeStatuses, payment.PaymentTransitions}, {refundStatuses, payment.RefundTransitions}} {
		for _, from := range []payment.Status{payment.Processing, payment.Unknown, payment.Pending, payment.NeedsReconciliation} {
			for name, to := range tc.statuses {
				require.True(t, from == to || slices.Contains(tc.transitions[from], to), "%s: %s to %s", name, from, to)
			}
		}
	}
}

func TestASuccessThatCannotBeBelievedIsAmbiguous(t *testing.T) {
	whole := paid("succeeded", "")
	for name, body := range map[string]string{
		"empty":             ``,
		"blank":             "\n",
		"null":              `null`,
		"empty object":      `{}`,
		"list":              `[` + whole + `]`,
		"HTML":              `<html><body>OK</body></html>`,
		"text":              `OK`,
		"half":              whole[:len(whole)-20],
		"two":               whole + whole,
		"an error":          `{"error":{"code":"card_declined"}}`,
		"no id":             strings.Replace(whole, `"id":"ch_1",`, ``, 1),
		"empty id":          strings.Replace(whole, `"ch_1"`, `""`, 1),
		"number as id":      strings.Replace(whole, `"ch_1"`, `1`, 1),
		"no status":         strings.Replace(whole, `"status":"succeeded",`, ``, 1),
		"unknown status":    paid("settled", ""),
		"status in capital": paid("SUCCEEDED", ""),
		"no amount":         strings.Replace(whole, `"amount":1250,`, ``, 1),
		"zero amount":       strings.Replace(whole, `1250`, `0`, 1),
		"negative amount":   strings.Replace(whole, `1250`, `-1250`, 1),
		"fractional amount": strings.Replace(whole, `1250`, `12.5`, 1),
		"amount as text":    strings.Replace(whole, `1250`, `"1250"`, 1),
		"huge amount":       strings.Replace(whole, `1250`, `99999999999999999999`, 1),
		"captured below 0":  paid("succeeded", `,"captured_amount":-1`),
		"captured nothing":  paid("succeeded", `,"captured_amount":0`),
		"refunded below 0":  paid("succeeded", `,"refunded_amount":-1`),
		"endless id":        strings.Replace(whole, `ch_1`, strings.Repeat("c", 256), 1),
		"no currency":       strings.Replace(whole, `"currency":"USD",`, ``, 1),
		"no reference":      strings.Replace(whole, key, ``, 1),
		"over the limit":    whole[:len(whole)-1] + strings.Repeat(" ", 1<<20) + `}`,
		"card number":       `4111 1111 1111 1111`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := start(t, 200, body).Charge(t.Context(), chargeCall)
			e := requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			require.Equal(t, 200, e.HTTPStatus)
		})
	}
}

// Whether they match what was asked is the workflow's to see: it knows both.
func TestAnotherAmountIsReportedAsItIs(t *testing.T) {
	got, err := start(t, 200, strings.NewReplacer("1250", "999", "USD", "EUR", key, "other").Replace(paid("succeeded", ""))).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, []any{int64(999), "EUR", "other"}, []any{got.Amount, got.Currency, got.Reference})
}

func TestADeclineIsAResult(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		want   payment.Decline
	}{
		{402, `{"error":{"code":"card_declined","message":"no","decline_code":"lost_card","decline_kind":"hard"}}`, payment.Decline{Code: "lost_card", Kind: payment.DeclineHard, Message: "no"}},
		{402, `{"error":{"code":"card_declined","decline_code":"insufficient_funds"}}`, payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft}},
		{402, `{"error":{"code":"card_declined"}}`, payment.Decline{Code: "card_declined", Kind: payment.DeclineSoft}},
		{422, `{"error":{"code":"card_declined","decline_code":"expired_card"}}`, payment.Decline{Code: "expired_card", Kind: payment.DeclineSoft}},
		{402, `{"error":{"decline_code":"x","message":"card 4111 1111 1111 1111 refused"}}`, payment.Decline{Code: "x", Kind: payment.DeclineSoft, Message: "(withheld: looks like a card number or a secret)"}},
	} {
		t.Run(fmt.Sprint(tc.status, tc.body), func(t *testing.T) {
			got, err := start(t, tc.status, tc.body).Charge(t.Context(), chargeCall)
			require.NoError(t, err)
			require.Equal(t, processor.Result{Status: payment.Declined, Reference: key, RequestID: "req_1", Decline: &tc.want}, got)
			got, err = start(t, tc.status, tc.body).Refund(t.Context(), refundCall)
			require.NoError(t, err)
			require.Equal(t, payment.Declined, got.Status)
		})
	}
}

func TestA402ThatIsNotTheProtocolsSaysNothingAboutTheCard(t *testing.T) {
	for _, body := range []string{``, `{}`, `<html>Payment Required</html>`, `{"error":{"code":"card_decl`} {
		_, err := start(t, 402, body).Charge(t.Context(), chargeCall)
		requireError(t, err, processor.Ambiguous, false, payment.ClassInvalidResponse)
	}
}

func TestARefusalIsClassifiedByStatusAndCode(t *testing.T) {
	for _, tc := range []struct {
		status    int
		code      string
		certainty processor.Certainty
		retry     bool
		class     payment.FailureClass
	}{
		{400, "json_invalid", processor.NotExecuted, false, payment.ClassInvalidRequest},
		{400, "idempotency_mismatch", processor.Ambiguous, false, payment.ClassIdempotencyMismatch},
		{401, "unauthorized", processor.NotExecuted, false, payment.ClassAuthentication},
		{404, "not_found", processor.NotExecuted, false, payment.ClassConfig},
		{409, "idempotency_in_flight", processor.Ambiguous, true, payment.ClassOutcomeUnknown},
		{409, "state_conflict", processor.Ambiguous, false, payment.ClassStateConflict},
		{409, "idempotency_mismatch", processor.Ambiguous, false, payment.ClassIdempotencyMismatch},
		{422, "idempotency_mismatch", processor.Ambiguous, false, payment.ClassIdempotencyMismatch},
		{422, "amount_invalid", processor.NotExecuted, false, payment.ClassInvalidRequest},
		{429, "rate_limited", processor.NotExecuted, true, payment.ClassRateLimited},
		{500, "internal", processor.Ambiguous, true, payment.ClassUnavailable},
		{503, "unavailable", processor.Ambiguous, true, payment.ClassUnavailable},
	} {
		t.Run(fmt.Sprint(tc.status, tc.code), func(t *testing.T) {
			_, err := start(t, tc.status, fmt.Sprintf(`{"error":{"code":%q,"message":"why"}}`, tc.code)).Charge(t.Context(), chargeCall)
			e := requireError(t, err, tc.certainty, tc.retry, tc.class)
			require.Equal(t, []any{tc.status, tc.code, "why"}, []any{e.HTTPStatus, e.Code, e.Message})
		})
	}
}

func TestARefusalWithoutReadableWordsIsDecidedByItsStatus(t *testing.T) {
	for _, body := range []string{``, `<html>4111 1111 1111 1111</html>`, `{"error":"broken"}`, `{"error":{"code":7}}`, `[]`, `{"error":`} {
		_, err := start(t, 502, body).Charge(t.Context(), chargeCall)
		e := requireError(t, err, processor.Ambiguous, true, payment.ClassUnavailable)
		require.Equal(t, "Bad Gateway", e.Message)
		require.Empty(t, e.Code)
	}
}

func TestTheProcessorsWordsAreBoundedAndWithoutCardNumbers(t *testing.T) {
	for _, words := range []string{"4111 1111 1111 1111", "card 4111111111111111 12/27", strings.Repeat("語", 5000)} {
		_, err := start(t, 400, fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, words, words)).Charge(t.Context(), chargeCall)
		e := requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest)
		require.Less(t, len(e.Error()), 500)
		require.True(t, utf8.ValidString(e.Error()), "Temporal could not store %q", e.Error())
	}
}
