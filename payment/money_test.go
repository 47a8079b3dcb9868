package payment

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAmountsAreParsedExactly(t *testing.T) {
	for _, tc := range []struct {
		amount, currency string
		want             int64
		printed          string
	}{
		{amount: "12.50", currency: "USD", want: 1250, printed: "12.50 USD"},
		{amount: "12.5", currency: "USD", want: 1250, printed: "12.50 USD"},
		{amount: "12", currency: "USD", want: 1200, printed: "12.00 USD"},
		{amount: "0.01", currency: "USD", want: 1, printed: "0.01 USD"},
		{amount: "0", currency: "USD", want: 0, printed: "0.00 USD"},
		{amount: "0.00", currency: "USD", want: 0, printed: "0.00 USD"},
		{amount: "007.10", currency: "USD", want: 710, printed: "7.10 USD"},
		{amount: strings.Repeat("0", 100) + "1", currency: "USD", want: 100, printed: "1.00 USD"},
		{amount: "0.29", currency: "USD", want: 29, printed: "0.29 USD"}, // floating point would give 28
		{amount: "1250", currency: "JPY", want: 1250, printed: "1250 JPY"},
		{amount: "1.250", currency: "BHD", want: 1250, printed: "1.250 BHD"},
		{amount: "1.2", currency: "BHD", want: 1200, printed: "1.200 BHD"},
		{amount: "0.001", currency: "BHD", want: 1, printed: "0.001 BHD"},
		{amount: "9999999999.99", currency: "USD", want: MaxAmount, printed: "9999999999.99 USD"},
		{amount: "999999999999", currency: "JPY", want: MaxAmount, printed: "999999999999 JPY"},
		{amount: "999999999.999", currency: "BHD", want: MaxAmount, printed: "999999999.999 BHD"},
	} {
		t.Run(tc.amount+" "+tc.currency, func(t *testing.T) {
			m, err := ParseMoney(tc.amount, tc.currency)
			require.NoError(t, err)
			require.Equal(t, Money{tc.want, tc.currency}, m)
			require.Equal(t, tc.printed, m.String())
			reparsed, err := ParseMoney(m.Decimal(), tc.currency)
			require.NoError(t, err)
			require.Equal(t, m, reparsed)
		})
	}
}

func TestAmountsThatCannotBeRepresentedExactlyAreRefused(t *testing.T) {
	const notDecimal, tooLarge = "is not a decimal number", "is too large"
	for _, tc := range []struct{ amount, currency, problem string }{
		{
			amount: "12.505", currency: "USD",
			problem: `amount "12.505" has 3 decimals but USD has 2: rounding it would change the sum`,
		},
		{amount: "12.500", currency: "USD", problem: "has 3 decimals but USD has 2"},
		{amount: "1.0", currency: "JPY", problem: "has 1 decimals but JPY has 0"},
		{amount: "1.2505", currency: "BHD", problem: "has 4 decimals but BHD has 3"},
		{amount: "", currency: "USD", problem: notDecimal},
		{amount: ".", currency: "USD", problem: notDecimal},
		{amount: "5.", currency: "USD", problem: notDecimal},
		{amount: "5.", currency: "JPY", problem: notDecimal},
		{amount: ".5", currency: "USD", problem: notDecimal},
		{amount: "1.2.3", currency: "USD", problem: notDecimal},
		{amount: "1e3", currency: "USD", problem: notDecimal},
		{amount: "+5", currency: "USD", problem: notDecimal},
		{amount: "-5", currency: "USD", problem: notDecimal},
		{amount: "1.-5", currency: "USD", problem: notDecimal},
		{amount: "0x10", currency: "USD", problem: notDecimal},
		{amount: "1_000", currency: "USD", problem: notDecimal},
		{amount: "1,000", currency: "USD", problem: notDecimal},
		{amount: " 5", currency: "USD", problem: notDecimal},
		{amount: "5\n", currency: "USD", problem: notDecimal},
		{amount: "１２", currency: "USD", problem: notDecimal},
		{amount: "١٢", currency: "USD", problem: notDecimal},
		{amount: "12\x00", currency: "USD", problem: notDecimal},
		{amount: "NaN", currency: "USD", problem: notDecimal},
		{
			amount: "10000000000.00", currency: "USD",
			problem: `amount "10000000000.00" USD is too large: the maximum is 9999999999.99 USD`,
		},
		{amount: "1000000000000", currency: "JPY", problem: tooLarge},
		{amount: "1000000000.000", currency: "BHD", problem: tooLarge},
		{amount: "9223372036854775808", currency: "JPY", problem: tooLarge},
		{amount: strings.Repeat("9", 10_000), currency: "USD", problem: tooLarge},
		{amount: "5", currency: "usd", problem: `unknown currency "usd"`},
		{amount: "5", currency: "", problem: "unknown currency"},
		{amount: "5", currency: "XXX", problem: "unknown currency"},
	} {
		t.Run(tc.amount[:min(len(tc.amount), 20)]+" "+tc.currency, func(t *testing.T) {
			m, err := ParseMoney(tc.amount, tc.currency)
			require.ErrorContains(t, err, tc.problem)
			require.Zero(t, m)
			require.Less(t, len(err.Error()), 250)
		})
	}
}

func TestInvalidMoneyIsPrinted(t *testing.T) {
	for _, tc := range []struct {
		money Money
		want  string
	}{
		{money: Money{-5, "USD"}, want: "-0.05 USD"},
		{money: Money{-1250, "USD"}, want: "-12.50 USD"},
		{money: Money{math.MinInt64, "USD"}, want: "-92233720368547758.08 USD"},
		{money: Money{math.MaxInt64, "BHD"}, want: "9223372036854775.807 BHD"},
		{money: Money{1250, "???"}, want: "1250 ???"},
		{money: Money{}, want: "0 "},
	} {
		require.Equal(t, tc.want, tc.money.String())
	}
}

func FuzzParseMoney(f *testing.F) {
	for _, amount := range []string{
		"12.50", "0.01", "1250", "1.250", "007", "12.505", "1e3", "+5", "-5", ".", "5.", ".5", "１２", "99999999999999999999",
	} {
		f.Add(amount, "USD")
		f.Add(amount, "JPY")
		f.Add(amount, "BHD")
	}
	f.Fuzz(func(t *testing.T, amount, currency string) {
		m, err := ParseMoney(amount, currency)
		if err != nil {
			require.Zero(t, m)
			require.False(t, ContainsCardNumber(err.Error()))
			return
		}
		require.True(t, m.Amount >= 0 && m.Amount <= MaxAmount)
		require.Equal(t, currency, m.Currency)
		reparsed, err := ParseMoney(m.Decimal(), currency)
		require.NoError(t, err)
		require.Equal(t, m, reparsed)
		// The printed amount begins with the digits that were parsed.
		trimmed := strings.TrimLeft(amount, "0")
		require.True(t, strings.HasPrefix(strings.TrimLeft(m.Decimal(), "0"), trimmed), "%s became %s", amount, m)
	})
}
