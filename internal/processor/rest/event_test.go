package rest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var (
	paymentID = payment.PaymentID("acme", "order-1")
	refundID  = payment.RefundID("acme", "refund-1")
)

// eventBodies are events with what is read of them, beside id and type.
var eventBodies = map[string]struct {
	body string
	want processor.Event
}{
	"a payment": {`{"id":"evt_1","type":"payment.succeeded","data":{"id":"ch_1","status":"succeeded","amount":1250,"currency":"USD","captured_amount":1250,
		"refunded_amount":0,"reference":"8a7c5d8e-0000-5000-8000-000000000001","created_at":"2026-01-15T09:30:00Z",
		"metadata":{"order":"1","florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`,
		processor.Event{MerchantID: "acme", PaymentID: paymentID}},
	"a refund": {`{"id":"evt_1","type":"payment.succeeded","data":{"id":"re_1","payment_id":"ch_1","status":"succeeded","amount":250,"currency":"USD",
		"metadata":{"florin_refund_id":"` + refundID + `","florin_merchant_id":"acme"}}}`,
		processor.Event{MerchantID: "acme", RefundID: refundID}},
	"more than the protocol has":   {`{"id":"evt_1","type":"payment.succeeded","version":2,"data":{"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme"}}}`, processor.Event{MerchantID: "acme", PaymentID: paymentID}},
	"a payment made elsewhere":     {`{"id":"evt_1","type":"payment.succeeded","data":{"id":"ch_2","metadata":{"order":"1"}}}`, processor.Event{}},
	"no metadata":                  {`{"id":"evt_1","type":"payment.succeeded","data":{"id":"ch_2"}}`, processor.Event{}},
	"metadata of another kind":     {`{"id":"evt_1","type":"payment.succeeded","data":{"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"acme","n":1}}}`, processor.Event{}},
	"no data":                      {`{"id":"evt_1","type":"payment.succeeded"}`, processor.Event{}},
	"data of another kind":         {`{"id":"evt_1","type":"payment.succeeded","data":["payout"]}`, processor.Event{}},
	"an id that is no id of ours":  {`{"id":"evt_1","type":"payment.succeeded","data":{"metadata":{"florin_payment_id":"pay_1","florin_merchant_id":"acme"}}}`, processor.Event{}},
	"a merchant that cannot be":    {`{"id":"evt_1","type":"payment.succeeded","data":{"metadata":{"florin_payment_id":"` + paymentID + `","florin_merchant_id":"a/b"}}}`, processor.Event{}},
	"a payment without a merchant": {`{"id":"evt_1","type":"payment.succeeded","data":{"metadata":{"florin_payment_id":"` + paymentID + `"}}}`, processor.Event{}},
}

func TestAnEventNamesWhatItIsAbout(t *testing.T) {
	for name, c := range eventBodies {
		t.Run(name, func(t *testing.T) {
			c.want.ID, c.want.Type = "evt_1", "payment.succeeded"
			got, err := ReadEvent([]byte(c.body))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestWhatIsNoEventIsRefusedWithoutItsWords(t *testing.T) {
	for _, body := range []string{``, `null`, `[]`, `{}`, `<html>`, `{"id":"evt_1"}`, `{"type":"t"}`, `{"id":1,"type":"t"}`, `{"id":"evt_1","type":"t"`, `{"id":"evt\n1","type":"t"}`} {
		_, err := ReadEvent([]byte(body))
		require.ErrorIs(t, err, processor.ErrNoEvent, body)
		require.NotContains(t, err.Error(), "evt")
	}
}

// FuzzEvent: whatever is signed, what is read of it can be logged and asked for.
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
		require.Equal(t, got.MerchantID != "", got.PaymentID+got.RefundID != "")
		require.False(t, got.PaymentID != "" && got.RefundID != "")
	})
}
