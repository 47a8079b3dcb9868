package audit

import (
	"slices"
	"strconv"
	"strings"

	"github.com/florinpay/florin/internal/sensitive"
)

const (
	// quotedMask replaces every value that is not written.
	quotedMask = `"***"`
	// maxDepth is how deep arrays and objects may be nested.
	maxDepth = 32
	// maxBody is the size of a redacted body, in bytes, after which no further elements are written.
	maxBody = 64 << 10
	// maxValue is the longest string that is written, in bytes.
	maxValue = 256
)

// body redacts one body in a single pass. It parses strict JSON (RFC 8259) and writes it without white space, or it parses a form
// (form.go).
type body struct {
	scanner
	allow map[string]bool
	key   string
	out   []byte
	cut   bool // elements were dropped
}

func (b *body) reset() { b.scanner, b.key = scanner{}, "" }

// redact writes the redacted body to out: the body with every value masked that is not allowed, or {"bytes":N,"cut":…} if only a
// part of it fits. If the body has another format, it is unknown what to mask: then out is {"bytes":N,"not":"json"} or
// {"bytes":N,"not":"form"}.
func (b *body) redact(raw []byte, mediaType, key string) {
	// One copy of the whole body, so that names and values need no copies of their own.
	b.scanner = scanner{in: string(raw)}
	b.key, b.out, b.cut = key, b.out[:0], false

	format, ok := `"json"`, false
	switch mediaType {
	case "":
		ok = b.value(rule{}, 0) && b.atEnd()
	case formEncoded:
		format, ok = `"form"`, b.form()
	}
	if !ok {
		b.out = append(append(append(withSize(b.out[:0], len(raw)), `"not":`...), format...), '}')
	} else if b.cut {
		head := append(withSize(nil, len(raw)), `"cut":`...)
		b.out = append(slices.Insert(b.out, 0, head...), '}')
	}
}

func withSize(out []byte, size int) []byte {
	return append(strconv.AppendInt(append(out, `{"bytes":`...), int64(size), 10), ',')
}

// rule determines what is written of a value. allowed reports whether the value is written, closed whether it is inside a closed
// field. The zero rule masks the value: it applies to the whole body and to elements of arrays, which have no name.
type rule struct{ allowed, closed bool }

// value parses one value and writes it redacted. Like the methods below, it returns false if the body is not JSON or nested
// too deep. Then the output is not valid.
func (b *body) value(at rule, depth int) bool {
	switch b.next() {
	case '{':
		return depth < maxDepth && b.object(at, depth+1)
	case '[':
		return depth < maxDepth && b.array(at, depth+1)
	case '"':
		raw, ok := b.text()
		value, short := unquote(raw)
		b.string(value, at.allowed && short)
		return ok
	case 't':
		b.scalar("true", at.allowed)
		return b.literal("true")
	case 'f':
		b.scalar("false", at.allowed)
		return b.literal("false")
	case 'n':
		b.scalar("null", true)
		return b.literal("null")
	default:
		number, ok := b.number()
		b.scalar(number, at.allowed && isInteger(number) && !sensitive.Contains(number, b.key))
		return ok
	}
}

// string writes a string if it is allowed, printable and not sensitive. Otherwise it writes the mask.
func (b *body) string(value string, allowed bool) {
	if allowed && isPrintable(value) && !sensitive.Contains(value, b.key) {
		b.out = appendQuoted(b.out, value)
	} else {
		b.out = append(b.out, quotedMask...)
	}
}

// scalar writes a number or a literal if it is allowed. Otherwise it writes the mask.
func (b *body) scalar(value string, allowed bool) {
	if !allowed {
		value = quotedMask
	}
	b.out = append(b.out, value...)
}

// isInteger reports whether a number is written like an amount. A number like 4.111111111111111e15 may be a card number.
func isInteger(number string) bool {
	return len(number) <= len("-9223372036854775808") && !strings.ContainsAny(number, ".eE")
}

func (b *body) object(at rule, depth int) bool {
	return b.list('{', '}', func() bool {
		inside, ok := b.name(at)
		if !ok || !b.take(':') {
			return false
		}
		b.out = append(b.out, ':')
		return b.value(inside, depth)
	})
}

func (b *body) array(at rule, depth int) bool {
	inside := rule{closed: at.closed}
	return b.list('[', ']', func() bool { return b.value(inside, depth) })
}

// list parses the elements between two brackets. Once the output is full, elements are parsed but not kept: the rest of the
// body may still turn out not to be JSON.
func (b *body) list(opening, closing byte, element func() bool) bool {
	b.take(opening)
	b.out = append(b.out, opening)
	for more := !b.take(closing); more; {
		start := len(b.out)
		if b.out[start-1] != opening {
			b.out = append(b.out, ',')
		}
		if !element() {
			return false
		}
		b.limit(start)
		more = b.take(',')
		if !more && !b.take(closing) {
			return false
		}
	}
	b.out = append(b.out, closing)
	return true
}

// limit drops the element that begins at start if the output was full before it.
func (b *body) limit(start int) {
	if start > maxBody {
		b.out, b.cut = b.out[:start], true
	}
}

// name parses and writes the name of a field. It returns the rule for the value of the field.
func (b *body) name(at rule) (inside rule, ok bool) {
	if b.next() != '"' {
		return rule{}, false
	}
	raw, ok := b.text()
	name, short := unquote(raw)
	if !short {
		name = ""
	}
	inside, nameAllowed := b.inside(at, name)
	if nameAllowed {
		b.out = appendQuoted(b.out, name)
	} else {
		b.out = append(b.out, quotedMask...)
	}
	return inside, ok
}

// inside returns the rule for the value of a field, and whether the name itself is written.
func (b *body) inside(at rule, name string) (inside rule, nameAllowed bool) {
	everywhere, known := b.allow[name]
	return rule{
		allowed: known && (everywhere || !at.closed),
		closed:  at.closed || isClosed(name),
	}, known || isIdentifier(name) && !sensitive.Contains(name, b.key)
}
