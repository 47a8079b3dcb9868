package payment

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAmountsAreReadExactlyInTheMinorUnit(t *testing.T) {
	for _, tc := range []struct {
		amount, currency string
		want             int64
		printed          string
	}{
		{"12.50", "USD", 1250, "12.50 USD"},
		{"12.5", "USD", 1250, "12.50 USD"},
		{"12", "USD", 1200, "12.00 USD"},
		{"0.01", "USD", 1, "0.01 USD"},
		{"0", "USD", 0, "0.00 USD"},
		{"0.00", "USD", 0, "0.00 USD"},
		{"007.10", "USD", 710, "7.10 USD"},
		{strings.Repeat("0", 100) + "1", "USD", 100, "1.00 USD"},
		{"0.29", "USD", 29, "0.29 USD"}, // 28 with floats
		{"1250", "JPY", 1250, "1250 JPY"},
		{"1.250", "BHD", 1250, "1.250 BHD"},
		{"1.2", "BHD", 1200, "1.200 BHD"},
		{"0.001", "BHD", 1, "0.001 BHD"},
		{"9999999999.99", "USD", MaxAmount, "9999999999.99 USD"},
		{"999999999999", "JPY", MaxAmount, "999999999999 JPY"},
		{"999999999.999", "BHD", MaxAmount, "999999999.999 BHD"},
	} {
		t.Run(tc.amount+" "+tc.currency, func(t *testing.T) {
			m, err := ParseMoney(tc.amount, tc.currency)
			require.NoError(t, err)
			require.Equal(t, Money{tc.want, tc.currency}, m)
			require.Equal(t, tc.printed, m.String())
			again, err := ParseMoney(m.Decimal(), tc.currency)
			require.NoError(t, err)
			require.Equal(t, m, again)
		})
	}
}

func TestAmountsThatCannotBeKeptAreRefused(t *testing.T) {
	const notDecimal, tooLarge = "is not a decimal number", "is too large"
	for _, tc := range []struct{ amount, currency, problem string }{
		{"12.505", "USD", `amount "12.505" has 3 decimals but USD has 2: rounding it would change the sum`},
		{"12.500", "USD", "has 3 decimals but USD has 2"},
		{"1.0", "JPY", "has 1 decimals but JPY has 0"},
		{"1.2505", "BHD", "has 4 decimals but BHD has 3"},
		{"", "USD", notDecimal},
		{".", "USD", notDecimal},
		{"5.", "USD", notDecimal},
		{"5.", "JPY", notDecimal},
		{".5", "USD", notDecimal},
		{"1.2.3", "USD", notDecimal},
		{"1e3", "USD", notDecimal},
		{"+5", "USD", notDecimal},
		{"-5", "USD", notDecimal},
		{"1.-5", "USD", notDecimal},
		{"0x10", "USD", notDecimal},
		{"1_000", "USD", notDecimal},
		{"1,000", "USD", notDecimal},
		{" 5", "USD", notDecimal},
		{"5\n", "USD", notDecimal},
		{"１２", "USD", notDecimal},
		{"١٢", "USD", notDecimal},
		{"12\x00", "USD", notDecimal},
		{"NaN", "USD", notDecimal},
		{"10000000000.00", "USD", `amount "10000000000.00" USD is too large: the most is 9999999999.99 USD`},
		{"1000000000000", "JPY", tooLarge},
		{"1000000000.000", "BHD", tooLarge},
		{"9223372036854775808", "JPY", tooLarge},
		{strings.Repeat("9", 10_000), "USD", tooLarge},
		{"5", "usd", `unknown currency "usd"`},
		{"5", "", "unknown currency"},
		{"5", "XXX", "unknown currency"},
	} {
		t.Run(tc.amount[:min(len(tc.amount), 20)]+" "+tc.currency, func(t *testing.T) {
			m, err := ParseMoney(tc.amount, tc.currency)
			require.ErrorContains(t, err, tc.problem)
			require.Zero(t, m)
			require.Less(t, len(err.Error()), 250)
		})
	}
}

func TestMoneyThatIsNoValidAmountIsStillPrinted(t *testing.T) {
	for _, tc := range []struct {
		money Money
		want  string
	}{
		{Money{-5, "USD"}, "-0.05 USD"},
		{Money{-1250, "USD"}, "-12.50 USD"},
		{Money{math.MinInt64, "USD"}, "-92233720368547758.08 USD"},
		{Money{math.MaxInt64, "BHD"}, "9223372036854775.807 BHD"},
		{Money{1250, "???"}, "1250 ???"},
		{Money{}, "0 "},
	} {
		require.Equal(t, tc.want, tc.money.String())
	}
}

func FuzzParseMoney(f *testing.F) {
	for _, amount := range []string{"12.50", "0.01", "1250", "1.250", "007", "12.505", "1e3", "+5", "-5", ".", "5.", ".5", "１２", "99999999999999999999"} {
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
		again, err := ParseMoney(m.Decimal(), currency)
		require.NoError(t, err)
		require.Equal(t, m, again)
		// Without an exponent or a float in sight, what is printed is what was read.
		trimmed := strings.TrimLeft(amount, "0")
		require.True(t, strings.HasPrefix(strings.TrimLeft(m.Decimal(), "0"), trimmed), "%s became %s", amount, m)
	})
}
