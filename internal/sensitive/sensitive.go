// Package sensitive detects texts that must not be logged or stored: card numbers, secrets and idempotency keys, however they are
// escaped.
package sensitive

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/florinpay/florin/payment"
)

// maxEscapes is how many levels of escaping are decoded, for example: in a URL, within JSON that quotes the URL, within a message
// that quotes the JSON. A text with more levels is sensitive.
const maxEscapes = 3

// MaxSearch is the longest text that is searched, in bytes, because the search delays a payment.
const MaxSearch = 8 << 10

// shortKey is the length in bytes up to which a key may occur in another text by chance. Such an occurrence does not count.
const shortKey = 7

// Text reports whether a text contains a card number or a known kind of secret, however it is escaped. Such a text must
// not be logged or stored. A text that is too long to be searched is sensitive.
func Text(text string) bool { return len(text) > MaxSearch || Contains(text, "") }

// Contains reports whether a text contains a card number, a secret or the idempotency key, also percent-encoded or
// backslash-escaped.
func Contains(text, key string) bool { return containsWithin(text, key, maxEscapes) }

func containsWithin(text, key string, escapes int) bool {
	found := classify(text)
	switch {
	case containsKey(text, key),
		found.kinds&secretMark != 0 && hasSecret(text),
		found.kinds&nonASCII != 0 && hasNonASCIIDigit(text),
		// In a decoded text it is uncertain where a number begins and ends, so any long number counts.
		found.digits >= minCardDigits && (escapes < maxEscapes || payment.ContainsCardNumber(text)):
		return true
	case found.kinds&escape == 0:
		return false
	}
	for _, unescape := range unescapes {
		if plain := unescape(text); plain != text && (escapes == 0 || containsWithin(plain, key, escapes-1)) {
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

// hasNonASCIIDigit reports whether text contains a digit of another script. No legitimate text contains any.
func hasNonASCIIDigit(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf && unicode.IsDigit(r) })
}

// isWord reports whether c is a letter, a digit or an underscore.
func isWord(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// hexDigit returns the value of a hexadecimal digit, or -1 if c is none.
func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	default:
		return -1
	}
}
