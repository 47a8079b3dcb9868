package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/florinpay/florin/payment"
)

const merchant = "acme"

// order is what is done with money that is held.
type order string

const (
	noOrder     order = ""
	captureAll  order = "capture"
	capturePart order = "capture a part"
	voidIt      order = "void"
	// rivals: a capture and a void at the same moment. One of them wins.
	rivals order = "capture and void"
	// abandon: the money is held until it expires, or for longer than the run.
	abandon order = "abandon"
)

// purchase is a charge, and what is done with it afterwards.
type purchase struct {
	charge payment.ChargeRequest
	order  order
	// async starts the charge and looks at it later.
	async   bool
	refunds []*refund
	answers answers[payment.Charge]
}

// refund is one of a purchase. It is asked for only where its payment succeeded.
type refund struct {
	request payment.RefundRequest
	async   bool
	answers answers[payment.Refund]
}

func (p *purchase) key() string { return p.charge.IdempotencyKey }

func (p *purchase) id() string { return payment.PaymentID(merchant, p.key()) }

// lost: the processor never says what became of it. executed counts the keys in its ledger.
func (p *purchase) lost(executed map[string]int) bool {
	never := executed[payment.ProcessorKey(p.id(), payment.OperationCharge, 0)] == 0
	return p.charge.PaymentMethod == "tok_lost" || p.charge.Processor == patient && never
}

// refundsLost: nor what became of its refunds.
func (p *purchase) refundsLost() bool { return p.charge.PaymentMethod == "tok_refund_lost" }

// in reports whether something that was held on the wire is about the purchase or its refunds.
func (p *purchase) in(held []byte) bool {
	names := []string{p.key(), p.id()}
	for n := range 3 {
		for _, operation := range []payment.Operation{payment.OperationCharge, payment.OperationCapture, payment.OperationVoid} {
			names = append(names, payment.ProcessorKey(p.id(), operation, n))
		}
	}
	for _, r := range p.refunds {
		id := payment.RefundID(merchant, r.request.IdempotencyKey)
		names = append(names, id, payment.ProcessorKey(id, payment.OperationRefund, 0))
	}
	return slices.ContainsFunc(names, func(name string) bool { return bytes.Contains(held, []byte(name)) })
}

// The payment methods of the simulator, by what they are needed for. One that is there twice comes twice as often.
var (
	anyMethod = []string{
		"tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa",
		"tok_success", "tok_500_once_after_charge", "tok_504_after_charge", "tok_500_after_charge", "tok_reset_after_charge",
		"tok_reset_before_charge", "tok_timeout_after_charge", "tok_timeout_before_charge", "tok_malformed_200", "tok_truncated_200",
		"tok_500_twice", "tok_409_in_flight", "tok_429_retry_after", "tok_timeout_then_401", "tok_418", "tok_lookup_late", "tok_lost",
		"tok_insufficient_funds", "tok_stolen_card", "tok_declined_200", "tok_pending", "tok_pending_declined", "tok_requires_action",
		"tok_403", "tok_500_always",
	}
	lookupMethods = []string{"tok_418", "tok_302", "tok_pending", "tok_requires_action"}
	// failMethods fail an activity for sure: a reset on a used connection, net/http may repeat by itself.
	failMethods = []string{"tok_500_twice", "tok_500_once_after_charge", "tok_504_after_charge", "tok_408", "tok_418"}
	heldMethods = []string{"tok_visa", "tok_visa", "tok_500_once_after_charge", "tok_reset_after_charge"}
	// slowMethods take long to end: they come early in a run, so that nobody has to wait for them.
	slowMethods   = []string{"tok_lost", "tok_refund_lost", "tok_500_always", "tok_refund_500_always", "tok_lookup_late", "tok_500_after_charge"}
	refundMethods = []string{
		"tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_refund_500_twice", "tok_refund_timeout_after", "tok_refund_reset_after",
		"tok_refund_declined", "tok_refund_pending", "tok_refund_lost", "tok_refund_500_always",
	}
)

// drawer draws purchases.
type drawer struct {
	random *rand.Rand
	n      int
	// refunds are left to be made.
	refunds int
	// hurry leaves out what takes long.
	hurry bool
}

// purchase draws one that surely passes the points of a need.
func (d *drawer) purchase(needs need) *purchase {
	d.n++
	p := &purchase{async: d.random.IntN(4) == 0, charge: payment.ChargeRequest{
		MerchantID: merchant, IdempotencyKey: fmt.Sprintf("order-%04d", d.n), Amount: int64(1000 + d.random.IntN(9000)), Currency: "USD",
	}}
	switch needs {
	case aLookup:
		p.charge.PaymentMethod = d.one(lookupMethods)
	case aFailure:
		p.charge.PaymentMethod = d.one(failMethods)
	case aCapture:
		d.hold(p, captureAll, capturePart)
	case aVoid:
		d.hold(p, voidIt)
	case aRefund:
		p.charge.PaymentMethod = d.one(refundMethods)
		d.refund(p)
	case aRefundLookup:
		p.charge.PaymentMethod = "tok_refund_pending"
		d.refund(p)
	case anyPurchase:
		switch d.random.IntN(10) {
		case 0:
			d.hold(p, captureAll, capturePart, voidIt, rivals, abandon)
		case 1, 2:
			p.charge.PaymentMethod = d.one(refundMethods)
		default:
			p.charge.PaymentMethod = d.one(anyMethod)
		}
	}
	if p.charge.PaymentMethod == "tok_lookup_late" {
		p.charge.Processor = patient
	}
	return p
}

func (d *drawer) one(methods []string) string {
	for {
		if method := methods[d.random.IntN(len(methods))]; !d.hurry || !slices.Contains(slowMethods, method) {
			return method
		}
	}
}

func (d *drawer) hold(p *purchase, orders ...order) {
	p.charge.PaymentMethod = d.one(heldMethods)
	p.charge.Capture = payment.CaptureManual
	p.order = orders[d.random.IntN(len(orders))]
	if p.order == abandon && d.random.IntN(2) == 0 {
		p.charge.Processor = fleeting
	}
}

// refund adds one: of a part, so that several may or may not fit into the payment, or of all that is left.
func (d *drawer) refund(p *purchase) {
	d.refunds--
	r := &refund{async: d.random.IntN(4) == 0, request: payment.RefundRequest{
		MerchantID: merchant, IdempotencyKey: fmt.Sprintf("%s-back-%d", p.key(), len(p.refunds)+1), PaymentID: p.id(),
	}}
	if d.random.IntN(4) > 0 {
		amount := p.charge.Amount * int64(20+d.random.IntN(50)) / 100
		r.request.Amount = &amount
	}
	p.refunds = append(p.refunds, r)
}

// spreadRefunds gives those that are left to payments that are likely to succeed.
func (d *drawer) spreadRefunds(batches [][]*purchase) {
	var likely []*purchase
	for _, p := range slices.Concat(batches...) {
		if slices.Contains(refundMethods, p.charge.PaymentMethod) && p.order != voidIt && p.order != rivals && p.order != abandon {
			likely = append(likely, p)
		}
	}
	for d.refunds > 0 && len(likely) > 0 {
		d.refund(likely[d.random.IntN(len(likely))])
	}
}
