package stripe

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// unavailable is how Stripe refuses a search of an account in India.
var unavailable = response{status: 400, body: `{"error":{"type":"invalid_request_error","message":"Search is not available."}}`}

// scanned returns a page of a list of payments that contains those with the references.
func scanned(more bool, references ...string) response {
	var payments []string
	for i, reference := range references {
		id := fmt.Sprintf("pi_%d", i)
		if reference == key {
			id = intentID
		}
		payments = append(payments, fmt.Sprintf(`{"id":%q,"object":"payment_intent","metadata":{"florin_reference":%q}}`, id, reference))
	}
	return response{status: 200, body: fmt.Sprintf(`{"data":[%s],"has_more":%t}`, strings.Join(payments, ","), more)}
}

func TestPaymentThatTheSearchDoesNotFindIsFoundByTheTimeOfItsCreation(t *testing.T) {
	for name, search := range map[string]response{"search lags": saved(t, 200, "search_none"), "search is unavailable": unavailable,
		"search is forbidden": {status: 403}, "no such resource": saved(t, 404, "error_resource_missing")} {
		t.Run(name, func(t *testing.T) {
			f := start(t, search, scanned(true, "other", ""), scanned(false, key), saved(t, 200, "payment_succeeded"))
			call := chargeLookup
			call.NotBefore = time.Unix(1_680_800_504, 5e8)
			got, found, err := f.Lookup(t.Context(), call)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, unexpanded(paid(payment.Succeeded, 1250, 0)), got)
			<-f.seen
			first, second, read := <-f.seen, <-f.seen, <-f.seen
			require.Equal(t, "/v1/payment_intents", first.path)
			window := map[string]string{"created[gte]": "1680800204", "created[lte]": "1680804104", "limit": "100"}
			require.Equal(t, window, flat(first.query))
			window["starting_after"] = "pi_1"
			require.Equal(t, window, flat(second.query))
			require.Equal(t, "/v1/payment_intents/"+intentID, read.path)
		})
	}
}

func TestScanIsOnlyUsedIfTheSearchFoundNothingAndTheTimeIsKnown(t *testing.T) {
	recent := chargeLookup
	recent.NotBefore = time.Now().Add(-time.Minute)
	for name, c := range map[string]struct {
		call     processor.LookupCall
		search   response
		requests int
	}{
		"found":                {call: recent, search: saved(t, 200, "search_one"), requests: 2},
		"time not known":       {call: chargeLookup, search: saved(t, 200, "search_none"), requests: 1},
		"unavailable, no time": {call: chargeLookup, search: unavailable, requests: 1},
		"outage":               {call: recent, search: saved(t, 500, "error_api"), requests: 1},
		"rate limited":         {call: recent, search: saved(t, 429, "error_rate_limit"), requests: 1},
		"two payments":         {call: recent, search: saved(t, 200, "search_two"), requests: 1},
		"unreadable":           {call: recent, search: response{status: 200, body: `{}`}, requests: 1},
		"connection is closed": {call: recent, search: response{}, requests: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, c.search, saved(t, 200, "payment_succeeded"))
			_, _, _ = f.Lookup(t.Context(), c.call)
			require.Len(t, f.seen, c.requests)
		})
	}
}

