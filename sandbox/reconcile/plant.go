package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
)

// planter plants differences in the ledger, each in another payment, and notes what has to be found.
type planter struct {
	*simulator.Tampering
	random *rand.Rand
	// left are the payments without a difference, in random order.
	left []entry
	// planted are the findings that have to be made, in the form of [findings].
	planted map[string]bool
	number  int
}

// plant plants a number of differences of each kind.
func plant(ctx context.Context, s *simulator.Simulator, all []entry, random *rand.Rand, each int) (planted map[string]bool, err error) {
	p := &planter{random: random, planted: map[string]bool{}}
	for _, i := range random.Perm(len(all)) {
		p.left = append(p.left, all[i])
	}
	err = s.Tamper(ctx, func(t *simulator.Tampering) error {
		p.Tampering = t
		for _, kind := range []func() error{
			p.outside, p.lost, p.amount, p.currency, p.captured, p.refunded, p.status, p.duplicate, p.refundOutside, p.refundLost,
			p.refundStatus, p.unreadable,
		} {
			for range each {
				if err := kind(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return p.planted, err
}

// take returns a payment that has no difference yet.
func (p *planter) take(is func(entry) bool) entry {
	for i, e := range p.left {
		if is(e) {
			p.left = append(p.left[:i], p.left[i+1:]...)
			return e
		}
	}
	panic("too few payments: want more of them, or fewer differences of each kind")
}

func isPaid(e entry) bool { return e.status == payment.Succeeded && e.refundStatus == "" }

func (p *planter) note(kind payment.DivergenceKind, about string) {
	p.planted[string(kind)+" "+about] = true
}

// change changes the record of a paid payment.
func (p *planter) change(kind payment.DivergenceKind, change func(*simulator.LedgerPayment)) error {
	e := p.take(isPaid)
	p.note(kind, e.id)
	return p.ChangePayment(e.recordID, change)
}

// outside adds a payment that Florin has not made: without a reference, or with another system's.
func (p *planter) outside() error {
	p.number++
	record := simulator.LedgerPayment{
		ID: fmt.Sprintf("ch_outside_%d", p.number), Status: "succeeded", Amount: 990, CapturedAmount: 990, Currency: "EUR", CreatedAt: p.someTime(),
	}
	if p.number%2 == 0 {
		record.Reference = fmt.Sprintf("SHOP-%06d", p.number)
	}
	p.note(payment.DivergenceMissingHere, record.ID)
	_, err := p.AddPayment(record)
	return err
}

// someTime returns a time between the oldest payment and the latest one.
func (p *planter) someTime() time.Time { return p.left[p.random.IntN(len(p.left))].createdAt }

func (p *planter) lost() error {
	e := p.take(isPaid)
	p.note(payment.DivergenceMissingThere, e.id)
	return p.DeletePayment(e.recordID)
}

func (p *planter) amount() error {
	return p.change(payment.DivergenceAmount, func(r *simulator.LedgerPayment) { r.Amount += 100 })
}

func (p *planter) currency() error {
	return p.change(payment.DivergenceCurrency, func(r *simulator.LedgerPayment) { r.Currency = "EUR" })
}

func (p *planter) captured() error {
	return p.change(payment.DivergenceCaptured, func(r *simulator.LedgerPayment) { r.CapturedAmount -= 100 })
}

func (p *planter) refunded() error {
	return p.change(payment.DivergenceRefunded, func(r *simulator.LedgerPayment) { r.RefundedAmount += 100 })
}

// status takes the money of a payment that is declined here, or returns that of one that has succeeded.
func (p *planter) status() error {
	if p.random.IntN(2) == 0 {
		return p.change(payment.DivergenceStatus, func(r *simulator.LedgerPayment) { r.Status, r.CapturedAmount = "voided", 0 })
	}
	e := p.take(func(e entry) bool { return e.status == payment.Declined })
	p.note(payment.DivergenceStatus, e.id)
	return p.ChangePayment(e.recordID, func(r *simulator.LedgerPayment) {
		r.Status, r.CapturedAmount, r.DeclineCode = "succeeded", r.Amount, ""
	})
}

func (p *planter) duplicate() error {
	e := p.take(isPaid)
	id, err := p.DuplicatePayment(e.recordID)
	p.note(payment.DivergenceDuplicateReference, e.id+" "+id)
	return err
}

func (p *planter) refundOutside() error {
	p.number++
	r := simulator.LedgerRefund{
		ID: fmt.Sprintf("re_outside_%d", p.number), PaymentID: p.take(isPaid).recordID, Status: "succeeded", Amount: 100, Currency: "USD",
		CreatedAt: p.someTime(),
	}
	p.note(payment.DivergenceRefundMissingHere, r.ID)
	_, err := p.AddRefund(r)
	return err
}

func (p *planter) refundLost() error {
	e := p.take(func(e entry) bool { return e.refundStatus == payment.Succeeded })
	p.note(payment.DivergenceRefundMissingThere, e.refundID)
	return p.DeleteRefund(e.refundRecordID)
}

func (p *planter) refundStatus() error {
	e := p.take(func(e entry) bool { return e.refundStatus == payment.Declined })
	p.note(payment.DivergenceRefundStatus, e.refundID)
	return p.ChangeRefund(e.refundRecordID, func(r *simulator.LedgerRefund) { r.Status = "succeeded" })
}

func (p *planter) unreadable() error {
	e := p.take(isPaid)
	p.note(payment.DivergenceUnreadable, e.id+" "+e.recordID)
	return p.ChangePayment(e.recordID, func(r *simulator.LedgerPayment) { r.Status = "half_done" })
}
