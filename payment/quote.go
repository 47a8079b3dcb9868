package payment

import "strconv"

// withheld replaces a value that no message may contain.
const withheld = "(looks like a card number)"

// quote returns an invalid value for an error message: in quotes, on one line, and cut after 64 bytes. It withholds what looks
// like a card number.
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

// quoteAmount returns an invalid amount for an error message. It withholds what looks like a card number: a caller may have put
// one into the wrong field.
func quoteAmount(n int64) string {
	s := strconv.FormatInt(n, 10)
	if LooksLikeCardNumber(s) {
		return withheld
	}
	return s
}
