package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/florinpay/florin/payment"
)

const merchant = "acme"

// modification is what the caller does with an authorized payment.
type modification string

const (
	noModification modification = ""
	captureAll     modification = "capture"
	capturePart    modification = "capture a part"
	voidAll        modification = "void"
	// captureAndVoid requests a capture and a void concurrently. One of them wins.
	captureAndVoid modification = "capture and void"
	// letExpire requests nothing: the payment stays authorized until the authorization expires, or until the run ends.
	letExpire modification = "let expire"
)

// purchase is a charge with its modification and its refunds.
type purchase struct {
	charge       payment.ChargeRequest
	modification modification
	// async starts the charge and polls its outcome. Otherwise the caller waits for it.
	async   bool
	refunds []*refund
	results callResults[payment.Charge]
}

// refund is a refund of a purchase. The caller requests it only if the payment succeeded.
type refund struct {
	request payment.RefundRequest
	async   bool
	results callResults[payment.Refund]
}

func (p *purchase) key() string { return p.charge.IdempotencyKey }

func (p *purchase) id() string { return payment.PaymentID(merchant, p.key()) }

// processor is the processor of the charge in the worker's configuration.
func (p *purchase) processor() string { return cmp.Or(p.charge.Processor, plain) }

func (r *refund) id() string { return payment.RefundID(merchant, r.request.IdempotencyKey) }

// outcomeNeverKnown reports whether the processor never reveals the outcome of the charge. executed counts the idempotency
// keys in its ledger.
func (p *purchase) outcomeNeverKnown(executed map[string]int) bool {
	notExecuted := executed[payment.ProcessorKey(p.id(), payment.OperationCharge, 0)] == 0
	return p.charge.PaymentMethod == "tok_lost" || p.charge.Processor == noAbsenceProof && notExecuted
}

// refundOutcomesNeverKnown reports whether the processor never reveals the outcomes of the refunds.
func (p *purchase) refundOutcomesNeverKnown() bool {
	return p.charge.PaymentMethod == "tok_refund_lost"
}

// namedIn reports whether a message or text contains a key or ID of the purchase or its refunds.
func (p *purchase) namedIn(message []byte) bool {
	names := []string{p.key(), p.id()}
	for n := range 3 {
		for _, operation := range []payment.Operation{payment.OperationCharge, payment.OperationCapture, payment.OperationVoid} {
			names = append(names, payment.ProcessorKey(p.id(), operation, n))
		}
	}
	for _, r := range p.refunds {
		names = append(names, r.id(), payment.ProcessorKey(r.id(), payment.OperationRefund, 0))
	}
	return slices.ContainsFunc(names, func(name string) bool { return bytes.Contains(message, []byte(name)) })
}

// The payment methods whose payments or refunds the processor changes after their workflows have ended.
const (
	refundedInDashboard = "tok_refunded_in_dashboard"
	refundFailsLate     = "tok_refund_fails_late"
)

// The payment methods of the simulator, by the need that they fulfill. A method that is listed n times is n times as likely.
var (
	anyMethod = []string{
		"tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa",
		"tok_success", "tok_500_once_after_charge", "tok_504_after_charge", "tok_500_after_charge", "tok_reset_after_charge",
		"tok_reset_before_charge", "tok_timeout_after_charge", "tok_timeout_before_charge", "tok_malformed_200", "tok_truncated_200",
		"tok_500_twice", "tok_409_in_flight", "tok_429_retry_after", "tok_timeout_then_401", "tok_418", "tok_lookup_late", "tok_lost",
		"tok_insufficient_funds", "tok_stolen_card", "tok_declined_200", "tok_pending", "tok_pending_declined", "tok_requires_action",
		"tok_403", "tok_500_always", "tok_429_object", "tok_429_fraction", "tok_id_control", "tok_duplicate_after_timeout",
		"tok_lookup_unavailable", "tok_declined_open", "tok_action_declined_open", "tok_action_declined_then_paid", refundedInDashboard,
	}
	lookupMethods = []string{"tok_418", "tok_302", "tok_pending", "tok_requires_action"}
	// failureMethods are certain to fail an activity. Methods with a reset are not among them: net/http itself may repeat a
	// request whose reused connection was reset.
	failureMethods    = []string{"tok_500_twice", "tok_500_once_after_charge", "tok_504_after_charge", "tok_408", "tok_418"}
	authorizedMethods = []string{"tok_visa", "tok_visa", "tok_500_once_after_charge", "tok_reset_after_charge"}
	// slowMethods take long until they have an outcome. They are chosen only early in a run, so that the run does not have to
	// wait for them at its end.
	slowMethods = []string{
		"tok_lost", "tok_refund_lost", "tok_500_always", "tok_refund_500_always", "tok_lookup_late", "tok_lookup_unavailable",
		"tok_duplicate_after_timeout", "tok_500_after_charge",
	}
	// lateMethods have payments that the first lookups do not find.
	lateMethods   = []string{"tok_lookup_late", "tok_duplicate_after_timeout"}
	refundMethods = []string{
		"tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_refund_500_twice", "tok_refund_timeout_after", "tok_refund_reset_after",
		"tok_refund_declined", "tok_refund_pending", "tok_refund_lost", "tok_refund_500_always", refundFailsLate, refundFailsLate,
	}
)

