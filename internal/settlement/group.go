package settlement

import (
	"maps"
	"slices"

	"github.com/florinpay/florin/internal/divergence"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// group is a stored payment with its refunds, and all lines about them.
type group struct {
	paymentID string
	// payment is nil if it was created before the range that was read, and only a refund of it is within.
	payment *Record
	refunds []Record
	lines   []named
}

// report counts and reports a finding. there and here are the amounts that have moved according to each side.
func (c *comparison) report(f Finding, there, here payment.Money) error {
	f.MovedThere, f.MovedHere = there, here
	for _, side := range []struct {
		payment.Money
		sign int64
	}{{there, 1}, {here, -1}} {
		if side.Currency == "" {
			continue
		}
		sums := c.sums(side.Currency, f.Refund)
		if f.Kind == KindUnexplained {
			sums.Unexplained += side.sign * side.Amount
		} else {
			sums.Explained += side.sign * side.Amount
		}
	}
	c.summary.Findings[f.Kind]++
	if f.There != nil {
		line := *f.There
		for _, text := range []*string{&line.Reference, &line.ID, &line.PaymentID} {
			if payment.ContainsCardNumber(*text) {
				*text = "(looks like a card number)"
			}
		}
		f.There = &line
	}
	return c.Report(f)
}

// movedThere and movedHere are the amounts for [comparison.report].
func movedThere(l Line) payment.Money { return payment.Money{Amount: l.moved(), Currency: l.Currency} }
func movedHere(r Record) payment.Money {
	return payment.Money{Amount: r.moved(), Currency: r.Currency}
}

var nothing payment.Money

// reportUnmatched reports a line that is about nothing that is stored. One that moved no money, such as a decline, is no finding.
func (c *comparison) reportUnmatched(l Line) error {
	f := Finding{Kind: KindMissingHere, There: &l, Refund: l.Refund}
	switch {
	case l.Unreadable != "":
		f.Kind, f.Reason = KindUnreadable, l.Unreadable
		return c.report(f, nothing, nothing)
	case divergence.MovedNothing(l.Status):
		return nil
	case l.Refund:
		f.Kind = KindRefundMissingHere
	}
	return c.report(f, movedThere(l), nothing)
}

// reportMissing reports a stored payment or refund that the file lacks.
func (c *comparison) reportMissing(r Record) error {
	f := Finding{Kind: KindMissingThere, Here: &r, Refund: r.RefundID != ""}
	switch {
	case r.CreatedAt.Before(c.From.Add(c.Margin)), !r.CreatedAt.Before(c.To.Add(-c.Margin)):
		f.Kind, f.Reason = KindUnexplained, ReasonBoundary
	case f.Refund:
		f.Kind = KindRefundMissingThere
	}
	return c.report(f, nothing, movedHere(r))
}

// count adds what has moved according to the store to the totals.
func (c *comparison) count(r Record) {
	if moved := r.moved(); moved != 0 {
		c.sums(r.Currency, r.RefundID != "").Here += moved
	}
}

// isCompared reports whether the file should have what was created then.
func (c *comparison) isCompared(r Record) bool {
	return !r.CreatedAt.Before(c.From) && r.CreatedAt.Before(c.To)
}

func (c *comparison) compareGroup(g group) error {
	if g.paymentID == "" { // before the first one
		return nil
	}
	if c.progress.Compared++; c.progress.Compared%progressEvery == 0 {
		c.advance()
	}
	var charges, unreadable []Line
	var ofPayment, unreadableOfPayment []Line // refunds that name only the payment
	ofRefund := map[string][]Line{}
	for _, l := range g.lines {
		switch {
		case l.owner.refundID != "":
			ofRefund[l.owner.refundID] = append(ofRefund[l.owner.refundID], l.Line)
		case l.Refund && l.Unreadable != "":
			unreadableOfPayment = append(unreadableOfPayment, l.Line)
		case l.Refund:
			ofPayment = append(ofPayment, l.Line)
		case l.Unreadable != "":
			unreadable = append(unreadable, l.Line)
		default:
			charges = append(charges, l.Line)
		}
	}
	if err := c.reportUnreadable(g.payment, nothing, unreadableOfPayment); err != nil {
		return err
	}
	if err := c.compareCharges(g.payment, charges, unreadable); err != nil {
		return err
	}
	var left []Record // refunds that no line names
	for _, r := range g.refunds {
		lines := ofRefund[r.RefundID]
		if len(lines) == 0 {
			left = append(left, r)
			continue
		}
		if err := c.compareRefund(r, lines); err != nil {
			return err
		}
	}
	return c.compareRefundsOfPayment(g.payment, left, ofPayment)
}

// compareCharges compares a payment with the lines about it. An unreadable line takes the place of a charge, if there is none.
func (c *comparison) compareCharges(p *Record, charges, unreadable []Line) error {
	if p == nil {
		for _, l := range charges {
			if err := c.report(Finding{Kind: KindUnexplained, Reason: ReasonNotRead, There: &l}, movedThere(l), nothing); err != nil {
				return err
			}
		}
		return c.reportUnreadable(nil, nothing, unreadable)
	}
	isMissing := len(charges) == 0 && len(unreadable) == 0
	if !isMissing || c.isCompared(*p) {
		c.count(*p)
	}
	switch {
	case isMissing && p.moved() != 0 && c.isCompared(*p):
		return c.reportMissing(*p)
	case isMissing:
		return nil
	case len(charges) == 0:
		return c.reportUnreadable(p, movedHere(*p), unreadable)
	}
	if err := c.reportUnreadable(p, nothing, unreadable); err != nil {
		return err
	}
	if isInParts(*p, charges) {
		return nil
	}
	main := mainLine(*p, charges)
	for i, l := range charges {
		f := Finding{There: &l, Here: p}
		var err error
		switch {
		case i == main:
			if f.Kind = c.chargeKind(*p, l); f.Kind != "" {
				err = c.report(f, movedThere(l), movedHere(*p))
			}
		case divergence.MovedNothing(l.Status): // an attempt before or after the one that moved money
		default:
			f.Kind = KindDuplicateReference
			err = c.report(f, movedThere(l), nothing)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mainLine returns the position of the line that a payment or refund is compared with: of several, the first that fits.
func mainLine(r Record, lines []Line) int {
	return max(0, slices.IndexFunc(lines, func(l Line) bool { return l.moved() == r.moved() && l.Currency == r.Currency }))
}

// isInParts reports whether several lines together are what was captured: the processor has settled it in parts.
func isInParts(p Record, charges []Line) bool {
	var sum int64
	for _, l := range charges {
		if l.Currency != p.Currency || l.moved() == 0 {
			return false
		}
		sum += l.moved()
	}
	return len(charges) > 1 && sum == p.moved()
}

// chargeKind returns what of a payment a line contradicts; empty: nothing.
func (c *comparison) chargeKind(p Record, l Line) payment.DivergenceKind {
	// The file has one amount. Its comparison comes after that of the statuses.
	there := processor.Result{
		Status: l.Status, Amount: p.Amount, Currency: p.Currency, CapturedAmount: p.Captured, RefundedUnknown: true,
	}
	if there.Status == "" {
		there.Status = payment.Succeeded
	}
	here := payment.Charge{Status: p.Status, Amount: p.Amount, Currency: p.Currency, CapturedAmount: p.Captured}
	switch {
	case here.Final() && len(divergence.OfPayment(here, 0, there)) > 0,
		!here.Final() && l.moved() != p.moved():
		return KindStatus
	case l.Currency != p.Currency && l.moved()+p.moved() != 0:
		return KindCurrency
	case l.moved() == p.moved():
		return ""
	case p.Captured == p.Amount:
		return KindAmount
	default:
		return KindCaptured
	}
}

// reportUnreadable reports unreadable lines. here is what has moved according to the store, and what the first of them may be about.
func (c *comparison) reportUnreadable(r *Record, here payment.Money, lines []Line) error {
	for i, l := range lines {
		f := Finding{Kind: KindUnreadable, Reason: l.Unreadable, There: &l, Here: r, Refund: r != nil && r.RefundID != ""}
		if i > 0 {
			here = nothing
		}
		if err := c.report(f, nothing, here); err != nil {
			return err
		}
	}
	return nil
}

// compareRefund compares a refund with the lines that name it.
func (c *comparison) compareRefund(r Record, lines []Line) error {
	c.count(r)
	var readable, unreadable []Line
	for _, l := range lines {
		if l.Unreadable != "" {
			unreadable = append(unreadable, l)
		} else {
			readable = append(readable, l)
		}
	}
	if len(readable) == 0 {
		return c.reportUnreadable(&r, movedHere(r), unreadable)
	}
	if err := c.reportUnreadable(&r, nothing, unreadable); err != nil {
		return err
	}
	main := mainLine(r, readable)
	for i, l := range readable {
		f := Finding{There: &l, Here: &r, Refund: true}
		var err error
		switch {
		case i == main:
			if f.Kind = refundKind(r, l); f.Kind != "" {
				err = c.report(f, movedThere(l), movedHere(r))
			}
		case divergence.MovedNothing(l.Status):
		default:
			f.Kind = KindDuplicateReference
			err = c.report(f, movedThere(l), nothing)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refundKind returns what of a refund a line contradicts; empty: nothing.
func refundKind(r Record, l Line) payment.DivergenceKind {
	there := processor.Result{Status: l.Status, Amount: r.Amount, Currency: r.Currency}
	if there.Status == "" {
		there.Status = payment.Succeeded
	}
	here := payment.Refund{Status: r.Status, Amount: r.Amount, Currency: r.Currency}
	contradictions, _ := divergence.OfRefund(here, there)
	switch {
	case here.Final() && len(contradictions) > 0, !here.Final() && l.moved() != r.moved():
		return KindRefundStatus
	case l.Currency != r.Currency && l.moved()+r.moved() != 0:
		return KindCurrency
	case l.moved() != r.moved():
		return KindAmount
	default:
		return ""
	}
}

// compareRefundsOfPayment compares the refunds that no line names with the lines that name only their payment: first those with the same
// amount, then the sums of the others.
func (c *comparison) compareRefundsOfPayment(p *Record, left []Record, lines []Line) error {
	used := make([]bool, len(left))
	take := func(l Line, fits func(Record) bool) *Record {
		for i, r := range left {
			if !used[i] && r.Amount == l.Amount && r.Currency == l.Currency && fits(r) {
				used[i] = true
				return &left[i]
			}
		}
		return nil
	}
	var others []Line
	for _, l := range lines {
		if l.moved() == 0 { // it says nothing about those that succeeded
			continue
		}
		if r := take(l, func(r Record) bool { return r.moved() != 0 }); r != nil {
			c.count(*r)
			continue
		}
		others = append(others, l)
	}
	lines, others = others, nil
	for _, l := range lines { // the processor has executed a refund that has not succeeded here
		if r := take(l, func(r Record) bool { return r.moved() == 0 }); r != nil {
			if err := c.report(Finding{Kind: KindRefundStatus, There: &l, Here: r, Refund: true}, movedThere(l), nothing); err != nil {
				return err
			}
			continue
		}
		others = append(others, l)
	}
	type sum struct {
		lines            []Line
		refunds          []Record
		there, here, all int64
	}
	sums := map[string]*sum{}
	of := func(currency string) *sum {
		if sums[currency] == nil {
			sums[currency] = &sum{}
		}
		return sums[currency]
	}
	for _, l := range others {
		s := of(l.Currency)
		s.lines, s.there = append(s.lines, l), s.there+l.moved()
	}
	for i, r := range left {
		if used[i] || r.moved() == 0 {
			continue
		}
		s := of(r.Currency)
		if s.all += r.moved(); c.isCompared(r) {
			s.refunds, s.here = append(s.refunds, r), s.here+r.moved()
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		s := sums[currency]
		if len(s.lines) > 0 && s.there == s.all { // the file has them in other parts
			c.sums(currency, true).Here += s.all
			continue
		}
		for _, r := range s.refunds {
			c.count(r)
		}
		if err := c.reportRefunds(p, currency, s.lines, s.refunds, s.there, s.here); err != nil {
			return err
		}
	}
	return nil
}

// reportRefunds reports lines and refunds of a payment that do not fit together. there and here are their sums.
func (c *comparison) reportRefunds(p *Record, currency string, lines []Line, refunds []Record, there, here int64) error {
	if len(lines) > 0 && len(refunds) > 0 {
		f := Finding{Kind: KindRefunded, There: &lines[0], Here: p, Refund: true}
		if p == nil {
			f.Here = &refunds[0]
		}
		return c.report(f, payment.Money{Amount: there, Currency: currency}, payment.Money{Amount: here, Currency: currency})
	}
	for _, l := range lines {
		f := Finding{Kind: KindRefundMissingHere, There: &l, Here: p, Refund: true}
		if err := c.report(f, movedThere(l), nothing); err != nil {
			return err
		}
	}
	for _, r := range refunds {
		if err := c.reportMissing(r); err != nil {
			return err
		}
	}
	return nil
}
