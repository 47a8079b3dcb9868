package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// redacted returns a JSON body as it is written.
func redacted(in string, allow ...string) string { return redactedAs("", in, allow...) }

func redactedAs(mediaType, in string, allow ...string) string {
	b := body{allow: allowList(allow)}
	b.redact([]byte(in), mediaType, key)
	return string(b.out)
}

// onlySize returns what is written of a body that is not JSON.
func onlySize(in string) string { return fmt.Sprintf(`{"bytes":%d,"not":"json"}`, len(in)) }

func TestOnlyAllowedValuesOfJSONAreWritten(t *testing.T) {
	for in, want := range map[string]string{
		// Structure and types of values.
		`{}`:                           `{}`,
		`[]`:                           `[]`,
		" { \"id\" :\r\n\t\"ch_1\" } ": `{"id":"ch_1"}`,
		`null`:                         `null`,
		`"text"`:                       `"***"`,
		`4111111111111111`:             `"***"`,
		`true`:                         `"***"`,
		`{"id":null,"x":null}`:         `{"id":null,"x":null}`,
		`{"capture":true,"x":true}`:    `{"capture":true,"x":"***"}`,
		`{"capture":false,"x":false}`:  `{"capture":false,"x":"***"}`,
		`{"amount":1250,"x":1250}`:     `{"amount":1250,"x":"***"}`,
		`{"amount":-1,"x":-1}`:         `{"amount":-1,"x":"***"}`,
		`{"amount":0}`:                 `{"amount":0}`,
		`{"id":"","x":""}`:             `{"id":"","x":"***"}`,
		`{"a":{"b":[{"id":"c"},2]}}`:   `{"a":{"b":[{"id":"c"},"***"]}}`,
		`[{"id":"a"},{"id":"b"},[]]`:   `[{"id":"a"},{"id":"b"},[]]`,
		`{"id":"a","id":"b"}`:          `{"id":"a","id":"b"}`,

		// An allowed name allows its value, but not the values nested in it.
		`{"id":{"secret":"x"}}`:          `{"id":{"secret":"***"}}`,
		`{"id":["4111","1111","x",1]}`:   `{"id":["***","***","***","***"]}`,
		`{"reference":"` + key + `"}`:    `{"reference":"***"}`,
		`{"idempotency_key":"order-17"}`: `{"idempotency_key":"***"}`,
		`{"message":"no","ID":"x"}`:      `{"message":"***","***":"***"}`,

		// Names.
		`{"a_b9":1}`:                                      `{"a_b9":"***"}`,
		`{"":1,"a b":1,"Ä":1,"a-b":1,"A":1}`:              `{"***":"***","***":"***","***":"***","***":"***","***":"***"}`,
		`{"` + strings.Repeat("a", 40) + `":1}`:           `{"` + strings.Repeat("a", 40) + `":"***"}`,
		`{"` + strings.Repeat("a", 41) + `":1}`:           `{"***":"***"}`,
		`{"` + strings.Repeat("a", 1000) + `":1}`:         `{"***":"***"}`,
		`{"4111111111111111":1}`:                          `{"***":"***"}`,
		`{"card_4111111111111111":{"id":"a"}}`:            `{"***":{"id":"a"}}`,
		`{"4111_1111_1111_1111":1}`:                       `{"***":"***"}`,
		`{"sk_live_abc":1,"whsec_abc":1,"rk_x":1}`:        `{"***":"***","***":"***","***":"***"}`,
		`{"\u0034111111111111111":1}`:                     `{"***":"***"}`,
		`{"\u0069d":"a","amoun\u0074":1}`:                 `{"id":"a","amount":1}`,
		`{"risk_level":1,"mark_x":1,"bearer":1}`:          `{"risk_level":"***","mark_x":"***","bearer":"***"}`,
		`{"` + strings.ReplaceAll(key, "-", "_") + `":1}`: `{"` + strings.ReplaceAll(key, "-", "_") + `":"***"}`,

		// Allowed names with sensitive values.
		`{"id":"4111111111111111"}`:                    `{"id":"***"}`,
		`{"id":"4111 1111 1111 1111 12/27"}`:           `{"id":"***"}`,
		`{"id":"4111.1111.1111.1111"}`:                 `{"id":"***"}`,
		`{"id":"4111_1111_1111_1111"}`:                 `{"id":"***"}`,
		`{"id":"\u0034111111111111111"}`:               `{"id":"***"}`,
		`{"id":"411111\u00311111111\u00311"}`:          `{"id":"***"}`,
		`{"id":"\\u0034111111111111111"}`:              `{"id":"***"}`,
		`{"id":"\\\\u0034111111111111111"}`:            `{"id":"***"}`,
		`{"id":"\\\\u0034111111111111111\\01"}`:        `{"id":"***"}`,
		`{"id":"%34111111111111111"}`:                  `{"id":"***"}`,
		`{"id":"4111-1111%2D1111-1111%3712"}`:          `{"id":"***"}`,
		`{"id":"%2534111111111111111"}`:                `{"id":"***"}`,
		`{"id":"4111\u00a01111\u00a01111\u00a01111"}`:  `{"id":"***"}`,
		`{"id":"４１１１１１１１１１１１１１１１"}`:                    `{"id":"***"}`,
		`{"amount":4111111111111111}`:                  `{"amount":"***"}`,
		`{"amount":-4111111111111111}`:                 `{"amount":"***"}`,
		`{"amount":4.111111111111111e15}`:              `{"amount":"***"}`,
		`{"amount":4111111111111111.0}`:                `{"amount":"***"}`,
		`{"amount":12.50}`:                             `{"amount":"***"}`,
		`{"amount":123456789012345678901}`:             `{"amount":"***"}`,
		`{"amount":9223372036854775807}`:               `{"amount":9223372036854775807}`,
		`{"code":"sk_live_4eC39HqLyjWDarjtT1zdp7dc"}`:  `{"code":"***"}`,
		`{"code":"xSK_TEST_4eC39HqLyjWDarjtT1zdp"}`:    `{"code":"***"}`,
		`{"code":"rk_live_4eC39HqLyjWDarjtT1zdp7dc"}`:  `{"code":"***"}`,
		`{"code":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2"}`:  `{"code":"***"}`,
		`{"code":"bearer abc"}`:                        `{"code":"***"}`,
		`{"code":"Bearer\tabc"}`:                       `{"code":"***"}`,
		`{"code":"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.x"}`:  `{"code":"***"}`,
		`{"payment_intent":"pi_3Mt_secret_YrKJUKrib"}`: `{"payment_intent":"***"}`,
		`{"id":"` + key + `"}`:                         `{"id":"***"}`,
		`{"id":"ch_` + key + `_1"}`:                    `{"id":"***"}`,
		`{"code":"` + strings.Repeat("x", 256) + `"}`:  `{"code":"` + strings.Repeat("x", 256) + `"}`,
		`{"code":"` + strings.Repeat("x", 257) + `"}`:  `{"code":"***"}`,
		`{"code":"a\u0000b","id":"a\nb"}`:              `{"code":"***","id":"***"}`,
		`{"code":"a\u202eb","id":"a` + "\xff" + `b"}`:  `{"code":"***","id":"***"}`,

		// Values that are encoded differently.
		`{"code":"a\"b\\c\/d"}`:      `{"code":"a\"b\\c/d"}`,
		`{"code":"\u00fc ü 🙂"}`:      `{"code":"ü ü 🙂"}`,
		`{"code":"\ud83d\ude42"}`:    `{"code":"🙂"}`,
		`{"code":"bearer_required"}`: `{"code":"bearer_required"}`,
		`{"next_cursor":"a%2Fb=="}`:  `{"next_cursor":"a%2Fb=="}`,

		// Metadata, whose names the customer chooses.
		`{"metadata":{"code":"123","id":"x","florin_payment_id":"p"}}`: `{"metadata":{"code":"***","id":"***","florin_payment_id":"p"}}`,
		`{"metadata":{"a":[{"id":"x"}],"b":{"id":"y"}},"id":"z"}`:      `{"metadata":{"a":[{"id":"***"}],"b":{"id":"***"}},"id":"z"}`,

		// Payment methods and customers.
		`{"payment_method":{"id":"pm_1","type":"card","card":{"last4":"4242"}},"id":"pi_1"}`:   `{"payment_method":{"id":"***","type":"***","card":{"last4":"***"}},"id":"pi_1"}`,
		`{"customer":{"id":"cus_1","metadata":{"florin_payment_id":"p"}}}`:                     `{"customer":{"id":"***","metadata":{"florin_payment_id":"p"}}}`,
		`{"source":{"id":"src_1"},"card":{"id":"card_1","code":"123"}}`:                        `{"source":{"id":"***"},"card":{"id":"***","code":"***"}}`,
		`{"payment_method_options":{"blik":{"code":"777123"}}}`:                                `{"payment_method_options":{"blik":{"code":"***"}}}`,
		`{"payment_method_details":{"type":"card","card":{"fingerprint":"Xt5EWLLDS7FJjR1c"}}}`: `{"payment_method_details":{"type":"card","card":{"fingerprint":"***"}}}`,
	} {
		t.Run(in, func(t *testing.T) {
			got := redacted(in)
			require.Equal(t, want, got)
			require.True(t, json.Valid([]byte(got)))
		})
	}
}

