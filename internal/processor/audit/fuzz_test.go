package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// planted are the secrets that the fuzz tests plant: whole is the planted text, and needle must not be written.
var planted = []struct{ whole, needle string }{
	{whole: "4111111111111111", needle: "4111111111111111"},
	{whole: "4111 1111 1111 1111", needle: "4111111111111111"},
	{whole: "3782-822463-10005", needle: "378282246310005"},
	{whole: "sk_live_4eC39HqLyjWDarjtT1zdp7dc", needle: "4eC39HqLyjWDarjtT1zdp7dc"},
	{whole: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2", needle: "MfKQ9r8GKYqrTwjUPD8ILPZIo2"},
	{whole: "Bearer 7Fq2mVx9Lr4TzKpW", needle: "7Fq2mVx9Lr4TzKpW"},
	{whole: key, needle: strings.ReplaceAll(key, "-", "")},
}

// spellings encode a text for JSON in different ways.
var spellings = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return fmt.Sprintf(`\u%04x%s`, s[0], s[1:]) },
	func(s string) string { return fmt.Sprintf(`%s\u%04X%s`, s[:5], s[5], s[6:]) },
	func(s string) string { return fmt.Sprintf(`\\u%04x%s`, s[0], s[1:]) },
	func(s string) string { return fmt.Sprintf(`%%%02x%s`, s[0], s[1:]) },
	func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, " ", "%20"), "-", "%2D") },
	func(s string) string { // encode every character
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		return b.String()
	},
}

// formSpellings encode a text for a form in different ways. The last one changes only texts with spaces.
var formSpellings = []func(string) string{
	url.QueryEscape,
	url.PathEscape,
	func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	func(s string) string { return url.QueryEscape(strings.ReplaceAll(s, " ", "+")) },
	func(s string) string { return fmt.Sprintf("%%%02X%s", s[0], url.QueryEscape(s[1:])) },
	func(s string) string { // encode every character
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, "%%%02x", c)
		}
		return b.String()
	},
	func(s string) string { return strings.ReplaceAll(s, " ", "][") },
}

// FuzzRedaction replaces every @ of a template with a secret, and writes the result in every field of a record.
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
		text := plant(t, template, " ", spellings[int(spelling)%len(spellings)](hidden.whole), hidden.needle)

		body := redacted(t, text)
		require.True(t, json.Valid([]byte(body)), body)
		if !json.Valid([]byte(text)) || depth(text) > maxDepth {
			require.Equal(t, onlySize(text), body)
		} else {
			require.NotContains(t, body, `"not":"json"`)
		}

		fields := fieldsOf(t, known, formFields)
		line := written(t, Record{
			Processor: text, Operation: text, PaymentID: text, Method: text, Path: text, KeyHash: text, Certainty: text, RequestID: text,
			Error: text, Key: key, Request: []byte(text), Answer: []byte(text[:len(text)/2]), Fields: fields,
		})
		requireHidden(t, line, hidden.needle)
	})
}

// FuzzForm replaces every @ of a form with a secret. The output must have the pairs of the form, in their order, with their
// values or the mask.
func FuzzForm(f *testing.F) {
	for i, template := range []string{
		stripeCharge, "id=@", "@=1", "@", "amount=@&x=@", "id=1&@=2", "metadata[@]=x", "metadata[florin_payment_id]=@", "x[@][id]=1", "x[id][@]=@", "@[0]=@",
		"id[0]=@&id[1]=x@", "code=x+@+y", "code=@%20@", "%69d=@", "id=%@", "x%5B@%5D=1", "[@]=1", "x[@=1", "x@]=1", "message=a@%00", "payment_method_data[card][token]=@",
		"id=@;cvc=1", "id=@&", "id=" + strings.Repeat("x", 300) + "@", strings.Repeat("x[a]", 80) + "[@]=1", "id=%25@", "id=%@5@", "id=@%@", "id=53%@", "id=%ff@", "message=%22@%5C",
	} {
		for spelling := range formSpellings {
			f.Add(template, byte(i+spelling), byte(spelling))
		}
	}
	f.Fuzz(func(t *testing.T, template string, secret, spelling byte) {
		hidden := planted[int(secret)%len(planted)]
		// A % next to the secret would change its first characters or add a digit.
		template = strings.NewReplacer("@%", "@+%", "%@", "%25@").Replace(template)
		text := plant(t, template, "+", formSpellings[int(spelling)%len(formSpellings)](hidden.whole), hidden.needle)
		requireHidden(t, written(t, Record{Key: key, RequestType: formEncoded, Request: []byte(text), Fields: fieldsOf(t, known, formFields)}), hidden.needle)

		body := redactedForm(t, text)
		if body == onlySizeOfForm(text) || strings.HasPrefix(body, `{"bytes":`) {
			return
		}
		seen := texts(t, body)[1:] // each text as it is, and unescaped once and twice
		require.Equal(t, []string{"{", "}"}, []string{seen[0], seen[len(seen)-3]})
		pairs := strings.Split(text, "&")
		require.Len(t, seen, 3*(2*len(pairs)+2))
		for i, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(name)
			require.NoError(t, err)
			value, err = url.QueryUnescape(value)
			require.NoError(t, err)
			if got := seen[3*(2*i+1)]; !strings.Contains(got, mask) {
				require.Equal(t, name, got)
			}
			if got := seen[3*(2*i+2)]; got != mask {
				require.Equal(t, value, got)
			}
		}
	})
}

