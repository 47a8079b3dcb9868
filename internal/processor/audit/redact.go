package audit

import (
	"slices"
	"strconv"
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
	key string
	out []byte
	cut bool // elements were dropped
}

func (b *body) reset() { b.scanner, b.key = scanner{}, "" }

// redact writes the redacted body to out: the body with every value masked that is not one of fields or not of its shape, or
// {"bytes":N,"cut":…} if only a part of it fits. If the body has another format, it is unknown what to mask: then out is
// {"bytes":N,"not":"json"} or {"bytes":N,"not":"form"}.
func (b *body) redact(raw []byte, mediaType, key string, fields *Fields) {
	// One copy of the whole body, so that names and values need no copies of their own.
	b.scanner = scanner{in: string(raw)}
	b.key, b.out, b.cut = key, b.out[:0], false
	var root *node
	if fields != nil {
		root = &fields.root
	}

	format, ok := `"json"`, false
	switch mediaType {
	case "":
		ok = b.value(root, 0) && b.atEnd()
	case formEncoded:
		format, ok = `"form"`, b.form(root)
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

// value parses one value and writes it redacted. An object or an array of which nothing may be written is masked as a whole. Like
// the methods below, value returns false if the body is not JSON or nested too deep. Then the output is not valid.
func (b *body) value(at *node, depth int) bool {
	switch c := b.next(); {
	case c == '{' && at != nil && at.fields != nil:
		return b.object(at, depth+1)
	case c == '[' && at != nil && at.element != nil:
		return b.array(at, depth+1)
	case c == '{' || c == '[':
		b.out = append(b.out, quotedMask...)
		return b.skipValue(depth)
	case c == '"':
		raw, ok := b.text()
		value, short := unquote(raw)
		b.string(value, ok && short && at.writes(value, b.key))
		return ok
	default:
		start := b.pos
		if !b.skipValue(depth) {
			return false
		}
		if value := b.in[start:b.pos]; value == "null" || at.writes(value, b.key) {
			b.out = append(b.out, value...)
		} else {
			b.out = append(b.out, quotedMask...)
		}
		return true
	}
}

// string writes a string if it is allowed. Otherwise it writes the mask.
func (b *body) string(value string, allowed bool) {
	if allowed {
		b.out = appendQuoted(b.out, value)
	} else {
		b.out = append(b.out, quotedMask...)
	}
}

func (b *body) object(at *node, depth int) bool {
	return depth <= maxDepth && b.list('{', '}', func() bool {
		inside, ok := b.name(at)
		if !ok || !b.take(':') {
			return false
		}
		b.out = append(b.out, ':')
		return b.value(inside, depth)
	})
}

func (b *body) array(at *node, depth int) bool {
	return depth <= maxDepth && b.list('[', ']', func() bool { return b.value(at.element, depth) })
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

// name parses and writes the name of a field. It returns the node for the value of the field.
func (b *body) name(at *node) (inside *node, ok bool) {
	if b.next() != '"' {
		return nil, false
	}
	raw, ok := b.text()
	name, short := unquote(raw)
	if !short {
		name = ""
	}
	inside, nameAllowed := at.inside(name, b.key)
	b.string(name, nameAllowed)
	return inside, ok
}
