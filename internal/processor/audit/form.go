package audit

import (
	"net/url"
	"strings"

	"github.com/florinpay/florin/internal/sensitive"
)

const formEncoded = "application/x-www-form-urlencoded"

// form redacts a form such as "amount=1250&metadata[florin_payment_id]=pay_1". It writes the pairs as one flat object, in
// their order. It returns false if the text is not what an encoder would write: for example, a parser that treats ";" like
// "&" would see other pairs.
func (b *body) form() bool {
	b.out = append(b.out, '{')
	for pair := range strings.SplitSeq(b.in, "&") {
		rawName, rawValue, paired := strings.Cut(pair, "=")
		name, nameOK := decode(rawName)
		value, valueOK := decode(rawValue)
		if !paired || !nameOK || !valueOK {
			return false
		}
		start := len(b.out)
		if start > 1 {
			b.out = append(b.out, ',')
		}
		at := b.fullName(name)
		b.out = append(b.out, ':')
		b.string(value, at.allowed && len(value) <= maxValue)
		b.limit(start)
	}
	b.out = append(b.out, '}')
	return true
}

// fullName writes a name such as "metadata[order]". Each part is checked like the name of a field. It returns the rule for
// the value, which is that of the last part.
func (b *body) fullName(name string) (at rule) {
	first, rest, nested := strings.Cut(name, "[")
	rest, ended := strings.CutSuffix(rest, "]")
	// The whole name is checked too, because a card number may be spread over several parts.
	if nested != ended || len(name) > maxValue || sensitive.Contains(name, b.key) {
		b.out = append(b.out, quotedMask...)
		return rule{}
	}
	b.out = append(b.out, '"')
	at = b.part(rule{}, first)
	if nested {
		for part := range strings.SplitSeq(rest, "][") {
			b.out = append(b.out, '[')
			inside := b.part(at, part)
			b.out = append(b.out, ']')
			// An index has the rule of the name before it. In a closed field, such as metadata, a number is a name.
			if at.closed || !isIndex(part) {
				at = inside
			}
		}
	}
	b.out = append(b.out, '"')
	return at
}

// part writes one part of a name and returns its rule.
func (b *body) part(at rule, name string) rule {
	inside, nameAllowed := b.inside(at, name)
	if !nameAllowed {
		name = mask
	}
	b.out = appendEscaped(b.out, name)
	return inside
}

func isIndex(part string) bool { return part != "" && strings.Trim(part, "0123456789") == "" }

// decode decodes a name or a value. It returns false if a character is encoded incorrectly, or should have been encoded and
// is not.
func decode(raw string) (text string, ok bool) {
	for i := range len(raw) {
		if !isWord(raw[i]) && strings.IndexByte("-.~*+%[]", raw[i]) < 0 {
			return "", false
		}
	}
	text, err := url.QueryUnescape(raw)
	return text, err == nil
}
