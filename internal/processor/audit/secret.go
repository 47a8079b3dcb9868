package audit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/florinpay/florin/internal/sensitive"
)

// mask replaces a text that contains something that must not be written.
const mask = "***"

// clean prepares a text from outside for the log. A sensitive text is masked as a whole. Control characters are replaced
// with spaces, and the text is cut to limit bytes.
func clean(text, key string, limit int) string {
	if len(text) > sensitive.MaxSearch || sensitive.Contains(text, key) {
		return mask
	}
	if !isPrintable(text) {
		// Invisible characters must not hide a secret from the search.
		if sensitive.Contains(printable(text, -1), key) {
			return mask
		}
		text = printable(text, ' ')
	}
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}

// cleanPath returns the path of a request without its query. A part that is neither a word of the protocol nor an id is masked:
// it may be an email address, or the account number of a customer.
func cleanPath(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part != "" && !isID(part) && !isCode(part) {
			parts[i] = mask
		}
	}
	return strings.Join(parts, "/")
}

// printable returns text with every unprintable character replaced. A replacement of -1 removes it.
func printable(text string, replacement rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return replacement
	}, text)
}

// isPrintable reports whether text is valid UTF-8 without control characters and without the invisible characters that hide
// or reverse other text.
func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] >= 0x7f {
			return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
		}
	}
	return true
}

// isWord reports whether c is a letter, a digit or an underscore.
func isWord(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
}
