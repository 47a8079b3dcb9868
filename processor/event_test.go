package processor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestAnEventKeepsOnlyIDsThatFlorinGives(t *testing.T) {
	ours, refund := payment.PaymentID("acme", "order-1"), payment.RefundID("acme", "refund-1")
	for name, c := range map[string]struct{ event, want Event }{
		"a payment":              {Event{MerchantID: "acme", PaymentID: ours}, Event{MerchantID: "acme", PaymentID: ours}},
		"a refund":               {Event{MerchantID: "acme", RefundID: refund}, Event{MerchantID: "acme", RefundID: refund}},
		"both":                   {Event{MerchantID: "acme", PaymentID: ours, RefundID: refund}, Event{MerchantID: "acme", RefundID: refund}},
		"the longest merchant":   {Event{MerchantID: strings.Repeat("m", 64), PaymentID: ours}, Event{MerchantID: strings.Repeat("m", 64), PaymentID: ours}},
		"nothing":                {},
		"no merchant":            {Event{PaymentID: ours}, Event{}},
		"only a merchant":        {Event{MerchantID: "acme"}, Event{}},
		"too long a merchant":    {Event{MerchantID: strings.Repeat("m", 65), PaymentID: ours}, Event{}},
		"a merchant of two":      {Event{MerchantID: "acme/x", PaymentID: ours}, Event{}},
		"a merchant with a NUL":  {Event{MerchantID: "acme\x00", PaymentID: ours}, Event{}},
		"a merchant and a line":  {Event{MerchantID: "acme\n", PaymentID: ours}, Event{}},
		"a card as a merchant":   {Event{MerchantID: "4242424242424242", PaymentID: ours}, Event{}},
		"another kind of id":     {Event{MerchantID: "acme", PaymentID: refund, RefundID: ours}, Event{}},
		"somebody else's id":     {Event{MerchantID: "acme", PaymentID: "pay_1"}, Event{}},
		"an id in upper case":    {Event{MerchantID: "acme", PaymentID: strings.ToUpper(ours)}, Event{}},
		"an id and a line":       {Event{MerchantID: "acme", PaymentID: ours + "\n"}, Event{}},
		"an id and more":         {Event{MerchantID: "acme", PaymentID: ours + "0"}, Event{}},
		"a wrong refund as well": {Event{MerchantID: "acme", PaymentID: ours, RefundID: "ref_1"}, Event{MerchantID: "acme", PaymentID: ours}},
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

func TestAnEventHasAnIDAndATypeThatCanBeLogged(t *testing.T) {
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
