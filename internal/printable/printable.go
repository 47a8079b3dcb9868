// Package printable makes texts that others wrote, such as a processor's message or an operator's evidence, harmless where a human reads
// them: in a terminal, in a log, in an error and in Temporal Web. Control characters can redraw what a terminal has shown, and invisible
// characters can reorder or hide a part of a line.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean returns text as one line of valid UTF-8 with at most limit bytes. Each control character (C0, DEL and C1), each line break and
// each blank other than the space becomes a space. Invisible characters, such as bidirectional controls, zero-width characters and byte
// order marks, and bytes that are not UTF-8 are removed. Cleaning a cleaned text changes nothing.
func Clean(text string, limit int) string {
	text = text[:min(len(text), limit)]
	if isPrintableASCII(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case isVisible(r):
			return r
		case unicode.IsControl(r), unicode.IsSpace(r):
			return ' '
		default:
			return -1
		}
	}, strings.ToValidUTF8(text, ""))
}

// IsClean reports whether [Clean] leaves a text as it is, apart from the limit.
func IsClean(text string) bool { return Clean(text, len(text)) == text }

// EscapeJSON returns JSON with each character that [Clean] would not leave as it is written as \uXXXX, except line breaks and tabs between
// its values. The JSON means the same: such characters occur only in its strings. For a text that is no JSON, the result shows which
// characters it has. A carriage return becomes a line break, and a byte that is not UTF-8 becomes \ufffd.
func EscapeJSON(text string) string {
	if !strings.ContainsFunc(text, isEscaped) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\r':
			b.WriteByte('\n')
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			b.WriteString(`\ufffd`)
		case !isEscaped(r):
			b.WriteRune(r)
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	return b.String()
}

// isEscaped reports whether EscapeJSON does not write r as it is.
func isEscaped(r rune) bool { return !isVisible(r) && r != '\n' && r != '\t' }

// isVisible reports whether r is the space or a character that leaves a mark of its own or on the one before it. The fillers of Hangul and
// the blank of Braille are letters and symbols that leave none.
func isVisible(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\u034f', '\u17b4', '\u17b5':
		return false
	default:
		return unicode.IsPrint(r) && !unicode.Is(unicode.Variation_Selector, r)
	}
}

func isPrintableASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
