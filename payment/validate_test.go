package payment

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pairs makes n pairs of metadata.
func pairs(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("key-%02d", i)] = "value"
	}
	return m
}

func TestChargeRequestsWithinTheLimitsAreAccepted(t *testing.T) {
	for what, change := range map[string]func(*ChargeRequest){
		"as it is":                 func(*ChargeRequest) {},
		"one character":            func(r *ChargeRequest) { r.MerchantID, r.IdempotencyKey = "m", "~" },
		"longest merchant_id":      func(r *ChargeRequest) { r.MerchantID = strings.Repeat("M", 64) },
		"all of merchant_id":       func(r *ChargeRequest) { r.MerchantID = "aZ09._-" },
		"longest idempotency_key":  func(r *ChargeRequest) { r.IdempotencyKey = strings.Repeat("k", 180) },
		"blank in idempotency_key": func(r *ChargeRequest) { r.IdempotencyKey = "order 1 (again): {é}"[:16] },
		"uuid as idempotency_key":  func(r *ChargeRequest) { r.IdempotencyKey = "9f4d2a10-41e8-4a6b-9b1e-0a2b3c4d5e6f" },
		"smallest amount":          func(r *ChargeRequest) { r.Amount = 1 },
		"largest amount":           func(r *ChargeRequest) { r.Amount = MaxAmount },
		"longest payment_method":   func(r *ChargeRequest) { r.PaymentMethod = strings.Repeat("t", 255) },
		"capture left out":         func(r *ChargeRequest) { r.Capture = "" },
		"automatic capture":        func(r *ChargeRequest) { r.Capture = CaptureAutomatic },
		"default processor":        func(r *ChargeRequest) { r.Processor = "" },
		"longest customer_id":      func(r *ChargeRequest) { r.CustomerID = strings.Repeat("c", 255) },
		"longest description":      func(r *ChargeRequest) { r.Description = strings.Repeat("é", 1000) },
		"no metadata":              func(r *ChargeRequest) { r.Metadata = nil },
		"most metadata":            func(r *ChargeRequest) { r.Metadata = pairs(50) },
		"longest metadata": func(r *ChargeRequest) {
			r.Metadata = map[string]string{strings.Repeat("k", 40): strings.Repeat("ü", 500)}
		},
		"empty metadata value": func(r *ChargeRequest) { r.Metadata = map[string]string{"k": ""} },
	} {
		r := fullCharge()
		change(&r)
		require.NoError(t, r.Validate(), what)
	}
}

func TestEachFieldOfAChargeRequestHasItsLimits(t *testing.T) {
	for _, tc := range []struct {
		field, problem string
		change         func(*ChargeRequest)
	}{
		{"merchant_id", `"": want 1 to 64`, func(r *ChargeRequest) { r.MerchantID = "" }},
		{"merchant_id", "want 1 to 64", func(r *ChargeRequest) { r.MerchantID = strings.Repeat("m", 65) }},
		{"merchant_id", `"a/b": want`, func(r *ChargeRequest) { r.MerchantID = "a/b" }},
		{"merchant_id", `"acmé": want`, func(r *ChargeRequest) { r.MerchantID = "acmé" }},
		{"idempotency_key", `"": want 1 to 180`, func(r *ChargeRequest) { r.IdempotencyKey = "" }},
		{"idempotency_key", "want 1 to 180", func(r *ChargeRequest) { r.IdempotencyKey = strings.Repeat("k", 181) }},
		{"idempotency_key", `"a/b": want`, func(r *ChargeRequest) { r.IdempotencyKey = "a/b" }},
		{"idempotency_key", `"a\nb": want`, func(r *ChargeRequest) { r.IdempotencyKey = "a\nb" }},
		{"idempotency_key", `"a\x7fb": want`, func(r *ChargeRequest) { r.IdempotencyKey = "a\x7fb" }},
		{"idempotency_key", `"é": want`, func(r *ChargeRequest) { r.IdempotencyKey = "é" }},
		{"amount", "0: must be above 0", func(r *ChargeRequest) { r.Amount = 0 }},
		{"amount", "-1: must be above 0", func(r *ChargeRequest) { r.Amount = -1 }},
		{"amount", "must be above 0", func(r *ChargeRequest) { r.Amount = math.MinInt64 }},
		{"amount", "1000000000000: must be at most 999999999999", func(r *ChargeRequest) { r.Amount = MaxAmount + 1 }},
		{"amount", "must be at most", func(r *ChargeRequest) { r.Amount = math.MaxInt64 }},
		{"currency", `unknown currency "usd": want an ISO 4217 code in upper case`, func(r *ChargeRequest) { r.Currency = "usd" }},
		{"currency", "unknown currency", func(r *ChargeRequest) { r.Currency = "" }},
		{"payment_method", "is missing", func(r *ChargeRequest) { r.PaymentMethod = "" }},
		{"payment_method", "want at most 255", func(r *ChargeRequest) { r.PaymentMethod = strings.Repeat("t", 256) }},
		{"payment_method", "want at most 255", func(r *ChargeRequest) { r.PaymentMethod = "tok\x00" }},
		{"payment_method", "looks like a card number", func(r *ChargeRequest) { r.PaymentMethod = "4111-1111 11111111" }},
		{"capture", `"later": want "automatic" or "manual"`, func(r *ChargeRequest) { r.Capture = "later" }},
		{"processor", `"a b": want the name of a configured processor`, func(r *ChargeRequest) { r.Processor = "a b" }},
		{"processor", "want the name", func(r *ChargeRequest) { r.Processor = strings.Repeat("p", 65) }},
		{"customer_id", "has 256 characters: at most 255", func(r *ChargeRequest) { r.CustomerID = strings.Repeat("ü", 256) }},
		{"description", "has 1001 characters: at most 1000", func(r *ChargeRequest) { r.Description = strings.Repeat("d", 1001) }},
		{"description", "is not UTF-8", func(r *ChargeRequest) { r.Description = "\xff" }},
		{"metadata", "has 51 pairs: at most 50", func(r *ChargeRequest) { r.Metadata = pairs(51) }},
		{"metadata", `key "": want 1 to 40`, func(r *ChargeRequest) { r.Metadata = map[string]string{"": "v"} }},
		{"metadata", "want 1 to 40", func(r *ChargeRequest) { r.Metadata = map[string]string{strings.Repeat("k", 41): "v"} }},
		{"metadata", `key "é": want`, func(r *ChargeRequest) { r.Metadata = map[string]string{"é": "v"} }},
		{"metadata", "are Florin's own", func(r *ChargeRequest) { r.Metadata = map[string]string{"florin_x": "v"} }},
		{"metadata.k", "has 501 characters: at most 500", func(r *ChargeRequest) { r.Metadata = map[string]string{"k": strings.Repeat("v", 501)} }},
		{"metadata.k", "is not UTF-8", func(r *ChargeRequest) { r.Metadata = map[string]string{"k": "\xc3"} }},
	} {
		t.Run(tc.field+" "+tc.problem, func(t *testing.T) {
			r := fullCharge()
			tc.change(&r)
			var invalid *InvalidRequestError
			require.ErrorAs(t, r.Validate(), &invalid)
			require.Len(t, invalid.Fields, 1)
			require.Equal(t, tc.field, invalid.Fields[0].Field)
			require.Contains(t, invalid.Fields[0].Problem, tc.problem)
			require.Less(t, len(invalid.Error()), 250)
		})
	}
}

