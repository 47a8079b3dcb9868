package audit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/florinpay/florin/payment"
)

// mask replaces a text that contains something that must not be written.
const mask = "***"

// maxEscapes is how many levels of escaping are decoded, for example: in a URL, within JSON that quotes the URL, within a message
// that quotes the JSON. A text with more levels is not written.
const maxEscapes = 3

// maxSearch is the longest text that is searched, in bytes, because the search delays a payment.
const maxSearch = 8 << 10

// shortKey is the length in bytes up to which a key may occur in another text by chance. Such an occurrence is not masked.
const shortKey = 7

// clean prepares a text from outside for the log. A sensitive text is masked as a whole. Control characters are replaced
// with spaces, and the text is cut to limit bytes.
func clean(text, key string, limit int) string {
	if len(text) > maxSearch || sensitive(text, key) {
		return mask
	}
	if !isPrintable(text) {
		// Invisible characters must not hide a secret from the search.
		if sensitive(printable(text, -1), key) {
			return mask
		}
		text = printable(text, ' ')
	}
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}

func withoutQuery(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		return path[:i]
	}
	return path
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

// Sensitive reports whether a text contains a card number or a known kind of secret, however it is escaped. Such a text must
// not be logged or stored. A text that is too long to be searched is sensitive.
func Sensitive(text string) bool { return len(text) > maxSearch || sensitive(text, "") }

// sensitive reports whether a text contains a card number, a secret or the idempotency key, also percent-encoded or
// backslash-escaped.
func sensitive(text, key string) bool { return sensitiveWithin(text, key, maxEscapes) }

func sensitiveWithin(text, key string, escapes int) bool {
	found := classify(text)
	switch {
	case containsKey(text, key),
		found.kinds&secretMark != 0 && hasSecret(text),
		found.kinds&nonASCII != 0 && hasNonASCIIDigit(text),
		// In a decoded text it is uncertain where a number begins and ends, so any long number counts.
		found.digits >= minCardDigits && (escapes < maxEscapes || hasCardNumber(text)):
		return true
	case found.kinds&escape == 0:
		return false
	}
	for _, unescape := range unescapes {
		if plain := unescape(text); plain != text && (escapes == 0 || sensitiveWithin(plain, key, escapes-1)) {
			return true
		}
	}
	return false
}

// containsKey reports whether text is the key, or contains a key that is long enough not to occur by chance.
func containsKey(text, key string) bool {
	return key != "" && (text == key || len(key) > shortKey && strings.Contains(text, key))
}

// hasSecret reports whether text contains an API key or a webhook secret (sk_…, rk_…, whsec_…), a client secret
// (pi_…_secret_…), a bearer token or a JSON Web Token.
func hasSecret(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '_':
			if isKeyPrefix(text[:i], text[i+1:]) {
				return true
			}
		case 'b', 'B':
			if after := i + len("bearer"); after < len(text) && !isWord(text[after]) && strings.EqualFold(text[i:after], "bearer") {
				return true
			}
		case '.':
			// The header and the payload of a JWT both begin with {" in base64, which is eyJ.
			if strings.HasPrefix(text[i+1:], "eyJ") {
				return true
			}
		}
	}
	return false
}

// isKeyPrefix reports whether the texts before and after an underscore are those of a secret. Unless "live" or "test"
// follows, the prefix must begin a word: "risk_level" is not a secret.
func isKeyPrefix(before, after string) bool {
	if hasSuffixFold(before, "whsec") || strings.HasPrefix(after, "secret_") {
		return true
	}
	if !hasSuffixFold(before, "sk") && !hasSuffixFold(before, "rk") {
		return false
	}
	return len(before) == 2 || !isWord(before[len(before)-3]) || before[len(before)-3] == '_' ||
		hasPrefixFold(after, "live") || hasPrefixFold(after, "test")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// hasCardNumber is like payment.ContainsCardNumber, but its digits may be grouped in any way.
func hasCardNumber(text string) bool {
	return payment.ContainsCardNumber(text) || payment.ContainsCardNumber(withSpaces(text))
}

// hasNonASCIIDigit reports whether text contains a digit of another script. No legitimate text contains any.
func hasNonASCIIDigit(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf && unicode.IsDigit(r) })
}

// withSpaces replaces every character that may separate groups of digits with a space, except for the colon of times.
func withSpaces(text string) string {
	started := false
	return strings.Map(func(r rune) rune {
		switch {
		case r < utf8.RuneSelf && isDigit(byte(r)):
			started = true
		case r == '-', r == ':', unicode.IsLetter(r):
		case started:
			return ' '
		}
		return r
	}, text)
}

// isWord reports whether c is a letter, a digit or an underscore.
func isWord(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
}
