package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// known are the fields that the tests of redaction allow.
var known = map[string]processor.Shape{
	"id": processor.ShapeID, "code": processor.ShapeCode, "amount": processor.ShapeAmount, "currency": processor.ShapeCurrency,
	"created": processor.ShapeTime, "capture": processor.ShapeBool, "pspReference": processor.ShapeID,
	"data[].id": processor.ShapeID, "data[].code": processor.ShapeCode, "error.code": processor.ShapeCode,
	"ids[]": processor.ShapeID, "grid[][].id": processor.ShapeID, "[].id": processor.ShapeID,
	"latest": processor.ShapeID, "latest.id": processor.ShapeID,
	"metadata.florin_payment_id": processor.ShapeID, "metadata.florin_merchant_id": processor.ShapeCode,
	"meta.florin_payment_id": processor.ShapeID,
}

func fieldsOf(tb testing.TB, lists ...map[string]processor.Shape) *Fields {
	tb.Helper()
	fields, err := NewFields(lists...)
	require.NoError(tb, err)
	return fields
}

// redacted returns a JSON body as it is written if the known fields are allowed.
func redacted(tb testing.TB, in string) string {
	tb.Helper()
	return redactedAs("", in, fieldsOf(tb, known))
}

func redactedAs(mediaType, in string, fields *Fields) string {
	var b body
	b.redact([]byte(in), mediaType, key, fields)
	return string(b.out)
}

// onlySize returns what is written of a body that is not JSON.
func onlySize(in string) string { return fmt.Sprintf(`{"bytes":%d,"not":"json"}`, len(in)) }

