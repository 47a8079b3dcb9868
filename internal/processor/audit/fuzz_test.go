package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// planted are the secrets: as they are planted, and what must not come out.
var planted = []struct{ whole, needle string }{
	{"4111111111111111", "4111111111111111"},
	{"4111 1111 1111 1111", "4111111111111111"},
	{"3782-822463-10005", "378282246310005"},
	{"sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjtT1zdp7dc"},
	{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2", "MfKQ9r8GKYqrTwjUPD8ILPZIo2"},
	{"Bearer 7Fq2mVx9Lr4TzKpW", "7Fq2mVx9Lr4TzKpW"},
	{key, strings.ReplaceAll(key, "-", "")},
}

// spellings are ways to write a text.
var spellings = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return fmt.Sprintf(`\u%04x%s`, s[0], s[1:]) },
	func(s string) string { return fmt.Sprintf(`%s\u%04X%s`, s[:5], s[5], s[6:]) },
	func(s string) string { return fmt.Sprintf(`\\u%04x%s`, s[0], s[1:]) },
	func(s string) string { return fmt.Sprintf(`%%%02x%s`, s[0], s[1:]) },
	func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, " ", "%20"), "-", "%2D") },
	func(s string) string { // every character
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		return b.String()
	},
}

// besideHex is where a secret would become part of a longer number or of a hash.
var besideHex = regexp.MustCompile(`([0-9a-fA-F-])?@([0-9a-fA-F-])?`)

// FuzzRedaction puts a secret in the place of every @ of a template, and the result in everything that is
// written.
func FuzzRedaction(f *testing.F) {
	for i, template := range []string{
		`@`, `"@"`, `{"id":"@"}`, `{"amount":@,"x":@}`, `{"@":1}`, `{"x":{"y":[{"id":["@"]}]},"code":"x@ y"}`, `[[[@]]]`,
		`{"id":"@"`, `{"id":"@","`, `<html>@</html>`, `card=@&x=@`, `/v1/tokens/@/use?x=@`, `Get "https://x/@": EOF`,
		`{"metadata":{"florin_payment_id":"@","code":"@"}}`, `{"id":"a\"@\\"}`, `{"\u0069d":"@\u0000"}`, `{"amount":-@}`, `{"amount":@.0e1}`,
		"\xff@\xff", "{\"id\":\"\xff@\"}", `{"id":"%@"}`, `{"id":"\\@"}`, `{"a":"` + strings.Repeat("x", 300) + `@"}`,
		strings.Repeat("[", 40) + `"@"`, strings.Repeat(`{"a":`, 33) + `"@"` + strings.Repeat("}", 33), `{"reference":"@"} @`, "a\n@\r\n\x00",
	} {
		for spelling := range spellings {
			f.Add(template, byte(i+spelling), byte(spelling))
		}
	}
	f.Fuzz(func(t *testing.T, template string, secret, spelling byte) {
		hidden := planted[int(secret)%len(planted)]
		spelled := spellings[int(spelling)%len(spellings)](hidden.whole)
		apart := strings.ReplaceAll(strings.ReplaceAll(template, "@@", "@ @"), "@@", "@ @")
		text := besideHex.ReplaceAllStringFunc(apart, func(s string) string {
			before, after, _ := strings.Cut(s, "@")
			if before != "" {
				before += " "
			}
			if after != "" {
				after = " " + after
			}
			return before + spelled + after
		})
		if strings.Contains(stripped(strings.ReplaceAll(template, "@", "")), hidden.needle) {
			t.Skip("the template has the secret itself, perhaps beside other digits")
		}

		body := redacted(text, "message")
		require.True(t, json.Valid([]byte(body)), body)
		if !json.Valid([]byte(text)) || depth(text) > maxDepth {
			require.Equal(t, onlySize(text), body)
		} else {
			require.NotContains(t, body, `"not":"json"`)
		}

		line := written(t, Record{
			Processor: text, Operation: text, PaymentID: text, Method: text, Path: text, KeyHash: text, Certainty: text, RequestID: text,
			Error: text, Key: key, Request: []byte(text), Answer: []byte(text[:len(text)/2]),
		}, "message")
		require.True(t, utf8.ValidString(line))
		require.Equal(t, len(line)-1, strings.IndexByte(line, '\n'))
		for _, seen := range texts(t, line) {
			require.NotContains(t, stripped(seen), hidden.needle, line)
		}
	})
}

// depth is how deep valid JSON nests.
func depth(text string) int {
	deepest, now := 0, 0
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// texts are the line as it is, and everything in it as a reader would see it: names, texts and numbers, with
// what is escaped in them unescaped.
func texts(t *testing.T, line string) []string {
	t.Helper()
	all := []string{line}
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err, line)
		text := fmt.Sprint(token)
		for range 3 {
			all = append(all, text)
			text = escaped.ReplaceAllStringFunc(text, func(s string) string {
				code, _ := strconv.ParseUint(strings.TrimLeft(s, `\ux%`), 16, 32)
				return string(rune(code))
			})
		}
	}
}

var escaped = regexp.MustCompile(`\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|%[0-9a-fA-F]{2}`)

// stripped takes out what may stand between the digits of a card.
func stripped(text string) string { return strings.NewReplacer(" ", "", "-", "").Replace(text) }
