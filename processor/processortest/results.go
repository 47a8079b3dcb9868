package processortest

// Scenarios about responses with a business outcome, and about successes that cannot be trusted.

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var resultScenarios = []scenario{
	{name: "each status is mapped, in operations, lookups and lists", doc: docMapping, run: statusMapping},
	{name: "captured and refunded amounts are reported", doc: docMapping, run: reportedAmounts},
	{name: "a captured amount is reported whatever the status", doc: docMapping, run: capturedAmounts},
	{name: "an amount, currency or reference that differs from the call is reported unchanged", doc: docMapping, run: reportedDifferences},
	{name: "a decline is a result with its code and kind, not an error", doc: docMapping, skip: skipWithoutDeclines, run: declinesAreResults},
	{name: "a decline says whether it can still succeed", doc: docMapping, skip: skipWithoutOpenDeclines, run: openDeclines},
	{name: "a malformed success response is ambiguous", doc: docMapping, run: malformedSuccesses},
	{name: "a success without a valid id, status, amount, currency or reference is ambiguous", doc: docMapping, run: incompleteSuccesses},
}

func statusMapping(t tester, p Protocol) {
	for _, op := range []operation{charge, refund} {
		for _, name := range sorted(op.statuses(p)) {
			t.Run(string(op.Operation)+": "+name, func(t tester) {
				record := op.record(p, keyOf("1"))
				record.Status = name
				status := op.statuses(p)[name]
				if status != payment.Succeeded {
					record.Captured = 0
				}
				want := op.wantResult(p, record, 1)

				r := start(t, p, always(op.response(p, record)))
				got := r.requireResult(op.run(r))
				checkDecline(t, &got)
				require.Equal(t, want, got)

				r = start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{record}) })
				lookedUp, found, err := op.lookup().run(r)
				require.NoError(t, err)
				require.True(t, found)
				require.IsType(t, got, lookedUp)
				got, _ = lookedUp.(processor.Result)
				checkDecline(t, &got)
				want.RequestID = requestID(len(r.sent()))
				require.Equal(t, want, got)

				page := op.list().page(t, p, p.WritePage([]Record{record}, ""))
				require.Len(t, page.Records, 1)
				checkDecline(t, &page.Records[0].Result)
				want.RequestID = "" // identifies the request, not the payment
				require.Equal(t, want, page.Records[0].Result)
			})
		}
	}
}

// checkDecline requires a complete Decline if the status is declined, and none otherwise. It sets the Decline to nil.
func checkDecline(t tester, r *processor.Result) {
	t.Helper()
	if r.Status != payment.Declined {
		require.Nil(t, r.Decline)
		return
	}
	require.NotNil(t, r.Decline, "a declined payment must have a Decline")
	require.NotEmpty(t, r.Decline.Code)
	require.Contains(t, []payment.DeclineKind{payment.DeclineHard, payment.DeclineSoft, payment.DeclineAction},
		r.Decline.Kind)
	r.Decline = nil
}

func reportedAmounts(t tester, p Protocol) {
	record := charge.record(p, keyOf("1"))
	record.Captured, record.Refunded = captured, refunded
	r := start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{record}) })
	got, found, err := lookupCharge.run(r)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, charge.wantResult(p, record, len(r.sent())), got)

	eachOperation(t, p, func(t tester, op operation) {
		r := start(t, p, always(op.success(p)))
		require.Equal(t, op.wantResult(p, op.record(p, keyOf("1")), 1), r.requireResult(op.run(r)))
	})
}

// capturedAmounts expects the captured amount also of a payment that is declined or voided: the workflow must learn that money has
// moved, and marks such a payment conflicted.
func capturedAmounts(t tester, p Protocol) {
	for _, name := range sorted(p.PaymentStatuses) {
		for _, op := range []operation{charge, capture, void} {
			t.Run(fmt.Sprintf("%s: %s", op.Operation, name), func(t tester) {
				record := op.record(p, keyOf("1"))
				record.Status, record.Captured = name, captured
				r := start(t, p, always(p.WritePayment(record)))
				got := r.requireResult(op.run(r))
				require.Equal(t, []any{p.PaymentStatuses[name], captured}, []any{got.Status, got.CapturedAmount})
			})
		}
		record := charge.record(p, keyOf("1"))
		record.Status, record.Captured = name, captured
		for _, q := range []query{lookupCharge, lookupByID} {
			t.Run(q.name+": "+name, func(t tester) {
				r := start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{record}) })
				found, ok, err := q.run(r)
				require.NoError(t, err)
				require.True(t, ok)
				got, _ := found.(processor.Result)
				require.Equal(t, []any{p.PaymentStatuses[name], captured}, []any{got.Status, got.CapturedAmount})
			})
		}
		t.Run("list: "+name, func(t tester) {
			page := listPayments.page(t, p, p.WritePage([]Record{record}, ""))
			require.Len(t, page.Records, 1)
			require.Equal(t, captured, page.Records[0].CapturedAmount)
		})
	}
	for _, d := range p.Declines {
		t.Run("decline: "+d.Name, func(t tester) {
			record := charge.record(p, keyOf("1"))
			record.Captured = captured
			r := start(t, p, always(d.Write(record)))
			got, err := charge.run(r)
			if err != nil {
				require.Equal(t, processor.Ambiguous, r.requireError(err).Certainty)
				return
			}
			if got.ID != "" { // the response contains the record
				require.Equal(t, captured, got.CapturedAmount)
			}
		})
	}
}

