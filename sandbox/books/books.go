// Package books compares two independent books: what the workflows reported, and what the processor's own
// ledger says happened.
package books

import (
	"fmt"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
)

// The metadata by which the ledger names the payments and refunds of Florin. It does not depend on the
// idempotency keys that Florin sends: a purchase that was sent under two keys is found twice.
const (
	metadataPaymentID = "florin_payment_id"
	metadataRefundID  = "florin_refund_id"
)

// Comparison is what came out.
type Comparison struct {
	// Differences names each entry that the books do not agree on; none is what Florin promises.
	Differences []string
	// DoubleCharges counts the purchases and refunds that moved money more than once.
	DoubleCharges int
}

// Compare checks every reported outcome against the ledger, and the ledger for money that nobody reported.
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
		c.charge(charge, payments[charge.PaymentID])
		delete(payments, charge.PaymentID)
	}
	for _, refund := range refunds {
		c.refund(refund, ledgerRefunds[refund.RefundID])
		delete(ledgerRefunds, refund.RefundID)
	}
	for id, entries := range payments {
		c.differ("the ledger has %d payments for %q, which no workflow reported", len(entries), id)
	}
	for id, entries := range ledgerRefunds {
		c.differ("the ledger has %d refunds for %q, which no workflow reported", len(entries), id)
	}
	return c
}

func (c *Comparison) differ(format string, args ...any) {
	c.Differences = append(c.Differences, fmt.Sprintf(format, args...))
}

func (c *Comparison) charge(reported payment.Charge, entries []simulator.LedgerPayment) {
	name := fmt.Sprintf("charge %s/%s", reported.MerchantID, reported.IdempotencyKey)
	moved := 0
	for _, e := range entries {
		if e.Status != string(payment.Declined) {
			moved++
		}
	}
	if moved > 1 {
		c.DoubleCharges++
		c.differ("%s: the ledger took the money %d times", name, moved)
		return
	}
	switch reported.Status {
	case payment.Succeeded, payment.Authorized, payment.Pending, payment.RequiresAction, payment.Voided:
		if moved == 0 {
			c.differ("%s: reported %s, but the ledger has nothing", name, reported.Status)
			return
		}
		e := entries[len(entries)-1]
		got := fmt.Sprintf("%s %d %s, captured %d, id %s", e.Status, e.Amount, e.Currency, e.CapturedAmount, e.ID)
		want := fmt.Sprintf("%s %d %s, captured %d, id %s", reported.Status, reported.Amount, reported.Currency, reported.CapturedAmount, reported.ProcessorPaymentID)
		if got != want {
			c.differ("%s: reported %s, but the ledger has %s", name, want, got)
		}
	case payment.Expired:
		// What was held was let go.
		if moved > 0 && entries[len(entries)-1].Status != string(payment.Voided) {
			c.differ("%s: reported %s, but the ledger has it as %s", name, reported.Status, entries[len(entries)-1].Status)
		}
	case payment.Declined, payment.Failed:
		if moved > 0 {
			c.differ("%s: reported %s, but the ledger has it as %s", name, reported.Status, entries[0].Status)
		}
	case payment.Conflicted:
		if moved == 0 {
			c.differ("%s: reported %s, but the ledger has nothing", name, reported.Status)
		} else if e := entries[0]; e.Amount == reported.Amount && e.Currency == reported.Currency && e.Reference == payment.ProcessorKey(reported.PaymentID, payment.OperationCharge, 0) {
			c.differ("%s: reported %s, but the ledger has just what was asked", name, reported.Status)
		}
	case payment.Unknown, payment.NeedsReconciliation:
		// It claims nothing: both books may be right.
	default:
		c.differ("%s: reported %s, which is no outcome", name, reported.Status)
	}
}

func (c *Comparison) refund(reported payment.Refund, entries []simulator.LedgerRefund) {
	name := fmt.Sprintf("refund %s/%s", reported.MerchantID, reported.IdempotencyKey)
	moved := 0
	for _, e := range entries {
		if e.Status != string(payment.Declined) {
			moved++
		}
	}
	if moved > 1 {
		c.DoubleCharges++
		c.differ("%s: the ledger gave the money back %d times", name, moved)
		return
	}
	switch reported.Status {
	case payment.Succeeded, payment.Pending:
		if moved == 0 {
			c.differ("%s: reported %s, but the ledger has nothing", name, reported.Status)
			return
		}
		e := entries[len(entries)-1]
		got := fmt.Sprintf("%s %d %s, id %s", e.Status, e.Amount, e.Currency, e.ID)
		want := fmt.Sprintf("%s %d %s, id %s", reported.Status, reported.Amount, reported.Currency, reported.ProcessorRefundID)
		if got != want {
			c.differ("%s: reported %s, but the ledger has %s", name, want, got)
		}
	case payment.Declined, payment.Failed:
		if moved > 0 {
			c.differ("%s: reported %s, but the ledger has it as %s", name, reported.Status, entries[0].Status)
		}
	case payment.Unknown, payment.NeedsReconciliation:
		// It claims nothing.
	default:
		c.differ("%s: reported %s, which is no outcome", name, reported.Status)
	}
}
