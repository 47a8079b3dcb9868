package sensitive

import "unicode/utf8"

// minCardDigits is the lowest number of digits that payment.ContainsCardNumber detects.
const minCardDigits = 13

// kind is a set of flags that classify a byte.
type kind uint8

const (
	digit      kind = 1 << iota
	divider         // ends a number, however its digits are grouped
	escape          // begins an escape sequence
	secretMark      // is part of a pattern of secrets
	nonASCII        // belongs to a character outside of ASCII
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
			table[c] = nonASCII
		}
	}
	table['%'], table['\\'] = escape, escape
	for _, c := range []byte("_.bB") {
		table[c] |= secretMark
	}
	return table
}()

// classify determines in one pass which searches a text needs. Most texts need none, and the search delays a payment. digits
// is the highest number of digits without a divider between them.
func classify(text string) (found struct {
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
