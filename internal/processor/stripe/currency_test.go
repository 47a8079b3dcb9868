package stripe

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestAmountsAreConvertedExactlyOrRefused(t *testing.T) {
	for _, tc := range []struct {
		currency       string
		florin, stripe int64
	}{
		{currency: "USD", florin: 1250, stripe: 1250}, {currency: "USD", florin: 1, stripe: 1},
		{currency: "JPY", florin: 1250, stripe: 1250}, {currency: "KRW", florin: 1, stripe: 1},
		{currency: "HUF", florin: 1251, stripe: 1251}, {currency: "TWD", florin: 1251, stripe: 1251},
		{currency: "ISK", florin: 5, stripe: 500}, {currency: "UGX", florin: 5, stripe: 500},
		{currency: "ISK", florin: payment.MaxAmount, stripe: payment.MaxAmount * 100},
		{currency: "MGA", florin: 500, stripe: 5}, {currency: "MGA", florin: 100, stripe: 1},
		{currency: "KWD", florin: 5120, stripe: 5120}, {currency: "BHD", florin: 10, stripe: 10},
		{currency: "JOD", florin: 10, stripe: 10}, {currency: "OMR", florin: 10, stripe: 10},
		{currency: "TND", florin: 10, stripe: 10},
		{currency: "USD", florin: payment.MaxAmount, stripe: payment.MaxAmount},
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
		{currency: "MGA", amount: 550}, {currency: "MGA", amount: 1}, {currency: "KWD", amount: 5124},
		{currency: "BHD", amount: 1}, {currency: "USD", amount: 0}, {currency: "USD", amount: -1},
		{currency: "USD", amount: payment.MaxAmount + 1}, {currency: "ISK", amount: math.MaxInt64},
		{currency: "IQD", amount: 1000}, {currency: "LYD", amount: 1000}, {currency: "XXX", amount: 100},
		{currency: "usd", amount: 100}, {currency: "", amount: 100},
	} {
		_, err := toStripe(tc.amount, tc.currency)
		require.Error(t, err, "%d %s", tc.amount, tc.currency)
	}
	for _, tc := range []struct {
		currency string
		amount   int64
	}{{currency: "ISK", amount: 550}, {currency: "UGX", amount: 1}, {currency: "USD", amount: -1},
		{currency: "USD", amount: payment.MaxAmount + 1}, {currency: "MGA", amount: math.MaxInt64},
		{currency: "MGA", amount: math.MinInt64}, {currency: "LYD", amount: 0}, {currency: "XXX", amount: 0}} {
		_, err := fromStripe(tc.amount, tc.currency)
		require.Error(t, err, "%d %s", tc.amount, tc.currency)
	}
}

// The adapter would convert any other currency without decimals wrongly.
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
