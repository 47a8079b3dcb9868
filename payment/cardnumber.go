package payment

import (
	"regexp"
	"unicode"
	"unicode/utf8"
)

// A card number has 12 to 19 digits. The last one is the check digit (ISO/IEC 7812-1).
const (
	minCardDigits = 12
	maxCardDigits = 19
)

// LooksLikeCardNumber reports whether s as a whole, apart from what is neither a letter nor a digit, has 12 to 19 digits with a valid
// check digit. It is stricter than [ContainsCardNumber], for a field that is never a number, such as a payment method.
func LooksLikeCardNumber(s string) bool {
	digits := make([]byte, 0, maxCardDigits)
	for _, r := range s {
		d, ok := digitOf(r)
		switch {
		case ok && len(digits) == maxCardDigits, unicode.IsLetter(r):
			return false
		case ok:
			digits = append(digits, d)
		}
	}
	return len(digits) >= minCardDigits && hasCheckDigit(digits)
}

// ContainsCardNumber reports whether free text contains what looks like a card number: 13 to 19 digits of any script that begin
// like the numbers of a card network, have one of its lengths and a valid check digit. The digits may be grouped by blanks and
// dashes in any way, and in groups of at least three, apart from the last one, by any characters except letters and colons.
// Digits next to the number, such as an expiry date, do not hide it.
//
// Timestamps, dates, lists of prices, UUIDs and hashes are not taken for card numbers. Of other numbers that have such a length and
// beginning, about one in ten has a valid check digit by chance, and is taken for one.
func ContainsCardNumber(s string) bool {
	return hasCardNumber(s) && hasCardNumber(hexID.ReplaceAllLiteralString(s, "x"))
}

// hexID matches UUIDs and hashes. Their digits contain a card number by chance, in about one of a thousand.
var hexID = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}`)

// hasCardNumber is ContainsCardNumber for a text without UUIDs and hashes.
func hasCardNumber(s string) bool {
	inGroup := false
	for i, r := range s {
		_, ok := digitOf(r)
		if ok && !inGroup && beginsWithCardNumber(s[i:]) {
			return true
		}
		inGroup = ok
	}
	return false
}

// minCardGroup is the lowest number of digits of a group that is not separated by blanks and dashes, unless it is the last one: lists
// of prices, dates and times have shorter ones.
const minCardGroup = 3

// beginsWithCardNumber reports whether s begins with a card number. The number ends where a group of digits ends.
func beginsWithCardNumber(s string) bool {
	digits := make([]byte, 0, maxCardDigits)
	group := 0          // the digits of the current group
	short := false      // a group before the current one is shorter than minCardGroup
	punctuated := false // a gap is of other characters than blanks and dashes
	ends := func() bool { return group > 0 && isInCardRange(string(digits)) && hasCheckDigit(digits) }
	for _, r := range s {
		d, ok := digitOf(r)
		switch {
		case ok && (len(digits) == maxCardDigits || short && punctuated):
			return false
		case ok:
			digits = append(digits, d)
			group++
			continue
		case ends():
			return true
		case r == ':' || unicode.IsLetter(r):
			return false
		}
		// A first digit before a point is that of a number such as 4.111111111111111e+15.
		isExponential := group == 1 && len(digits) == 1 && r == '.'
		short = short || group > 0 && group < minCardGroup && !isExponential
		punctuated = punctuated || !isBlankOrDash(r)
		group = 0
	}
	return ends()
}

// isBlankOrDash reports whether r is a blank, a dash, a control character or an invisible one.
func isBlankOrDash(r rune) bool {
	return r == ' ' || r == '-' || unicode.In(r, unicode.White_Space, unicode.Dash, unicode.Cc, unicode.Cf)
}

// digitOf returns the decimal digit that r is in any script, as an ASCII digit. It returns false if r is none.
func digitOf(r rune) (digit byte, ok bool) {
	if r < utf8.RuneSelf {
		return byte(r), isDigit(byte(r))
	}
	if !unicode.IsDigit(r) {
		return 0, false
	}
	// Unicode has the ten digits of a script side by side, and a few scripts next to each other.
	zero := r
	for unicode.IsDigit(zero - 1) {
		zero--
	}
	return byte('0' + (r-zero)%10), true
}

// cardRanges are the first digits, from and to, and the lengths of the card networks' numbers. Numbers of 12 digits and numbers
// that begin with 1, 8 or 9 are not listed, because too many other numbers look like them.
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

// isInCardRange reports whether first digits and length are those of a card network.
func isInCardRange(digits string) bool {
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

// hasCheckDigit reports whether the last digit is the check digit of the others, by the Luhn formula (ISO/IEC 7812-1, annex B).
func hasCheckDigit(digits []byte) bool {
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
