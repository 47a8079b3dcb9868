package audit

import (
	"encoding/json"
	"strings"
)

// scanner reads the tokens of JSON, as strictly as encoding/json.
type scanner struct {
	in  string
	pos int
}

// next skips white space and returns the byte after it, which it does not take; 0 at the end. No token begins
// with a 0.
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

// take takes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) literal(word string) bool {
	if !strings.HasPrefix(s.in[s.pos:], word) {
		return false
	}
	s.pos += len(word)
	return true
}

// text reads a text that begins here and returns it with its quotes and escapes.
func (s *scanner) text() (raw string, ok bool) {
	start := s.pos
	for s.pos++; s.pos < len(s.in); s.pos++ {
		c := s.in[s.pos]
		if !inText[c] {
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

// inText are the bytes that are not just a part of a text: they end it, escape, or have no place there.
var inText = func() (table [256]bool) {
	for c := range byte(' ') {
		table[c] = true
	}
	table['"'], table['\\'] = true, true
	return table
}()

// escape reads what follows a backslash and stops at its last byte.
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

// number is -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() (number string, ok bool) {
	start := s.pos
	s.skip("-")
	if !s.skip("0") && !s.digits() {
		return "", false
	}
	if s.skip(".") && !s.digits() {
		return "", false
	}
	if s.skip("eE") {
		s.skip("+-")
		if !s.digits() {
			return "", false
		}
	}
	return s.in[start:s.pos], true
}

// skip takes one byte if it is one of any.
func (s *scanner) skip(any string) bool {
	if s.pos == len(s.in) || strings.IndexByte(any, s.in[s.pos]) < 0 {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.in) && isDigit(s.in[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

// unquote returns the text that a token of a text stands for. It is false for a token too long to be written.
func unquote(raw string) (text string, ok bool) {
	switch {
	case len(raw) < len(`""`) || len(raw) > maxValue+len(`""`):
		return "", false
	case strings.IndexByte(raw, '\\') < 0:
		return raw[1 : len(raw)-1], true
	default:
		var unescaped string // in this branch alone, as it is allocated
		err := json.Unmarshal([]byte(raw), &unescaped)
		return unescaped, err == nil
	}
}

// appendQuoted writes a printable text as JSON.
func appendQuoted(out []byte, text string) []byte {
	return append(appendEscaped(append(out, '"'), text), '"')
}

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

// hexDigit is -1 for what is none.
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
