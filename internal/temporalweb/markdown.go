package temporalweb

import (
	"regexp"
	"strings"
	"unicode"
)

// Code returns text as a code span, in which Markdown and HTML have no effect.
func Code(text string) string {
	text = strings.NewReplacer("\n", " ", "\r", " ").Replace(text)
	if !strings.Contains(text, "`") {
		return "`" + text + "`"
	}
	fence := "``"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + " " + text + " " + fence
}

// name returns a name, as code if Markdown would change it.
func name(text string) string {
	if plainName.MatchString(text) {
		return text
	}
	return Code(text)
}

// plainName matches names that Markdown renders unchanged.
var plainName = regexp.MustCompile(`^[A-Za-z0-9]+([.:-]?[A-Za-z0-9]+)*$`)

// Escape returns untrusted text, such as a processor's message, escaped so that Markdown and HTML in it have no effect. A semicolon needs no
// escape, because the & of an entity has one, and Temporal Web would show its backslash.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && unicode.IsPrint(r) && r != ' ' && r != ';' {
			b.WriteByte('\\')
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