func TestOnlyAllowedValuesOfJSONAreWritten(t *testing.T) {
	for in, want := range map[string]string{
		// Structure and types of values.
		`{}`:                             `{}`,
		`[]`:                             `[]`,
		" { \"id\" :\r\n\t\"ch_1\" } ":   `{"id":"ch_1"}`,
		`null`:                           `null`,
		`"text"`:                         `"***"`,
		`4111111111111111`:               `"***"`,
		`true`:                           `"***"`,
		`{"id":null,"x":null}`:           `{"id":null,"x":null}`,
		`{"capture":true,"x":true}`:      `{"capture":true,"x":"***"}`,
		`{"capture":false,"x":false}`:    `{"capture":false,"x":"***"}`,
		`{"amount":1250,"x":1250}`:       `{"amount":1250,"x":"***"}`,
		`{"amount":-1,"x":-1}`:           `{"amount":-1,"x":"***"}`,
		`{"amount":0}`:                   `{"amount":0}`,
		`{"id":"","x":""}`:               `{"id":"","x":"***"}`,
		`[{"id":"a1"},{"id":"b2"},[],1]`: `[{"id":"a1"},{"id":"b2"},"***","***"]`,
		`{"id":"a1","id":"b2"}`:          `{"id":"a1","id":"b2"}`,

		// A path allows one position. An object or an array without an allowed position is masked as a whole.
		`{"data":[{"id":"c1"},{"id":"c2","x":3}]}`:           `{"data":[{"id":"c1"},{"id":"c2","x":"***"}]}`,
		`{"data":{"id":"c1"},"error":[{"code":"c"}]}`:        `{"data":"***","error":"***"}`,
		`{"ids":["a1",["a1"],{"id":"a1"},true]}`:             `{"ids":["a1","***","***","***"]}`,
		`{"grid":[[{"id":"a1"}],[],{"id":"a1"}]}`:            `{"grid":[[{"id":"a1"}],[],"***"]}`,
		`{"latest":"a1"}`:                                    `{"latest":"a1"}`,
		`{"latest":{"id":"a1","code":"x"}}`:                  `{"latest":{"id":"a1","code":"***"}}`,
		`{"error":{"code":"no","id":"a1","data":{"id":1}}}`:  `{"error":{"code":"no","id":"***","data":"***"}}`,
		`{"x":{"id":"a1"},"y":[{"code":"a"}]}`:               `{"x":"***","y":"***"}`,
		`{"cvc":{"code":"123"},"iban":{"code":"DE89"}}`:      `{"cvc":"***","iban":"***"}`,
		`{"id":{"secret":"x"}}`:                              `{"id":"***"}`,
		`{"id":["4111","1111","x",1]}`:                       `{"id":"***"}`,
		`{"data[].id":"a1","error.code":"no","data[]":[1]}`:  `{"***":"***","***":"***","***":"***"}`,
		`{"reference":"` + key + `"}`:                        `{"reference":"***"}`,
		`{"idempotency_key":"order-17"}`:                     `{"idempotency_key":"***"}`,
		`{"message":"no","ID":"x1","pspReference":"8535A1"}`: `{"message":"***","***":"***","pspReference":"8535A1"}`,

		// Names.
		`{"a_b9":1}`:                                      `{"a_b9":"***"}`,
		`{"":1,"a b":1,"Ä":1,"a-b":1,"A":1}`:              `{"***":"***","***":"***","***":"***","***":"***","***":"***"}`,
		`{"` + strings.Repeat("a", 40) + `":1}`:           `{"` + strings.Repeat("a", 40) + `":"***"}`,
		`{"` + strings.Repeat("a", 41) + `":1}`:           `{"***":"***"}`,
		`{"` + strings.Repeat("a", 1000) + `":1}`:         `{"***":"***"}`,
		`{"4111111111111111":1,"de89370400440532":1}`:     `{"***":"***","***":"***"}`,
		`{"card_4111111111111111":{"id":"a1"}}`:           `{"***":"***"}`,
		`{"4111_1111_1111_1111":1,"sha256":1}`:            `{"***":"***","sha256":"***"}`,
		`{"sk_live_abc":1,"whsec_abc":1,"rk_x":1}`:        `{"***":"***","***":"***","***":"***"}`,
		`{"\u0034111111111111111":1}`:                     `{"***":"***"}`,
		`{"\u0069d":"a1","amoun\u0074":1}`:                `{"id":"a1","amount":1}`,
		`{"risk_level":1,"mark_x":1,"bearer":1}`:          `{"risk_level":"***","mark_x":"***","bearer":"***"}`,
		`{"` + strings.ReplaceAll(key, "-", "_") + `":1}`: `{"***":"***"}`,

		// Allowed paths with sensitive values.
		`{"id":"4111111111111111"}`:                    `{"id":"***"}`,
		`{"id":"jane@example.com"}`:                    `{"id":"***"}`,
		`{"id":"DE89370400440532013000"}`:              `{"id":"***"}`,
		`{"id":"4111 1111 1111 1111 12/27"}`:           `{"id":"***"}`,
		`{"id":"4111.1111.1111.1111"}`:                 `{"id":"***"}`,
		`{"id":"4111_1111_1111_1111"}`:                 `{"id":"***"}`,
		`{"id":"\u0034111111111111111"}`:               `{"id":"***"}`,
		`{"id":"411111\u00311111111\u00311"}`:          `{"id":"***"}`,
		`{"id":"\\u0034111111111111111"}`:              `{"id":"***"}`,
		`{"id":"%34111111111111111"}`:                  `{"id":"***"}`,
		`{"id":"4111\u00a01111\u00a01111\u00a01111"}`:  `{"id":"***"}`,
		`{"id":"４１１１１１１１１１１１１１１１"}`:                    `{"id":"***"}`,
		`{"amount":4111111111111111}`:                  `{"amount":"***"}`,
		`{"amount":4.111111111111111e15}`:              `{"amount":"***"}`,
		`{"amount":12.50}`:                             `{"amount":"***"}`,
		`{"code":"sk_live_4eC39HqLyjWDarjtT1zdp7dc"}`:  `{"code":"***"}`,
		`{"code":"xSK_TEST_4eC39HqLyjWDarjtT1zdp"}`:    `{"code":"***"}`,
		`{"code":"bearer abc"}`:                        `{"code":"***"}`,
		`{"code":"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.x"}`:  `{"code":"***"}`,
		`{"latest":"pi_3Mt_secret_YrKJUKrib"}`:         `{"latest":"***"}`,
		`{"id":"` + key + `"}`:                         `{"id":"***"}`,
		`{"id":"ch_` + key + `_1"}`:                    `{"id":"***"}`,
		`{"code":"a\u0000b","id":"a\nb1"}`:             `{"code":"***","id":"***"}`,
		`{"code":"a\u202eb","id":"a` + "\xff" + `b1"}`: `{"code":"***","id":"***"}`,
		`{"code":"Your card was declined."}`:           `{"code":"***"}`,
		`{"code":"bearer_required"}`:                   `{"code":"bearer_required"}`,
		`{"code":"\u006eo"}`:                           `{"code":"no"}`,

		// Metadata, whose names the customer chooses.
		`{"metadata":{"code":"123","id":"x1","florin_payment_id":"p1"}}`: `{"metadata":{"***":"***","***":"***","florin_payment_id":"p1"}}`,
		`{"metadata":{"a":[{"id":"x1"}],"b":{"id":"y1"}},"id":"z1"}`:     `{"metadata":{"***":"***","***":"***"},"id":"z1"}`,
	} {
		t.Run(in, func(t *testing.T) {
			got := redacted(t, in)
			require.Equal(t, want, got)
			require.True(t, json.Valid([]byte(got)))
		})
	}
}