// plant replaces every @ with the secret. It inserts the separator where the secret would join adjacent text.
func plant(t *testing.T, template, separator, secret, needle string) string {
	t.Helper()
	if strings.Contains(stripped(strings.ReplaceAll(template, "@", "")), needle) {
		t.Skip("the template itself contains the secret")
	}
	// Next to these characters the secret would be part of a longer number or of a hash.
	const joining = "0123456789abcdefABCDEF-"
	var text string
	for i, part := range strings.Split(template, "@") {
		if i > 0 {
			if strings.ContainsAny(text[max(0, len(text)-1):], joining) {
				text += separator
			}
			text += secret
			if strings.ContainsAny(part[:min(1, len(part))], joining) {
				text += separator
			}
		}
		text += part
	}
	return text
}

// requireHidden requires that a line does not contain the secret, in any encoding.
func requireHidden(t *testing.T, line, needle string) {
	t.Helper()
	require.True(t, utf8.ValidString(line))
	require.Equal(t, len(line)-1, strings.IndexByte(line, '\n'))
	for _, seen := range texts(t, line) {
		require.NotContains(t, stripped(seen), needle, line)
	}
}

// depth returns how deep valid JSON is nested.
func depth(text string) int {
	deepest, current := 0, 0
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			current++
			deepest = max(deepest, current)
		case json.Delim('}'), json.Delim(']'):
			current--
		}
	}
}

// texts returns the line, and each token in it as a reader sees it: names, strings and numbers, as they are and unescaped up
// to two times.
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

// stripped removes the characters that may separate the digits of a card number.
func stripped(text string) string {
	return strings.NewReplacer(" ", "", "-", "", "+", "", "][", "").Replace(text)
}

// content are texts that identify a person, an account or a card, or are secret. None of them may be written, wherever it occurs.
var content = []string{
	"jane@example.com", "Jane Doe", "DE89370400440532013000", "GB82WEST12345698765432", "4111111111111111", "+49 170 1234567",
	"555-123-4567", "123-45-6789", "192.0.2.17", "1990-01-31", "12/27", "Main Street 7", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", key,
}

// tree builds a body from the bytes of a fuzz test, as JSON and, as far as they can be written as a form, its pairs.
type tree struct {
	choices []byte
	json    strings.Builder
	form    url.Values
}

// mark has the shape of an id and of a code. It is planted where no value may be written.
const mark = "zq7x"

func (t *tree) choose(n int) int {
	if len(t.choices) == 0 {
		return 0
	}
	chosen := int(t.choices[0]) % n
	t.choices = t.choices[1:]
	return chosen
}

// value writes a value. path is that of the value in the notation of fields, name its name in a form; closed is true inside of a
// field that must never be written.
func (t *tree) value(path, name string, closed bool, depth int) {
	kind := t.choose(6)
	if depth > 6 {
		kind += 2
	}
	names := []string{
		"id", "code", "data", "error", "metadata", "latest", "x", "ids", "amount", "created", // open
		"cvc", "card", "iban", "number", "payment_method", "customer", "token", "billing", "cardNumber", // closed
	}
	switch kind {
	case 0:
		t.json.WriteByte('{')
		for i := range t.choose(5) {
			if i > 0 {
				t.json.WriteByte(',')
			}
			field := names[t.choose(len(names))]
			if t.choose(8) == 0 {
				field = content[t.choose(len(content))]
			}
			t.json.WriteString(strconv.Quote(field) + ":")
			inside := field
			if name != "" {
				inside = name + "[" + field + "]"
			}
			t.value(strings.TrimPrefix(path+"."+field, "."), inside, closed || isClosed(field), depth+1)
		}
		t.json.WriteByte('}')
	case 1:
		t.json.WriteByte('[')
		for i := range t.choose(4) {
			if i > 0 {
				t.json.WriteByte(',')
			}
			t.value(path+"[]", name+"["+strconv.Itoa(i)+"]", closed, depth+1)
		}
		t.json.WriteByte(']')
	case 2, 3:
		t.text(name, content[t.choose(len(content))])
	default:
		// Nothing of a path that is not allowed is written, also not what has the shape of an id.
		if _, allowed := known[path]; allowed && !closed {
			t.text(name, "ch_1")
			return
		}
		t.text(name, mark)
	}
}

func (t *tree) text(name, text string) {
	t.json.WriteString(strconv.Quote(text))
	t.form.Add(name, text)
}

// FuzzTree generates bodies that have sensitive values and names anywhere. None of them may be written, nor any value at a path
// that is not allowed.
func FuzzTree(f *testing.F) {
	f.Add([]byte{0, 4, 10, 1, 0, 1, 1, 1, 5})
	f.Add([]byte{0, 1, 0, 1, 2, 0})
	f.Add([]byte{0, 3, 2, 1, 1, 2, 0, 2, 0, 1, 4, 10, 1, 4, 3, 1, 0, 1, 1, 1, 4})
	f.Fuzz(func(t *testing.T, choices []byte) {
		body := tree{choices: choices, form: url.Values{}}
		body.value("", "", false, 0)
		fields := fieldsOf(t, known)
		for mediaType, text := range map[string]string{"": body.json.String(), formEncoded: body.form.Encode()} {
			written := redactedAs(mediaType, text, fields)
			require.True(t, json.Valid([]byte(written)), written)
			require.NotContains(t, written, `"not":"json"`)
			for _, seen := range texts(t, written) {
				require.NotContains(t, seen, mark, text)
				for _, sensitive := range content {
					require.NotContains(t, seen, sensitive, text)
				}
			}
		}
	})
}
