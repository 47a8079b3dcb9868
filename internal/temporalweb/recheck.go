package temporalweb

import (
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// RecheckAttributes returns the search attributes of a recheck of the payment with this id, or of its refund. It has no status,
// so that queries by status find each payment and refund once.
func RecheckAttributes(req payment.RecheckRequest, id string) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{paymentID.ValueSet(id), merchantID.ValueSet(req.MerchantID)}
}

// RecheckSummary returns the summary of a recheck in lists of workflows, in one line.
func RecheckSummary(req payment.RecheckRequest) string {
	return fmt.Sprintf("recheck %s · %s · %s", rechecked(req), Escape(req.MerchantID), Escape(req.IdempotencyKey))
}

// RecheckDetails returns the description of a recheck on its workflow's page, in Markdown.
func RecheckDetails(req payment.RecheckRequest) string {
	return fmt.Sprintf("The processor has sent an event about a %s that is final: idempotency key %s of merchant %s. Florin looks it up, "+
		"and records what contradicts its own state. No money moves because of it.\n\n[Runbook](%s#florindivergence)",
		rechecked(req), Code(req.IdempotencyKey), Code(req.MerchantID), Runbook)
}

func rechecked(req payment.RecheckRequest) string {
	if req.Refund {
		return "refund"
	}
	return "payment"
}
