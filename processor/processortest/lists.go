package processortest

// Scenarios about lists, which reconciliation reads.

import (
	"fmt"
	"net/http"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

var listScenarios = []scenario{
	{name: "a list is read page by page to its end", doc: docMapping, run: listPages},
	{name: "an empty list is an empty page", doc: docMapping, run: listEmpty},
	{name: "an unreadable page is an error, never an empty page", doc: docMapping, run: listUnreadable},
	{name: "payments that Florin did not make do not hide its own", doc: docMapping, run: listForeignPayments},
	{name: "an unchanged page is revalidated with its ETag", doc: docMapping, skip: skipWithoutETags, run: listUnchanged},
}

func listPages(t tester, p Protocol) {
	var all []Record
	for i := range 5 {
		record := charge.record(p, keyOf(fmt.Sprint(i)))
		record.ID = fmt.Sprintf("payment_%d", i)
		all = append(all, record)
	}
	r := start(t, p, func(got received) Response {
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
		return p.WritePage(all[begin:end], next)
	})
	var read []processor.Result
	cursor := ""
	for {
		page, err := r.adapter.List(t.Context(), processor.ListCall{Cursor: cursor, Limit: 2})
		require.NoError(t, err)
		for _, record := range page.Records {
			read = append(read, record.Result)
		}
		require.LessOrEqual(t, len(read), len(all), "the list does not end")
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	r.requireRequests(3)
	require.Len(t, read, len(all))
	for i, record := range all {
		read[i].RequestID = requestID(1) // identifies the request, not the payment
		require.Equal(t, charge.wantResult(p, record, 1), read[i])
	}
}

func listEmpty(t tester, p Protocol) {
	r := start(t, p, always(p.WritePage(nil, "")))
	page, err := r.adapter.List(t.Context(), processor.ListCall{})
	r.onlyRequest()
	require.NoError(t, err)
	require.Empty(t, page.Records)
	require.Empty(t, page.Next)
}

func listUnreadable(t tester, p Protocol) {
	responses := map[string]func(received) Response{
		"a gateway's 404":          always(Response{Status: http.StatusNotFound, Body: []byte("<html>Not Found</html>")}),
		"an error with status 200": always(p.WriteError(http.StatusOK, "some_code", "try again later")),
	}
	for name, malform := range malformedResponses(p) {
		responses[name] = func(got received) Response { return malform(listQuery.success(p, got.Request)) }
	}
	listQuery.withResponses(t, p, responses, func(r *rig) {
		listQuery.requireError(r)
		r.onlyRequest()
	})
}

func listForeignPayments(t tester, p Protocol) {
	foreign, own := charge.record(p, keyOf("1")), charge.record(p, keyOf("2"))
	foreign.ID, foreign.Reference, foreign.MerchantID = "payment_9", "", ""
	r := start(t, p, always(p.WritePage([]Record{foreign, own}, "")))
	page, err := r.adapter.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	require.NotEmpty(t, page.Records)
	last := page.Records[len(page.Records)-1]
	require.Equal(t, []any{own.ID, own.Reference}, []any{last.ID, last.Reference})
	for _, other := range page.Records[:len(page.Records)-1] {
		require.Equal(t, []any{foreign.ID, ""}, []any{other.ID, other.Reference},
			"a payment that Florin did not make has no reference")
	}
}

func skipWithoutETags(p Protocol) string {
	if !p.ETags {
		return "the adapter reads the whole list each time"
	}
	return ""
}

func listUnchanged(t tester, p Protocol) {
	const tag = `"v1"`
	response := listQuery.success(p, Request{})
	response.Header = http.Header{"Etag": {tag}}
	r := start(t, p, func(got received) Response {
		if got.Header.Get("If-None-Match") == tag {
			return Response{Status: http.StatusNotModified, Header: response.Header}
		}
		return response
	})
	first, err := r.adapter.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	second, err := r.adapter.List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	require.Len(t, second.Records, 1)
	require.Equal(t, first, second)
	sent := r.requireRequests(2)
	require.Equal(t, tag, sent[1].Header.Get("If-None-Match"))
}