func TestOnlyAllowedValuesOfStripeResponseAreWritten(t *testing.T) {
	in := `{"id":"pi_1","object":"payment_intent","amount":1250,"amount_capturable":0,"amount_received":1250,"canceled_at":null,` +
		`"cancellation_reason":null,"capture_method":"automatic","client_secret":"pi_1_secret_a","confirmation_method":"automatic","created":1768478400,` +
		`"currency":"usd","customer":"cus_1","description":"Order 17","latest_charge":{"id":"ch_1","object":"charge","amount_captured":1250,` +
		`"amount_refunded":0,"balance_transaction":"txn_1","billing_details":{"email":"a@example.org","name":"A. Person","address":{"city":"Turin"}},` +
		`"captured":true,"disputed":false,"failure_code":null,"failure_message":null,"outcome":{"network_status":"approved_by_network","reason":"x",` +
		`"risk_level":"normal","seller_message":"Payment complete.","type":"authorized"},"paid":true,"payment_intent":"pi_1","payment_method":"pm_1",` +
		`"payment_method_details":{"card":{"brand":"visa","fingerprint":"Xt5E","last4":"4242"},"type":"card"},"receipt_email":"a@example.org",` +
		`"receipt_url":"https://pay.stripe.com/receipts/x","refunded":false,"status":"succeeded"},"livemode":false,"last_payment_error":{"code":` +
		`"card_declined","decline_code":"do_not_honor","advice_code":"try_again_later","network_advice_code":"02","network_decline_code":"05",` +
		`"message":"Your card was declined.","param":"x","payment_method":{"id":"pm_1","object":"payment_method","type":"card"},` +
		`"request_log_url":"https://dashboard.stripe.com/logs/req_1","type":"card_error"},"payment_method":"pm_1","payment_method_types":["card"],` +
		`"status":"succeeded"}`
	require.JSONEq(t, `{"id":"pi_1","object":"payment_intent","amount":1250,"amount_capturable":0,"amount_received":1250,"canceled_at":null,`+
		`"cancellation_reason":null,"capture_method":"automatic","client_secret":"***","confirmation_method":"automatic","created":1768478400,`+
		`"currency":"usd","customer":"***","description":"***","latest_charge":{"id":"ch_1","object":"charge","amount_captured":1250,`+
		`"amount_refunded":0,"balance_transaction":"txn_1","billing_details":{"email":"***","name":"***","address":{"city":"***"}},`+
		`"captured":true,"disputed":false,"failure_code":null,"failure_message":null,"outcome":{"network_status":"approved_by_network","reason":"***",`+
		`"risk_level":"***","seller_message":"***","type":"authorized"},"paid":true,"payment_intent":"pi_1","payment_method":"***",`+
		`"payment_method_details":{"card":{"brand":"***","fingerprint":"***","last4":"***"},"type":"card"},"receipt_email":"***",`+
		`"receipt_url":"***","refunded":false,"status":"succeeded"},"livemode":false,"last_payment_error":{"code":`+
		`"card_declined","decline_code":"do_not_honor","advice_code":"try_again_later","network_advice_code":"02","network_decline_code":"05",`+
		`"message":"***","param":"***","payment_method":{"id":"***","object":"***","type":"***"},`+
		`"request_log_url":"***","type":"card_error"},"payment_method":"***","payment_method_types":["***"],`+
		`"status":"succeeded"}`, redacted(in))
}

