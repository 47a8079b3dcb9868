package audit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/stripe"
	"github.com/florinpay/florin/processor"
)

func TestInvalidPathsAndShapesAreRefused(t *testing.T) {
	const noPath = " is not a path: want names of letters, digits, _ and -, separated by dots, with [] after that of an array, such as data[].id"
	for path, want := range map[string]string{
		"":                    `""` + noPath,
		".":                   `"."` + noPath,
		"a.":                  `"a."` + noPath,
		".a":                  `".a"` + noPath,
		"a..b":                `"a..b"` + noPath,
		"a b":                 `"a b"` + noPath,
		"ä":                   `"ä"` + noPath,
		"a[":                  `"a["` + noPath,
		"a]":                  `"a]"` + noPath,
		"a[0]":                `"a[0]"` + noPath,
		"a][":                 `"a]["` + noPath,
		"[]a":                 `"[]a"` + noPath,
		"a.[].b":              `"a.[].b"` + noPath,
		"*":                   `"*"` + noPath,
		"card.brand":          `"card.brand": card is never written, nor is anything in it: it may identify a card, an account or a person`,
		"data[].card_number":  `"data[].card_number": card_number is never written, nor is anything in it: it may identify a card, an account or a person`,
		"cvc":                 `"cvc": cvc is never written, nor is anything in it: it may identify a card, an account or a person`,
		"x.encryptedCvv.code": `"x.encryptedCvv.code": encryptedCvv is never written, nor is anything in it: it may identify a card, an account or a person`,
	} {
		_, err := NewFields(map[string]processor.Shape{path: processor.ShapeID})
		require.EqualError(t, err, want)
	}
	for _, shape := range []processor.Shape{"", "text", "ID"} {
		_, err := NewFields(map[string]processor.Shape{"a.b": shape})
		require.EqualError(t, err, `"a.b" has the shape "`+string(shape)+`": want id, code, amount, currency, time or bool`)
	}
}

func TestFieldsThatIdentifyACardAnAccountOrAPersonAreNeverWritten(t *testing.T) {
	for _, name := range []string{
		"card", "Card", "cards", "card_token", "cardNumber", "CARD-NUMBER", "CardNumber", "number", "cvc", "CVC", "cvv2", "securityCode",
		"iban", "IBAN", "account_number", "routingNumber", "sort_code", "expiry_month", "exp_year", "pan", "PAN", "holderName",
		"email", "receipt_email", "emailAddress", "phone", "first_name", "lastName", "name", "billing_details", "shipping", "address",
		"ip", "ip_address", "dateOfBirth", "dob", "ssn", "tax_id", "customer", "customer_id", "source", "payment_method",
		"payment_method_details", "paymentMethod", "token", "client_secret", "api_key", "apiKey", "idempotency_key", "password",
	} {
		require.True(t, isClosed(name), name)
	}
	for _, name := range []string{
		"id", "status", "state", "code", "decline_code", "amount", "currency", "discarded", "paid", "payment_method_types", "capture_method",
		"payment_intent", "latest_charge", "created_at", "pspReference", "resultCode", "keyed", "ipsum", "expand", "panel", "metadata",
	} {
		require.False(t, isClosed(name), name)
	}
}

func TestAdaptersNameOnlyFieldsThatMayBeWritten(t *testing.T) {
	for _, profile := range []processor.Profile{rest.Profile(), stripe.Profile()} {
		require.NotEmpty(t, profile.Audited)
		fieldsOf(t, profile.Audited)
	}
}

func TestShapeOfTheLastListCounts(t *testing.T) {
	fields := fieldsOf(t, map[string]processor.Shape{"a": processor.ShapeID, "b": processor.ShapeID}, map[string]processor.Shape{"a": processor.ShapeBool})
	require.JSONEq(t, `{"a":"***","b":"x1"}`, redactedAs("", `{"a":"x1","b":"x1"}`, fields))
	require.JSONEq(t, `{"a":true,"b":"***"}`, redactedAs("", `{"a":true,"b":true}`, fields))
}

func TestValuesAreOnlyWrittenInTheirShape(t *testing.T) {
	for shape, tc := range map[processor.Shape]struct{ fit, unfit []string }{
		processor.ShapeID: {
			fit: []string{"ch_9f4d2a1041e8", "7", "8535296650153317", "0d6aa59e-7d5f-4d9c-8a7c-4b8d1a2f3c4e", "a.b:c=1", "X1", strings.Repeat("a1", 64)},
			unfit: []string{"jane", "Jane Doe", "jane1@example.com", "DE89370400440532013000", "de89370400440532013000", "GB82WEST12345698765432",
				"555-123-4567", "123-45-6789", "1990-01-31", "192.0.2.17", "12:30", "+491701234567", "https://a/1", "a1/b", "a1,b", "a1\n", "ä1", "a1\"", strings.Repeat("a1", 65)},
		},
		processor.ShapeCode: {
			fit:   []string{"succeeded", "05", "try_again_later", "payment.succeeded", "card-error", "10000", "A", strings.Repeat("x", 64)},
			unfit: []string{"Your card was declined.", "a@b", "123456", "otp_123456", "a b", "a:b", "ü", "a/b", "GB82WEST12345698765432", strings.Repeat("x", 65)},
		},
		processor.ShapeAmount: {
			fit:   []string{"0", "1250", "-1", "999999999999"},
			unfit: []string{"-", "--1", "1-", "12.50", "1e3", "+1", "1 250", "1,250", "1250 USD", "9999999999999", "4111111111111111", "true"},
		},
		processor.ShapeCurrency: {fit: []string{"USD", "usd"}, unfit: []string{"US", "USDT", "123", "U$D", "ÜS"}},
		processor.ShapeTime: {
			fit:   []string{"2026-01-15T12:00:00Z", "2026-01-15T12:00:00.123456+02:00", "1768478400", "1768478400123", "946684800", "4102444799999"},
			unfit: []string{"2026-01-15", "today", "12", "0", "-1768478400", "4102444800", "4111111111111111", "946684799", "99999999999999999999", "1990-01-31T00:00"},
		},
		processor.ShapeBool: {fit: []string{"true", "false"}, unfit: []string{"True", "1", "yes", "null"}},
	} {
		for _, value := range tc.fit {
			require.True(t, shapes[shape](value), "%s: %q", shape, value)
		}
		for _, value := range tc.unfit {
			require.False(t, shapes[shape](value), "%s: %q", shape, value)
		}
	}
}
