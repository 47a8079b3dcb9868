package audit

import (
	"net/url"
	"strings"
)

const formEncoded = "application/x-www-form-urlencoded"

// form reads pairs such as "amount=1250&metadata[florin_payment_id]=pay_1" and writes them as one flat object, in
// their order. It is false for what no encoder writes: who takes ";" for "&" would see other pairs than we do.
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

// fullName writes a name such as "metadata[order]", each part of it as the name that it is, and says what the last
// one allows.
func (b *body) fullName(name string) (at place) {
	first, rest, nested := strings.Cut(name, "[")
	rest, ended := strings.CutSuffix(rest, "]")
	// As a whole too: a card number may be in several parts.
	if nested != ended || len(name) > maxValue || sensitive(name, b.key) {
		b.out = append(b.out, masked...)
		return place{}
	}
	b.out = append(b.out, '"')
	at = b.part(place{}, first)
	if nested {
		for part := range strings.SplitSeq(rest, "][") {
			b.out = append(b.out, '[')
			inside := b.part(at, part)
			b.out = append(b.out, ']')
			// An index keeps what the name before it allows, but in metadata a number is a name.
			if at.closed || !isIndex(part) {
				at = inside
			}
		}
	}
	b.out = append(b.out, '"')
	return at
}

func (b *body) part(at place, name string) place {
	inside, seen := b.inside(at, name)
	if !seen {
		name = withheld
	}
	b.out = appendEscaped(b.out, name)
	return inside
}

func isIndex(part string) bool { return part != "" && strings.Trim(part, "0123456789") == "" }

// decode undoes the encoding of a name or a value. It is false where a character should have been encoded, or is
// badly.
func decode(raw string) (text string, ok bool) {
	for i := range len(raw) {
		if !isWord(raw[i]) && strings.IndexByte("-.~*+%[]", raw[i]) < 0 {
			return "", false
		}
	}
	text, err := url.QueryUnescape(raw)
	return text, err == nil
}
