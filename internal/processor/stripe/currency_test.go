package stripe

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestAmountsAreConvertedExactlyOrNotAtAll(t *testing.T) {
	for _, tc := range []struct {
		currency       string
		florin, stripe int64
	}{
		{"USD", 1250, 1250}, {"USD", 1, 1}, {"JPY", 1250, 1250}, {"KRW", 1, 1}, {"HUF", 1251, 1251}, {"TWD", 1251, 1251},
		{"ISK", 5, 500}, {"UGX", 5, 500}, {"ISK", payment.MaxAmount, payment.MaxAmount * 100},
		{"MGA", 500, 5}, {"MGA", 100, 1},
		{"KWD", 5120, 5120}, {"BHD", 10, 10}, {"JOD", 10, 10}, {"OMR", 10, 10}, {"TND", 10, 10},
		{"USD", payment.MaxAmount, payment.MaxAmount},
	} {
		got, err := toStripe(tc.florin, tc.currency)
		require.NoError(t, err)
		require.Equal(t, tc.stripe, got, tc.currency)
		back, err := fromStripe(got, tc.currency)
		require.NoError(t, err)
		require.Equal(t, tc.florin, back, tc.currency)
	}
	for _, tc := range []struct {
		currency string
		amount   int64
	}{
		{"MGA", 550}, {"MGA", 1}, {"KWD", 5124}, {"BHD", 1}, {"USD", 0}, {"USD", -1}, {"USD", payment.MaxAmount + 1}, {"ISK", math.MaxInt64},
		{"IQD", 1000}, {"LYD", 1000}, {"XXX", 100}, {"usd", 100}, {"", 100},
	} {
		_, err := toStripe(tc.amount, tc.currency)
		require.Error(t, err, "%d %s", tc.amount, tc.currency)
	}
	for _, tc := range []struct {
		currency string
		amount   int64
	}{{"ISK", 550}, {"UGX", 1}, {"USD", -1}, {"USD", payment.MaxAmount + 1}, {"MGA", math.MaxInt64}, {"MGA", math.MinInt64}, {"LYD", 0}, {"XXX", 0}} {
		_, err := fromStripe(tc.amount, tc.currency)
		require.Error(t, err, "%d %s", tc.amount, tc.currency)
	}
}

// Every currency without decimals is in one of Stripe's lists: another one we would count wrongly.
func TestStripeDocumentsEveryCurrencyWithoutDecimals(t *testing.T) {
	var without []string
	for i := range 26 * 26 * 26 {
		currency := string([]rune{'A' + rune(i/676), 'A' + rune(i/26%26), 'A' + rune(i%26)})
		if digits, err := payment.Exponent(currency); err == nil && digits == 0 {
			without = append(without, currency)
		}
	}
	// https://docs.stripe.com/currencies#zero-decimal, less MGA; then the special cases.
	require.ElementsMatch(t, strings.Fields("BIF CLP DJF GNF JPY KMF KRW PYG RWF VND VUV XAF XOF XPF ISK UGX"), without)
}
