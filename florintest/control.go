package florintest

import (
	"fmt"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/simulator/tokens"
	"github.com/florinpay/florin/payment"
)

// Method is a method of [florin.API].
type Method string

// Each Method has the name of the method that it stands for.
const (
	Charge        Method = "Charge"
	StartCharge   Method = "StartCharge"
	Capture       Method = "Capture"
	Void          Method = "Void"
	Get           Method = "Get"
	Wait          Method = "Wait"
	List          Method = "List"
	Resolve       Method = "Resolve"
	Refund        Method = "Refund"
	StartRefund   Method = "StartRefund"
	GetRefund     Method = "GetRefund"
	WaitRefund    Method = "WaitRefund"
	ListRefunds   Method = "ListRefunds"
	ResolveRefund Method = "ResolveRefund"
)

// fault is what happens to a call instead of its normal result.
type fault struct {
	err error
	// executed reports whether the call has its effect nevertheless.
	executed bool
}

// FailNext makes the next call of a method fail with err and have no effect, as if Temporal could not be reached. Nil means
// [florin.ErrOutcomePending]. Several calls of FailNext and [Fake.LoseResponse] are for as many calls of the method, in this order. A
// call with an invalid request, or whose context is done, is not counted.
func (f *Fake) FailNext(m Method, err error) { f.addFault(m, fault{err: err}) }

// LoseResponse makes the next call of a method have its effect, but return err, as if the connection was lost before the result
// arrived. Nil means [florin.ErrOutcomePending]. The service has to find out what happened, and the same call again returns it. The
// order is that of [Fake.FailNext].
func (f *Fake) LoseResponse(m Method, err error) { f.addFault(m, fault{err: err, executed: true}) }

func (f *Fake) addFault(m Method, fault fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[m] = append(f.faults[m], fault)
}

// nextFault returns the fault of this call; nil if there is none.
func (f *Fake) nextFault(m Method, subject string) *fault {
	if len(f.faults[m]) == 0 {
		return nil
	}
	next := f.faults[m][0]
	f.faults[m] = f.faults[m][1:]
	if next.err == nil {
		next.err = fmt.Errorf("workflow %s: %w", subject, florin.ErrOutcomePending)
	}
	return &next
}

// Complete lets the processor decide how a payment goes on: what a worker would learn from the processor by a lookup or an event. It is
// for a payment that is pending, requires an action, is authorized, or whose outcome is unknown. Calls of [Fake.Wait] return once the
// status is final.
//
// A status that [payment.PaymentTransitions] does not allow is an error. Complete takes the requested amount of a payment that
// becomes [payment.Succeeded]; of one with manual capture, only if it is authorized or if a capture is in flight. It returns
// [florin.ErrNotFound] if no payment has this key.
func (f *Fake) Complete(merchantID, idempotencyKey string, status payment.Status) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.charge(merchantID, idempotencyKey)
	switch {
	case err != nil:
		return err
	case !legal(payment.PaymentTransitions, c.value.Status, status):
		return c.errorf("a payment that is %s cannot become %s: want one of %v",
			c.value.Status, status, payment.PaymentTransitions[c.value.Status])
	case status == payment.Succeeded && c.req.Capture == payment.CaptureManual && c.value.Status != payment.Authorized && c.inFlight == nil:
		return c.errorf("a payment with manual capture cannot become %s before it is %s", status, payment.Authorized)
	}
	token, _ := tokens.Find(c.req.PaymentMethod)
	wasInFlight := c.inFlight
	c.value.Decline, c.value.Failure = nil, nil
	switch status {
	case payment.Unknown, payment.NeedsReconciliation:
		c.value.Failure = clone(&outcomeUnknown)
	case payment.Failed:
		c.value.Failure = &payment.Failure{Class: payment.ClassUnavailable, Message: "the processor has no record of the payment: no money moved"}
	case payment.Conflicted:
		c.value.Failure = clone(&conflict)
		c.acknowledge()
	case payment.Declined:
		c.value.Decline = &payment.Decline{Code: "do_not_honor", Kind: payment.DeclineSoft}
		if token.Scope == tokens.Charge && token.DeclineCode != "" {
			c.value.Decline = chargeDecline(token)
		}
		c.acknowledge()
	case payment.Succeeded:
		c.value.CapturedAmount = c.value.Amount
		if wasInFlight != nil && wasInFlight.operation == payment.OperationCapture {
			c.value.CapturedAmount = wasInFlight.amount
		}
		c.acknowledge()
	case payment.Authorized:
		if wasInFlight != nil {
			c.value.Failure = &payment.Failure{
				Class: payment.ClassStateConflict, Message: fmt.Sprintf("the processor did not execute the %s", wasInFlight.operation),
			}
		}
		c.acknowledge()
	default:
		c.acknowledge()
	}
	if c.value.Status == payment.RequiresAction && canPayAfterADecline(token) {
		c.value.Modifications++ // Florin has voided it after the decline, or has tried to
	}
	f.transition(c, status)
	return nil
}

// CompleteRefund is [Fake.Complete] for a refund that is pending or whose outcome is unknown, with [payment.RefundTransitions]. A
// refund that succeeded may become [payment.Failed], as if the customer's bank had returned the money: its amount can then be refunded
// again.
func (f *Fake) CompleteRefund(merchantID, idempotencyKey string, status payment.Status) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.refund(merchantID, idempotencyKey)
	switch {
	case err != nil:
		return err
	case !legal(payment.RefundTransitions, r.value.Status, status):
		return r.errorf("a refund that is %s cannot become %s: want one of %v",
			r.value.Status, status, payment.RefundTransitions[r.value.Status])
	}
	r.value.Decline, r.value.Failure = nil, nil
	switch status {
	case payment.Unknown, payment.NeedsReconciliation:
		r.value.Failure = clone(&outcomeUnknown)
	case payment.Failed:
		r.value.Failure = &payment.Failure{Class: payment.ClassUnavailable, Message: "the refund failed at the processor: no money was returned"}
	case payment.Declined:
		r.value.Decline = &payment.Decline{Code: "refund_not_accepted", Kind: payment.DeclineSoft}
		r.acknowledge()
	default:
		r.acknowledge()
	}
	f.transitionRefund(r, status)
	return nil
}
