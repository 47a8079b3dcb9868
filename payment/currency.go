package payment

import (
	"fmt"
	"strings"
)

// The active currencies of ISO 4217 (list one), by exponent: the number of decimal digits of the minor unit. Funds codes,
// precious metals, units of account and test codes are not listed, because no customer can be charged in them. BGN, which the
// euro replaced in 2026, remains, so that payments in it can be refunded.
//
// The exponents are those of ISO 4217. CLDR, and golang.org/x/text/currency with it, rounds for display: it differs for 22
// currencies, such as AFN and IQD with 0 decimals instead of 2 and 3, and lacks newer codes such as SLE and XCG. A test fails on
// any difference that it does not list.
const (
	currenciesWithoutDecimals = `BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF`

	currenciesWithTwoDecimals = `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN
		BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
		GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
		MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR
		RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD
		TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`

	currenciesWithThreeDecimals = `BHD IQD JOD KWD LYD OMR TND`
)

// exponents are the exponents by currency.
var exponents = func() map[string]int {
	m := make(map[string]int)
	for digits, codes := range map[int]string{
		0: currenciesWithoutDecimals,
		2: currenciesWithTwoDecimals,
		3: currenciesWithThreeDecimals,
	} {
		for code := range strings.FieldsSeq(codes) {
			m[code] = digits
		}
	}
	return m
}()

// Exponent returns the exponent of a currency as ISO 4217 defines it: the number of decimal digits of the minor unit, such as 2
// for USD, 0 for JPY and 3 for BHD. It returns an error unless the code is an active ISO 4217 currency in upper case.
func Exponent(currency string) (int, error) {
	digits, ok := exponents[currency]
	if !ok {
		return 0, fmt.Errorf("unknown currency %s: want an ISO 4217 code in upper case, such as USD", quote(currency))
	}
	return digits, nil
}
