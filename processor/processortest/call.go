package processortest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// What the calls are about.
const (
	merchantID = "acme"
	paymentID  = "pay_1" // Florin's
	refundID   = "ref_1"
	theirID    = "payment_1" // the processor's
	theirRefID = "refund_1"
	amount     = int64(1250)
	captured   = int64(1000)
	refunded   = int64(250)
	currency   = "USD"
	// chargeKey is the reference of the payment that is captured, voided and refunded.
	chargeKey = keyPrefix + "0"
	keyPrefix = "8a7c5d8e-0000-5000-8000-00000000000"
)

// keyOf is an idempotency key, of the form that payment.ProcessorKey gives them. The suffix has one character.
func keyOf(suffix string) string { return keyPrefix + suffix }

// how is what differs between calls of one kind.
type how struct {
	key       string
	firstUsed time.Time
	// payment is the processor's id; theirID if it is empty.
	payment string
}

// money is a call that moves money.
type money struct {
	Operation
	do func(context.Context, processor.Processor, how) (processor.Result, error)
}

var charge = money{Charge, func(ctx context.Context, p processor.Processor, h how) (processor.Result, error) {
	return p.Charge(ctx, chargeCall(h))
}}

var capture = money{Capture, func(ctx context.Context, p processor.Processor, h how) (processor.Result, error) {
	return p.Capture(ctx, processor.CaptureCall{Key: h.key, KeyFirstUsed: h.firstUsed, PaymentID: paymentID,
		ProcessorPaymentID: h.payment, Amount: captured, Currency: currency})
}}

var void = money{Void, func(ctx context.Context, p processor.Processor, h how) (processor.Result, error) {
	return p.Void(ctx, processor.VoidCall{Key: h.key, KeyFirstUsed: h.firstUsed, PaymentID: paymentID, ProcessorPaymentID: h.payment})
}}

var refund = money{Refund, func(ctx context.Context, p processor.Processor, h how) (processor.Result, error) {
	return p.Refund(ctx, processor.RefundCall{Key: h.key, KeyFirstUsed: h.firstUsed, RefundID: refundID, MerchantID: merchantID,
		ProcessorPaymentID: h.payment, Amount: refunded, Currency: currency, Metadata: ownMetadata()})
}}

// moves are all calls that move money.
var moves = []money{charge, capture, void, refund}

func chargeCall(h how) processor.ChargeCall {
	return processor.ChargeCall{Key: h.key, KeyFirstUsed: h.firstUsed, PaymentID: paymentID, MerchantID: merchantID, Amount: amount,
		Currency: currency, PaymentMethod: paymentMethod, CustomerID: "customer_1", Description: "two books", Metadata: ownMetadata()}
}

