package payment

import "strconv"

// quote makes a wrong value fit for an error message: short, on one line, and never a card number.
func quote(s string) string {
	const limit = 64
	if LooksLikeCardNumber(s) || ContainsCardNumber(s) {
		return "(looks like a card number)"
	}
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strconv.Quote(s)
}
