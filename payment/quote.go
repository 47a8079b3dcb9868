package payment

import "strconv"

// withheld stands for a value that no message may repeat.
const withheld = "(looks like a card number)"

// quote makes a wrong value fit for an error message: short, on one line, and never a card number.
func quote(s string) string {
	const limit = 64
	if LooksLikeCardNumber(s) || ContainsCardNumber(s) {
		return withheld
	}
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strconv.Quote(s)
}

// number is quote for an amount: a card number may have been typed there as well.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	if LooksLikeCardNumber(s) {
		return withheld
	}
	return s
}
