package printable

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestCleanKeepsWhatIsVisible(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{name: "nothing", text: "", want: ""},
		{name: "ASCII", text: "it's 100% <b>{ok}</b>", want: "it's 100% <b>{ok}</b>"},
		{name: "other scripts", text: "é 語 ñ مرحبا 🙂", want: "é 語 ñ مرحبا 🙂"},
		{name: "combining mark", text: "e\u0301", want: "e\u0301"},
		{name: "replacement character", text: "a\ufffdb", want: "a\ufffdb"},
		{name: "escape sequence", text: "ok\x1b[2K\x1b[1A\rpaid", want: "ok [2K [1A paid"},
		{name: "C0 and DEL", text: "\x00a\tb\nc\x7f", want: " a b c "},
		{name: "C1", text: "a\u009b31mb\u0085c", want: "a 31mb c"},
		{name: "C1 as a byte", text: "a\x9b31mb", want: "a31mb"},
		{name: "line and paragraph separator", text: "a\u2028b\u2029c", want: "a b c"},
		{name: "other blanks", text: "a\u00a0b\u3000c", want: "a b c"},
		{name: "bidirectional overrides", text: "\u202aa\u202bb\u202cc\u202dd\u202ee", want: "abcde"},
		{name: "bidirectional isolates and marks", text: "\u2066a\u2067b\u2068c\u2069d\u200ee\u200ff\u061cg", want: "abcdefg"},
		{name: "zero width", text: "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg", want: "abcdefg"},
		{name: "fillers and variation selectors", text: "a\u3164b\u115fc\u2800d\ufe0fe\U000e0100f", want: "abcdef"},
		{name: "tags, private and unassigned characters", text: "a\U000e0041b\ue000c\u0378d", want: "abcd"},
		{name: "not UTF-8", text: "a\xffb\xc3", want: "ab"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, Clean(tt.text, 100))
			require.Equal(t, tt.text == tt.want, IsClean(tt.text))
		})
	}
}

func TestCleanCutsBetweenCharacters(t *testing.T) {
	require.Equal(t, "abc", Clean("abcdef", 3))
	require.Equal(t, "ab", Clean("ab🙂", 5))
	require.Equal(t, "ab🙂", Clean("ab🙂", 6))
	require.Empty(t, Clean("abc", 0))
}

func TestEscapedJSONMeansTheSameAndHasNoControlCharacters(t *testing.T) {
	for _, tt := range []struct{ name, json, want string }{
		{name: "clean", json: "{\n\t\"a\": \"é語🙂\"\n}", want: "{\n\t\"a\": \"é語🙂\"\n}"},
		{name: "C1, DEL and a bidirectional override", json: "[\"\u009b31m\x7f\u202e\"]", want: `["\u009b31m\u007f\u202e"]`},
		{name: "outside the basic plane", json: "[\"\U000e0041\"]", want: `["\udb40\udc41"]`},
		{name: "carriage returns", json: "[1,\r\n2]\r", want: "[1,\n\n2]\n"},
		{name: "replacement character", json: "[\"\ufffd\"]", want: "[\"\ufffd\"]"},
		{name: "byte order mark within", json: "[\"\ufeff\"]", want: `["\ufeff"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := EscapeJSON(tt.json)
			require.Equal(t, tt.want, got)
			var before, after any
			require.NoError(t, json.Unmarshal([]byte(tt.json), &before))
			require.NoError(t, json.Unmarshal([]byte(got), &after))
			require.Equal(t, before, after)
		})
	}
	require.Equal(t, `\u001b[2Jpaid\ufffd`, EscapeJSON("\x1b[2Jpaid\xff"), "a text that is no JSON")
}

// dangerous reports whether a terminal or a page may act on a character instead of printing it.
func dangerous(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Co, unicode.Cs)
}

func FuzzClean(f *testing.F) {
	f.Add("ok\x1b[2K\x1b[1A\rpaid", 200)
	f.Add("a\u009b31m\u202eb\u200b\ufeff", 7)
	f.Add("\xff\xc3\x9b語\U000e0041", 5)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(limit, 0)
		got := Clean(text, limit)
		require.LessOrEqual(t, len(got), limit)
		require.True(t, utf8.ValidString(got))
		require.False(t, strings.ContainsFunc(got, dangerous), "%q", got)
		require.True(t, IsClean(got), "%q", got)
		require.Equal(t, got, Clean(got, limit))
	})
}

func FuzzEscapeJSON(f *testing.F) {
	f.Add("ok\x1b[2K\x1b[1A\rpaid")
	f.Add("\u009b31m\u202e\xff\U000e0041\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		outside := func(r rune) bool { return dangerous(r) && r != '\n' && r != '\t' }
		require.False(t, strings.ContainsFunc(EscapeJSON(text), outside))
		encoded, err := json.Marshal(text)
		require.NoError(t, err)
		escaped := EscapeJSON(string(encoded))
		require.False(t, strings.ContainsFunc(escaped, dangerous), "%q", escaped)
		var before, after string
		require.NoError(t, json.Unmarshal(encoded, &before))
		require.NoError(t, json.Unmarshal([]byte(escaped), &after))
		require.Equal(t, before, after)
	})
}
