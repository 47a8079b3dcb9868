package stripe

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func event(tb testing.TB, name string) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "event_"+name+".json"))
	require.NoError(tb, err)
	return body
}

// events are the events in testdata, in the format of Stripe's documentation, and what ReadEvent must return.
var events = map[string]processor.Event{
	"payment_intent_succeeded": {ID: "evt_3MtwBwLkdIwHu7ix28aaaaaa", Type: "payment_intent.succeeded",
		MerchantID: "acme", PaymentID: payment.PaymentID("acme", "order-1"), Record: &processor.Result{
			ID: intentID, Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1250, RefundedUnknown: true}},
	"payment_intent_canceled": {ID: "evt_3MtwBwLkdIwHu7ix28bbbbbb", Type: "payment_intent.canceled", MerchantID: "acme",
		PaymentID: payment.PaymentID("acme", "order-1")},
	"charge_refunded": {ID: "evt_3MtwBwLkdIwHu7ix28cccccc", Type: "charge.refunded", MerchantID: "acme",
		PaymentID: payment.PaymentID("acme", "order-1"), Record: &processor.Result{
			ID: intentID, Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1000, RefundedAmount: 650}},
	"refund_updated": {ID: "evt_1Nispe2eZvKYlo2Cdddddddd", Type: "refund.updated", MerchantID: "acme",
		RefundID: payment.RefundID("acme", "refund-1"), Record: &processor.Result{
			ID: "re_1Nispe2eZvKYlo2Cd31jOCgZ", Status: payment.Succeeded, Amount: 250, Currency: "USD"}},
	"dispute_created": {ID: "evt_1MtJUT2eZvKYlo2Cffffffff", Type: "charge.dispute.created", Dispute: true,
		ProcessorPaymentID: intentID, DisputeID: "du_1MtJUT2eZvKYlo2CNaw2HvEv"},
	// A customer with the metadata of a payment.
	"customer_created": {ID: "evt_1NG8Du2eZvKYlo2Ceeeeeeee", Type: "customer.created"},
}

