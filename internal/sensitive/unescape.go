package sensitive

import (
	"strings"
	"unicode/utf8"
)

// unescapes are the decoders of one level of escaping. Each is applied on its own: in "%Beare\u0072" both
// kinds occur, and decoding "%Be" first would hide the word Bearer.
var unescapes = []func(text string) string{unpercent, unbackslash}

// unpercent decodes percent-encoding, such as %34.
func unpercent(text string) string {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if rest := text[i+1:]; text[i] == '%' && isHex(rest, 2) {
			plain = append(plain, byte(hexValue(rest[:2])))
			i += 2
		} else {
			plain = append(plain, text[i])
		}
	}
	return string(plain)
}

// unbackslash decodes \x34 and \u0034. Any other backslash becomes a space: it may be one of several before an escape
// sequence, and digits on both sides of it must not be joined to one number.
func unbackslash(text string) string {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		rest := text[i+1:]
		switch {
		case text[i] != '\\':
			plain = append(plain, text[i])
		case strings.HasPrefix(rest, "x") && isHex(rest[1:], 2):
			plain = append(plain, byte(hexValue(rest[1:3])))
			i += 3
		case strings.HasPrefix(rest, "u") && isHex(rest[1:], 4):
			plain = utf8.AppendRune(plain, hexValue(rest[1:5]))
			i += 5
		default:
			plain = append(plain, ' ')
		}
	}
	return string(plain)
}

// isHex reports whether text begins with the given number of hexadecimal digits.
func isHex(text string, digits int) bool {
	if len(text) < digits {
		return false
	}
	for i := range digits {
		if hexDigit(text[i]) < 0 {
			return false
		}
	}
	return true
}

func hexValue(digits string) rune {
	value := 0
	for i := range len(digits) {
		value = value<<4 + hexDigit(digits[i])
	}
	return rune(value)
}
