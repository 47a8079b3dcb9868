package audit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/florinpay/florin/payment"
)

// withheld stands for a text that has something in it that must not be written.
const withheld = "***"

// maxEscapes is how many times a text may be escaped within itself: in a URL that JSON quotes, in a message
// that quotes the JSON. What is escaped more often is not written.
const maxEscapes = 3

// maxLook is the longest text that is looked through at all, in bytes: a payment waits for it.
const maxLook = 8 << 10

// shortKey is up to which length a key may well be part of another text by chance: there it is no secret.
const shortKey = 7

// clean makes a text of others fit to be written: as a whole or not at all if it is sensitive, without control
// characters, and no longer than limit.
func clean(text, key string, limit int) string {
	if len(text) > maxLook || sensitive(text, key) {
		return withheld
	}
	if !isPrintable(text) {
		// What nobody sees must not keep a secret from being recognized.
		if sensitive(printable(text, -1), key) {
			return withheld
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

// printable has instead of what is not; -1 leaves it out.
func printable(text string, instead rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return instead
	}, text)
}

// isPrintable holds for valid UTF-8 without control characters and the invisible ones that hide or turn round
// other text.
func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] >= 0x7f {
			return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
		}
	}
	return true
}

// Sensitive holds for a text of others that has a card number or what is known to be a secret in it, however escaped:
// who keeps such a text anywhere leaks it.
func Sensitive(text string) bool { return len(text) > maxLook || sensitive(text, "") }

// sensitive holds for a text with a card number, a secret or the idempotency key in it, also where it is
// percent- or backslash-escaped.
func sensitive(text, key string) bool { return sensitiveWithin(text, key, maxEscapes) }

func sensitiveWithin(text, key string, escapes int) bool {
	found := look(text)
	switch {
	case repeats(text, key),
		found.kinds&markOfSecret != 0 && hasSecret(text),
		found.kinds&foreign != 0 && hasForeignDigit(text),
		// Among escapes it is not certain where a number begins and ends.
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

func repeats(text, key string) bool {
	return key != "" && (text == key || len(key) > shortKey && strings.Contains(text, key))
}

// hasSecret recognizes API keys and webhook secrets (sk_…, rk_…, whsec_…), client secrets (pi_…_secret_…), bearer
// tokens and JSON Web Tokens.
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
			// Header and payload of a JWT both begin with {" in base64.
			if strings.HasPrefix(text[i+1:], "eyJ") {
				return true
			}
		}
	}
	return false
}

// isKeyPrefix looks at what stands on both sides of an underscore. Without "live" or "test" after it the
// prefix has to begin a word: "risk_level" is no secret.
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

// hasCardNumber is payment.ContainsCardNumber, for numbers in any groups.
func hasCardNumber(text string) bool {
	return payment.ContainsCardNumber(text) || payment.ContainsCardNumber(spaced(text))
}

// hasForeignDigit holds for digits of other scripts: nothing that is written has a reason for them.
func hasForeignDigit(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf && unicode.IsDigit(r) })
}

// spaced writes a space for all that may stand between groups of digits, but for the colon of times.
func spaced(text string) string {
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

func isWord(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
}
