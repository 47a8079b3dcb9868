package temporalweb

import (
	"regexp"
	"strings"

	"github.com/florinpay/florin/internal/printable"
)

// Temporal Web first replaces {namespace}, {workflowId} and {runId} in a text by those of the page, as they are, and then renders the
// result as Markdown. A workflow ID has the caller's idempotency key, so that a value which contains {workflowId} would become Markdown
// of the caller, also within a code span. The functions of this file prevent both, whatever they get.

// maxText is the maximum length of a value in bytes: a failure with the responses of a send and of a lookup is shorter.
const maxText = 1000

// markup are the characters that have a meaning in Markdown, in HTML or for Temporal Web. Its Markdown shows a backslash before any other
// character.
const markup = "\\`*_{}[]()#+-.!:|&<>~^$"

// Escape returns a text that a caller, an operator or a processor wrote, so that Temporal Web renders it as it is: on one line, with at
// most 1000 bytes, without control characters and invisible ones.
func Escape(text string) string {
	text = printable.Clean(text, maxText)
	var b strings.Builder
	for i, r := range text {
		if r < 0x80 && strings.ContainsRune(markup, r) && !isHyphen(text, i) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isHyphen reports whether the byte at i is a hyphen within a word, which needs no escape.
func isHyphen(text string, i int) bool {
	return text[i] == '-' && i > 0 && i+1 < len(text) && isAlphanumeric(text[i-1]) && isAlphanumeric(text[i+1])
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// Code returns a name, an id or a code as a code span if it is one word of harmless characters, and as [Escape] does otherwise: what looks
// like a command of Florin's must not be another's.
func Code(text string) string { return codeIf(word, text) }

// Command returns a command line as a code span. The line consists of a command of starter, the id that Florin has derived of what it is
// about, and flags without values; with anything else in it, it is no code span, but text as [Escape] returns it.
func Command(line string) string { return codeIf(commandLine, line) }

var (
	word        = regexp.MustCompile(`^[A-Za-z0-9._:@+=,~-]{1,255}$`)
	commandLine = regexp.MustCompile(`^starter( [a-z]+)+( --[a-z-]+)? [a-z]{3}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}` +
		`( --[a-z-]+ (…|[a-z]+\|[a-z]+))*$`)
)

func codeIf(harmless *regexp.Regexp, text string) string {
	if harmless.MatchString(text) {
		return "`" + text + "`"
	}
	return Escape(text)
}