func reportedDifferences(t tester, p Protocol) {
	changes := map[string]func(*Record){
		"amount": func(r *Record) {
			r.Amount = 999
			r.Captured = min(r.Captured, 999)
		},
		"currency":  func(r *Record) { r.Currency = "EUR" },
		"reference": func(r *Record) { r.Reference = keyOf("9") },
		"captured":  func(r *Record) { r.Captured = min(r.Captured, 1) },
	}
	eachOperation(t, p, func(t tester, op operation) {
		for _, name := range sorted(changes) {
			record := op.record(p, keyOf("1"))
			changes[name](&record)
			r := start(t, p, always(op.response(p, record)))
			require.Equal(t, op.wantResult(p, record, 1), r.requireResult(op.run(r)), "changed %s", name)
		}
	})
	for _, q := range lookupQueries {
		t.Run(q.name, func(t tester) {
			for _, name := range sorted(changes) {
				if name == "reference" {
					continue // not our record: see lookupOtherReferences
				}
				record := q.subject.record(p, keyOf("1"))
				changes[name](&record)
				r := start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{record}) })
				got, found, err := q.run(r)
				require.NoError(t, err)
				require.True(t, found)
				require.Equal(t, q.subject.wantResult(p, record, len(r.sent())), got, "changed %s", name)
			}
		})
	}
}

func skipWithoutDeclines(p Protocol) string {
	if len(p.Declines)+len(p.RefundDeclines) == 0 {
		return "the protocol reports declines only by the status of a record"
	}
	return ""
}

func declinesAreResults(t tester, p Protocol) {
	for _, tc := range []struct {
		operation
		declines []Decline
	}{{operation: charge, declines: p.Declines}, {operation: capture, declines: p.Declines},
		{operation: refund, declines: p.RefundDeclines}} {
		for _, d := range tc.declines {
			t.Run(string(tc.Operation)+": "+d.Name, func(t tester) {
				record := tc.record(p, keyOf("1"))
				record.Captured = 0
				r := start(t, p, always(d.Write(record)))
				got := r.requireResult(tc.run(r))
				r.onlyRequest()
				require.Equal(t, payment.Declined, got.Status)
				require.Equal(t, &d.Want, got.Decline)
				require.Equal(t, requestID(1), got.RequestID)
				require.Zero(t, got.CapturedAmount)
				if tc.Operation != Capture { // the reference of a capture is never looked up
					require.Equal(t, keyOf("1"), got.Reference)
				}
				if got.ID != "" {
					require.Equal(t, []any{record.ID, record.Amount, record.Currency},
						[]any{got.ID, got.Amount, got.Currency},
						"a decline with an id must have the whole record")
				}
			})
		}
	}
}

func skipWithoutOpenDeclines(p Protocol) string {
	if p.DeclinesAreFinal {
		return "no declined payment of the protocol can still be paid"
	}
	return ""
}

// openDeclines voids a declined payment that the customer could still pay: once before the customer pays it, and once after.
func openDeclines(t tester, p Protocol) {
	conflict := p.WriteError(http.StatusConflict, "some_code", "already paid")
	if p.WriteConflict != nil {
		conflict = p.WriteConflict()
	}
	for _, name := range p.OpenDeclines {
		declined, voided, paid := charge.record(p, keyOf("1")), charge.record(p, keyOf("1")), charge.record(p, keyOf("1"))
		declined.Status, declined.Captured = name, 0
		voided.Status, voided.Captured = statusName(p.PaymentStatuses, payment.Voided), 0
		// serve returns a script of a processor whose record becomes next with the void, to which it sends response.
		serve := func(next Record, response Response) func(received) Response {
			current := declined
			return func(got received) Response {
				if got.Operation != Void {
					return p.WriteLookup(got.Request, []Record{current})
				}
				current = next
				return response
			}
		}
		for _, q := range []query{lookupCharge, lookupByID} {
			look := func(r *rig) processor.Result {
				r.Helper()
				found, ok, err := q.run(r)
				require.NoError(r, err)
				require.True(r, ok)
				got, _ := found.(processor.Result)
				return got
			}
			t.Run(name+", voided: "+q.name, func(t tester) {
				r := start(t, p, serve(voided, p.WritePayment(voided)))
				got := look(r)
				require.Equal(t, []any{payment.Declined, true}, []any{got.Status, got.CanStillSucceed}, "before the void")
				got = r.requireResult(void.run(r))
				require.Equal(t, []any{payment.Voided, false}, []any{got.Status, got.CanStillSucceed}, "result of the void")
				got = look(r)
				require.Equal(t, []any{payment.Voided, false}, []any{got.Status, got.CanStillSucceed}, "after the void")
			})
			t.Run(name+", paid before it is voided: "+q.name, func(t tester) {
				r := start(t, p, serve(paid, conflict))
				got, err := void.run(r)
				require.Zero(t, got)
				r.requireFailure(err, processor.Ambiguous, false, payment.ClassStateConflict)
				got = look(r)
				require.Equal(t, []any{payment.Succeeded, paid.Captured, false}, []any{got.Status, got.CapturedAmount, got.CanStillSucceed})
			})
		}
	}
}