func TestWithoutFieldsNoValueIsWritten(t *testing.T) {
	for in, want := range map[string]string{`{"id":"ch_1"}`: `"***"`, `[1]`: `"***"`, `null`: `null`, `1`: `"***"`, `{"id":`: onlySize(`{"id":`)} {
		require.Equal(t, want, redactedAs("", in, nil))
	}
	for in, want := range map[string]string{"id=ch_1": `{"***":"***"}`, "id=ch_1&x[y]=2": `{"***":"***","***":"***"}`} {
		require.Equal(t, want, redactedAs(formEncoded, in, nil))
	}
}

func TestOnlySizeIsWrittenOfInvalidJSON(t *testing.T) {
	for _, in := range []string{
		" ", "OK", "<html>4111111111111111</html>", "card=4111111111111111&cvc=123", "\ufeff{}", "{}\x00", "\x00", "null\x00",
		"{", "}", "[", "]", `{"id"`, `{"id":`, `{"id":"ch_1"`, `{"id":"ch_1",`, `{"id":"ch_1",}`, `{"id" "ch_1"}`, `{,}`, `{id:1}`, `{1:1}`,
		`{"id":"ch_1"}}`, `{"id":"ch_1"}{"id":"ch_1"}`, `{"id":"ch_1"] `, `[1,]`, `[,1]`, `[1 2]`, `["a"`, `[1}`,
		`"`, `"a`, `"\`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"a\nb\"", "\"\x1f\"", `'a'`,
		"tru", "truee", "True", "nul", "nil", "NaN", "-", "+1", "01", "1.", ".1", "1e", "1e+", "-a", "0x10", "1_000",
	} {
		t.Run(in, func(t *testing.T) {
			require.False(t, json.Valid([]byte(in)))
			require.Equal(t, onlySize(in), redacted(t, in))
		})
	}
}

func TestTooDeeplyNestedBodyIsNotWritten(t *testing.T) {
	for _, tc := range []struct{ opening, inside, closing string }{{opening: "[", inside: "", closing: "]"}, {opening: `{"a":`, inside: "{}", closing: "}"}} {
		nested := func(depth int) string {
			if tc.inside != "" {
				depth--
			}
			return strings.Repeat(tc.opening, depth) + tc.inside + strings.Repeat(tc.closing, depth)
		}
		for want, fields := range map[string]*Fields{
			nested(maxDepth): fieldsOf(t, map[string]processor.Shape{
				strings.Repeat("[]", maxDepth+2) + ".id": processor.ShapeID, strings.Repeat("a.", maxDepth+2) + "id": processor.ShapeID}),
			`"***"`: nil,
		} {
			require.Equal(t, want, redactedAs("", nested(maxDepth), fields))
			require.Equal(t, onlySize(nested(maxDepth+1)), redactedAs("", nested(maxDepth+1), fields))
			require.Equal(t, onlySize(nested(1_000_000)), redactedAs("", nested(1_000_000), fields))
		}
	}
}

func TestLargeBodyIsCutAfterRedaction(t *testing.T) {
	row := `{"id":"ch_1","card":{"number":"4242"},"amounts":[1,2]}`
	list := `{"data":[` + strings.Repeat(row+",", 20_000) + row + `],"next_cursor":"c","id":"x"}`
	got := redacted(t, list)
	require.True(t, strings.HasPrefix(got, fmt.Sprintf(`{"bytes":%d,"cut":{"data":[{"id":"ch_1","card":"***","amounts":"***"},`, len(list))))
	require.True(t, json.Valid([]byte(got)))
	require.InDelta(t, maxBody, len(got), 1000)
	require.NotContains(t, got, "next_cursor")

	// A body that fits after masking is written completely. A body with an error after the limit is invalid.
	require.JSONEq(t, `{"x":"***"}`, redacted(t, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`))
	require.Equal(t, onlySize(list[1:]), redacted(t, list[:len(list)-1]))

	// The output is valid wherever the limit falls.
	fields := fieldsOf(t, map[string]processor.Shape{"a[][][].id": processor.ShapeID, "a[][][].b.c[].d": processor.ShapeAmount,
		"a[].e": processor.ShapeAmount, "f": processor.ShapeAmount})
	for names := range 200 {
		in := `{"a":[[[` + strings.Repeat(`1,`, (maxBody-names)/len(`"***",`)) + `{"id":"a","b":{"c":[1,2,{"d":3}]}},[[1],2]],3],{"e":4}],"f":5}`
		got := redactedAs("", in, fields)
		require.True(t, json.Valid([]byte(got)), got[len(got)-200:])
		require.Less(t, len(got), maxBody+500)
	}
}
