package activities

import (
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// contradiction is what of a final payment or refund its processor's record contradicts.
type contradiction struct {
	kind        payment.DivergenceKind
	statusThere payment.Status
	evidence    map[string]string
	// mayLag reports that a record that is merely not up to date would show the same: the next lookup decides.
	mayLag bool
}

// contradictionsOfPayment compares a final payment with its processor's record, which was read before c was. open is the sum of
// the refunds that are neither final nor known to be executed. A conflicted payment contradicts its record by definition: it has
// none.
//
// If no money moved in either of them, it does not matter why: declined here and voided there, or failed here and declined there,
// is no contradiction. If the statuses contradict each other, the amounts are not compared.
func contradictionsOfPayment(c payment.Charge, open int64, there processor.Result) []contradiction {
	if c.Status == payment.Conflicted {
		return nil
	}
	captured := payment.Money{Amount: there.CapturedAmount, Currency: there.Currency}
	isAnother := c.ProcessorPaymentID != "" && there.ID != c.ProcessorPaymentID
	switch {
	case isAnother:
		// The processor has two payments with the same reference.
		return []contradiction{{kind: payment.DivergenceStatus, statusThere: there.Status, evidence: map[string]string{
			"processor_payment_id_here": c.ProcessorPaymentID, "processor_payment_id_there": there.ID, "captured_there": captured.String(),
		}}}
	case !agree(c.Status, there.Status):
		return []contradiction{{kind: payment.DivergenceStatus, statusThere: there.Status, mayLag: !there.Status.Final(),
			evidence: map[string]string{"captured_there": captured.String()}}}
	}
	var all []contradiction
	if there.Amount != c.Amount || there.Currency != c.Currency {
		all = append(all, amountContradiction(c.Money(), there))
	}
	if there.CapturedAmount != c.CapturedAmount {
		all = append(all, contradiction{kind: payment.DivergenceCaptured, statusThere: there.Status, evidence: map[string]string{
			"captured_here": payment.Money{Amount: c.CapturedAmount, Currency: c.Currency}.String(), "captured_there": captured.String(),
		}})
	}
	// The evidence has only the difference, which later refunds of Florin do not change.
	difference := func(amount int64) string { return payment.Money{Amount: amount, Currency: c.Currency}.String() }
	switch {
	case there.RefundedUnknown:
	case there.RefundedAmount > c.RefundedAmount+open:
		all = append(all, contradiction{kind: payment.DivergenceRefunded, statusThere: there.Status, evidence: map[string]string{
			"refunded_only_there": difference(there.RefundedAmount - c.RefundedAmount - open),
		}})
	case there.RefundedAmount < c.RefundedAmount:
		all = append(all, contradiction{kind: payment.DivergenceRefunded, statusThere: there.Status, evidence: map[string]string{
			"refunded_only_here": difference(c.RefundedAmount - there.RefundedAmount),
		}, mayLag: true})
	}
	return all
}

// contradictionsOfRefund compares a final refund with its processor's record. failedLate reports that the record is the one of
// the succeeded refund, and that it has failed since: that is a transition.
func contradictionsOfRefund(r payment.Refund, there processor.Result) (all []contradiction, failedLate bool) {
	isAnother := r.ProcessorRefundID != "" && there.ID != r.ProcessorRefundID
	switch {
	case isAnother:
		return []contradiction{{kind: payment.DivergenceRefundStatus, statusThere: there.Status, evidence: map[string]string{
			"processor_refund_id_here": r.ProcessorRefundID, "processor_refund_id_there": there.ID,
		}}}, false
	case r.Status == payment.Succeeded && r.ProcessorRefundID != "" && movedNothing(there.Status):
		return nil, true
	case !agree(r.Status, there.Status):
		return []contradiction{{kind: payment.DivergenceRefundStatus, statusThere: there.Status, mayLag: !there.Status.Final()}}, false
	case there.Amount != r.Amount || there.Currency != r.Currency:
		return []contradiction{amountContradiction(r.Money(), there)}, false
	default:
		return nil, false
	}
}

func amountContradiction(here payment.Money, there processor.Result) contradiction {
	return contradiction{kind: payment.DivergenceAmount, statusThere: there.Status, evidence: map[string]string{
		"amount_here": here.String(), "amount_there": payment.Money{Amount: there.Amount, Currency: there.Currency}.String(),
	}}
}

// agree reports whether a final status and the one at the processor can both be true.
func agree(here, there payment.Status) bool {
	return here == there || movedNothing(here) && movedNothing(there)
}

// movedNothing reports whether a status is final, and means that no money moved.
func movedNothing(s payment.Status) bool {
	switch s {
	case payment.Declined, payment.Failed, payment.Voided, payment.Expired:
		return true
	default:
		return false
	}
}
