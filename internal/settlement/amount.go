package settlement

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/florinpay/florin/payment"
)

// amount reads a decimal number exactly: no amount is rounded, and none is guessed. negative reports a sign before or after the number, or
// parentheses around it.
func (f Format) amount(cell, currency string) (minor int64, negative bool, err error) {
	text := strings.TrimSpace(cell)
	if inner, ok := strings.CutPrefix(text, "("); ok && strings.HasSuffix(inner, ")") {
		text, negative = strings.TrimSuffix(inner, ")"), true
	} else {
		text, negative = cutSign(text)
	}
	if text = strings.TrimSpace(text); text == "" {
		return 0, false, errors.New("is empty")
	}
	whole, fraction, point := strings.Cut(text, f.Decimal)
	if f.Thousands != "" {
		if whole, err = joinGroups(whole, f.Thousands); err != nil {
			return 0, false, err
		}
	}
	if !areDigits(whole) || point && !areDigits(fraction) {
		return 0, false, fmt.Errorf("%s is not an amount: want digits, %s%s", show(cell), map[bool]string{
			true: "decimals after " + strconv.Quote(f.Decimal), false: "in minor units",
		}[!f.Minor], map[bool]string{true: "", false: " and " + strconv.Quote(f.Thousands) + " between thousands"}[f.Thousands == ""])
	}
	digits, err := payment.Exponent(currency)
	switch {
	case err != nil:
		return 0, false, err
	case f.Minor && point:
		return 0, false, fmt.Errorf("%s has decimals: want minor units, or --amounts major", show(cell))
	case f.Minor:
		minor, err = strconv.ParseInt(whole, 10, 64)
		if err != nil || minor > payment.MaxAmount {
			return 0, false, fmt.Errorf("%s is too large: the maximum is %d", show(cell), payment.MaxAmount)
		}
		return minor, negative, nil
	}
	if len(fraction) > digits { // zeros beyond the decimals of the currency change nothing
		fraction = fraction[:digits] + strings.TrimRight(fraction[digits:], "0")
	}
	if fraction != "" {
		whole += "." + fraction
	}
	money, err := payment.ParseMoney(whole, currency)
	return money.Amount, negative, err
}

func cutSign(text string) (rest string, negative bool) {
	for _, minus := range []string{"-", "\u2212"} { // hyphen and minus sign
		if rest, ok := strings.CutPrefix(text, minus); ok {
			return rest, true
		}
		if rest, ok := strings.CutSuffix(text, minus); ok {
			return rest, true
		}
	}
	return strings.TrimPrefix(text, "+"), false
}

// joinGroups removes the separators of thousands. The groups have to be right: otherwise a decimal comma would become a separator.
func joinGroups(whole, separator string) (string, error) {
	if separator == " " {
		whole = strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(whole)
	}
	groups := strings.Split(whole, separator)
	for i, group := range groups {
		last := i == len(groups)-1
		if i > 0 && len(group) != 3 && (last || len(group) != 2) || i == 0 && len(groups) > 1 && (group == "" || len(group) > 3) {
			return "", fmt.Errorf("%s has %s between other groups than thousands", show(whole), strconv.Quote(separator))
		}
	}
	return strings.Join(groups, ""), nil
}

func areDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
