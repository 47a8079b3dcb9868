package processortest

// What an adapter makes of an answer that brings an outcome.

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var results = []scenario{
	{"each status is understood, in answers, lookups and lists", nil, statusesAreUnderstood},
	{"what was captured and given back is told", nil, amountsAreTold},
	{"another amount, currency or reference than asked is reported as it is", nil, nothingIsHidden},
	{"a decline is a result with its code and kind, and no error", lacksDeclines, declinesAreResults},
	{"a success that cannot be believed is ambiguous", nil, unbelievable},
	{"a success without an id, status, amount, currency or reference is ambiguous", nil, incomplete},
}

func statusesAreUnderstood(t tester, p Protocol) {
	for _, m := range []money{charge, refund} {
		for _, name := range sorted(m.statuses(p)) {
			t.Run(string(m.Operation)+": "+name, func(t tester) {
				record := m.record(p, keyOf("1"))
				record.Status = name
				status := m.statuses(p)[name]
				if status != payment.Succeeded {
					record.Captured = 0
				}
				want := m.result(p, record, 1)

				r := start(t, p, always(m.answer(p, record)))
				got := r.answered(m.make(r))
				checkDecline(t, &got)
				require.Equal(t, want, got)

				r = start(t, p, func(got received) Answer { return p.Found(got.Request, []Record{record}) })
				what, found, err := m.lookup().ask(r)
				require.NoError(t, err)
				require.True(t, found)
				require.IsType(t, got, what)
				got, _ = what.(processor.Result)
				checkDecline(t, &got)
				want.RequestID = requestID(len(r.sent()))
				require.Equal(t, want, got)

				if m.Operation == Refund {
					return
				}
				r = start(t, p, always(p.Page([]Record{record}, "")))
				page, err := r.adapter.List(t.Context(), processor.ListCall{})
				require.NoError(t, err)
				require.Len(t, page.Payments, 1)
				checkDecline(t, &page.Payments[0])
				want.RequestID, page.Payments[0].RequestID = "", "" // the request's, not the payment's
				require.Equal(t, want, page.Payments[0])
			})
		}
	}
}

// checkDecline checks that exactly a declined payment says why, and takes that out.
func checkDecline(t tester, r *processor.Result) {
	t.Helper()
	if r.Status != payment.Declined {
		require.Nil(t, r.Decline)
		return
	}
	require.NotNil(t, r.Decline, "a declined payment says why")
	require.NotEmpty(t, r.Decline.Code)
	require.Contains(t, []payment.DeclineKind{payment.DeclineHard, payment.DeclineSoft, payment.DeclineAction}, r.Decline.Kind)
	r.Decline = nil
}

func amountsAreTold(t tester, p Protocol) {
	record := charge.record(p, keyOf("1"))
	record.Captured, record.Refunded = captured, refunded
	r := start(t, p, func(got received) Answer { return p.Found(got.Request, []Record{record}) })
	what, found, err := lookupCharge.ask(r)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, charge.result(p, record, len(r.sent())), what)

	eachMove(t, p, func(t tester, m money) {
		r := start(t, p, always(m.honest(p)))
		require.Equal(t, m.result(p, m.record(p, keyOf("1")), 1), r.answered(m.make(r)))
	})
}

func nothingIsHidden(t tester, p Protocol) {
	others := map[string]func(*Record){
		"amount": func(r *Record) {
			r.Amount = 999
			r.Captured = min(r.Captured, 999)
		},
		"currency":  func(r *Record) { r.Currency = "EUR" },
		"reference": func(r *Record) { r.Reference = keyOf("9") },
		"captured":  func(r *Record) { r.Captured = min(r.Captured, 1) },
	}
	eachMove(t, p, func(t tester, m money) {
		for _, what := range sorted(others) {
			record := m.record(p, keyOf("1"))
			others[what](&record)
			r := start(t, p, always(m.answer(p, record)))
			require.Equal(t, m.result(p, record, 1), r.answered(m.make(r)), "another %s", what)
		}
	})
	for _, q := range lookupsAll {
		t.Run(q.name, func(t tester) {
			for _, what := range sorted(others) {
				if what == "reference" {
					continue // not ours: another scenario
				}
				record := q.of.record(p, keyOf("1"))
				others[what](&record)
				r := start(t, p, func(got received) Answer { return p.Found(got.Request, []Record{record}) })
				got, found, err := q.ask(r)
				require.NoError(t, err)
				require.True(t, found)
				require.Equal(t, q.of.result(p, record, len(r.sent())), got, "another %s", what)
			}
		})
	}
}

func lacksDeclines(p Protocol) string {
	if len(p.Declines)+len(p.RefundDeclines) == 0 {
		return "the protocol declines by its records alone"
	}
	return ""
}