// generator generates random purchases.
type generator struct {
	random *rand.Rand
	count  int
	// refundsLeft is the number of refunds that are still to be generated.
	refundsLeft int
	// skipSlow excludes slowMethods.
	skipSlow bool
}

// purchase generates a purchase that is certain to reach the points with this need.
func (g *generator) purchase(needs need) *purchase {
	g.count++
	p := &purchase{async: g.random.IntN(4) == 0, charge: payment.ChargeRequest{
		MerchantID: merchant, IdempotencyKey: fmt.Sprintf("order-%04d", g.count),
		Amount: int64(1000 + g.random.IntN(9000)), Currency: "USD",
	}}
	switch needs {
	case needLookup:
		p.charge.PaymentMethod = g.oneOf(lookupMethods)
	case needFailure:
		p.charge.Processor, p.charge.PaymentMethod = queued, g.oneOf(failureMethods)
	case needInline:
		for p.charge.PaymentMethod = lateMethods[0]; slices.Contains(lateMethods, p.charge.PaymentMethod); {
			p.charge.PaymentMethod = g.oneOf(anyMethod)
		}
	case needQueued:
		p.charge.Processor, p.charge.PaymentMethod = queued, g.oneOf(anyMethod)
	case needCapture:
		g.authorizeOnly(p, captureAll, capturePart)
	case needVoid:
		g.authorizeOnly(p, voidAll)
	case needRefund, needInlineRefund:
		p.charge.PaymentMethod = g.oneOf(refundMethods)
		g.addRefund(p)
	case needQueuedRefund:
		p.charge.Processor, p.charge.PaymentMethod = queued, g.oneOf(refundMethods)
		g.addRefund(p)
	case needRefundLookup:
		p.charge.PaymentMethod = "tok_refund_pending"
		g.addRefund(p)
	case anyPurchase:
		if g.random.IntN(3) == 0 {
			p.charge.Processor = queued
		}
		switch g.random.IntN(10) {
		case 0:
			g.authorizeOnly(p, captureAll, capturePart, voidAll, captureAndVoid, letExpire)
		case 1, 2:
			p.charge.PaymentMethod = g.oneOf(refundMethods)
		default:
			p.charge.PaymentMethod = g.oneOf(anyMethod)
		}
	}
	if slices.Contains(lateMethods, p.charge.PaymentMethod) {
		p.charge.Processor = noAbsenceProof
	}
	return p
}

func (g *generator) oneOf(methods []string) string {
	for {
		if method := methods[g.random.IntN(len(methods))]; !g.skipSlow || !slices.Contains(slowMethods, method) {
			return method
		}
	}
}

// authorizeOnly makes the charge an authorization, with one of the modifications.
func (g *generator) authorizeOnly(p *purchase, modifications ...modification) {
	p.charge.PaymentMethod = g.oneOf(authorizedMethods)
	p.charge.Capture = payment.CaptureManual
	p.modification = modifications[g.random.IntN(len(modifications))]
	if p.modification == letExpire && g.random.IntN(2) == 0 {
		p.charge.Processor = shortHold
	}
}

// addRefund adds a refund: of the remaining amount, or of a part that is so large that several may exceed the captured
// amount.
func (g *generator) addRefund(p *purchase) {
	g.refundsLeft--
	r := &refund{async: g.random.IntN(4) == 0, request: payment.RefundRequest{
		MerchantID: merchant, IdempotencyKey: fmt.Sprintf("%s-back-%d", p.key(), len(p.refunds)+1), PaymentID: p.id(),
	}}
	if g.random.IntN(4) > 0 {
		amount := p.charge.Amount * int64(20+g.random.IntN(50)) / 100
		r.request.Amount = &amount
	}
	p.refunds = append(p.refunds, r)
}

// distributeRefunds adds the refunds that are left to payments that are likely to succeed.
func (g *generator) distributeRefunds(batches [][]*purchase) {
	var likely []*purchase
	notCaptured := []modification{voidAll, captureAndVoid, letExpire}
	for _, p := range slices.Concat(batches...) {
		if slices.Contains(refundMethods, p.charge.PaymentMethod) && !slices.Contains(notCaptured, p.modification) {
			likely = append(likely, p)
		}
	}
	for g.refundsLeft > 0 && len(likely) > 0 {
		g.addRefund(likely[g.random.IntN(len(likely))])
	}
}
