package audit

import "unicode/utf8"

// minCardDigits is how many digits payment.ContainsCardNumber asks for at least.
const minCardDigits = 13

// kind is what a byte may be the sign of.
type kind uint8

const (
	digit        kind = 1 << iota
	divider           // ends a number, however it is grouped
	escape            // begins an escape
	markOfSecret      // is part of what secrets are known by
	foreign           // belongs to a character beyond ASCII
)

var kinds = func() (table [256]kind) {
	for i := range table {
		c := byte(i)
		switch {
		case isDigit(c):
			table[c] = digit
		case 'a' <= c|0x20 && c|0x20 <= 'z', c == ':':
			table[c] = divider
		case c >= utf8.RuneSelf:
			table[c] = foreign
		}
	}
	table['%'], table['\\'] = escape, escape
	for _, c := range []byte("_.bB") {
		table[c] |= markOfSecret
	}
	return table
}()

// look finds in one pass what a text has to be searched for: few have to be, and a payment waits for it. digits
// is the most of them without a divider between.
func look(text string) (found struct {
	kinds  kind
	digits int
}) {
	run := 0
	for i := range len(text) {
		k := kinds[text[i]]
		found.kinds |= k
		switch {
		case k&digit != 0:
			run++
			found.digits = max(found.digits, run)
		case k&divider != 0:
			run = 0
		}
	}
	return found
}