func declinesAreResults(t tester, p Protocol) {
	for _, tc := range []struct {
		money
		declines []Decline
	}{{charge, p.Declines}, {capture, p.Declines}, {refund, p.RefundDeclines}} {
		for _, d := range tc.declines {
			t.Run(string(tc.Operation)+": "+d.Says, func(t tester) {
				record := tc.record(p, keyOf("1"))
				record.Captured = 0
				r := start(t, p, always(d.Answer(record)))
				got := r.answered(tc.make(r))
				r.once()
				require.Equal(t, payment.Declined, got.Status)
				require.Equal(t, &d.Want, got.Decline)
				require.Equal(t, requestID(1), got.RequestID)
				require.Zero(t, got.CapturedAmount)
				if tc.Operation != Capture { // nobody looks that up
					require.Equal(t, keyOf("1"), got.Reference)
				}
				if got.ID != "" {
					require.Equal(t, []any{record.ID, record.Amount, record.Currency}, []any{got.ID, got.Amount, got.Currency},
						"a decline with a record of its own has all of it")
				}
			})
		}
	}
}

// sizeCap is beyond what a client takes of a body.
const sizeCap = 1<<20 + 1

// garbage is what a 2xx may have in its body that nothing follows from, made of an answer that would be believed.
func garbage(p Protocol) map[string]func(whole Answer) Answer {
	with := func(body func(whole string) string) func(Answer) Answer {
		return func(a Answer) Answer {
			a.Body = []byte(body(string(a.Body)))
			return a
		}
	}
	always := func(body string) func(Answer) Answer { return with(func(string) string { return body }) }
	all := map[string]func(Answer) Answer{
		"nothing":            always(""),
		"a blank line":       always("\n"),
		"null":               always("null"),
		"an empty object":    always("{}"),
		"an empty array":     always("[]"),
		"an array of it":     with(func(whole string) string { return "[" + whole + "]" }),
		"a text in JSON":     always(`"OK"`),
		"a number":           always("1"),
		"true":               always("true"),
		"other JSON":         always(`{"result":{"code":"ok"},"data":null,"items":null}`),
		"an HTML page":       always("<html><body>OK, card " + cardNumber + "</body></html>"),
		"plain text":         always("OK"),
		"half of it":         with(func(whole string) string { return whole[:len(whole)/2] }),
		"it twice":           with(func(whole string) string { return whole + whole }),
		"more than we take":  with(func(whole string) string { return whole + strings.Repeat(" ", sizeCap) }),
		"half, then nothing": cutOff,
		"204":                func(Answer) Answer { return Answer{Status: http.StatusNoContent} },
	}
	if string(p.Page(nil, "").Body) == "[]" { // the protocol's lists are bare arrays
		delete(all, "an empty array")
		delete(all, "an array of it")
	}
	return all
}

func unbelievable(t tester, p Protocol) {
	eachMove(t, p, func(t tester, m money) {
		bodies := garbage(p)
		for _, what := range sorted(bodies) {
			t.Run(what, func(t tester) {
				r := start(t, p, always(bodies[what](m.honest(p))))
				got, err := m.make(r)
				r.once()
				require.Zero(t, got)
				r.ends(err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			})
		}
	})
}

func incomplete(t tester, p Protocol) {
	gaps := map[string]func(*Record){
		"no id":                 func(r *Record) { r.ID = "" },
		"no status":             func(r *Record) { r.Status = "" },
		"a status nobody knows": func(r *Record) { r.Status = "in_limbo" },
		"no amount":             func(r *Record) { r.Amount = 0 },
		"a negative amount":     func(r *Record) { r.Amount = -r.Amount },
		"no currency":           func(r *Record) { r.Currency = "" },
		"no reference":          func(r *Record) { r.Reference = "" },
		"an endless id":         func(r *Record) { r.ID = strings.Repeat("i", 256) },
	}
	eachMove(t, p, func(t tester, m money) {
		for _, what := range sorted(gaps) {
			t.Run(what, func(t tester) {
				record := m.record(p, keyOf("1"))
				gaps[what](&record)
				r := start(t, p, always(m.answer(p, record)))
				got, err := m.make(r)
				r.once()
				require.Zero(t, got)
				r.ends(err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			})
		}
	})
	for _, q := range questions {
		for _, what := range sorted(gaps) {
			if what == "no reference" {
				continue // not ours: another scenario
			}
			t.Run(q.name+": "+what, func(t tester) {
				of := charge
				if q.of != nil {
					of = *q.of
				}
				record := of.record(p, keyOf("1"))
				gaps[what](&record)
				r := start(t, p, func(got received) Answer {
					if q.of == nil {
						return p.Page(slices.Concat([]Record{charge.record(p, keyOf("2"))}, []Record{record}), "")
					}
					return p.Found(got.Request, []Record{record})
				})
				q.fails(r)
			})
		}
	}
}