func TestEachFieldOfARefundRequestHasItsLimits(t *testing.T) {
	all := fullRefund()
	all.Amount, all.Currency, all.Reason = nil, "", ""
	require.NoError(t, all.Validate(), "all that is left")
	require.NoError(t, fullRefund().Validate())
	for _, tc := range []struct {
		field, problem string
		change         func(*RefundRequest)
	}{
		{"merchant_id", "want 1 to 64", func(r *RefundRequest) { r.MerchantID = "" }},
		{"idempotency_key", "want 1 to 180", func(r *RefundRequest) { r.IdempotencyKey = "" }},
		{"payment_id", `"": want the payment_id of a charge`, func(r *RefundRequest) { r.PaymentID = "" }},
		{"payment_id", "want", func(r *RefundRequest) { r.PaymentID = "ref_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64" }},
		{"payment_id", "want", func(r *RefundRequest) { r.PaymentID = "pay_1" }},
		{"amount", "-1: must be above 0, or left out", func(r *RefundRequest) { r.Amount = new(int64(-1)) }},
		{"amount", "0: must be above 0, or left out", func(r *RefundRequest) { r.Amount = new(int64(0)) }},
		{"amount", "must be at most 999999999999", func(r *RefundRequest) { r.Amount = new(MaxAmount + 1) }},
		{"currency", "unknown currency", func(r *RefundRequest) { r.Currency = "EURO" }},
		{"reason", "has 501 characters: at most 500", func(r *RefundRequest) { r.Reason = strings.Repeat("r", 501) }},
		{"metadata", "has 51 pairs", func(r *RefundRequest) { r.Metadata = pairs(51) }},
	} {
		t.Run(tc.field+" "+tc.problem, func(t *testing.T) {
			r := fullRefund()
			tc.change(&r)
			var invalid *InvalidRequestError
			require.ErrorAs(t, r.Validate(), &invalid)
			require.Len(t, invalid.Fields, 1)
			require.Equal(t, tc.field, invalid.Fields[0].Field)
			require.Contains(t, invalid.Fields[0].Problem, tc.problem)
		})
	}
}

func fieldsOf(t *testing.T, err error) []string {
	t.Helper()
	var invalid *InvalidRequestError
	require.ErrorAs(t, err, &invalid)
	var names []string
	for _, f := range invalid.Fields {
		names = append(names, f.Field)
		require.Contains(t, err.Error(), f.Error())
	}
	return names
}

func TestAllBadFieldsAreReportedAtOnceInOrder(t *testing.T) {
	require.Equal(t, []string{"merchant_id", "idempotency_key", "amount", "currency", "payment_method"},
		fieldsOf(t, ChargeRequest{}.Validate()))
	require.Equal(t, []string{"merchant_id", "idempotency_key", "payment_id"}, fieldsOf(t, RefundRequest{}.Validate()))
	long := strings.Repeat("é", 2000)
	bad := map[string]string{"z": long, "a": long, "florin_m": ""}
	for range 10 {
		require.Equal(t, []string{"merchant_id", "idempotency_key", "amount", "currency", "payment_method", "capture", "processor",
			"customer_id", "description", "metadata.a", "metadata", "metadata.z"},
			fieldsOf(t, ChargeRequest{MerchantID: long, IdempotencyKey: long, Amount: -1, Currency: long, PaymentMethod: long,
				Capture: "x", Processor: long, CustomerID: long, Description: long, Metadata: bad}.Validate()))
		require.Equal(t, []string{"merchant_id", "idempotency_key", "payment_id", "amount", "currency", "reason", "metadata.a", "metadata", "metadata.z"},
			fieldsOf(t, RefundRequest{MerchantID: long, IdempotencyKey: long, PaymentID: long, Amount: new(int64(-1)), Currency: long,
				Reason: long, Metadata: bad}.Validate()))
	}
}