// Only a complete scan may replace a search that is unavailable: "not found" may end as a proof.
func TestScanReportsNotFoundOnlyIfItIsComplete(t *testing.T) {
	recent, old := chargeLookup, chargeLookup
	recent.NotBefore, old.NotBefore = time.Now().Add(-time.Minute), time.Now().Add(-2*scanWindow)
	for name, c := range map[string]struct {
		call   processor.LookupCall
		search response
		page   response
		want   *int // status of the error; nil: not found
	}{
		"search finds nothing":                         {call: recent, search: saved(t, 200, "search_none"), page: scanned(false)},
		"search finds nothing, too many payments":      {call: recent, search: saved(t, 200, "search_none"), page: scanned(true, "other")},
		"search finds nothing, an hour has passed":     {call: old, search: saved(t, 200, "search_none"), page: scanned(false)},
		"search is unavailable":                        {call: recent, search: unavailable, page: scanned(false, "other")},
		"search is unavailable, too many payments":     {call: recent, search: unavailable, page: scanned(true, "other"), want: new(400)},
		"search is unavailable, an hour has passed":    {call: old, search: unavailable, page: scanned(false), want: new(400)},
		"search finds nothing, the list is refused":    {call: recent, search: saved(t, 200, "search_none"), page: response{status: 403}, want: new(403)},
		"search finds nothing, the list is unreadable": {call: recent, search: saved(t, 200, "search_none"), page: response{status: 200, body: `{}`}, want: new(200)},
		"two payments on one page":                     {call: recent, search: unavailable, page: scanned(false, key, key), want: new(200)},
		"two payments on two pages":                    {call: recent, search: unavailable, page: scanned(true, key), want: new(200)},
		"payment without an id":                        {call: recent, search: unavailable, page: scanned(false, key).replaced(t, intentID, ""), want: new(200)},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, c.search, c.page)
			got, found, err := f.Lookup(t.Context(), c.call)
			require.False(t, found)
			require.Zero(t, got)
			require.LessOrEqual(t, len(f.seen), 1+maxScanPages)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			var e *processor.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, *c.want, e.HTTPStatus)
		})
	}
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
	created := time.Unix(1680800504, 0).UTC()
	ownID := payment.PaymentID("acme", "order-1")
	got, err := start(t, saved(t, 200, "payments_page").replaced(t, "pay_1", ownID)).List(t.Context(), processor.ListCall{})
	require.NoError(t, err)
	own := paid(payment.Succeeded, 1250, 50)
	own.RequestID = ""
	require.Equal(t, processor.Page{Next: "pi_3MtwBwLkdIwHu7ix28a3tqPd", Records: []processor.Record{
		{Result: own, CreatedAt: created, OwnID: ownID},
		{CreatedAt: created,
			Result: processor.Result{ID: "pi_3MtwBwLkdIwHu7ix28a3tqPc", Status: payment.Pending, Amount: 1250, Currency: "USD"}},
		{Result: processor.Result{ID: "pi_3MtwBwLkdIwHu7ix28a3tqPd"}, CreatedAt: created, Unreadable: errAmount.Error()},
	}}, got)

	last, err := start(t, response{status: 200, body: `{"data":[],"has_more":false}`}).List(t.Context(),
		processor.ListCall{})
	require.NoError(t, err)
	require.Empty(t, last.Next)
}

func TestListHasRefundsWithTheirPayments(t *testing.T) {
	created := time.Unix(1692942318, 0).UTC()
	ownID := payment.RefundID("acme", "refund-1")
	page := saved(t, 200, "refunds_page_1").
		replaced(t, `"florin_reference": "another"`, `"florin_reference": "another", "florin_merchant_id": "acme", "florin_refund_id": "`+ownID+`"`)
	got, err := start(t, page).List(t.Context(), processor.ListCall{Operation: payment.OperationRefund})
	require.NoError(t, err)
	refund := processor.Result{ID: "re_1Nispe2eZvKYlo2Cd31jOCg1", Status: payment.Succeeded, Amount: 250, Currency: "USD"}
	own := refund
	own.ID, own.Reference, own.MerchantID = "re_1Nispe2eZvKYlo2Cd31jOCg2", "another", "acme"
	require.Equal(t, processor.Page{Next: own.ID, Records: []processor.Record{
		{Result: refund, CreatedAt: created, ProcessorPaymentID: intentID},
		{Result: own, CreatedAt: created, ProcessorPaymentID: intentID, OwnID: ownID},
	}}, got)
}

// Reconciliation has to see every record.
func TestUnreadableRecordOfAListDoesNotHideTheOthers(t *testing.T) {
	const whole = `{"id":"pi_1","object":"payment_intent","status":"succeeded","amount":1,"amount_received":1,"currency":"usd","created":1680800504,` +
		`"latest_charge":"ch_1","metadata":{"florin_reference":"x"}}`
	known := processor.Record{Result: processor.Result{ID: "pi_1", Reference: "x"}, CreatedAt: time.Unix(1680800504, 0).UTC()}
	without := func(change func(*processor.Record)) processor.Record {
		r := known
		change(&r)
		return r
	}
	const wrongType = "the JSON has a value of another type than documented"
	for name, tc := range map[string]struct {
		old, new, reason string
		want             processor.Record
	}{
		"unknown status":         {old: "succeeded", new: "settled", reason: errStatus.Error(), want: known},
		"no amount":              {old: `"amount"`, new: `"total"`, reason: errIncomplete.Error(), want: known},
		"amount as a text":       {old: `"amount":1`, new: `"amount":"1"`, reason: wrongType, want: known},
		"unknown currency":       {old: "usd", new: "xxx", reason: errAmount.Error(), want: known},
		"another object":         {old: "payment_intent", new: "setup_intent", reason: errIncomplete.Error(), want: known},
		"charge of another form": {old: `"ch_1"`, new: `7`, reason: wrongType, want: known},
		"metadata of another form": {old: `{"florin_reference":"x"}`, new: `["x"]`, reason: wrongType,
			want: without(func(r *processor.Record) { r.Reference = "" })},
		"id of another form": {old: `"pi_1"`, new: `1`, reason: wrongType, want: without(func(r *processor.Record) { r.ID = "" })},
		"id with a slash": {old: `"pi_1"`, new: `"pi/1"`, reason: errIncomplete.Error(),
			want: without(func(r *processor.Record) { r.ID = "" })},
		"created far in the future": {old: `1680800504,"latest_charge":"ch_1"`, new: `253402300800,"latest_charge":7`, reason: wrongType,
			want: without(func(r *processor.Record) { r.CreatedAt = time.Time{} })},
		"reference with a card number": {old: `"ch_1","metadata":{"florin_reference":"x"}`,
			new: `7,"metadata":{"florin_reference":"4111111111111111"}`, reason: wrongType,
			want: without(func(r *processor.Record) { r.Reference = "" })},
		"reference that is not printable": {old: `"ch_1","metadata":{"florin_reference":"x"}`,
			new: `7,"metadata":{"florin_reference":"\n"}`, reason: wrongType,
			want: without(func(r *processor.Record) { r.Reference = "" })},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, whole, tc.old)
			bad := strings.Replace(whole, tc.old, tc.new, 1)
			page, err := start(t, response{status: 200, body: `{"data":[` + whole + `,` + bad + `,` + whole + `],"has_more":true}`}).
				List(t.Context(), processor.ListCall{})
			require.NoError(t, err)
			require.Equal(t, "pi_1", page.Next)
			require.Len(t, page.Records, 3)
			tc.want.Unreadable = tc.reason
			require.Equal(t, tc.want, page.Records[1])
			for _, i := range []int{0, 2} {
				require.Equal(t, payment.Succeeded, page.Records[i].Status)
			}
		})
	}
}