func TestEventContainsFlorinsIDs(t *testing.T) {
	for name, want := range events {
		t.Run(name, func(t *testing.T) {
			got, err := ReadEvent(event(t, name))
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestEventAboutAForeignObjectHasNoFlorinIDs(t *testing.T) {
	for name, c := range map[string]struct{ file, old, replacement string }{
		"a payment that Florin did not make": {file: "payment_intent_succeeded", old: "florin_", replacement: "shop_"},
		"a refund made in the dashboard":     {file: "refund_updated", old: "florin_refund_id", replacement: "refund"},
		"a refund with a payment id": {file: "refund_updated", old: "florin_refund_id",
			replacement: "florin_payment_id"},
		"a charge with a refund id": {file: "charge_refunded", old: "florin_payment_id",
			replacement: "florin_refund_id"},
		"an id that Florin does not generate": {file: "payment_intent_succeeded", old: "pay_d85a7c25",
			replacement: "pay_xxxxxxxx"},
		"another type of object": {file: "payment_intent_succeeded", old: `"object": "payment_intent"`,
			replacement: `"object": "checkout.session"`},
	} {
		t.Run(name, func(t *testing.T) {
			body := event(t, c.file)
			require.Contains(t, string(body), c.old)
			got, err := ReadEvent(bytes.ReplaceAll(body, []byte(c.old), []byte(c.replacement)))
			require.NoError(t, err)
			require.Equal(t, processor.Event{ID: events[c.file].ID, Type: events[c.file].Type}, got)
		})
	}
}

func TestEventThatMayBeAboutSomethingElseHasNoRecord(t *testing.T) {
	for name, c := range map[string]struct{ file, old, replacement string }{
		"another type of event":               {file: "payment_intent_succeeded", old: "payment_intent.succeeded", replacement: "payment_intent.new_kind"},
		"another type of event of a charge":   {file: "charge_refunded", old: "charge.refunded", replacement: "charge.new_kind"},
		"another type of event of a refund":   {file: "refund_updated", old: "refund.updated", replacement: "refund.new_kind"},
		"a payment that has not succeeded":    {file: "payment_intent_succeeded", old: `"status": "succeeded"`, replacement: `"status": "processing"`},
		"a payment without an amount":         {file: "payment_intent_succeeded", old: `"amount": 1250`, replacement: `"amount": "1250"`},
		"a charge that is only authorized":    {file: "charge_refunded", old: `"captured": true`, replacement: `"captured": false`},
		"a disputed charge":                   {file: "charge_refunded", old: `"disputed": false`, replacement: `"disputed": true`},
		"a charge without a payment":          {file: "charge_refunded", old: `"payment_intent": "` + intentID + `"`, replacement: `"payment_intent": null`},
		"a charge in a currency that is none": {file: "charge_refunded", old: `"currency": "usd"`, replacement: `"currency": "dollar"`},
		"a refund that has failed":            {file: "refund_updated", old: `"status": "succeeded"`, replacement: `"status": "failed"`},
	} {
		t.Run(name, func(t *testing.T) {
			body := event(t, c.file)
			require.Contains(t, string(body), c.old)
			got, err := ReadEvent(bytes.Replace(body, []byte(c.old), []byte(c.replacement), 1))
			require.NoError(t, err)
			require.NotEmpty(t, got.MerchantID)
			require.Nil(t, got.Record)
		})
	}
}

func TestDisputeWithoutAPaymentIntentIsADispute(t *testing.T) {
	whole := string(event(t, "dispute_created"))
	const field = `"payment_intent": "` + intentID + `"`
	require.Contains(t, whole, field)
	for _, replacement := range []string{`"other": 1`, `"payment_intent": null`, `"payment_intent": ""`, `"payment_intent": {"id": "pi_1"}`,
		`"payment_intent": "pi_\u0000"`, `"Payment_Intent": "pi_1"`} {
		got, err := ReadEvent([]byte(strings.Replace(whole, field, replacement, 1)))
		require.NoError(t, err)
		require.Equal(t, processor.Event{ID: events["dispute_created"].ID, Type: "charge.dispute.created", Dispute: true,
			DisputeID: events["dispute_created"].DisputeID}, got)
	}
}

func TestEventWithoutAReadableObjectIsAccepted(t *testing.T) {
	for _, body := range []string{
		`{"id":"evt_1","type":"t"}`,
		`{"id":"evt_1","type":"t","data":null}`,
		`{"id":"evt_1","type":"t","data":{"object":"payment_intent"}}`,
		`{"id":"evt_1","type":"t","data":{"object":{"object":"payment_intent","metadata":null}}}`,
		`{"id":"evt_1","type":"t","data":{"object":{"object":"payment_intent","metadata":[1]}}}`,
		`{"id":"evt_1","object":"v2.core.event","type":"t","related_object":{"id":"acct_1","type":"account"}}`, // a thin event
	} {
		got, err := ReadEvent([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, processor.Event{ID: "evt_1", Type: "t"}, got, body)
	}
}

func TestInvalidEventIsRefusedWithoutQuotingIt(t *testing.T) {
	for _, body := range []string{``, `null`, `[]`, `{}`, `<html>`, `{"id":"evt_1"}`, `{"type":"t"}`,
		`{"id":1,"type":"t"}`, `{"ID":"evt_1","type":"t"}`,
		`{"id":"evt_1","type":"t","id":"evt_2"}`, `{"id":"evt_1","type":"t","data":{"object":{"metadata":{"a":"","a":""}}}}`,
		`{"id":"evt_1","type":"t"`, `{"id":"evt 1","type":"t"}`,
		`{"id":"evt_1","type":"t","data":7}`} {
		_, err := ReadEvent([]byte(body))
		require.ErrorIs(t, err, processor.ErrNoEvent, body)
		require.NotContains(t, err.Error(), "evt")
	}
}

// The fields of an event are safe to log and to use in ids, whatever the body of a signed event contains.
func FuzzEvent(f *testing.F) {
	for name := range events {
		f.Add(event(f, name))
	}
	f.Add([]byte(`{"id":"evt_1","type":"t","data":{"object":{"object":"refund","metadata":{"florin_refund_id":null}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ReadEvent(body)
		if err != nil {
			require.Equal(t, processor.Event{}, got)
			return
		}
		require.Regexp(t, `\A[!-~]{1,255}\z`, got.ID)
		require.Regexp(t, `\A[!-~]{1,255}\z`, got.Type)
		require.Regexp(t, `\A(|[A-Za-z0-9._-]{1,64})\z`, got.MerchantID)
		require.Regexp(t, `\A(|pay_[0-9a-f-]{36})\z`, got.PaymentID)
		require.Regexp(t, `\A(|ref_[0-9a-f-]{36})\z`, got.RefundID)
		require.Equal(t, got.MerchantID != "", got.PaymentID+got.RefundID != "")
		require.False(t, got.PaymentID != "" && got.RefundID != "")
		require.Regexp(t, `\A[!-~]{0,255}\z`, got.ProcessorPaymentID)
	})
}
