package payment

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// long is longer than every limit of a filter.
var long = strings.Repeat("x", 10_000)

func requireInvalidFields(t *testing.T, err error, want ...string) {
	t.Helper()
	if len(want) == 0 {
		require.NoError(t, err)
		return
	}
	var invalid *InvalidRequestError
	require.ErrorAs(t, err, &invalid)
	require.ErrorIs(t, err, ErrInvalidRequest)
	var fields []string
	for _, field := range invalid.Fields {
		fields = append(fields, field.Field)
	}
	require.Equal(t, want, fields)
	require.Less(t, len(err.Error()), 1000)
	require.NotContains(t, err.Error(), "4242424242424242")
}

func TestEveryFieldOfAFilterIsBounded(t *testing.T) {
	every := make([]Status, 0, len(PaymentTransitions))
	for status := range PaymentTransitions {
		every = append(every, status)
	}
	now := time.Now()
	for _, tt := range []struct {
		name   string
		filter Filter
		want   []string // invalid fields
	}{
		{name: "everything"},
		{name: "all fields", filter: Filter{
			MerchantID: "acme", Statuses: every, Processor: "stripe", Divergent: true, CreatedFrom: now.Add(-time.Hour), CreatedBefore: now,
			Limit: 500, Cursor: strings.Repeat("A", maxCursor),
		}},
		{name: "limits beyond a page, which are cut", filter: Filter{Limit: 1 << 40}},
		{name: "long merchant", filter: Filter{MerchantID: long}, want: []string{"merchant_id"}},
		{name: "merchant with a blank", filter: Filter{MerchantID: "a b"}, want: []string{"merchant_id"}},
		{name: "card number as merchant", filter: Filter{MerchantID: "4242424242424242"}, want: []string{"merchant_id"}},
		{name: "long processor", filter: Filter{Processor: long}, want: []string{"processor"}},
		{name: "processor of two lines", filter: Filter{Processor: "a\nb"}, want: []string{"processor"}},
		{name: "unknown status", filter: Filter{Statuses: []Status{Pending, "paid"}}, want: []string{"statuses"}},
		{name: "long status", filter: Filter{Statuses: []Status{Status(long)}}, want: []string{"statuses"}},
		{name: "a status many times", filter: Filter{Statuses: append(every, Pending)}, want: []string{"statuses"}},
		{name: "many unknown statuses", filter: Filter{Statuses: make([]Status, 100_000)}, want: []string{"statuses"}},
		{name: "long cursor", filter: Filter{Cursor: strings.Repeat("A", maxCursor+1)}, want: []string{"cursor"}},
		{name: "cursor with NUL", filter: Filter{Cursor: "\x00"}, want: []string{"cursor"}},
		{name: "time that JSON cannot express", filter: Filter{CreatedFrom: time.Unix(1<<40, 0), CreatedBefore: time.Unix(-1<<40, 0)},
			want: []string{"created_from", "created_before"}},
		{name: "several", filter: Filter{MerchantID: long, Processor: long, Cursor: long}, want: []string{"merchant_id", "processor", "cursor"}},
	} {
		t.Run(tt.name, func(t *testing.T) { requireInvalidFields(t, tt.filter.Validate(), tt.want...) })
	}
}

func TestEveryFieldOfADivergenceFilterIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		filter DivergenceFilter
		want   []string // invalid fields
	}{
		{name: "everything"},
		{name: "all fields", filter: DivergenceFilter{
			MerchantID: "acme", PaymentID: PaymentID("acme", "k"), Kind: DivergenceDispute, Open: true, Limit: 500, Cursor: "A",
		}},
		{name: "long merchant", filter: DivergenceFilter{MerchantID: long}, want: []string{"merchant_id"}},
		{name: "long payment", filter: DivergenceFilter{PaymentID: "pay_" + long}, want: []string{"payment_id"}},
		{name: "payment with a quote", filter: DivergenceFilter{PaymentID: "pay_' OR 1=1 --"}, want: []string{"payment_id"}},
		{name: "unknown kind", filter: DivergenceFilter{Kind: "paid"}, want: []string{"kind"}},
		{name: "long kind", filter: DivergenceFilter{Kind: DivergenceKind(long)}, want: []string{"kind"}},
		{name: "long cursor", filter: DivergenceFilter{Cursor: long}, want: []string{"cursor"}},
	} {
		t.Run(tt.name, func(t *testing.T) { requireInvalidFields(t, tt.filter.Validate(), tt.want...) })
	}
}