func TestFurtherNamesCanBeAllowedInJSON(t *testing.T) {
	allow := []string{"message", "merchantRef", "order", "", "a\nb"}
	for in, want := range map[string]string{
		`{"message":"not now","merchantRef":"r-1"}`:    `{"message":"not now","merchantRef":"r-1"}`,
		`{"metadata":{"order":"o-17","id":"x"}}`:       `{"metadata":{"order":"o-17","id":"***"}}`,
		`{"message":"4111 1111 1111 1111"}`:            `{"message":"***"}`,
		`{"":"x","a\nb":"x"}`:                          `{"***":"***","***":"***"}`,
		`{"` + strings.Repeat("long ", 100) + `":"x"}`: `{"***":"***"}`,
	} {
		require.Equal(t, want, redacted(in, allow...))
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
			require.Equal(t, onlySize(in), redacted(in))
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
		require.Equal(t, nested(maxDepth), redacted(nested(maxDepth)))
		require.Equal(t, onlySize(nested(maxDepth+1)), redacted(nested(maxDepth+1)))
		require.Equal(t, onlySize(nested(1_000_000)), redacted(nested(1_000_000)))
	}
}

func TestLargeBodyIsCutAfterRedaction(t *testing.T) {
	row := `{"id":"ch_1","card":{"number":"4242"},"amounts":[1,2]}`
	list := `{"data":[` + strings.Repeat(row+",", 20_000) + row + `],"next_cursor":"c","id":"x"}`
	got := redacted(list)
	require.True(t, strings.HasPrefix(got, fmt.Sprintf(`{"bytes":%d,"cut":{"data":[{"id":"ch_1","card":{"number":"***"},"amounts":["***","***"]},`, len(list))))
	require.True(t, json.Valid([]byte(got)))
	require.InDelta(t, maxBody, len(got), 1000)
	require.NotContains(t, got, "next_cursor")

	// A body that fits after masking is written completely. A body with an error after the limit is invalid.
	require.JSONEq(t, `{"x":"***"}`, redacted(`{"x":"`+strings.Repeat("x", 1<<20)+`"}`))
	require.Equal(t, onlySize(list[1:]), redacted(list[:len(list)-1]))

	// The output is valid wherever the limit falls.
	for names := range 200 {
		in := `{"a":[[[` + strings.Repeat(`1,`, (maxBody-names)/len(`"***",`)) + `{"id":"a","b":{"c":[1,2,{"d":3}]}},[[1],2]],3],{"e":4}],"f":5}`
		got := redacted(in)
		require.True(t, json.Valid([]byte(got)), got[len(got)-200:])
		require.Less(t, len(got), maxBody+500)
	}
}
