package processortest

// Lists: what reconciliation reads.

import (
	"fmt"
	"net/http"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

var lists = []scenario{
	{"a list is read page by page to its end", nil, listPages},
	{"an empty list is an empty page", nil, listEmpty},
	{"a page that cannot be read is an error, and never an empty one", nil, listUnreadable},
	{"a payment that somebody else made does not hide ours", nil, listForeign},
	{"a page that has not changed is not sent again", lacksETags, listUnchanged},
}

func listPages(t tester, p Protocol) {
	var all []Record
	for i := range 5 {
		record := charge.record(p, keyOf(fmt.Sprint(i)))
		record.ID = fmt.Sprintf("payment_%d", i)
		all = append(all, record)
	}
	r := start(t, p, func(got received) Answer {
		begin := 0
		for i, record := range all {
			if record.ID == got.Cursor {
				begin = i + 1
			}
		}
		end, next := min(begin+got.Limit, len(all)), ""
		if end < len(all) {
			next = all[end-1].ID
		}
		return p.Page(all[begin:end], next)
	})
	var read []processor.Result
	cursor := ""
	for {
		page, err := r.adapter.List(t.Context(), processor.ListCall{Cursor: cursor, Limit: 2})
		require.NoError(t, err)
		read = append(read, page.Payments...)
		require.LessOrEqual(t, len(read), len(all), "the list does not end")
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	r.times(3)
	require.Len(t, read, len(all))
	for i, record := range all {
		read[i].RequestID = requestID(1) // the request's, not the payment's
		require.Equal(t, charge.result(p, record, 1), read[i])
	}
}

func listEmpty(t tester, p Protocol) {
	r := start(t, p, always(p.Page(nil, "")))
	page, err := r.adapter.List(t.Context(), processor.ListCall{})
	r.once()
	require.NoError(t, err)
	require.Empty(t, page.Payments)
	require.Empty(t, page.Next)
}

func listUnreadable(t tester, p Protocol) {
	answers := map[string]func(received) Answer{
		"a gateway's 404":          always(Answer{Status: http.StatusNotFound, Body: []byte("<html>Not Found</html>")}),
		"an error with status 200": always(p.Error(http.StatusOK, "some_code", "not today")),
	}
	for what, of := range garbage(p) {
		answers[what] = func(got received) Answer { return of(listing.honest(p, got.Request)) }
	}
	listing.instead(t, p, answers, func(r *rig) {
		listing.fails(r)
		r.once()
	})
}

func listForeign(t tester, p Protocol) {
	foreign, ours := charge.record(p, keyOf("1")), charge.record(p, keyOf("2"))
	foreign.ID, foreign.Reference, foreign.MerchantID = "payment_9", "", ""
	r := start(t, p, always(p.Page([]Record{foreign, ours}, "")))
	page, err := r.adapter.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	require.NotEmpty(t, page.Payments)
	last := page.Payments[len(page.Payments)-1]
	require.Equal(t, []any{ours.ID, ours.Reference}, []any{last.ID, last.Reference})
	for _, other := range page.Payments[:len(page.Payments)-1] {
		require.Equal(t, []any{foreign.ID, ""}, []any{other.ID, other.Reference}, "one that is not ours has no reference")
	}
}

func lacksETags(p Protocol) string {
	if !p.ETags {
		return "lists are read anew each time"
	}
	return ""
}

func listUnchanged(t tester, p Protocol) {
	const tag = `"v1"`
	a := listing.honest(p, Request{})
	a.Header = http.Header{"Etag": {tag}}
	r := start(t, p, func(got received) Answer {
		if got.Header.Get("If-None-Match") == tag {
			return Answer{Status: http.StatusNotModified, Header: a.Header}
		}
		return a
	})
	first, err := r.adapter.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	second, err := r.adapter.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	require.Len(t, second.Payments, 1)
	require.Equal(t, first, second)
	sent := r.times(2)
	require.Equal(t, tag, sent[1].Header.Get("If-None-Match"))
}
