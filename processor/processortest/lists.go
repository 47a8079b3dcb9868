package processortest

// Scenarios about lists, which reconciliation reads.

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

var listScenarios = []scenario{
	{name: "a list is read page by page to its end", doc: docMapping, run: listPages},
	{name: "an empty list is an empty page", doc: docMapping, run: listEmpty},
	{name: "an unreadable page is an error, never an empty page", doc: docMapping, run: listUnreadablePages},
	{name: "an unreadable record of a list is reported, and does not hide the others", doc: docMapping, run: listUnreadableRecords},
	{name: "a list has the payments and refunds that Florin did not make", doc: docMapping, run: listForeignRecords},
	{name: "a record of a list has the time of its creation", doc: docMapping, skip: skipWithoutTimes, run: listTimes},
	{name: "a record of a list has Florin's id", doc: docMapping, skip: skipWithoutMetadata, run: listOwnIDs},
	{name: "a refund of a list names its payment", doc: docMapping, run: listPaymentsOfRefunds},
	{name: "an unchanged page is revalidated with its ETag", doc: docMapping, skip: skipWithoutETags, run: listUnchanged},
}

// listOf returns n records of a list.
func listOf(p Protocol, q query, n int) []Record {
	all := make([]Record, n)
	for i := range all {
		all[i] = q.subject.record(p, keyOf(fmt.Sprint(i)))
		all[i].ID = fmt.Sprintf("record_%d", i)
	}
	return all
}

func listPages(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		all := listOf(p, q, 5)
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
		var read []processor.Record
		cursor := ""
		for {
			page, err := q.list(r, processor.ListCall{Cursor: cursor, Limit: 2})
			require.NoError(t, err)
			read = append(read, page.Records...)
			require.LessOrEqual(t, len(read), len(all), "the list does not end")
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		r.requireRequests(3)
		require.Len(t, read, len(all))
		for i, record := range all {
			require.Equal(t, q.subject.wantRecord(p, record).Result, read[i].Result)
		}
	})
}

func listEmpty(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		page := q.page(t, p, p.WritePage(nil, ""))
		require.Empty(t, page.Records)
		require.Empty(t, page.Next)
	})
}

func listUnreadablePages(t tester, p Protocol) {
	for _, q := range listQueries {
		responses := map[string]func(received) Response{
			"a gateway's 404":          always(Response{Status: http.StatusNotFound, Body: []byte("<html>Not Found</html>")}),
			"an error with status 200": always(p.WriteError(http.StatusOK, "some_code", "try again later")),
		}
		for name, malform := range malformedResponses(p) {
			responses[name] = func(got received) Response { return malform(q.success(p, got.Request)) }
		}
		q.withResponses(t, p, responses, func(r *rig) {
			q.requireError(r)
			r.onlyRequest()
		})
	}
}

// requireUnreadable requires a page with n records, all of which are unreadable.
func requireUnreadable(t tester, page processor.Page, n int) {
	t.Helper()
	require.Len(t, page.Records, n)
	for _, record := range page.Records {
		require.NotEmpty(t, record.Unreadable, "the record cannot be read: %+v", record)
		require.Equal(t, processor.Result{ID: record.ID, Reference: record.Reference}, record.Result,
			"of an unreadable record, only the ID and the Reference are known")
	}
}

// oddAmount matches the amount of the only unreadable record, as far as the protocol writes it as a number in minor units.
var oddAmount = regexp.MustCompile(`:1357([,}\]])`)

