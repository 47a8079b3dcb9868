package payment

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireNoCard checks that the error does not contain the number, also not in groups and in another script.
func requireNoCard(t *testing.T, err error, card, what string) {
	t.Helper()
	require.Error(t, err, what)
	digits := strings.Map(func(r rune) rune {
		if digit, ok := digitOf(r); ok {
			return rune(digit)
		}
		return -1
	}, err.Error())
	require.NotContains(t, digits, card, what)
}

func TestCardNumberIsRefusedInEveryFieldAndNotInTheError(t *testing.T) {
	for _, card := range testCards {
		amount, err := strconv.ParseInt(card, 10, 64)
		if err != nil {
			amount = 4111111111111111 // a number of 19 digits overflows
		}
		spellings := []string{card, "x " + card, card + " 12/27"}
		for i, separator := range separators {
			spellings = append(spellings, inScript(grouped(card, separator), scripts[i%len(scripts)]), grouped(card, separator))
		}
		for _, written := range spellings {
			for what, change := range map[string]func(*ChargeRequest){
				"merchant_id":                      func(r *ChargeRequest) { r.MerchantID = written },
				"idempotency_key":                  func(r *ChargeRequest) { r.IdempotencyKey = written },
				"invalid idempotency_key":          func(r *ChargeRequest) { r.IdempotencyKey = "/\n" + written },
				"amount":                           func(r *ChargeRequest) { r.Amount = amount },
				"negative amount":                  func(r *ChargeRequest) { r.Amount = -amount },
				"currency":                         func(r *ChargeRequest) { r.Currency = written },
				"payment_method":                   func(r *ChargeRequest) { r.PaymentMethod = written },
				"capture":                          func(r *ChargeRequest) { r.Capture = Capture(written) },
				"processor":                        func(r *ChargeRequest) { r.Processor = written },
				"customer_id":                      func(r *ChargeRequest) { r.CustomerID = written },
				"description":                      func(r *ChargeRequest) { r.Description = written },
				"metadata key":                     func(r *ChargeRequest) { r.Metadata = map[string]string{written: "v"} },
				"reserved metadata key":            func(r *ChargeRequest) { r.Metadata = map[string]string{"florin_" + written: "v"} },
				"key of an invalid metadata value": func(r *ChargeRequest) { r.Metadata = map[string]string{written: "\xff"} },
				"metadata value":                   func(r *ChargeRequest) { r.Metadata = map[string]string{"k": written} },
			} {
				r := fullCharge()
				change(&r)
				err := r.Validate()
				requireNoCard(t, err, card, what)
				require.NotContains(t, err.Error(), written, what)
			}
			for what, change := range map[string]func(*RefundRequest){
				"idempotency_key": func(r *RefundRequest) { r.IdempotencyKey = written },
				"metadata key":    func(r *RefundRequest) { r.Metadata = map[string]string{written: "v"} },
				"metadata value":  func(r *RefundRequest) { r.Metadata = map[string]string{"k": written} },
				"payment_id":      func(r *RefundRequest) { r.PaymentID = written },
				"amount":          func(r *RefundRequest) { r.Amount = new(amount) },
				"negative amount": func(r *RefundRequest) { r.Amount = new(-amount) },
				"currency":        func(r *RefundRequest) { r.Currency = written },
				"reason":          func(r *RefundRequest) { r.Reason = written },
			} {
				r := fullRefund()
				change(&r)
				requireNoCard(t, r.Validate(), card, what)
			}
			for what, change := range map[string]func(*Resolution){
				"evidence":     func(r *Resolution) { r.Evidence = written },
				"by":           func(r *Resolution) { r.By = written },
				"processor_id": func(r *Resolution) { r.ProcessorID = written },
			} {
				r := Resolution{Status: Succeeded, Evidence: "e", By: "b"}
				change(&r)
				requireNoCard(t, r.Validate(ResolvedPaymentStatuses), card, what)
			}
			_, err := ParseMoney(written, "USD")
			requireNoCard(t, err, card, "amount of ParseMoney")
			_, err = ParseMoney("1", written)
			requireNoCard(t, err, card, "currency of ParseMoney")
		}
	}
}
