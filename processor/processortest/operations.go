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

// The values of the calls. paymentID and refundID are Florin's; processorPaymentID and processorRefundID are the
// processor's.
const (
	merchantID         = "acme"
	processorPaymentID = "payment_1"
	processorRefundID  = "refund_1"
	amount             = int64(1250)
	captured           = int64(1000)
	refunded           = int64(250)
	currency           = "USD"
	// chargeKey is the reference of the payment that is captured, voided and refunded.
	chargeKey = keyPrefix + "0"
	keyPrefix = "8a7c5d8e-0000-5000-8000-00000000000"
)

var (
	paymentID = payment.PaymentID(merchantID, "order-1")
	refundID  = payment.RefundID(merchantID, "refund-1")
	createdAt = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
)

// keyOf returns an idempotency key in the format of payment.ProcessorKey. The suffix must be one character.
func keyOf(suffix string) string { return keyPrefix + suffix }

// callOptions are the values that differ between calls of the same operation.
type callOptions struct {
	key       string
	firstUsed time.Time
	// payment is the processor's id of the payment; a charge does not use it.
	payment string
}

// operation is a charge, a capture, a void or a refund.
type operation struct {
	Operation
	call func(context.Context, processor.Processor, callOptions) (processor.Result, error)
}

var charge = operation{Operation: Charge,
	call: func(ctx context.Context, p processor.Processor, o callOptions) (processor.Result, error) {
		return p.Charge(ctx, chargeCall(o))
	}}

var capture = operation{Operation: Capture,
	call: func(ctx context.Context, p processor.Processor, o callOptions) (processor.Result, error) {
		return p.Capture(ctx, processor.CaptureCall{Key: o.key, KeyFirstUsed: o.firstUsed, PaymentID: paymentID,
			ProcessorPaymentID: o.payment, Amount: captured, Currency: currency})
	}}

var void = operation{Operation: Void, call: func(ctx context.Context, p processor.Processor,
	o callOptions) (processor.Result, error) {
	return p.Void(ctx, processor.VoidCall{Key: o.key, KeyFirstUsed: o.firstUsed, PaymentID: paymentID,
		ProcessorPaymentID: o.payment})
}}

var refund = operation{Operation: Refund,
	call: func(ctx context.Context, p processor.Processor, o callOptions) (processor.Result, error) {
		return p.Refund(ctx, processor.RefundCall{Key: o.key, KeyFirstUsed: o.firstUsed, RefundID: refundID,
			MerchantID:         merchantID,
			ProcessorPaymentID: o.payment, Amount: refunded, Currency: currency, Metadata: callerMetadata()})
	}}

var operations = []operation{charge, capture, void, refund}

func chargeCall(o callOptions) processor.ChargeCall {
	return processor.ChargeCall{Key: o.key, KeyFirstUsed: o.firstUsed, PaymentID: paymentID, MerchantID: merchantID,
		Amount:   amount,
		Currency: currency, PaymentMethod: paymentMethod, CustomerID: "customer_1", Description: "two books",
		Metadata: callerMetadata()}
}

