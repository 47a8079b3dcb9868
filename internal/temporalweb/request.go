package temporalweb

import (
	"fmt"

	"github.com/florinpay/florin/payment"
)

// Runbook is the URL of the instructions for operators.
const Runbook = "https://github.com/florinpay/florin/blob/main/docs/runbook.md"

// ChargeSummary returns the summary of a charge in lists of workflows, in one line.
func ChargeSummary(req payment.ChargeRequest) string {
	return fmt.Sprintf("%s · %s · %s", req.Money(), Escape(req.MerchantID), Escape(req.IdempotencyKey))
}

// ChargeDetails returns the description of a charge on its workflow's page, in Markdown.
func ChargeDetails(req payment.ChargeRequest) string {
	verb := "Charge"
	if req.Capture == payment.CaptureManual {
		verb = "Authorize"
	}
	by := "the default processor"
	if req.Processor != "" {
		by = Code(req.Processor)
	}
	return fmt.Sprintf("%s **%s** for merchant %s through %s.\n\n"+
		"Idempotency key %s, payment %s. The same key never charges twice.\n\n[Runbook](%s)",
		verb, req.Money(), Code(req.MerchantID), by, Code(req.IdempotencyKey),
		Code(payment.PaymentID(req.MerchantID, req.IdempotencyKey)), Runbook)
}

// RefundSummary returns the summary of a refund in lists of workflows, in one line.
func RefundSummary(req payment.RefundRequest) string {
	return fmt.Sprintf("refund %s · %s · %s", requestedAmount(req), Escape(req.MerchantID), Escape(req.IdempotencyKey))
}

// RefundDetails returns the description of a refund on its workflow's page, in Markdown.
func RefundDetails(req payment.RefundRequest) string {
	return fmt.Sprintf("Refund **%s** of payment %s of merchant %s.\n\n"+
		"Idempotency key %s, refund %s. The same key never refunds twice.\n\n[Runbook](%s)",
		requestedAmount(req), Code(req.PaymentID), Code(req.MerchantID), Code(req.IdempotencyKey),
		Code(payment.RefundID(req.MerchantID, req.IdempotencyKey)), Runbook)
}

// requestedAmount returns the amount of a refund request. Its currency may be known only to the payment.
func requestedAmount(req payment.RefundRequest) string {
	switch {
	case req.Amount == nil:
		return "the remaining amount"
	case req.Currency == "":
		return fmt.Sprintf("%d minor units", *req.Amount)
	default:
		return payment.Money{Amount: *req.Amount, Currency: req.Currency}.String()
	}
}
