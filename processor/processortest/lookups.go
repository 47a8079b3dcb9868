package processortest

// Lookups: what became of a charge or a refund. A wrong "not found" charges somebody twice.

import (
	"net/http"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var lookups = []scenario{
	{"a lookup finds the one record", nil, lookupFinds},
	{"a lookup finds nothing only by the protocol's own word", nil, lookupFindsNothing},
	{"a lookup that nobody answered as the protocol does is an error", nil, lookupUnanswered},
	{"a record with another reference is not ours", nil, lookupStrangers},
	{"two records with our reference are an error", nil, lookupTwins},
	{"a refund whose payment is not known is found, or it is an error", nil, lookupRefundAlone},
}

func lookupFinds(t tester, p Protocol) {
	for _, q := range lookupsAll {
		t.Run(q.name, func(t tester) {
			r := start(t, p, func(got received) Answer { return q.honest(p, got.Request) })
			got, found, err := q.ask(r)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, q.of.result(p, q.of.record(p, keyOf("1")), len(r.sent())), got)
		})
	}
}

func lookupFindsNothing(t tester, p Protocol) {
	// A charge whose id is known exists: that it is not found may well be an error.
	for _, q := range []question{lookupCharge, lookupRefund} {
		words := func(got received) []Answer {
			all := []Answer{p.Found(got.Request, nil)}
			if p.NotFound != nil {
				all = append(all, p.NotFound(got.Request)...)
			}
			return all
		}
		t.Run(q.name, func(t tester) {
			for i := 0; ; i++ {
				many := 0
				r := start(t, p, func(got received) Answer {
					all := words(got)
					many = len(all)
					return all[min(i, many-1)]
				})
				got, found, err := q.ask(r)
				r.sent()
				require.NoError(t, err)
				require.False(t, found)
				require.Zero(t, got)
				if i+1 >= many {
					return
				}
			}
		})
	}
}

func lookupUnanswered(t tester, p Protocol) {
	for _, q := range lookupsAll {
		answers := map[string]func(received) Answer{
			"a gateway's 404, empty":              always(Answer{Status: http.StatusNotFound}),
			"a gateway's 404, a page":             always(Answer{Status: http.StatusNotFound, Body: []byte("<html>Not Found</html>")}),
			"a gateway's 404, an object":          always(Answer{Status: http.StatusNotFound, Body: []byte("{}")}),
			"a gateway's 404, other JSON":         always(Answer{Status: http.StatusNotFound, Body: []byte(`{"message":"no Route matched with those values"}`)}),
			"a 404 with an empty list":            always(Answer{Status: http.StatusNotFound, Body: p.Page(nil, "").Body}),
			"a 404 with a code that nobody knows": always(p.Error(http.StatusNotFound, "some_code", "not found")),
			"an error with status 200":            always(p.Error(http.StatusOK, "some_code", "not today")),
		}
		for _, d := range slices.Concat(p.Declines, p.RefundDeclines) {
			answers["a decline: "+d.Says] = always(d.Answer(q.of.record(p, keyOf("1"))))
		}
		for what, of := range garbage(p) {
			answers[what] = func(got received) Answer { return of(q.honest(p, got.Request)) }
		}
		q.instead(t, p, answers, func(r *rig) { q.fails(r) })
	}
}

func lookupStrangers(t tester, p Protocol) {
	for _, q := range lookupsAll {
		ours, stranger := q.of.record(p, keyOf("1")), q.of.record(p, keyOf("9"))
		stranger.ID += "9"
		t.Run(q.name+" alone", func(t tester) {
			r := start(t, p, func(got received) Answer { return p.Found(got.Request, []Record{stranger}) })
			got, found, err := q.ask(r)
			require.False(t, found)
			require.Zero(t, got)
			if asked := r.sent()[0].Asked; asked.Reference != "" {
				require.Error(t, err, "who asks for a reference and gets another was not understood: that proves nothing")
			}
			if err != nil {
				r.refused(err)
			}
		})
		t.Run(q.name+" beside ours", func(t tester) {
			r := start(t, p, func(got received) Answer {
				if got.Asked.Reference == "" && q.Operation == LookupCharge {
					return p.Found(got.Request, []Record{ours}) // by its id there is only one
				}
				return p.Found(got.Request, []Record{stranger, ours})
			})
			got, found, err := q.ask(r)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, q.of.result(p, ours, len(r.sent())), got)
		})
	}
}

func lookupTwins(t tester, p Protocol) {
	for _, q := range []question{lookupCharge, lookupRefund} {
		t.Run(q.name, func(t tester) {
			ours := q.of.record(p, keyOf("1"))
			twin := ours
			twin.ID += "9"
			r := start(t, p, func(got received) Answer { return p.Found(got.Request, []Record{ours, twin}) })
			require.Equal(t, processor.Ambiguous, q.fails(r).Certainty)
		})
	}
}

func lookupRefundAlone(t tester, p Protocol) {
	record := refund.record(p, keyOf("1"))
	r := start(t, p, func(got received) Answer { return p.Found(got.Request, []Record{record}) })
	got, found, err := r.adapter.Lookup(t.Context(), processor.LookupCall{Operation: payment.OperationRefund, Reference: keyOf("1")})
	if err != nil {
		r.refused(err)
		require.False(t, found)
		require.Zero(t, got)
		return
	}
	require.True(t, found, "it is there")
	require.Equal(t, refund.result(p, record, len(r.sent())), got)
}