// ownMetadata is the caller's. There is a lot of it, so that its order matters.
func ownMetadata() map[string]string {
	return map[string]string{"order": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7"}
}

// make makes the call as it usually is.
func (m money) make(r *rig) (processor.Result, error) {
	return m.do(r.Context(), r.adapter, how{key: keyOf("1"), payment: theirID})
}

// record is what the processor has after the call, if all went well.
func (m money) record(p Protocol, key string) Record {
	record := Record{ID: theirID, Amount: amount, Currency: currency, Reference: chargeKey}
	if p.Metadata != nil {
		record.MerchantID = merchantID
	}
	status := payment.Succeeded
	switch m.Operation {
	case Refund:
		record.ID, record.PaymentID, record.Amount, record.Reference = theirRefID, theirID, refunded, key
		record.Status = word(p.RefundStatuses, status)
		return record
	case Charge:
		record.Captured, record.Reference = amount, key
	case Capture:
		record.Captured = captured
	default:
		status = payment.Voided
	}
	record.Status = word(p.PaymentStatuses, status)
	return record
}

// answer writes the record as the call's answer.
func (m money) answer(p Protocol, record Record) Answer {
	if m.Operation == Refund {
		return p.Refund(record)
	}
	return p.Payment(record)
}

// honest is the answer to the call as it usually is.
func (m money) honest(p Protocol) Answer { return m.answer(p, m.record(p, keyOf("1"))) }

func (m money) statuses(p Protocol) map[string]payment.Status {
	if m.Operation == Refund {
		return p.RefundStatuses
	}
	return p.PaymentStatuses
}

// lookup is the question that finds what the call did.
func (m money) lookup() question {
	if m.Operation == Refund {
		return lookupRefund
	}
	return lookupCharge
}

// eachMove runs f for all calls that the protocol has.
func eachMove(t tester, p Protocol, f func(t tester, m money)) {
	t.Helper()
	for _, m := range moves {
		t.Run(string(m.Operation), func(t tester) {
			if m.Operation == Void && word(p.PaymentStatuses, payment.Voided) == "" {
				t.Skip("the protocol has no word for a voided payment")
			}
			f(t, m)
		})
	}
}

// result is what the adapter has to make of a record.
func (m money) result(p Protocol, record Record, nth int) processor.Result {
	return processor.Result{ID: record.ID, Status: m.statuses(p)[record.Status], Amount: record.Amount, Currency: record.Currency,
		CapturedAmount: record.Captured, RefundedAmount: record.Refunded, Reference: record.Reference, RequestID: requestID(nth),
		MerchantID: record.MerchantID}
}

// question is a call that moves nothing.
type question struct {
	name string
	Operation
	// of is the call that did what is looked up; nil for a list.
	of *money
	// ask makes the call. What is found is only there without an error.
	ask func(*rig) (what any, found bool, err error)
}

var (
	lookupCharge = lookupOf("lookup of a charge", LookupCharge, &charge, processor.LookupCall{
		Operation: payment.OperationCharge, Reference: keyOf("1")})
	lookupByID = lookupOf("lookup of a charge whose id is known", LookupCharge, &charge, processor.LookupCall{
		Operation: payment.OperationCharge, Reference: keyOf("1"), ProcessorPaymentID: theirID})
	lookupRefund = lookupOf("lookup of a refund", LookupRefund, &refund, processor.LookupCall{
		Operation: payment.OperationRefund, Reference: keyOf("1"), ProcessorPaymentID: theirID})
	listing = question{"list", List, nil, func(r *rig) (any, bool, error) {
		page, err := r.adapter.List(r.Context(), processor.ListCall{})
		return page, err == nil, err
	}}
)

func lookupOf(name string, operation Operation, of *money, call processor.LookupCall) question {
	return question{name, operation, of, func(r *rig) (any, bool, error) {
		result, found, err := r.adapter.Lookup(r.Context(), call)
		return result, found, err
	}}
}

// lookupsAll are the ways to look up, questions all calls that move nothing.
var (
	lookupsAll = []question{lookupCharge, lookupByID, lookupRefund}
	questions  = append(slices.Clone(lookupsAll), listing)
)

// honest answers the question with the one record there is.
func (q question) honest(p Protocol, r Request) Answer {
	if q.of == nil {
		return p.Page([]Record{charge.record(p, keyOf("1"))}, "")
	}
	return p.Found(r, []Record{q.of.record(p, keyOf("1"))})
}

// fails checks a question that brought nothing that could be taken for an answer.
func (q question) fails(r *rig) processor.Error {
	r.Helper()
	what, found, err := q.ask(r)
	e := r.refused(err)
	require.False(r, found, "found beside an error")
	require.Zero(r, what, "a result beside an error")
	return e
}

// instead asks the question with each of the answers in place of an honest one: of the first request, then, where the
// adapter needs more than one, of the next. check makes the call.
func (q question) instead(t tester, p Protocol, answers map[string]func(received) Answer, check func(*rig)) {
	t.Helper()
	requests := q.requests(t, p)
	for _, what := range sorted(answers) {
		for nth := range requests {
			t.Run(fmt.Sprintf("%s: %s to request %d", q.name, what, nth+1), func(t tester) {
				check(start(t, p, func(got received) Answer {
					if got.nth <= nth {
						return q.honest(p, got.Request)
					}
					return answers[what](got)
				}))
			})
		}
	}
}

// requests is how many requests the question takes where all is well.
func (q question) requests(t tester, p Protocol) int {
	t.Helper()
	r := start(t, p, func(got received) Answer { return q.honest(p, got.Request) })
	_, found, err := q.ask(r)
	require.NoError(r, err)
	require.True(r, found)
	return len(r.sent())
}
