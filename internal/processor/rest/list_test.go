package rest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestListRequestHasTheParametersOfTheCall(t *testing.T) {
	for uri, call := range map[string]processor.ListCall{
		"/payments":                 {},
		"/payments?limit=7":         {Limit: 7},
		"/payments?cursor=a%26b%3D": {Cursor: "a&b="},
		"/payments?created_after=2026-01-15T11%3A00%3A00.5Z&cursor=c&limit=1": {
			CreatedAfter: time.Date(2026, 1, 15, 12, 0, 0, 5e8, time.FixedZone("", 3600)), Cursor: "c", Limit: 1},
	} {
		f := start(t, 200, `{"data":[]}`)
		_, err := f.List(t.Context(), call)
		require.NoError(t, err)
		require.Equal(t, request{method: "GET", uri: uri}, <-f.seen)
	}
}

func TestPageHasAllPaymentsAndTheNextCursor(t *testing.T) {
	foreign := strings.Replace(paid("authorized", ""), key, "", 1)
	page, err := start(t, 200, `{"data":[`+paid("declined", `,"decline_code":"lost_card"`)+`,`+foreign+
		`],"next_cursor":"c2"}`).
		List(t.Context(), processor.ListCall{Cursor: "c1"})
	require.NoError(t, err)
	require.Equal(t, processor.Page{Next: "c2", Records: []processor.Record{
		{Result: processor.Result{ID: "ch_1", Status: payment.Declined, Amount: 1250, Currency: "USD", Reference: key,
			Decline: &payment.Decline{Code: "lost_card", Kind: payment.DeclineSoft}}},
		// A payment that Florin did not make has no reference.
		{Result: processor.Result{ID: "ch_1", Status: payment.Authorized, Amount: 1250, Currency: "USD"}},
	}}, page)
}

// Taking one of these for an empty page would hide payments from reconciliation.
func TestUnreadablePageIsAnError(t *testing.T) {
	whole := paid("succeeded", "")
	for name, body := range map[string]string{
		"empty": ``, "null": `null`, "no data": `{}`, "null data": `{"data":null}`, "a list": `[]`, "HTML": `<html>`,
		"half the body":         `{"data":[` + whole,
		"null record":           `{"data":[` + whole + `,null]}`,
		"unknown status":        `{"data":[` + whole + `,` + paid("settled", "") + `]}`,
		"cursor is a list":      `{"data":[` + whole + `],"next_cursor":["c2"]}`,
		"the same cursor":       `{"data":[` + whole + `],"next_cursor":"c1"}`,
		"beyond the size limit": `{"data":[` + strings.Repeat(" ", 1<<20) + `]}`,
		"negative amount":       `{"data":[` + strings.Replace(whole, "1250", "-1", 1) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			page, err := start(t, 200, body).List(t.Context(), processor.ListCall{Cursor: "c1"})
			require.Zero(t, page)
			requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
		})
	}
}