func listUnreadableRecords(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		// check lists the record between two that can be read. The response is changed by change.
		check := func(t tester, record Record, change func([]byte) []byte) {
			all := listOf(p, q, 3)
			all[1] = record
			response := p.WritePage(all, all[2].ID)
			response.Body = change(response.Body)
			page := q.page(t, p, response)
			require.Len(t, page.Records, 3)
			require.NotEmpty(t, page.Next)
			for _, i := range []int{0, 2} {
				require.Equal(t, q.subject.wantRecord(p, all[i]), page.Records[i])
			}
			page.Records = page.Records[1:2]
			requireUnreadable(t, page, 1)
			require.LessOrEqual(t, len(page.Records[0].Unreadable), processor.MaxClipped)
			require.Regexp(t, printable, page.Records[0].Unreadable)
		}
		unchanged := func(body []byte) []byte { return body }
		for _, name := range sorted(defects) {
			if name == noReference {
				continue // not a defect of a list: see listForeignRecords
			}
			t.Run(name, func(t tester) {
				record := listOf(p, q, 2)[1]
				defects[name](&record)
				check(t, record, unchanged)
			})
		}
		t.Run("an amount that is not a number", func(t tester) {
			record := listOf(p, q, 2)[1]
			record.Amount = 1357
			if !oddAmount.Match(p.WritePage([]Record{record}, "").Body) {
				t.Skip("the protocol does not write amounts as numbers in minor units")
			}
			check(t, record, func(body []byte) []byte { return oddAmount.ReplaceAll(body, []byte(`:"1357"$1`)) })
		})
		t.Run("what identifies the record is known", func(t tester) {
			record := listOf(p, q, 2)[1]
			record.Status = "in_limbo"
			page := q.page(t, p, p.WritePage([]Record{record}, ""))
			requireUnreadable(t, page, 1)
			want, got := q.subject.wantRecord(p, record), page.Records[0]
			require.Equal(t, []any{want.ID, want.Reference, want.CreatedAt}, []any{got.ID, got.Reference, got.CreatedAt})
		})
		t.Run("the last record of a page", func(t tester) {
			all := listOf(p, q, 2)
			all[1].Status = "in_limbo"
			page := q.page(t, p, p.WritePage(all, all[1].ID))
			require.NotEmpty(t, page.Next)
		})
		t.Run("the last record of a page, without an id", func(t tester) {
			all := listOf(p, q, 2)
			next := all[1].ID
			all[1].ID = ""
			r := start(t, p, always(p.WritePage(all, next)))
			page, err := q.list(r, processor.ListCall{})
			if err != nil {
				r.requireError(err)
				require.Zero(t, page)
				return
			}
			require.NotEmpty(t, page.Next, "the rest of the list is lost")
		})
	})
}

func listForeignRecords(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		all := listOf(p, q, 3)
		all[1].Reference, all[1].MerchantID, all[1].OwnID = "", "", ""
		page := q.page(t, p, p.WritePage(all, ""))
		require.Len(t, page.Records, len(all))
		for i, record := range all {
			require.Equal(t, q.subject.wantRecord(p, record), page.Records[i])
		}
	})
}

func skipWithoutTimes(p Protocol) string {
	if p.ListsHaveNoTimes {
		return "the protocol's records do not say when they were created"
	}
	return ""
}

func listTimes(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		all := listOf(p, q, 2)
		all[1].CreatedAt = createdAt.AddDate(-1, 0, 0)
		page := q.page(t, p, p.WritePage(all, ""))
		require.Len(t, page.Records, len(all))
		for i, record := range all {
			require.True(t, record.CreatedAt.Equal(page.Records[i].CreatedAt), "created at: got %s, want %s",
				page.Records[i].CreatedAt, record.CreatedAt)
		}
	})
}

func listOwnIDs(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		all := listOf(p, q, 3)
		all[1].OwnID = "pay_forged" // anyone who can write metadata can write this
		all[2].OwnID = ""
		page := q.page(t, p, p.WritePage(all, ""))
		require.Len(t, page.Records, len(all))
		for i, want := range []string{all[0].OwnID, "", ""} {
			require.Equal(t, want, page.Records[i].OwnID)
		}
	})
}

func listPaymentsOfRefunds(t tester, p Protocol) {
	all := listOf(p, listRefunds, 2)
	all[1].PaymentID = "payment_2"
	page := listRefunds.page(t, p, p.WritePage(all, ""))
	require.Len(t, page.Records, len(all))
	for i, record := range all {
		require.Equal(t, record.PaymentID, page.Records[i].ProcessorPaymentID)
	}
	payments := listPayments.page(t, p, listPayments.success(p, Request{}))
	require.Len(t, payments.Records, 1)
	require.Empty(t, payments.Records[0].ProcessorPaymentID, "a payment is of no other payment")
}

func skipWithoutETags(p Protocol) string {
	if !p.ETags {
		return "the adapter reads the whole list each time"
	}
	return ""
}

func listUnchanged(t tester, p Protocol) {
	eachList(t, func(t tester, q query) {
		const tag = `"v1"`
		response := q.success(p, Request{})
		response.Header = http.Header{"Etag": {tag}}
		r := start(t, p, func(got received) Response {
			if got.Header.Get("If-None-Match") == tag {
				return Response{Status: http.StatusNotModified, Header: response.Header}
			}
			return response
		})
		first, err := q.list(r, processor.ListCall{})
		require.NoError(t, err)
		second, err := q.list(r, processor.ListCall{})
		require.NoError(t, err)
		require.Len(t, second.Records, 1)
		require.Equal(t, first, second)
		sent := r.requireRequests(2)
		require.Equal(t, tag, sent[1].Header.Get("If-None-Match"))
	})
}
