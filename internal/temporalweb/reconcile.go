package temporalweb

import (
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// ReconcileAttributes returns the search attributes of a reconciliation. It has no status, so that queries by status find payments and
// refunds only.
func ReconcileAttributes(req payment.ReconcileRequest) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{processor.ValueSet(req.Processor), FindingsAttribute(0)}
}

// FindingsAttribute returns the search attribute Findings.
func FindingsAttribute(n int64) temporal.SearchAttributeUpdate { return findings.ValueSet(n) }

// ReconcileSummary returns the summary of a reconciliation in lists of workflows, in one line.
func ReconcileSummary(req payment.ReconcileRequest) string {
	return "reconcile " + Escape(req.Processor)
}

// ReconcileDetails returns the description of a reconciliation on its workflow's page, in Markdown.
func ReconcileDetails(req payment.ReconcileRequest) string {
	return fmt.Sprintf("Compares all payments and refunds of processor %s with the stored ones, and records what contradicts them. "+
		"No money moves.\n\n[Runbook](%s#florindivergence)", Code(req.Processor), Runbook)
}