// beyondBodyLimit is more than the client reads of a body.
const beyondBodyLimit = 1<<20 + 1

// malformedResponses returns ways to turn a valid success response into one that proves nothing.
func malformedResponses(p Protocol) map[string]func(whole Response) Response {
	with := func(body func(whole string) string) func(Response) Response {
		return func(a Response) Response {
			a.Body = []byte(body(string(a.Body)))
			return a
		}
	}
	constant := func(body string) func(Response) Response { return with(func(string) string { return body }) }
	all := map[string]func(Response) Response{
		"no body":              constant(""),
		"a blank line":         constant("\n"),
		"null":                 constant("null"),
		"an empty object":      constant("{}"),
		"an empty array":       constant("[]"),
		"the body in an array": with(func(whole string) string { return "[" + whole + "]" }),
		"a JSON string":        constant(`"OK"`),
		"a number":             constant("1"),
		"true":                 constant("true"),
		"other JSON":           constant(`{"result":{"code":"ok"},"data":null,"items":null}`),
		"an HTML page":         constant("<html><body>OK, card " + cardNumber + "</body></html>"),
		"plain text":           constant("OK"),
		"half the body":        with(func(whole string) string { return whole[:len(whole)/2] }),
		"the body twice":       with(func(whole string) string { return whole + whole }),
		"a body beyond the size limit": with(func(whole string) string {
			return whole + strings.Repeat(" ",
				beyondBodyLimit)
		}),
		"half the body, then EOF": truncate,
		"204":                     func(Response) Response { return Response{Status: http.StatusNoContent} },
	}
	if string(p.WritePage(nil, "").Body) == "[]" { // the protocol's lists are bare arrays
		delete(all, "an empty array")
		delete(all, "the body in an array")
	}
	return all
}

func malformedSuccesses(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		malformed := malformedResponses(p)
		for _, name := range sorted(malformed) {
			t.Run(name, func(t tester) {
				r := start(t, p, always(malformed[name](op.success(p))))
				got, err := op.run(r)
				r.onlyRequest()
				require.Zero(t, got)
				r.requireFailure(err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			})
		}
	})
}

// defects are what a record may lack, or have instead of a valid value.
var defects = map[string]func(*Record){
	"no id":                   func(r *Record) { r.ID = "" },
	"no status":               func(r *Record) { r.Status = "" },
	"an unknown status":       func(r *Record) { r.Status = "in_limbo" },
	"no amount":               func(r *Record) { r.Amount = 0 },
	"a negative amount":       func(r *Record) { r.Amount = -r.Amount },
	"no currency":             func(r *Record) { r.Currency = "" },
	noReference:               func(r *Record) { r.Reference = "" },
	"an id of 256 characters": func(r *Record) { r.ID = strings.Repeat("i", 256) },
}

// noReference is a defect of Florin's records only: those of other systems have none.
const noReference = "no reference"

func incompleteSuccesses(t tester, p Protocol) {
	eachOperation(t, p, func(t tester, op operation) {
		for _, name := range sorted(defects) {
			t.Run(name, func(t tester) {
				record := op.record(p, keyOf("1"))
				defects[name](&record)
				r := start(t, p, always(op.response(p, record)))
				got, err := op.run(r)
				r.onlyRequest()
				require.Zero(t, got)
				r.requireFailure(err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			})
		}
	})
	for _, q := range lookupQueries {
		for _, name := range sorted(defects) {
			if name == noReference {
				continue // not our record: see lookupOtherReferences
			}
			t.Run(q.name+": "+name, func(t tester) {
				record := q.subject.record(p, keyOf("1"))
				defects[name](&record)
				q.requireError(start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{record}) }))
			})
		}
	}
}
