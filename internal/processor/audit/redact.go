package audit

import (
	"slices"
	"strconv"
	"strings"
)

const (
	// masked stands for every value that is not written.
	masked = `"***"`
	// maxDepth is how deep arrays and objects may nest.
	maxDepth = 32
	// maxBody is after how many redacted bytes nothing more is written.
	maxBody = 64 << 10
	// maxValue is the longest text that is written, in bytes.
	maxValue = 256
)

// body redacts one body in one pass: it reads strict JSON (RFC 8259) and writes it anew without white space, or it
// reads a form (form.go).
type body struct {
	scanner
	allow map[string]bool
	key   string
	out   []byte
	cut   bool
}

func (b *body) forget() { b.scanner, b.key = scanner{}, "" }

// redact leaves in out: the body with all masked that is not allowed; or {"bytes":N,"cut":…} where only a part
// of that fits; or {"bytes":N,"not":"json"} or "form", for nobody knows what to mask in other formats.
func (b *body) redact(raw []byte, mediaType, key string) {
	// One copy of the whole, or every name and value in it would need its own.
	b.scanner = scanner{in: string(raw)}
	b.key, b.out, b.cut = key, b.out[:0], false

	format, ok := `"json"`, false
	switch mediaType {
	case "":
		ok = b.value(place{}, 0) && b.atEnd()
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

// place is where a value stands. The zero place allows nothing: the body as a whole has no name, nor have the
// elements of an array.
type place struct{ allowed, closed bool }

// value reads one value and writes what may be seen of it. Like all below it is false where the body is not
// JSON, or nested too deep; what it wrote is void then.
func (b *body) value(at place, depth int) bool {
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
		b.scalar(number, at.allowed && isInteger(number) && !sensitive(number, b.key))
		return ok
	}
}

// string writes a text, where it may be seen and nothing in it speaks against that.
func (b *body) string(value string, seen bool) {
	if seen && isPrintable(value) && !sensitive(value, b.key) {
		b.out = appendQuoted(b.out, value)
	} else {
		b.out = append(b.out, masked...)
	}
}

func (b *body) scalar(value string, seen bool) {
	if !seen {
		value = masked
	}
	b.out = append(b.out, value...)
}

// isInteger holds for numbers as amounts are written. 4.111111111111111e15 may be a card number.
func isInteger(number string) bool {
	return len(number) <= len("-9223372036854775808") && !strings.ContainsAny(number, ".eE")
}

func (b *body) object(at place, depth int) bool {
	return b.list('{', '}', func() bool {
		inside, ok := b.name(at)
		if !ok || !b.take(':') {
			return false
		}
		b.out = append(b.out, ':')
		return b.value(inside, depth)
	})
}

func (b *body) array(at place, depth int) bool {
	inside := place{closed: at.closed}
	return b.list('[', ']', func() bool { return b.value(inside, depth) })
}

// list reads what stands between two brackets. Once the output is full, the elements are read, as the rest may
// still not be JSON, but not kept.
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

// limit drops the element that was written from start on if the output was full before it.
func (b *body) limit(start int) {
	if start > maxBody {
		b.out, b.cut = b.out[:start], true
	}
}

// name reads the name of a field and says what it allows.
func (b *body) name(at place) (inside place, ok bool) {
	if b.next() != '"' {
		return place{}, false
	}
	raw, ok := b.text()
	name, short := unquote(raw)
	if !short {
		name = ""
	}
	inside, seen := b.inside(at, name)
	if seen {
		b.out = appendQuoted(b.out, name)
	} else {
		b.out = append(b.out, masked...)
	}
	return inside, ok
}

// inside says what a field allows, and whether its name itself may be seen.
func (b *body) inside(at place, name string) (inside place, seen bool) {
	everywhere, known := b.allow[name]
	return place{
		allowed: known && (everywhere || !at.closed),
		closed:  at.closed || isClosed(name),
	}, known || isIdentifier(name) && !sensitive(name, b.key)
}
