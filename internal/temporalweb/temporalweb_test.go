package temporalweb

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

func TestSummaryAndDetailsDescribeTheRequestWithoutThePaymentMethod(t *testing.T) {
	charge := payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
		Capture: payment.CaptureManual, Metadata: map[string]string{"cart": "secret"},
	}
	require.Equal(t, "12.50 USD · acme · order-1", ChargeSummary(charge))
	require.Equal(t, "Authorize **12.50 USD** for merchant `acme` through the default processor.\n\n"+
		"Idempotency key `order-1`, payment `"+payment.PaymentID("acme", "order-1")+"`. The same key never charges twice.\n\n"+
		"[Runbook]("+Runbook+")", ChargeDetails(charge))
	charge.Capture, charge.Processor = "", "sim"
	require.Contains(t, ChargeDetails(charge), "Charge **12.50 USD** for merchant `acme` through `sim`.")

	refund := payment.RefundRequest{
		MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: payment.PaymentID("acme", "order-1"), Amount: new(int64(500)),
	}
	require.Equal(t, "refund 500 minor units · acme · refund-1", RefundSummary(refund))
	refund.Currency = "USD"
	require.Equal(t, "refund 5.00 USD · acme · refund-1", RefundSummary(refund))
	refund.Amount = nil
	require.Contains(t, RefundDetails(refund), "Refund **the remaining amount** of payment `"+refund.PaymentID+"`")
}

func TestRecheckIsDescribedWithoutAStatus(t *testing.T) {
	req := payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: "order-1"}
	require.Equal(t, "recheck payment · acme · order-1", RecheckSummary(req))
	require.Contains(t, RecheckDetails(req), "an event about a payment that is final: idempotency key `order-1` of merchant `acme`.")
	req.Refund = true
	require.Equal(t, "recheck refund · acme · order-1", RecheckSummary(req))
	attributes := temporal.NewSearchAttributes(RecheckAttributes(req, "pay_1")...)
	require.Equal(t, 2, attributes.Size())
	require.False(t, attributes.ContainsKey(paymentStatus))
}

func TestNamesAndMessagesAreRenderedUnchanged(t *testing.T) {
	for in, want := range map[string]string{
		"order-1":   "order-1",
		"2026.11:7": "2026.11:7",
		"a--b":      "`a--b`",
		"a_b":       "`a_b`",
		"*b*":       "`*b*`",
		"a`b":       "`` a`b ``",
		"``":        "``` `` ```",
		"-x":        "`-x`",
	} {
		require.Equal(t, want, name(in))
	}
	require.Equal(t, `it\'s 100\% \<b\> \{runId\} ok`, Escape("it's 100% <b> {runId} ok"))
	require.Equal(t, "a b", Escape("a\nb"))
	require.Equal(t, `\&lt; it`, Escape("&lt; it"))
}
