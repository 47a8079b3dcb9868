package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPaymentsAndRefundsAreFoundByIDAndReference(t *testing.T) {
	h := start(t, Options{})
	var p payment
	h.post("/charges", "k", chargeBody("tok_visa", "a reference")).into(t, &p)
	require.Equal(t, metadata{"florin_payment_id": "pay_1"}, p.Metadata)
	var r refundEntry
	h.post("/refunds", "r", fmt.Sprintf(`{"payment_id":%q,"reference":"r","metadata":{"a":"b"}}`, p.ID)).into(t, &r)
	require.Equal(t, metadata{"a": "b"}, r.Metadata)
	p.RefundedAmount = 1000

	var one payment
	h.get("/payments/"+p.ID).into(t, &one)
	require.Equal(t, p, one)
	var many page[payment]
	h.get("/payments?reference=a+reference").into(t, &many)
	require.Equal(t, []payment{p}, many.Data)
	var oneRefund refundEntry
	h.get("/refunds/"+r.ID).into(t, &oneRefund)
	require.Equal(t, r, oneRefund)
	var refunds page[refundEntry]
	h.get("/refunds?reference=r").into(t, &refunds)
	require.Equal(t, []refundEntry{r}, refunds.Data)

	require.Equal(t, "404 payment_not_found", h.get("/payments/ch_unknown").String())
	require.Equal(t, "404 refund_not_found", h.get("/refunds/re_unknown").String())
	require.JSONEq(t, `{"data":[]}`, string(h.get("/payments?reference=unknown").body))
	require.JSONEq(t, `{"data":[]}`, string(h.get("/refunds?reference=unknown").body))
}

func TestCursorReturnsEachPaymentOnceIncludingNewOnes(t *testing.T) {
	h := start(t, Options{})
	add := func(i int) { h.pay("tok_visa", fmt.Sprintf("k%02d", i), true); h.clock.advance(time.Second) }
	for i := range 7 {
		add(i)
	}
	after := h.clock.now().Add(-6 * time.Second).Format(time.RFC3339Nano) // when the second payment was made; exclusive
	var references []string
	cursor, pages := "", 0
	for {
		var p page[payment]
		h.get("/payments?limit=2&created_after="+url.QueryEscape(after)+cursor).into(t, &p)
		for _, one := range p.Data {
			references = append(references, one.Reference)
		}
		if pages++; pages == 1 {
			add(7)
		}
		if p.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + p.NextCursor
	}
	require.Equal(t, []string{"k02", "k03", "k04", "k05", "k06", "k07"}, references)
	require.Equal(t, 3, pages)
}

func TestListHasAnETagAndRespondsNotModified(t *testing.T) {
	h := start(t, Options{})
	h.pay("tok_visa", "1", true)
	conditional := func(tag string) outcome {
		r := h.request(t.Context(), http.MethodGet, "/payments", "", "")
		r.Header.Set("If-None-Match", tag)
		return h.send(r)
	}
	tag := h.get("/payments").header.Get("ETag")
	require.NotEmpty(t, tag)
	for _, known := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		got := conditional(known)
		require.Equal(t, "304 empty", got.String(), known)
		require.Equal(t, tag, got.header.Get("ETag"))
	}
	h.pay("tok_visa", "2", true)
	changed := conditional(tag)
	require.Equal(t, http.StatusOK, changed.status)
	require.NotEqual(t, tag, changed.header.Get("ETag"))
}

func TestInvalidLookupsAreRefused(t *testing.T) {
	h := start(t, Options{})
	for path, want := range map[string]string{
		"/payments?limit=0":                 "400 query_invalid",
		"/payments?limit=101":               "400 query_invalid",
		"/payments?limit=ten":               "400 query_invalid",
		"/payments?cursor=!":                "400 query_invalid",
		"/payments?cursor=YWJj":             "400 query_invalid",
		"/payments?created_after=yesterday": "400 query_invalid",
		"/refunds?created_before=now":       "400 query_invalid",
		"/charges":                          "405 method_not_allowed",
		"/nothing":                          "404 not_found",
	} {
		require.Equal(t, want, h.get(path).String(), path)
	}
	require.Equal(t, "POST", h.get("/charges").header.Get("Allow"))
}
