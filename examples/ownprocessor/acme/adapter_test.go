package acme

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestReasonsAreHardSoftOrNeedAnAction(t *testing.T) {
	for reason, want := range map[string]payment.Decline{
		"stolen":  {Code: "stolen", Kind: payment.DeclineHard},
		"closed":  {Code: "closed", Kind: payment.DeclineHard},
		"confirm": {Code: "confirm", Kind: payment.DeclineAction},
		"limit":   {Code: "limit", Kind: payment.DeclineSoft},
		"":        {Code: "unspecified", Kind: payment.DeclineSoft},
	} {
		require.Equal(t, &want, declineOf(reason))
	}
}

func TestEventNamesItsPaymentOrRefund(t *testing.T) {
	paymentID, refundID := payment.PaymentID("books", "order-1"), payment.RefundID("books", "refund-1")
	for name, test := range map[string]struct {
		body string
		want processor.Event
	}{
		"a payment": {
			body: `{"event":"evt_1","kind":"settled","transaction":{"id":"tx_1","meta":{"florin_merchant_id":"books","florin_payment_id":"` + paymentID + `"}}}`,
			want: processor.Event{ID: "evt_1", Type: "settled", MerchantID: "books", PaymentID: paymentID},
		},
		"a return": {
			body: `{"event":"evt_1","kind":"returned","transaction":{"id":"re_1","meta":{"florin_merchant_id":"books","florin_refund_id":"` + refundID + `"}}}`,
			want: processor.Event{ID: "evt_1", Type: "returned", MerchantID: "books", RefundID: refundID},
		},
		"a transaction of another system": {
			body: `{"event":"evt_1","kind":"settled","transaction":{"id":"tx_1","meta":{"basket":"7"}}}`,
			want: processor.Event{ID: "evt_1", Type: "settled"},
		},
		"no transaction": {
			body: `{"event":"evt_1","kind":"payout"}`,
			want: processor.Event{ID: "evt_1", Type: "payout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := readEvent([]byte(test.body))
			require.NoError(t, err)
			require.Equal(t, test.want, event)
		})
	}
}

func TestBodyThatIsNotAnEventIsRefused(t *testing.T) {
	for _, body := range []string{``, `[]`, `{}`, `{"event":"evt_1"}`, `{"kind":"settled"}`, `<html>`} {
		_, err := readEvent([]byte(body))
		require.ErrorIs(t, err, processor.ErrNoEvent, body)
	}
}
