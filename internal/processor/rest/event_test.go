package rest

import (
	"cmp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var (
	paymentID = payment.PaymentID("acme", "order-1")
	refundID  = payment.RefundID("acme", "refund-1")
)

// eventStart is the beginning of an event, before its data.
const eventStart = `{"id":"evt_1","type":"payment.succeeded",`

// eventBodies are events and what ReadEvent must return, without ID and Type.
var eventBodies = map[string]struct {
	body string
	want processor.Event
}{
	"a payment": {body: eventStart + `"data":{"id":"ch_1","status":"succeeded","amount":1250,"currency":"USD","captured_amount":1250,
		"refunded_amount":0,"reference":"8a7c5d8e-0000-5000-8000-000000000001","created_at":"2026-01-15T09:30:00Z",
		"metadata":{"order":"1","florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{MerchantID: "acme", PaymentID: paymentID, Record: &processor.Result{
			ID: "ch_1", Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1250}}},
	"a payment without what was refunded": {body: eventStart + `"data":{"id":"ch_1","status":"succeeded","amount":1250,"currency":"USD",
		"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{MerchantID: "acme", PaymentID: paymentID, Record: &processor.Result{
			ID: "ch_1", Status: payment.Succeeded, Amount: 1250, Currency: "USD", CapturedAmount: 1250, RefundedUnknown: true}}},
	"a decline that the customer can still pay": {body: `{"id":"evt_1","type":"payment.declined","data":{"id":"ch_1","status":"declined",
		"amount":1250,"currency":"USD","can_still_succeed":true,
		"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{Type: "payment.declined", MerchantID: "acme", PaymentID: paymentID, Record: &processor.Result{
			ID: "ch_1", Status: payment.Declined, Amount: 1250, Currency: "USD", CanStillSucceed: true}}},
	"a status that is not final": {body: `{"id":"evt_1","type":"payment.pending","data":{"id":"ch_1","status":"pending",
		"amount":1250,"currency":"USD","metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{Type: "payment.pending", MerchantID: "acme", PaymentID: paymentID}},
	"a type that does not name the status": {body: `{"id":"evt_1","type":"payment.captured","data":{"id":"ch_1","status":"succeeded",
		"amount":1250,"currency":"USD","metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{Type: "payment.captured", MerchantID: "acme", PaymentID: paymentID}},
	"a record with an invalid amount": {body: eventStart + `"data":{"id":"ch_1","status":"succeeded","amount":-1,"currency":"USD",
		"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{MerchantID: "acme", PaymentID: paymentID}},
	"a record with an invalid id": {body: eventStart + `"data":{"id":"ch 1","status":"succeeded","amount":1250,"currency":"USD",
		"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{MerchantID: "acme", PaymentID: paymentID}},
	"a refund": {body: `{"id":"evt_1","type":"refund.succeeded","data":{"id":"re_1","payment_id":"ch_1","status":"succeeded","amount":250,
		"currency":"USD","metadata":{"florin_refund_id":"` + refundID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{Type: "refund.succeeded", MerchantID: "acme", RefundID: refundID, Record: &processor.Result{
			ID: "re_1", Status: payment.Succeeded, Amount: 250, Currency: "USD"}}},
	"a refund in an event about a payment": {body: eventStart + `"data":{"id":"re_1","payment_id":"ch_1","status":"succeeded","amount":250,
		"currency":"USD","metadata":{"florin_refund_id":"` + refundID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{MerchantID: "acme", RefundID: refundID}},
	"unknown fields": {body: eventStart + `"version":2,"data":{"metadata":{"florin_payment_id":"` +
		paymentID + `","florin_merchant_id":"acme"}}}`, want: processor.Event{MerchantID: "acme", PaymentID: paymentID}},
	"a payment without Florin's metadata": {body: eventStart + `"data":{"id":"ch_2","metadata":{"order":"1"}}}`,
		want: processor.Event{}},
	"no metadata": {body: eventStart + `"data":{"id":"ch_2"}}`,
		want: processor.Event{}},
	"metadata with a number": {body: eventStart + `"data":{"metadata":{"florin_payment_id":"` + paymentID +
		`","florin_merchant_id":"acme","n":1}}}`, want: processor.Event{}},
	"no data": {body: `{"id":"evt_1","type":"payment.succeeded"}`, want: processor.Event{}},
	"data is an array": {body: eventStart + `"data":["payout"]}`,
		want: processor.Event{}},
	"an id that Florin does not generate": {body: eventStart +
		`"data":{"metadata":{"florin_payment_id":"pay_1","florin_merchant_id":"acme"}}}`, want: processor.Event{}},
	"an invalid merchant id": {body: eventStart + `"data":{"metadata":{"florin_payment_id":"` + paymentID +
		`","florin_merchant_id":"a/b"}}}`, want: processor.Event{}},
	"a dispute": {body: `{"id":"evt_1","type":"dispute.created","data":{"id":"dp_1","payment_id":"ch_1",
		"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		want: processor.Event{Type: "dispute.created", Dispute: true, DisputeID: "dp_1", ProcessorPaymentID: "ch_1"}},
	"a dispute without data": {body: `{"id":"evt_1","type":"dispute.closed","data":[]}`,
		want: processor.Event{Type: "dispute.closed", Dispute: true}},
	"a payment without a merchant id": {body: eventStart + `"data":{"metadata":{"florin_payment_id":"` + paymentID +
		`"}}}`, want: processor.Event{}},
}

func TestEventContainsFlorinsIDs(t *testing.T) {
	for name, c := range eventBodies {
		t.Run(name, func(t *testing.T) {
			c.want.ID, c.want.Type = "evt_1", cmp.Or(c.want.Type, "payment.succeeded")
			got, err := ReadEvent([]byte(c.body))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestInvalidEventIsRefusedWithoutQuotingIt(t *testing.T) {
	for _, body := range []string{``, `null`, `[]`, `{}`, `<html>`, `{"id":"evt_1"}`, `{"type":"t"}`,
		`{"id":1,"type":"t"}`, `{"ID":"evt_1","type":"t"}`,
		`{"id":"evt_1","type":"t","id":"evt_2"}`, `{"id":"evt_1","type":"t","data":{"metadata":{"a":"","a":""}}}`,
		`{"id":"evt_1","type":"t"`, `{"id":"evt\n1","type":"t"}`} {
		_, err := ReadEvent([]byte(body))
		require.ErrorIs(t, err, processor.ErrNoEvent, body)
		require.NotContains(t, err.Error(), "evt")
	}
}

// The fields of an event are safe to log and to use in ids, whatever the body of a signed event contains.
func FuzzEvent(f *testing.F) {
	for _, c := range eventBodies {
		f.Add([]byte(c.body))
	}
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
		require.Regexp(t, `\A[!-~]{0,255}\z`, got.ProcessorPaymentID)
		require.Regexp(t, `\A[!-~]{0,255}\z`, got.DisputeID)
		require.Equal(t, got.MerchantID != "", got.PaymentID+got.RefundID != "")
		require.False(t, got.PaymentID != "" && got.RefundID != "")
		if got.Record != nil {
			require.NotEmpty(t, got.MerchantID)
			require.True(t, got.Record.Status.Final())
			require.Regexp(t, `\A[!-~]{1,255}\z`, got.Record.ID)
		}
	})
}
