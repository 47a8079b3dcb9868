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
func (b *body) form(root *node) bool {
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
		at := b.fullName(root, name)
		b.out = append(b.out, ':')
		b.string(value, at.writes(value, b.key))
		b.limit(start)
	}
	b.out = append(b.out, '}')
	return true
}

// fullName writes a name such as "metadata[order]" or "meta.order". Each part is checked like the name of a field; what follows a
// part of which nothing may be written is masked. It returns the node for the value.
func (b *body) fullName(root *node, name string) (at *node) {
	first, rest, nested := strings.Cut(name, "[")
	rest, ended := strings.CutSuffix(rest, "]")
	// The whole name is checked too, because a card number may be spread over several parts.
	if root == nil || nested != ended || len(name) > maxValue || sensitive.Contains(name, b.key) {
		b.out = append(b.out, quotedMask...)
		return nil
	}
	b.out = append(b.out, '"')
	at = root
	separator := ""
	for part := range strings.SplitSeq(first, ".") {
		b.out = append(b.out, separator...)
		at, separator = b.part(at, part), "."
	}
	if nested {
		for part := range strings.SplitSeq(rest, "][") {
			b.out = append(b.out, '[')
			if at != nil && at.element != nil && isIndex(part) {
				b.out, at = append(b.out, part...), at.element
			} else {
				at = b.part(at, part)
			}
			b.out = append(b.out, ']')
		}
	}
	b.out = append(b.out, '"')
	return at
}

// part writes one part of a name and returns its node. Inside a field of which nothing is written, at is nil.
func (b *body) part(at *node, name string) (inside *node) {
	nameAllowed := false
	if at != nil {
		inside, nameAllowed = at.inside(name, b.key)
	}
	if !nameAllowed {
		name = mask
	}
	b.out = append(b.out, name...)
	return inside
}

// isIndex reports whether part of a name is a short index of an array, or empty: expand[0], expand[].
func isIndex(part string) bool { return len(part) <= 4 && longestNumber(part) == len(part) }

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
