package processor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestEventKeepsOnlyIDsThatFlorinGenerates(t *testing.T) {
	paymentID, refundID := payment.PaymentID("acme", "order-1"), payment.RefundID("acme", "refund-1")
	for name, c := range map[string]struct{ event, want Event }{
		"a payment": {event: Event{MerchantID: "acme", PaymentID: paymentID},
			want: Event{MerchantID: "acme", PaymentID: paymentID}},
		"a refund": {event: Event{MerchantID: "acme", RefundID: refundID},
			want: Event{MerchantID: "acme", RefundID: refundID}},
		"both": {event: Event{MerchantID: "acme", PaymentID: paymentID, RefundID: refundID},
			want: Event{MerchantID: "acme", RefundID: refundID}},
		"the longest merchant id": {event: Event{MerchantID: strings.Repeat("m", 64), PaymentID: paymentID},
			want: Event{MerchantID: strings.Repeat("m", 64), PaymentID: paymentID}},
		"nothing":            {},
		"no merchant id":     {event: Event{PaymentID: paymentID}, want: Event{}},
		"only a merchant id": {event: Event{MerchantID: "acme"}, want: Event{}},
		"a merchant id that is too long": {event: Event{MerchantID: strings.Repeat("m", 65), PaymentID: paymentID},
			want: Event{}},
		"a merchant id with a slash":      {event: Event{MerchantID: "acme/x", PaymentID: paymentID}, want: Event{}},
		"a merchant id with a NUL":        {event: Event{MerchantID: "acme\x00", PaymentID: paymentID}, want: Event{}},
		"a merchant id with a line break": {event: Event{MerchantID: "acme\n", PaymentID: paymentID}, want: Event{}},
		"a card number as merchant id":    {event: Event{MerchantID: "4242424242424242", PaymentID: paymentID}, want: Event{}},
		"payment and refund id exchanged": {event: Event{MerchantID: "acme", PaymentID: refundID, RefundID: paymentID},
			want: Event{}},
		"an id in another format": {event: Event{MerchantID: "acme", PaymentID: "pay_1"}, want: Event{}},
		"an id in upper case": {event: Event{MerchantID: "acme", PaymentID: strings.ToUpper(paymentID)},
			want: Event{}},
		"an id with a line break":   {event: Event{MerchantID: "acme", PaymentID: paymentID + "\n"}, want: Event{}},
		"an id with one more digit": {event: Event{MerchantID: "acme", PaymentID: paymentID + "0"}, want: Event{}},
		"a payment and an invalid refund id": {event: Event{MerchantID: "acme", PaymentID: paymentID, RefundID: "ref_1"},
			want: Event{MerchantID: "acme", PaymentID: paymentID}},
	} {
		t.Run(name, func(t *testing.T) {
			c.event.ID, c.event.Type = "evt_1", "payment.succeeded"
			c.want.ID, c.want.Type = "evt_1", "payment.succeeded"
			got, err := c.event.Checked()
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestEventWithAnUnprintableIDOrTypeIsRefused(t *testing.T) {
	long := strings.Repeat("e", 255)
	_, err := Event{ID: long, Type: long}.Checked()
	require.NoError(t, err)
	for _, bad := range []string{"", long + "e", "evt 1", "evt\n1", "evt\x00", "evt_é", "\xff"} {
		for _, event := range []Event{{ID: bad, Type: "t"}, {ID: "evt_1", Type: bad}} {
			got, err := event.Checked()
			require.ErrorIs(t, err, ErrNoEvent, "%q", bad)
			require.Equal(t, Event{}, got)
		}
	}
}
