package sensitive

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// FuzzValidationRefusesTheCardNumbersThatAuditWithholds plants a card number in a text. A request may only contain the text if the
// audit log would not withhold it as a card number. What a request must not contain because of a card number is always withheld.
func FuzzValidationRefusesTheCardNumbersThatAuditWithholds(f *testing.F) {
	for _, before := range []string{"", "order 12, ", "tok_", "1", "12:44:45.", "９", "{\"a\":"} {
		for _, separator := range []string{"", " ", "-", ".", "_", "/", ",", ", ", "\t", "\n", "\u00a0", "\u2013", "\u200b", ":", "x", "][", "+", "\xff"} {
			f.Add(before, separator, " 12/27")
		}
	}
	f.Add("50.00, 51.25, 60.00, 12.50", "e", "9f4d2a10-41e8-4a6b-9b1e-0a2b3c4d5e6f")
	f.Fuzz(func(t *testing.T, before, separator, after string) {
		for _, groups := range [][]string{
			{"4111", "1111", "1111", "1111"}, {"3782", "822463", "10005"}, {"41", "11", "1111111111", "11"}, {"4", "111111111111111"}, {"４１１１", "１１１１", "11111111"},
		} {
			text := before + strings.Join(groups, separator) + after
			if payment.ContainsCardNumber(text) {
				require.True(t, Contains(text, ""), "%q", text)
			}
			if isWithheldAsCardNumber(text) {
				for field, err := range validations(text) {
					require.Error(t, err, "%s: %q", field, text)
				}
			}
		}
	})
}

// isWithheldAsCardNumber reports whether a text is sensitive because of a card number. Secrets, escape sequences, and digits of other
// scripts in a text that comes from a processor are sensitive for reasons of their own.
func isWithheldAsCardNumber(text string) bool {
	return Contains(text, "") && !strings.ContainsAny(text, `%\`) && !hasSecret(text) && !hasNonASCIIDigit(text)
}

// validations returns the results of requests that have the text in one of their fields.
func validations(text string) map[string]error {
	charge := payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	}
	refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: payment.PaymentID("acme", "order-1")}
	resolution := payment.Resolution{Status: payment.Failed, Evidence: "the dashboard", By: "ops-1"}
	results := map[string]error{}
	for field, change := range map[string]func(*payment.ChargeRequest){
		"merchant_id":     func(r *payment.ChargeRequest) { r.MerchantID = text },
		"idempotency_key": func(r *payment.ChargeRequest) { r.IdempotencyKey = text },
		"payment_method":  func(r *payment.ChargeRequest) { r.PaymentMethod = text },
		"processor":       func(r *payment.ChargeRequest) { r.Processor = text },
		"customer_id":     func(r *payment.ChargeRequest) { r.CustomerID = text },
		"description":     func(r *payment.ChargeRequest) { r.Description = text },
		"metadata key":    func(r *payment.ChargeRequest) { r.Metadata = map[string]string{text: "value"} },
		"metadata value":  func(r *payment.ChargeRequest) { r.Metadata = map[string]string{"key": text} },
	} {
		changed := charge
		change(&changed)
		results[field] = changed.Validate()
	}
	refund.Reason = text
	results["reason"] = refund.Validate()
	resolution.Evidence = text
	results["evidence"] = resolution.Validate(payment.ResolvedPaymentStatuses)
	return results
}
