package audit

import (
	"encoding/json"
	"strings"
)

// scanner parses the tokens of JSON as strictly as encoding/json.
type scanner struct {
	in  string
	pos int
}

// next skips white space and returns the next byte without consuming it. At the end it returns 0, with which no token begins.
func (s *scanner) next() byte {
	for ; s.pos < len(s.in); s.pos++ {
		switch c := s.in[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) atEnd() bool {
	s.next()
	return s.pos == len(s.in)
}

// take consumes c if it is the next byte after white space. It reports whether it was.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.pos++
	return true
}

// literal consumes word if it is next.
func (s *scanner) literal(word string) bool {
	if !strings.HasPrefix(s.in[s.pos:], word) {
		return false
	}
	s.pos += len(word)
	return true
}

// skipValue parses one value, which may be nested as deep as [maxDepth] minus depth.
func (s *scanner) skipValue(depth int) bool {
	switch s.next() {
	case '{':
		return depth < maxDepth && s.skipList('}', func() bool {
			if s.next() != '"' {
				return false
			}
			_, ok := s.text()
			return ok && s.take(':') && s.skipValue(depth+1)
		})
	case '[':
		return depth < maxDepth && s.skipList(']', func() bool { return s.skipValue(depth + 1) })
	case '"':
		_, ok := s.text()
		return ok
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

// skipList parses the elements between the bracket that is next and the closing one.
func (s *scanner) skipList(closing byte, element func() bool) bool {
	s.pos++
	if s.take(closing) {
		return true
	}
	for element() {
		if s.take(closing) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
	return false
}

// text parses the string that begins here and returns it with its quotes and escape sequences.
func (s *scanner) text() (raw string, ok bool) {
	start := s.pos
	for s.pos++; s.pos < len(s.in); s.pos++ {
		c := s.in[s.pos]
		if !special[c] {
			continue
		}
		switch {
		case c == '"':
			s.pos++
			return s.in[start:s.pos], true
		case c != '\\' || !s.escape():
			return "", false
		}
	}
	return "", false
}

// special marks the bytes that are not ordinary characters of a string: quotes, backslashes and control characters.
var special = func() (table [256]bool) {
	for c := range byte(' ') {
		table[c] = true
	}
	table['"'], table['\\'] = true, true
	return table
}()

// escape parses an escape sequence after its backslash. It stops at the last byte of the sequence.
func (s *scanner) escape() bool {
	s.pos++
	if s.pos == len(s.in) {
		return false
	}
	if s.in[s.pos] != 'u' {
		return strings.IndexByte(`"\/bfnrt`, s.in[s.pos]) >= 0
	}
	for range 4 {
		s.pos++
		if s.pos == len(s.in) || hexDigit(s.in[s.pos]) < 0 {
			return false
		}
	}
	return true
}

// number parses -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() bool {
	s.skip("-")
	if !s.skip("0") && !s.digits() {
		return false
	}
	if s.skip(".") && !s.digits() {
		return false
	}
	if s.skip("eE") {
		s.skip("+-")
		return s.digits()
	}
	return true
}

// skip consumes the next byte if it is in set.
func (s *scanner) skip(set string) bool {
	if s.pos == len(s.in) || strings.IndexByte(set, s.in[s.pos]) < 0 {
		return false
	}
	s.pos++
	return true
}

// digits consumes at least one digit.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.in) && isDigit(s.in[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

// unquote decodes a string token. It returns false if the token is too long to be written.
func unquote(raw string) (text string, ok bool) {
	switch {
	case len(raw) < len(`""`) || len(raw) > maxValue+len(`""`):
		return "", false
	case strings.IndexByte(raw, '\\') < 0:
		return raw[1 : len(raw)-1], true
	default:
		var unescaped string // declared here because it escapes to the heap
		err := json.Unmarshal([]byte(raw), &unescaped)
		return unescaped, err == nil
	}
}

// appendQuoted appends a printable text as a JSON string.
func appendQuoted(out []byte, text string) []byte {
	return append(appendEscaped(append(out, '"'), text), '"')
}

// appendEscaped is like [appendQuoted] without the quotes.
func appendEscaped(out []byte, text string) []byte {
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			out = append(out, '\\')
		}
		out = append(out, text[i])
	}
	return out
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
