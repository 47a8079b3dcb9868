package payment

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxAmount is the largest amount, in minor units. The amount field of ISO 8583 (field 4) has twelve digits.
const MaxAmount int64 = 999_999_999_999

// Money is an amount of money: {1250, "USD"} is 12.50 USD, and {1250, "JPY"} is 1250 JPY.
type Money struct {
	// Amount is in minor units of Currency.
	Amount int64 `json:"amount"`
	// Currency is an ISO 4217 code in upper case.
	Currency string `json:"currency"`
}

// ParseMoney parses a decimal number in major units, such as "12.50", exactly and without floating point. It returns an error for
// an unknown currency, for more decimals than the currency has (12.505 USD), for signs, exponents and separators, and for an
// amount above [MaxAmount].
func ParseMoney(amount, currency string) (Money, error) {
	digits, err := Exponent(currency)
	if err != nil {
		return Money{}, err
	}
	whole, fraction, point := strings.Cut(amount, ".")
	if !allDigits(whole) || (point && !allDigits(fraction)) {
		return Money{}, fmt.Errorf("amount %s is not a decimal number: want digits with a point, such as 12.50", quote(amount))
	}
	if len(fraction) > digits {
		return Money{}, fmt.Errorf("amount %s has %d decimals but %s has %d: rounding it would change the sum",
			quote(amount), len(fraction), currency, digits)
	}
	minor, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	if err != nil || minor > MaxAmount {
		return Money{}, fmt.Errorf("amount %s %s is too large: the maximum is %s",
			quote(amount), currency, Money{MaxAmount, currency})
	}
	return Money{Amount: minor, Currency: currency}, nil
}

// String returns the amount in major units, with all decimals of the currency, and the currency: "12.50 USD". The amount is in
// minor units if the currency is unknown.
func (m Money) String() string { return m.Decimal() + " " + m.Currency }

// Decimal returns the amount as String does, without the currency: "12.50".
func (m Money) Decimal() string {
	digits, err := Exponent(m.Currency)
	if err != nil || digits == 0 {
		return strconv.FormatInt(m.Amount, 10)
	}
	sign, text := "", strconv.FormatInt(m.Amount, 10)
	if m.Amount < 0 {
		sign, text = "-", text[1:]
	}
	if missing := digits + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	return sign + text[:len(text)-digits] + "." + text[len(text)-digits:]
}

func allDigits(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		if !isDigit(c) {
			return false
		}
	}
	return true
}