// callerMetadata has many entries, so that a request that depends on the map's order differs between attempts.
func callerMetadata() map[string]string {
	return map[string]string{"order": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7"}
}

// run calls the operation with the default options.
func (op operation) run(r *rig) (processor.Result, error) {
	return op.call(r.Context(), r.adapter, callOptions{key: keyOf("1"), payment: processorPaymentID})
}

// record returns the processor's record after the operation succeeded.
func (op operation) record(p Protocol, key string) Record {
	record := Record{ID: processorPaymentID, Amount: amount, Currency: currency, Reference: chargeKey, CreatedAt: createdAt}
	if p.ParseMetadata != nil {
		record.MerchantID, record.OwnID = merchantID, paymentID
		if op.Operation == Refund {
			record.OwnID = refundID
		}
	}
	status := payment.Succeeded
	switch op.Operation {
	case Refund:
		record.ID, record.PaymentID, record.Amount, record.Reference = processorRefundID, processorPaymentID, refunded, key
		record.Status = statusName(p.RefundStatuses, status)
		return record
	case Charge:
		record.Captured, record.Reference = amount, key
	case Capture:
		record.Captured = captured
	default:
		status = payment.Voided
	}
	record.Status = statusName(p.PaymentStatuses, status)
	return record
}

// response writes the response of the operation with the record.
func (op operation) response(p Protocol, record Record) Response {
	if op.Operation == Refund {
		return p.WriteRefund(record)
	}
	return p.WritePayment(record)
}

// success writes the success response to run.
func (op operation) success(p Protocol) Response { return op.response(p, op.record(p, keyOf("1"))) }

func (op operation) statuses(p Protocol) map[string]payment.Status {
	if op.Operation == Refund {
		return p.RefundStatuses
	}
	return p.PaymentStatuses
}

// lookup returns the lookup that finds the operation's record.
func (op operation) lookup() query {
	if op.Operation == Refund {
		return lookupRefund
	}
	return lookupCharge
}

// list returns the list that has the operation's record.
func (op operation) list() query {
	if op.Operation == Refund {
		return listRefunds
	}
	return listPayments
}

// eachOperation runs f in a subtest for every operation that the protocol supports.
func eachOperation(t tester, p Protocol, f func(t tester, op operation)) {
	t.Helper()
	for _, op := range operations {
		t.Run(string(op.Operation), func(t tester) {
			if op.Operation == Void && statusName(p.PaymentStatuses, payment.Voided) == "" {
				t.Skip("the protocol has no status for a voided payment")
			}
			f(t, op)
		})
	}
}

// wantResult returns the result that the adapter must return for a record in the response to the nth request.
func (op operation) wantResult(p Protocol, record Record, nth int) processor.Result {
	return processor.Result{ID: record.ID, Status: op.statuses(p)[record.Status], Amount: record.Amount,
		Currency:       record.Currency,
		CapturedAmount: record.Captured, RefundedAmount: record.Refunded, Reference: record.Reference,
		RequestID:       requestID(nth),
		MerchantID:      record.MerchantID,
		CanStillSucceed: op.Operation != Refund && slices.Contains(p.OpenDeclines, record.Status)}
}

// wantRecord returns the record that the adapter must list.
func (op operation) wantRecord(p Protocol, record Record) processor.Record {
	want := processor.Record{Result: op.wantResult(p, record, 0), ProcessorPaymentID: record.PaymentID, OwnID: record.OwnID}
	want.RequestID = ""
	if !p.ListsHaveNoTimes {
		want.CreatedAt = record.CreatedAt
	}
	return want
}

// query is a lookup or a list: a call that moves no money.
type query struct {
	name string
	Operation
	// subject is the operation that is looked up or listed.
	subject *operation
	// run makes the call. It returns the result even with an error or if nothing was found, so that a scenario can check
	// that the result is zero then.
	run func(*rig) (result any, found bool, err error)
}

var (
	lookupCharge = newLookup("lookup of a charge by reference", LookupCharge, &charge, processor.LookupCall{
		Operation: payment.OperationCharge, Reference: keyOf("1")})
	lookupByID = newLookup("lookup of a charge by id", LookupCharge, &charge, processor.LookupCall{
		Operation: payment.OperationCharge, Reference: keyOf("1"), ProcessorPaymentID: processorPaymentID})
	lookupRefund = newLookup("lookup of a refund", LookupRefund, &refund, processor.LookupCall{
		Operation: payment.OperationRefund, Reference: keyOf("1"), ProcessorPaymentID: processorPaymentID})
	listPayments = newList("list", List, &charge)
	listRefunds  = newList("list of refunds", ListRefunds, &refund)
)

func newLookup(name string, operation Operation, subject *operation, call processor.LookupCall) query {
	return query{name: name, Operation: operation, subject: subject, run: func(r *rig) (any, bool, error) {
		result, found, err := r.adapter.Lookup(r.Context(), call)
		return result, found, err
	}}
}

func newList(name string, operation Operation, subject *operation) query {
	q := query{name: name, Operation: operation, subject: subject}
	q.run = func(r *rig) (any, bool, error) {
		page, err := q.list(r, processor.ListCall{})
		return page, err == nil, err
	}
	return q
}

var (
	lookupQueries = []query{lookupCharge, lookupByID, lookupRefund}
	listQueries   = []query{listPayments, listRefunds}
	queries       = slices.Concat(lookupQueries, listQueries)
)

// isList reports whether the query is a list, not a lookup.
func (q query) isList() bool { return q.Operation == List || q.Operation == ListRefunds }

// list reads a page of the list, without the request ids, which an adapter may set.
func (q query) list(r *rig, call processor.ListCall) (processor.Page, error) {
	if q.Operation == ListRefunds {
		call.Operation = payment.OperationRefund
	}
	page, err := r.adapter.List(r.Context(), call)
	for i := range page.Records {
		page.Records[i].RequestID = ""
	}
	return page, err
}

// page lists the only page that a server has.
func (q query) page(t tester, p Protocol, response Response) processor.Page {
	t.Helper()
	r := start(t, p, always(response))
	page, err := q.list(r, processor.ListCall{})
	require.NoError(t, err)
	r.onlyRequest()
	return page
}

// eachList runs f in a subtest for payments and one for refunds.
func eachList(t tester, f func(t tester, q query)) {
	t.Helper()
	for _, q := range listQueries {
		t.Run(q.name, func(t tester) { f(t, q) })
	}
}

// success writes the response to a request of the query with the only record that the processor has.
func (q query) success(p Protocol, r Request) Response {
	if q.isList() {
		return p.WritePage([]Record{q.subject.record(p, keyOf("1"))}, "")
	}
	return p.WriteLookup(r, []Record{q.subject.record(p, keyOf("1"))})
}

// requireError makes the call and requires an error, with a zero result.
func (q query) requireError(r *rig) processor.Error {
	r.Helper()
	result, found, err := q.run(r)
	e := r.requireError(err)
	require.False(r, found, "found must be false with an error")
	require.Zero(r, result, "the result must be zero with an error")
	return e
}

// withResponses runs check against servers that send each of the responses instead of the success response: to the first
// request of the query and, if it needs several requests, to each later one. check makes the call.
func (q query) withResponses(t tester, p Protocol, responses map[string]func(received) Response, check func(*rig)) {
	t.Helper()
	requests := q.requestCount(t, p)
	for _, name := range sorted(responses) {
		for nth := range requests {
			t.Run(fmt.Sprintf("%s: %s to request %d", q.name, name, nth+1), func(t tester) {
				check(start(t, p, func(got received) Response {
					if got.nth <= nth {
						return q.success(p, got.Request)
					}
					return responses[name](got)
				}))
			})
		}
	}
}

// requestCount returns how many requests a successful query sends.
func (q query) requestCount(t tester, p Protocol) int {
	t.Helper()
	r := start(t, p, func(got received) Response { return q.success(p, got.Request) })
	_, found, err := q.run(r)
	require.NoError(r, err)
	require.True(r, found)
	return len(r.sent())
}
