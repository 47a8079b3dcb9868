package payment

import "regexp"

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
		case isDigit(c):
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
// that begin as some network's numbers of that length do and pass the Luhn check. A number next to it, such as
// its expiry date, does not hide it. Timestamps and dates are left in peace, and so are UUIDs and hashes.
func ContainsCardNumber(s string) bool {
	return hasCardNumber(s) && hasCardNumber(hexID.ReplaceAllLiteralString(s, "x"))
}

// hexID matches UUIDs and hashes: every thousandth or so has a card number in its digits by chance.
var hexID = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}`)

func hasCardNumber(s string) bool {
	for i := range len(s) {
		if isDigit(s[i]) && (i == 0 || !isDigit(s[i-1])) && beginsWithCardNumber(s[i:]) {
			return true
		}
	}
	return false
}

// beginsWithCardNumber looks at whole groups of digits, with spaces and dashes between them.
func beginsWithCardNumber(s string) bool {
	digits := make([]byte, 0, maxCardDigits)
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			if len(digits) == maxCardDigits {
				return false
			}
			digits = append(digits, c)
			if (i+1 == len(s) || !isDigit(s[i+1])) && ofNetwork(string(digits)) && luhn(digits) {
				return true
			}
		case c == ' ' || c == '-':
		default:
			return false
		}
	}
	return false
}

// cardRanges are the first digits, from and to, and the lengths of the networks' numbers. Those of 12 digits and
// those that begin with 1, 8 or 9 are left out: too much else looks like them.
var cardRanges = []struct {
	from, to          string
	shortest, longest int
}{
	{"2200", "2204", 16, 19}, // Mir
	{"2221", "2720", 16, 16}, // Mastercard
	{"30", "30", 14, 19},     // Diners Club
	{"34", "34", 15, 15},     // American Express
	{"3528", "3589", 16, 19}, // JCB
	{"36", "36", 14, 19},     // Diners Club
	{"37", "37", 15, 15},     // American Express
	{"38", "39", 14, 19},     // Diners Club
	{"4", "4", 13, 19},       // Visa
	{"50", "50", 13, 19},     // Maestro
	{"51", "55", 16, 16},     // Mastercard
	{"56", "69", 13, 19},     // Maestro, Discover, UnionPay, RuPay
}

func ofNetwork(digits string) bool {
	for _, r := range cardRanges {
		if len(digits) < r.shortest || len(digits) > r.longest {
			continue
		}
		if first := digits[:len(r.from)]; r.from <= first && first <= r.to {
			return true
		}
	}
	return false
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

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
