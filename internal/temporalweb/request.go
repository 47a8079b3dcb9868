package temporalweb

import (
	"fmt"

	"github.com/florinpay/florin/payment"
)

// Runbook is the address of the operator's instructions.
const Runbook = "https://github.com/florinpay/florin/blob/main/docs/runbook.md"

// ChargeSummary returns the line by which lists of workflows show a charge.
func ChargeSummary(req payment.ChargeRequest) string {
	return fmt.Sprintf("%s · %s · %s", req.Money(), name(req.MerchantID), name(req.IdempotencyKey))
}

// ChargeDetails returns the description of a charge on the page of its workflow, in Markdown.
func ChargeDetails(req payment.ChargeRequest) string {
	verb := "Charge"
	if req.Capture == payment.CaptureManual {
		verb = "Authorize"
	}
	by := "the default processor"
	if req.Processor != "" {
		by = Code(req.Processor)
	}
	return fmt.Sprintf("%s **%s** for merchant %s through %s.\n\nIdempotency key %s, payment %s. The same key never charges twice.\n\n[Runbook](%s)",
		verb, req.Money(), Code(req.MerchantID), by, Code(req.IdempotencyKey),
		Code(payment.PaymentID(req.MerchantID, req.IdempotencyKey)), Runbook)
}

// RefundSummary returns the line by which lists of workflows show a refund.
func RefundSummary(req payment.RefundRequest) string {
	return fmt.Sprintf("refund %s · %s · %s", requestedAmount(req), name(req.MerchantID), name(req.IdempotencyKey))
}

// RefundDetails returns the description of a refund on the page of its workflow, in Markdown.
func RefundDetails(req payment.RefundRequest) string {
	return fmt.Sprintf("Refund **%s** of payment %s of merchant %s.\n\nIdempotency key %s, refund %s. The same key never refunds twice.\n\n[Runbook](%s)",
		requestedAmount(req), Code(req.PaymentID), Code(req.MerchantID), Code(req.IdempotencyKey),
		Code(payment.RefundID(req.MerchantID, req.IdempotencyKey)), Runbook)
}

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
