package payment

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/currency"
)

// cldrDiffers has the exponents of golang.org/x/text, that is of CLDR, which differ from ours because CLDR rounds for display.
// Another difference means that one of the two tables has changed: look it up in ISO 4217, list one, before adding it.
var cldrDiffers = map[string]int{
	"AFN": 0, "ALL": 0, "AMD": 0, "COP": 0, "GYD": 0, "IDR": 0, "IQD": 0, "IRR": 0, "KPW": 0, "LAK": 0, "LBP": 0,
	"MGA": 0, "MMK": 0, "MNT": 0, "MUR": 0, "PKR": 0, "RSD": 0, "SOS": 0, "SYP": 0, "TZS": 0, "UZS": 0, "YER": 0,
}

// unknownToCLDR are newer than the CLDR of golang.org/x/text.
var unknownToCLDR = []string{"MRU", "SLE", "VED", "VES", "XCG", "ZWG"}

func TestExponentsDifferFromCLDROnlyWhereListed(t *testing.T) {
	differs, unknown := map[string]int{}, []string{}
	for _, code := range slices.Sorted(maps.Keys(exponents)) {
		unit, err := currency.ParseISO(code)
		if err != nil {
			unknown = append(unknown, code)
			continue
		}
		if scale, _ := currency.Standard.Rounding(unit); scale != exponents[code] {
			differs[code] = scale
		}
	}
	require.Equal(t, cldrDiffers, differs)
	require.Equal(t, unknownToCLDR, unknown)
}

func TestExponentsAreThoseOfISO4217(t *testing.T) {
	want := map[string]int{"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0, "XPF": 0,
		"USD": 2, "EUR": 2, "HUF": 2, "TWD": 2, "IDR": 2, "CVE": 2, "MGA": 2, "MRU": 2, "LBP": 2, "XCG": 2, "ZWG": 2, "SLE": 2,
		"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3}
	for code, digits := range want {
		got, err := Exponent(code)
		require.NoError(t, err)
		require.Equal(t, digits, got, code)
	}
}

func TestEveryCurrencyIsListedOnce(t *testing.T) {
	listed := strings.Fields(currenciesWithoutDecimals + " " + currenciesWithTwoDecimals + " " + currenciesWithThreeDecimals)
	require.Len(t, listed, len(exponents))
	require.Len(t, listed, 156)
	for _, code := range listed {
		require.Regexp(t, `^[A-Z]{3}$`, code)
	}
}

func TestOnlyCurrenciesThatCanBeChargedAreKnown(t *testing.T) {
	for _, code := range []string{
		"", "usd", "US", "USDX", " USD", "EURO", "€",
		"XAU", "XAG", "XPT", "XPD", "XDR", "XSU", "XUA", "XAD", "XTS", "XXX", // metals, units of account, test codes
		"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", // funds codes
		"ANG", "CUC", "HRK", "SLL", "VEF", "ZWL", "MRO", "STD", "BYR", "LTL", "DEM", // withdrawn
		"BTC", "CNH", "GGP", // not in ISO 4217
	} {
		_, err := Exponent(code)
		require.ErrorContains(t, err, "want an ISO 4217 code in upper case", code)
	}
}
