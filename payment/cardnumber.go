package payment

// A card number has 12 to 19 digits (ISO/IEC 7812-1), the last one a Luhn check digit.
const (
	minCardDigits = 12
	maxCardDigits = 19
)

// LooksLikeCardNumber reports whether s as a whole, once spaces and dashes are taken out, passes as a card
// number. It is the strict test, for a field that has no business being a number at all.
func LooksLikeCardNumber(s string) bool {
	digits := make([]byte, 0, maxCardDigits)
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			if len(digits) == maxCardDigits {
				return false
			}
			digits = append(digits, c)
		case c == ' ' || c == '-':
		default:
			return false
		}
	}
	return len(digits) >= minCardDigits && luhn(digits)
}

// ContainsCardNumber reports whether free text has a card number in it: 13 to 19 digits, perhaps in groups,
// that begin as the card networks' numbers do (2 to 6) and pass the Luhn check. A timestamp or an order
// number that begins with another digit is left in peace.
func ContainsCardNumber(s string) bool {
	digits := make([]byte, 0, len(s))
	flush := func() bool {
		found := len(digits) > minCardDigits && len(digits) <= maxCardDigits &&
			digits[0] >= '2' && digits[0] <= '6' && luhn(digits)
		digits = digits[:0]
		return found
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
		case (c == ' ' || c == '-') && len(digits) > 0 && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
		default:
			if flush() {
				return true
			}
		}
	}
	return flush()
}

// luhn is the check of ISO/IEC 7812-1 annex B.
func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
