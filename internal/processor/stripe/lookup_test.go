package stripe

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// The search index lags, so the status in a search result is not used.
func TestLookupSearchesForThePaymentAndThenRetrievesIt(t *testing.T) {
	f := start(t, saved(t, 200, "search_one"), saved(t, 200, "payment_refunded_in_part"))
	got, found, err := f.Lookup(t.Context(), chargeLookup)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, paid(payment.Succeeded, 1000, 400), got)
	search, read := <-f.seen, <-f.seen
	require.Equal(t, "/v1/payment_intents/search", search.path)
	require.Equal(t, map[string]string{"query": `metadata['florin_reference']:'` + key + `'`}, flat(search.query))
	require.Equal(t, "/v1/payment_intents/"+intentID, read.path)
	require.Equal(t, map[string]string{"expand[0]": "latest_charge"}, flat(read.query))
	require.Empty(t, read.body)
}

func TestReferenceIsEscapedInTheSearchQuery(t *testing.T) {
	f := start(t, saved(t, 200, "search_none"))
	_, _, err := f.Lookup(t.Context(), processor.LookupCall{Operation: payment.OperationCharge, Reference: `a' OR b\`})
	require.NoError(t, err)
	require.Equal(t, `metadata['florin_reference']:'a\' OR b\\'`, (<-f.seen).query.Get("query"))
}

func TestNotFoundIsNotAnError(t *testing.T) {
	got, found, err := start(t, saved(t, 200, "search_none")).Lookup(t.Context(), chargeLookup)
	require.NoError(t, err)
	require.False(t, found)
	require.Zero(t, got)
}

// Taking one of these for "not found" could lead to a double charge.
func TestUnreadableLookupResponseIsAnError(t *testing.T) {
	none := saved(t, 200, "search_none")
	for name, responses := range map[string][]response{
		"empty":                    {{status: 200}},
		"no data":                  {{status: 200, body: `{}`}},
		"null data":                {{status: 200, body: `{"data":null}`}},
		"null record":              {{status: 200, body: `{"data":[null]}`}},
		"HTML":                     {{status: 200, body: `<html>`}},
		"truncated":                {{status: 200, body: `{"data":[`, truncated: true}},
		"an error":                 {saved(t, 200, "error_api")},
		"without an id":            {saved(t, 200, "search_one").replaced(t, `"id": "`+intentID+`",`, ``)},
		"empty page with has_more": {none.replaced(t, `"has_more": false`, `"has_more": true`)},
		"data twice":               {{status: 200, body: `{"data":[],"data":[]}`}},
		"data in another case":     {{status: 200, body: `{"DATA":[]}`}},
		"has_more twice":           {none.replaced(t, `"has_more": false`, `"has_more": true, "has_more": false`)},
		"reference twice": {saved(t, 200, "search_one").replaced(t, `"florin_reference"`,
			`"florin_reference": "other", "florin_reference"`)},
		"two payments":      {saved(t, 200, "search_two")},
		"another reference": {saved(t, 200, "search_one").replaced(t, key, "other")},
		"another reference in the payment itself": {saved(t, 200, "search_one"),
			saved(t, 200, "payment_succeeded").replaced(t, key, "other")},
		"the payment itself is empty": {saved(t, 200, "search_one"), {status: 200, body: `{}`}},
	} {
		t.Run(name, func(t *testing.T) {
			got, found, err := start(t, responses...).Lookup(t.Context(), chargeLookup)
			require.False(t, found)
			require.Zero(t, got)
			requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		})
	}
	for _, responses := range [][]response{{saved(t, 404, "error_resource_missing")},
		{saved(t, 200, "search_one"), saved(t, 404, "error_resource_missing")}} {
		_, found, err := start(t, responses...).Lookup(t.Context(), chargeLookup)
		require.False(t, found)
		requireError(t, err, processor.NotExecuted, false, payment.ClassConfig)
	}
}

func TestRefundIsFoundAmongTheRefundsOfItsPayment(t *testing.T) {
	f := start(t, saved(t, 200, "refunds_page_1"), saved(t, 200, "refunds_page_2"))
	got, found, err := f.Lookup(t.Context(), refundLookup)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, processor.Result{ID: refundID, Status: payment.Succeeded, Amount: 250, Currency: "USD",
		Reference: key, RequestID: "req_1", MerchantID: "acme"}, got)
	first, second := <-f.seen, <-f.seen
	require.Equal(t, "/v1/refunds", first.path)
	require.Equal(t, map[string]string{"payment_intent": intentID, "limit": "100"}, flat(first.query))
	require.Equal(t, map[string]string{"payment_intent": intentID, "limit": "100",
		"starting_after": "re_1Nispe2eZvKYlo2Cd31jOCg2"}, flat(second.query))
}

func TestMissingRefundIsNotFound(t *testing.T) {
	for _, responses := range [][]response{
		{{status: 200, body: `{"data":[],"has_more":false}`}},
		{saved(t, 200, "refunds_page_1"), saved(t, 200, "refunds_page_2").replaced(t, key, "another")},
	} {
		got, found, err := start(t, responses...).Lookup(t.Context(), refundLookup)
		require.NoError(t, err)
		require.False(t, found)
		require.Zero(t, got)
	}
}

func TestUnreadableRefundsAreAnError(t *testing.T) {
	one, last := saved(t, 200, "refunds_page_1"), saved(t, 200, "refunds_page_2")
	for name, responses := range map[string][]response{
		"no list":                  {{status: 200, body: `{}`}},
		"empty page with has_more": {{status: 200, body: `{"data":[],"has_more":true}`}},
		"two refunds on one page": {one.replaced(t, `"another"`, `"`+key+`"`).replaced(t, `"metadata": {}`,
			`"metadata": {"florin_reference": "`+key+`"}`)},
		"two refunds on two pages": {one.replaced(t, `"another"`, `"`+key+`"`), last},
		"unknown status":           {last.replaced(t, `"succeeded"`, `"done"`)},
	} {
		t.Run(name, func(t *testing.T) {
			got, found, err := start(t, responses...).Lookup(t.Context(), refundLookup)
			require.False(t, found)
			require.Zero(t, got)
			requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		})
	}
}

func TestLookupReadsALimitedNumberOfRefunds(t *testing.T) {
	f := start(t, saved(t, 200, "refunds_page_1"))
	_, found, err := f.Lookup(t.Context(), refundLookup)
	require.False(t, found)
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	require.Len(t, f.seen, maxPages)
}

func TestListIncludesPaymentsThatFlorinDidNotMake(t *testing.T) {
	got, err := start(t, saved(t, 200, "payments_page")).List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	own := paid(payment.Succeeded, 1250, 50)
	own.RequestID = ""
	require.Equal(t, processor.Page{Next: "pi_3MtwBwLkdIwHu7ix28a3tqPd", Payments: []processor.Result{
		own,
		{ID: "pi_3MtwBwLkdIwHu7ix28a3tqPc", Status: payment.Pending, Amount: 1250, Currency: "USD"},
	}}, got)

	last, err := start(t, response{status: 200, body: `{"data":[],"has_more":false}`}).List(t.Context(),
		processor.ListCall{})
	require.NoError(t, err)
	require.Empty(t, last.Next)
}

func TestListWithAnUnreadableFlorinPaymentIsAnError(t *testing.T) {
	for name, body := range map[string]string{
		"unknown status": `{"data":[{"id":"pi_1","object":"payment_intent","status":"settled","amount":1,"currency":"usd",` +
			`"metadata":{"florin_reference":"x"}}]}`,
		"no list":                  `{}`,
		"empty page with has_more": `{"data":[],"has_more":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			page, err := start(t, response{status: 200, body: body}).List(t.Context(), processor.ListCall{})
			requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			require.Zero(t, page)
		})
	}
}

func TestFreshListComesFromTheCache(t *testing.T) {
	f := start(t, saved(t, 200, "payments_page").with("Cache-Control", "max-age=60"))
	for range 2 {
		page, err := f.List(t.Context(), processor.ListCall{})
		require.NoError(t, err)
		require.Len(t, page.Payments, 2)
	}
	require.Len(t, f.seen, 1)
}

func TestDeclineOfALookupOrAListIsAnError(t *testing.T) {
	for _, responses := range [][]response{{saved(t, 402, "error_declined")},
		{saved(t, 200, "search_one"), saved(t, 402, "error_declined")}} {
		for _, lookup := range []processor.LookupCall{chargeLookup, refundLookup} {
			got, found, err := start(t, responses...).Lookup(t.Context(), lookup)
			require.False(t, found)
			require.Zero(t, got)
			requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		}
	}
	_, err := start(t, saved(t, 402, "error_declined")).List(t.Context(), processor.ListCall{})
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
}

func TestEveryOtherHTTPStatusOfALookupIsAnError(t *testing.T) {
	for _, status := range []int{204, 302, 400, 401, 403, 404, 410, 429, 500, 503} {
		_, found, err := start(t, response{status: status}).Lookup(t.Context(), chargeLookup)
		require.False(t, found)
		require.Error(t, err, status)
	}
}
