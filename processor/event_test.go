package processor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestEventKeepsOnlyIDsThatFlorinCreates(t *testing.T) {
	ours, refund := payment.PaymentID("acme", "order-1"), payment.RefundID("acme", "refund-1")
	for name, c := range map[string]struct{ event, want Event }{
		"a payment":                           {event: Event{MerchantID: "acme", PaymentID: ours}, want: Event{MerchantID: "acme", PaymentID: ours}},
		"a refund":                            {event: Event{MerchantID: "acme", RefundID: refund}, want: Event{MerchantID: "acme", RefundID: refund}},
		"both":                                {event: Event{MerchantID: "acme", PaymentID: ours, RefundID: refund}, want: Event{MerchantID: "acme", RefundID: refund}},
		"the longest merchant":                {event: Event{MerchantID: strings.Repeat("m", 64), PaymentID: ours}, want: Event{MerchantID: strings.Repeat("m", 64), PaymentID: ours}},
		"nothing":                             {},
		"no merchant":                         {event: Event{PaymentID: ours}, want: Event{}},
		"only a merchant":                     {event: Event{MerchantID: "acme"}, want: Event{}},
		"too long a merchant":                 {event: Event{MerchantID: strings.Repeat("m", 65), PaymentID: ours}, want: Event{}},
		"a merchant with a slash":             {event: Event{MerchantID: "acme/x", PaymentID: ours}, want: Event{}},
		"a merchant with a NUL":               {event: Event{MerchantID: "acme\x00", PaymentID: ours}, want: Event{}},
		"a merchant and a line":               {event: Event{MerchantID: "acme\n", PaymentID: ours}, want: Event{}},
		"a card as a merchant":                {event: Event{MerchantID: "4242424242424242", PaymentID: ours}, want: Event{}},
		"another kind of id":                  {event: Event{MerchantID: "acme", PaymentID: refund, RefundID: ours}, want: Event{}},
		"an ID that Florin does not create":   {event: Event{MerchantID: "acme", PaymentID: "pay_1"}, want: Event{}},
		"an id in upper case":                 {event: Event{MerchantID: "acme", PaymentID: strings.ToUpper(ours)}, want: Event{}},
		"an id and a line":                    {event: Event{MerchantID: "acme", PaymentID: ours + "\n"}, want: Event{}},
		"an id and more":                      {event: Event{MerchantID: "acme", PaymentID: ours + "0"}, want: Event{}},
		"a dispute":                           {event: Event{Dispute: true, ProcessorPaymentID: "pi_1"}, want: Event{Dispute: true, ProcessorPaymentID: "pi_1"}},
		"a dispute with an id":                {event: Event{Dispute: true, DisputeID: "dp_1"}, want: Event{Dispute: true, DisputeID: "dp_1"}},
		"a dispute with an unprintable id":    {event: Event{Dispute: true, DisputeID: "dp\n1"}, want: Event{Dispute: true}},
		"a dispute of an unknown payment":     {event: Event{Dispute: true}, want: Event{Dispute: true}},
		"a dispute of an unprintable payment": {event: Event{Dispute: true, ProcessorPaymentID: "pi_\x00"}, want: Event{Dispute: true}},
		"a dispute of a card number":          {event: Event{Dispute: true, ProcessorPaymentID: "4242424242424242"}, want: Event{Dispute: true}},
		"a dispute with metadata": {event: Event{Dispute: true, ProcessorPaymentID: "pi_1", MerchantID: "acme", PaymentID: ours},
			want: Event{Dispute: true, ProcessorPaymentID: "pi_1"}},
		"the processor's id of another event": {event: Event{ProcessorPaymentID: "pi_1", MerchantID: "acme", PaymentID: ours},
			want: Event{MerchantID: "acme", PaymentID: ours}},
		"a wrong refund as well": {event: Event{MerchantID: "acme", PaymentID: ours, RefundID: "ref_1"}, want: Event{MerchantID: "acme", PaymentID: ours}},
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

func TestEventWithoutAPrintableIDAndTypeIsRefused(t *testing.T) {
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
