// Package books compares two independent records of the same payments: the outcomes that Florin reported, and the
// processor's ledger.
package books

import (
	"fmt"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
)

// The metadata that identifies Florin's payments and refunds in the ledger. It does not depend on the idempotency keys that
// Florin sends. A charge that was sent under two keys is therefore found twice.
const (
	metadataPaymentID = "florin_payment_id"
	metadataRefundID  = "florin_refund_id"
)

// Comparison is the result of [Compare].
type Comparison struct {
	// Differences describes each entry in which the reported outcomes and the ledger differ. It is empty if Florin keeps
	// its promise.
	Differences []string
	// DoubleCharges counts the payments and refunds that moved money more than once.
	DoubleCharges int
}

// Compare compares each reported outcome with the ledger, and finds the entries of the ledger that no workflow reported.
func Compare(charges []payment.Charge, refunds []payment.Refund, ledger simulator.Ledger) Comparison {
	var c Comparison
	payments := map[string][]simulator.LedgerPayment{}
	for _, p := range ledger.Payments {
		id := p.Metadata[metadataPaymentID]
		payments[id] = append(payments[id], p)
	}
	ledgerRefunds := map[string][]simulator.LedgerRefund{}
	for _, r := range ledger.Refunds {
		id := r.Metadata[metadataRefundID]
		ledgerRefunds[id] = append(ledgerRefunds[id], r)
	}
	for _, charge := range charges {
		c.compareCharge(charge, payments[charge.PaymentID])
		delete(payments, charge.PaymentID)
	}
	for _, refund := range refunds {
		c.compareRefund(refund, ledgerRefunds[refund.RefundID])
		delete(ledgerRefunds, refund.RefundID)
	}
	for id, entries := range payments {
		c.addDifference("the ledger has %d payments for %q, which no workflow reported", len(entries), id)
	}
	for id, entries := range ledgerRefunds {
		c.addDifference("the ledger has %d refunds for %q, which no workflow reported", len(entries), id)
	}
	return c
}

func (c *Comparison) addDifference(format string, args ...any) {
	c.Differences = append(c.Differences, fmt.Sprintf(format, args...))
}

// compareCharge compares a reported charge with the entries of the ledger for it.
func (c *Comparison) compareCharge(reported payment.Charge, entries []simulator.LedgerPayment) {
	name := fmt.Sprintf("charge %s/%s", reported.MerchantID, reported.IdempotencyKey)
	executed := 0
	for _, e := range entries {
		if e.Status != string(payment.Declined) {
			executed++
		}
	}
	if executed > 1 {
		c.DoubleCharges++
		c.addDifference("%s: the ledger has it charged %d times", name, executed)
		return
	}
	switch reported.Status {
	case payment.Succeeded, payment.Authorized, payment.Pending, payment.RequiresAction, payment.Voided:
		if executed == 0 {
			c.addDifference("%s: reported %s, but the ledger has no entry", name, reported.Status)
			return
		}
		e := entries[len(entries)-1]
		got := fmt.Sprintf("%s %d %s, captured %d, id %s", e.Status, e.Amount, e.Currency, e.CapturedAmount, e.ID)
		want := fmt.Sprintf("%s %d %s, captured %d, id %s",
			reported.Status, reported.Amount, reported.Currency, reported.CapturedAmount, reported.ProcessorPaymentID)
		if got != want {
			c.addDifference("%s: reported %s, but the ledger has %s", name, want, got)
		}
	case payment.Expired:
		// The authorization must have been voided.
		if executed > 0 && entries[len(entries)-1].Status != string(payment.Voided) {
			c.addDifference("%s: reported %s, but the ledger has it as %s", name, reported.Status, entries[len(entries)-1].Status)
		}
	case payment.Declined, payment.Failed:
		// A decline that could still succeed is voided before it is reported.
		isVoided := reported.Status == payment.Declined && executed == 1 && entries[len(entries)-1].Status == string(payment.Voided)
		if executed > 0 && !isVoided {
			c.addDifference("%s: reported %s, but the ledger has it as %s", name, reported.Status, entries[0].Status)
		}
	case payment.Conflicted:
		if executed == 0 {
			c.addDifference("%s: reported %s, but the ledger has no entry", name, reported.Status)
		} else if e := entries[0]; e.Amount == reported.Amount && e.Currency == reported.Currency &&
			e.Reference == payment.ProcessorKey(reported.PaymentID, payment.OperationCharge, 0) {
			c.addDifference("%s: reported %s, but the ledger has exactly the requested charge", name, reported.Status)
		}
	case payment.Unknown, payment.NeedsReconciliation:
		// The outcome is unknown, so every entry of the ledger agrees with it.
	default:
		c.addDifference("%s: reported %s, which is not an outcome", name, reported.Status)
	}
}

// compareRefund compares a reported refund with the entries of the ledger for it.
func (c *Comparison) compareRefund(reported payment.Refund, entries []simulator.LedgerRefund) {
	name := fmt.Sprintf("refund %s/%s", reported.MerchantID, reported.IdempotencyKey)
	executed := 0
	for _, e := range entries {
		if e.Status != string(payment.Declined) {
			executed++
		}
	}
	if executed > 1 {
		c.DoubleCharges++
		c.addDifference("%s: the ledger has it refunded %d times", name, executed)
		return
	}
	switch reported.Status {
	case payment.Succeeded, payment.Pending:
		if executed == 0 {
			c.addDifference("%s: reported %s, but the ledger has no entry", name, reported.Status)
			return
		}
		e := entries[len(entries)-1]
		got := fmt.Sprintf("%s %d %s, id %s", e.Status, e.Amount, e.Currency, e.ID)
		want := fmt.Sprintf("%s %d %s, id %s", reported.Status, reported.Amount, reported.Currency, reported.ProcessorRefundID)
		if got != want {
			c.addDifference("%s: reported %s, but the ledger has %s", name, want, got)
		}
	case payment.Declined, payment.Failed:
		if executed > 0 {
			c.addDifference("%s: reported %s, but the ledger has it as %s", name, reported.Status, entries[0].Status)
		}
	case payment.Unknown, payment.NeedsReconciliation:
		// The outcome is unknown, so every entry of the ledger agrees with it.
	default:
		c.addDifference("%s: reported %s, which is not an outcome", name, reported.Status)
	}
}
