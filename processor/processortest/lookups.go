package processortest

// Scenarios about lookups. A wrong "not found" leads to a double charge or a double refund.

import (
	"net/http"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var lookupScenarios = []scenario{
	{name: "a lookup finds the matching record", doc: docMapping, run: lookupFinds},
	{name: "a lookup accepts every not-found response of the protocol", doc: docMapping, run: lookupNotFound},
	{name: "a lookup response that the protocol does not define is an error, never not found", doc: docMapping,
		run: lookupUndefinedResponses},
	{name: "a lookup never returns a record with another reference", doc: docMapping, run: lookupOtherReferences},
	{name: "two records with the same reference are an error", doc: docMapping, run: lookupDuplicates},
	{name: "a lookup of a refund without its payment id finds it or returns an error", doc: docMapping, run: lookupRefundWithoutPayment},
}

func lookupFinds(t tester, p Protocol) {
	for _, q := range lookupQueries {
		t.Run(q.name, func(t tester) {
			r := start(t, p, func(got received) Response { return q.success(p, got.Request) })
			got, found, err := q.run(r)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, q.subject.wantResult(p, q.subject.record(p, keyOf("1")), len(r.sent())), got)
		})
	}
}

func lookupNotFound(t tester, p Protocol) {
	// Without lookupByID: a charge whose id is known exists, so an adapter may return an error if it is not found.
	for _, q := range []query{lookupCharge, lookupRefund} {
		notFound := func(got received) []Response {
			all := []Response{p.WriteLookup(got.Request, nil)}
			if p.WriteNotFound != nil {
				all = append(all, p.WriteNotFound(got.Request)...)
			}
			return all
		}
		t.Run(q.name, func(t tester) {
			for i := 0; ; i++ {
				count := 0
				r := start(t, p, func(got received) Response {
					all := notFound(got)
					count = len(all)
					return all[min(i, count-1)]
				})
				got, found, err := q.run(r)
				r.sent()
				require.NoError(t, err)
				require.False(t, found)
				require.Zero(t, got)
				if i+1 >= count {
					return
				}
			}
		})
	}
}

func lookupUndefinedResponses(t tester, p Protocol) {
	for _, q := range lookupQueries {
		responses := map[string]func(received) Response{
			"a gateway's 404 without a body": always(Response{Status: http.StatusNotFound}),
			"a gateway's 404 with a page": always(Response{Status: http.StatusNotFound,
				Body: []byte("<html>Not Found</html>")}),
			"a gateway's 404 with an empty object": always(Response{Status: http.StatusNotFound, Body: []byte("{}")}),
			"a gateway's 404 with other JSON": always(Response{Status: http.StatusNotFound,
				Body: []byte(`{"message":"no Route matched with those values"}`)}),
			"a 404 with an empty list": always(Response{Status: http.StatusNotFound,
				Body: p.WritePage(nil, "").Body}),
			"a 404 with an unknown code": always(p.WriteError(http.StatusNotFound, "some_code", "not found")),
			"an error with status 200":   always(p.WriteError(http.StatusOK, "some_code", "try again later")),
		}
		for _, d := range slices.Concat(p.Declines, p.RefundDeclines) {
			responses["a decline: "+d.Name] = always(d.Write(q.subject.record(p, keyOf("1"))))
		}
		for name, malform := range malformedResponses(p) {
			responses[name] = func(got received) Response { return malform(q.success(p, got.Request)) }
		}
		q.withResponses(t, p, responses, func(r *rig) { q.requireError(r) })
	}
}

func lookupOtherReferences(t tester, p Protocol) {
	for _, q := range lookupQueries {
		matching, other := q.subject.record(p, keyOf("1")), q.subject.record(p, keyOf("9"))
		other.ID += "9"
		t.Run(q.name+", as the only record", func(t tester) {
			r := start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{other}) })
			got, found, err := q.run(r)
			require.False(t, found)
			require.Zero(t, got)
			if r.sent()[0].Reference != "" {
				// The processor ignored the search for the reference, so its response does not prove absence.
				require.Error(t, err, "a search by reference returned another reference")
			}
			if err != nil {
				r.requireError(err)
			}
		})
		t.Run(q.name+", with the matching record", func(t tester) {
			r := start(t, p, func(got received) Response {
				if got.Reference == "" && q.Operation == LookupCharge {
					return p.WriteLookup(got.Request, []Record{matching}) // a lookup by id has at most one record
				}
				return p.WriteLookup(got.Request, []Record{other, matching})
			})
			got, found, err := q.run(r)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, q.subject.wantResult(p, matching, len(r.sent())), got)
		})
	}
}

func lookupDuplicates(t tester, p Protocol) {
	for _, q := range []query{lookupCharge, lookupRefund} {
		t.Run(q.name, func(t tester) {
			matching := q.subject.record(p, keyOf("1"))
			duplicate := matching
			duplicate.ID += "9"
			r := start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{matching, duplicate}) })
			require.Equal(t, processor.Ambiguous, q.requireError(r).Certainty)
		})
	}
}

func lookupRefundWithoutPayment(t tester, p Protocol) {
	record := refund.record(p, keyOf("1"))
	r := start(t, p, func(got received) Response { return p.WriteLookup(got.Request, []Record{record}) })
	got, found, err := r.adapter.Lookup(t.Context(),
		processor.LookupCall{Operation: payment.OperationRefund, Reference: keyOf("1")})
	if err != nil {
		r.requireError(err)
		require.False(t, found)
		require.Zero(t, got)
		return
	}
	require.True(t, found, "the refund exists")
	require.Equal(t, refund.wantResult(p, record, len(r.sent())), got)
}
