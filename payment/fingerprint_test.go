package payment

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func fullCharge() ChargeRequest {
	return ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		Capture: CaptureManual, Processor: "simulator", CustomerID: "c-1", Description: "two books",
		Metadata: map[string]string{"order": "1", "basket": "2"},
	}
}

func fullRefund() RefundRequest {
	return RefundRequest{
		MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: "pay_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64",
		Amount: new(int64(250)), Currency: "USD", Reason: "one book back",
		Metadata: map[string]string{"order": "1", "basket": "2"},
	}
}

// If a fingerprint changed, a request that is repeated after an upgrade would be taken for a different one.
func TestFingerprintsNeverChange(t *testing.T) {
	minimal := ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	}
	require.Equal(t, "fbaa4d8710b9b080c240722bd0e8c60c3e8c5b1a48c5fe52932cb66087d222aa", fullCharge().Fingerprint())
	require.Equal(t, "c0457d3717082552dc715ebdb990bcc2e3bf2bdceac16e623ead2cdf3fa509fc", minimal.Fingerprint())
	require.Equal(t, "fa104f986e6226d6496a324685546b12b9a82cd760158b1c10ba8f17fd65b56e", fullRefund().Fingerprint())
}

func TestEqualRequestsHaveTheSameFingerprint(t *testing.T) {
	automatic, absent := fullCharge(), fullCharge()
	automatic.Capture, absent.Capture = CaptureAutomatic, ""
	require.Equal(t, automatic.Fingerprint(), absent.Fingerprint())
	require.Empty(t, absent.Capture, "the request is not modified")

	none, empty := fullCharge(), fullCharge()
	none.Metadata, empty.Metadata = nil, map[string]string{}
	require.Equal(t, none.Fingerprint(), empty.Fingerprint())

	pairs := map[string]string{}
	for _, key := range []string{"basket", "order"} {
		pairs[key] = fullCharge().Metadata[key]
	}
	for range 20 {
		r := fullCharge()
		r.Metadata = pairs
		require.Equal(t, fullCharge().Fingerprint(), r.Fingerprint())
	}
}

func TestEveryFieldChangesTheFingerprint(t *testing.T) {
	charges := map[string]string{fullCharge().Fingerprint(): "the unchanged request"}
	for what, change := range map[string]func(*ChargeRequest){
		"merchant_id":                           func(r *ChargeRequest) { r.MerchantID += "x" },
		"idempotency_key":                       func(r *ChargeRequest) { r.IdempotencyKey += "x" },
		"amount":                                func(r *ChargeRequest) { r.Amount++ },
		"sign":                                  func(r *ChargeRequest) { r.Amount = -r.Amount },
		"currency":                              func(r *ChargeRequest) { r.Currency = "EUR" },
		"payment_method":                        func(r *ChargeRequest) { r.PaymentMethod += "x" },
		"capture":                               func(r *ChargeRequest) { r.Capture = CaptureAutomatic },
		"processor":                             func(r *ChargeRequest) { r.Processor = "" },
		"customer_id":                           func(r *ChargeRequest) { r.CustomerID = "" },
		"description":                           func(r *ChargeRequest) { r.Description = "" },
		"character moved to the previous field": func(r *ChargeRequest) { r.CustomerID, r.Description = "c-1t", "wo books" },
		"field moved to the next one":           func(r *ChargeRequest) { r.CustomerID, r.Description = "", "c-1two books" },
		"no metadata":                           func(r *ChargeRequest) { r.Metadata = nil },
		"metadata value":                        func(r *ChargeRequest) { r.Metadata["order"] = "2" },
		"metadata key":                          func(r *ChargeRequest) { r.Metadata = map[string]string{"order1": "", "basket": "2"} },
		"metadata values swapped":               func(r *ChargeRequest) { r.Metadata = map[string]string{"order": "2", "basket": "1"} },
		"more metadata":                         func(r *ChargeRequest) { r.Metadata["x"] = "" },
	} {
		r := fullCharge()
		change(&r)
		require.NotContains(t, charges, r.Fingerprint(), what)
		charges[r.Fingerprint()] = what
	}

	refunds := map[string]string{fullRefund().Fingerprint(): "the unchanged request"}
	for what, change := range map[string]func(*RefundRequest){
		"merchant_id":     func(r *RefundRequest) { r.MerchantID += "x" },
		"idempotency_key": func(r *RefundRequest) { r.IdempotencyKey += "x" },
		"payment_id":      func(r *RefundRequest) { r.PaymentID += "x" },
		"amount":          func(r *RefundRequest) { r.Amount = nil },
		"other amount":    func(r *RefundRequest) { r.Amount = new(int64(251)) },
		"currency":        func(r *RefundRequest) { r.Currency = "" },
		"reason":          func(r *RefundRequest) { r.Reason = "" },
		"metadata":        func(r *RefundRequest) { r.Metadata = nil },
	} {
		r := fullRefund()
		change(&r)
		require.NotContains(t, refunds, r.Fingerprint(), what)
		refunds[r.Fingerprint()] = what
	}
}
