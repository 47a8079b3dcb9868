// Package divergence compares payments and refunds with the records of their processors.
package divergence

import (
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Contradiction is what of a final payment or refund its processor's record contradicts.
type Contradiction struct {
	Kind        payment.DivergenceKind
	StatusThere payment.Status
	Evidence    map[string]string
	// MayLag reports that a record that is merely not up to date would show the same: the next lookup decides.
	MayLag bool
}

// OfPayment compares a final payment with its processor's record, which was read before c was. open is the sum of
// the refunds that are neither final nor known to be executed. A conflicted payment contradicts its record by definition: it has
// none.
//
// If no money moved in either of them, it does not matter why: declined here and voided there, or failed here and declined there,
// is no contradiction. If the statuses contradict each other, the amounts are not compared.
func OfPayment(c payment.Charge, open int64, there processor.Result) []Contradiction {
	if c.Status == payment.Conflicted {
		return nil
	}
	captured := payment.Money{Amount: there.CapturedAmount, Currency: there.Currency}
	isAnother := c.ProcessorPaymentID != "" && there.ID != c.ProcessorPaymentID
	switch {
	case isAnother:
		// The processor has two payments with the same reference.
		return []Contradiction{{Kind: payment.DivergenceStatus, StatusThere: there.Status, Evidence: map[string]string{
			"processor_payment_id_here": c.ProcessorPaymentID, "processor_payment_id_there": there.ID, "captured_there": captured.String(),
		}}}
	case !agree(c.Status, there.Status):
		return []Contradiction{{Kind: payment.DivergenceStatus, StatusThere: there.Status, MayLag: !there.Status.Final(),
			Evidence: map[string]string{"captured_there": captured.String()}}}
	}
	var all []Contradiction
	if there.Amount != c.Amount || there.Currency != c.Currency {
		all = append(all, amountContradiction(c.Money(), there))
	}
	if there.CapturedAmount != c.CapturedAmount {
		all = append(all, Contradiction{Kind: payment.DivergenceCaptured, StatusThere: there.Status, Evidence: map[string]string{
			"captured_here": payment.Money{Amount: c.CapturedAmount, Currency: c.Currency}.String(), "captured_there": captured.String(),
		}})
	}
	// The evidence has only the difference, which later refunds of Florin do not change.
	difference := func(amount int64) string { return payment.Money{Amount: amount, Currency: c.Currency}.String() }
	switch {
	case there.RefundedUnknown:
	case there.RefundedAmount > c.RefundedAmount+open:
		all = append(all, Contradiction{Kind: payment.DivergenceRefunded, StatusThere: there.Status, Evidence: map[string]string{
			"refunded_only_there": difference(there.RefundedAmount - c.RefundedAmount - open),
		}})
	case there.RefundedAmount < c.RefundedAmount:
		all = append(all, Contradiction{Kind: payment.DivergenceRefunded, StatusThere: there.Status, Evidence: map[string]string{
			"refunded_only_here": difference(c.RefundedAmount - there.RefundedAmount),
		}, MayLag: true})
	}
	return all
}

// OfRefund compares a final refund with its processor's record. failedLate reports that the record is the one of
// the succeeded refund, and that it has failed since: that is a transition.
func OfRefund(r payment.Refund, there processor.Result) (all []Contradiction, failedLate bool) {
	isAnother := r.ProcessorRefundID != "" && there.ID != r.ProcessorRefundID
	switch {
	case isAnother:
		return []Contradiction{{Kind: payment.DivergenceRefundStatus, StatusThere: there.Status, Evidence: map[string]string{
			"processor_refund_id_here": r.ProcessorRefundID, "processor_refund_id_there": there.ID,
		}}}, false
	case r.Status == payment.Succeeded && r.ProcessorRefundID != "" && MovedNothing(there.Status):
		return nil, true
	case !agree(r.Status, there.Status):
		return []Contradiction{{Kind: payment.DivergenceRefundStatus, StatusThere: there.Status, MayLag: !there.Status.Final()}}, false
	case there.Amount != r.Amount || there.Currency != r.Currency:
		return []Contradiction{amountContradiction(r.Money(), there)}, false
	default:
		return nil, false
	}
}

// amountContradiction has another kind if only the currency differs.
func amountContradiction(here payment.Money, there processor.Result) Contradiction {
	kind := payment.DivergenceAmount
	if here.Amount == there.Amount {
		kind = payment.DivergenceCurrency
	}
	return Contradiction{Kind: kind, StatusThere: there.Status, Evidence: map[string]string{
		"amount_here": here.String(), "amount_there": payment.Money{Amount: there.Amount, Currency: there.Currency}.String(),
	}}
}

// agree reports whether a final status and the one at the processor can both be true.
func agree(here, there payment.Status) bool {
	return here == there || MovedNothing(here) && MovedNothing(there)
}

// MovedNothing reports whether a status is final, and means that no money moved.
func MovedNothing(s payment.Status) bool {
	switch s {
	case payment.Declined, payment.Failed, payment.Voided, payment.Expired:
		return true
	default:
		return false
	}
}