func TestUnreadablePageIsAnError(t *testing.T) {
	const whole = `{"id":"pi_1","object":"payment_intent"}`
	for name, body := range map[string]string{
		"no list":                  `{}`,
		"null data":                `{"data":null}`,
		"null record":              `{"data":[` + whole + `,null]}`,
		"record is a text":         `{"data":[` + whole + `,"pi_2"]}`,
		"a name twice":             `{"data":[{"id":"pi_1","id":"pi_2"}]}`,
		"empty page with has_more": `{"data":[],"has_more":true}`,
		"no id at the end":         `{"data":[` + whole + `,{"object":"payment_intent"}],"has_more":true}`,
		"the cursor again":         `{"data":[{"id":"pi_9"}],"has_more":true}`,
	} {
		for _, operation := range []payment.Operation{payment.OperationCharge, payment.OperationRefund} {
			t.Run(name+": "+string(operation), func(t *testing.T) {
				page, err := start(t, response{status: 200, body: body}).
					List(t.Context(), processor.ListCall{Operation: operation, Cursor: "pi_9"})
				requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
				require.Zero(t, page)
			})
		}
	}
}

func TestFreshListComesFromTheCache(t *testing.T) {
	for page, operation := range map[string]payment.Operation{"payments_page": payment.OperationCharge, "refunds_page_1": payment.OperationRefund} {
		f := start(t, saved(t, 200, page).with("Cache-Control", "max-age=60"))
		var first processor.Page
		for i := range 2 {
			page, err := f.List(t.Context(), processor.ListCall{Operation: operation})
			require.NoError(t, err)
			require.NotEmpty(t, page.Records)
			if i == 0 {
				first = page
			}
			require.Equal(t, first, page)
		}
		require.Len(t, f.seen, 1)
	}
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

// An operator has named the id. The record may be of another payment, or another system's: the workflow compares the reference.
func TestRecordIsReadByTheIDThatAnOperatorHasNamed(t *testing.T) {
	named := func(call processor.LookupCall, id string) processor.LookupCall {
		call.ID = id
		return call
	}
	for name, tt := range map[string]struct {
		call      processor.LookupCall
		response  response
		path      string
		reference string
		absent    bool
	}{
		"a payment": {call: named(chargeLookup, intentID), response: saved(t, 200, "payment_succeeded"), path: "/v1/payment_intents/" + intentID, reference: key},
		"another payment": {
			call: named(chargeLookup, intentID), response: saved(t, 200, "payment_succeeded").replaced(t, key, "other"),
			path: "/v1/payment_intents/" + intentID, reference: "other",
		},
		"a refund":   {call: named(refundLookup, refundID), response: saved(t, 200, "refund_succeeded"), path: "/v1/refunds/" + refundID, reference: key},
		"no payment": {call: named(chargeLookup, intentID), response: saved(t, 404, "error_resource_missing"), path: "/v1/payment_intents/" + intentID, absent: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, tt.response)
			got, found, err := f.Lookup(t.Context(), tt.call)
			require.NoError(t, err)
			require.Equal(t, !tt.absent, found)
			require.Equal(t, tt.reference, got.Reference)
			require.Equal(t, tt.path, (<-f.seen).path)
		})
	}
	_, found, err := start(t, saved(t, 200, "payment_succeeded")).Lookup(t.Context(), named(chargeLookup, "pi_another"))
	require.Error(t, err, "the response is about another id")
	require.False(t, found)
	_, _, err = start(t).Lookup(t.Context(), named(chargeLookup, "../customers/cus_1"))
	requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest)
}
