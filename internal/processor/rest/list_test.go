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
		"/payments?limit=7":         {Limit: 7, Operation: payment.OperationCharge},
		"/payments?cursor=a%26b%3D": {Cursor: "a&b="},
		"/payments?created_after=2026-01-15T10%3A59%3A59Z&cursor=c&limit=1": {
			CreatedAfter: time.Date(2026, 1, 15, 12, 0, 0, 5e8, time.FixedZone("", 3600)), Cursor: "c", Limit: 1},
		"/refunds": {Operation: payment.OperationRefund},
		"/refunds?created_after=2026-01-15T10%3A59%3A59Z&cursor=c&limit=1": {Operation: payment.OperationRefund,
			CreatedAfter: time.Date(2026, 1, 15, 11, 0, 0, 0, time.UTC), Cursor: "c", Limit: 1},
	} {
		f := start(t, 200, `{"data":[]}`)
		_, err := f.List(t.Context(), call)
		require.NoError(t, err)
		require.Equal(t, request{method: "GET", uri: uri}, <-f.seen)
	}
}

// The ids of Florin's that the records of the tests have in their metadata.
var ownPaymentID, ownRefundID = payment.PaymentID("acme", "order-1"), payment.RefundID("acme", "refund-1")

// created is created_at of the records.
var created = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// fields are further fields of the records.
var fields = `,"metadata":{"florin_merchant_id":"acme","florin_payment_id":"` + ownPaymentID +
	`","florin_refund_id":"` + ownRefundID + `"}`

func TestPageHasAllPaymentsAndTheNextCursor(t *testing.T) {
	foreign := strings.Replace(paid("authorized", ""), key, "", 1)
	page, err := start(t, 200, `{"data":[`+paid("declined", `,"decline_code":"lost_card"`+fields)+`,`+foreign+
		`],"next_cursor":"c2"}`).
		List(t.Context(), processor.ListCall{Cursor: "c1"})
	require.NoError(t, err)
	require.Equal(t, processor.Page{Next: "c2", Records: []processor.Record{
		{CreatedAt: created, OwnID: ownPaymentID,
			Result: processor.Result{ID: "ch_1", Status: payment.Declined, Amount: 1250, Currency: "USD", Reference: key, MerchantID: "acme",
				Decline: &payment.Decline{Code: "lost_card", Kind: payment.DeclineSoft}}},
		// A payment that Florin did not make has no reference.
		{CreatedAt: created, Result: processor.Result{ID: "ch_1", Status: payment.Authorized, Amount: 1250, Currency: "USD"}},
	}}, page)
}

func TestPageHasAllRefundsWithTheirPayments(t *testing.T) {
	own := `{"id":"re_1","payment_id":"ch_1","status":"pending","amount":250,"currency":"USD","reference":"` + key +
		`","created_at":"2026-01-15T13:00:00.5+01:00"` + fields + `}`
	foreign := `{"id":"re_2","payment_id":"ch_2","status":"succeeded","amount":99,"currency":"USD","created_at":"yesterday","metadata":{"basket":"7"}}`
	page, err := start(t, 200, `{"data":[`+own+`,`+foreign+`],"next_cursor":"c2"}`).
		List(t.Context(), processor.ListCall{Operation: payment.OperationRefund})
	require.NoError(t, err)
	require.Equal(t, processor.Page{Next: "c2", Records: []processor.Record{
		{CreatedAt: created.Add(time.Second / 2), OwnID: ownRefundID, ProcessorPaymentID: "ch_1",
			Result: processor.Result{ID: "re_1", Status: payment.Pending, Amount: 250, Currency: "USD", Reference: key, MerchantID: "acme"}},
		{ProcessorPaymentID: "ch_2", Result: processor.Result{ID: "re_2", Status: payment.Succeeded, Amount: 99, Currency: "USD"}},
	}}, page)
}

// Reconciliation has to see every record.
func TestUnreadableRecordDoesNotHideTheOthers(t *testing.T) {
	whole := paid("succeeded", fields)
	known := processor.Record{Result: processor.Result{ID: "ch_1", Reference: key}, CreatedAt: created, OwnID: ownPaymentID}
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
		"unknown status":      {old: "succeeded", new: "settled", reason: errStatus.Error(), want: known},
		"no amount":           {old: "amount", new: "total", reason: errAmount.Error(), want: known},
		"negative amount":     {old: "1250", new: "-1250", reason: errAmount.Error(), want: known},
		"amount as a text":    {old: "1250", new: `"1250"`, reason: wrongType, want: known},
		"fraction":            {old: "1250", new: "1250.5", reason: wrongType, want: known},
		"nothing captured":    {old: `"amount"`, new: `"captured_amount":0,"amount"`, reason: errMoved.Error(), want: known},
		"metadata is no text": {old: `"acme"`, new: `7`, reason: wrongType, want: known},
		"metadata is a list": {old: `"metadata":{`, new: `"metadata":[1],"x":{`, reason: wrongType,
			want: without(func(r *processor.Record) { r.OwnID = "" })},
		"currency is missing": {old: `"USD"`, new: `""`, want: known},
		"id is a number":      {old: `"ch_1"`, new: `1`, reason: wrongType, want: without(func(r *processor.Record) { r.ID = "" })},
		"id is not printable": {old: "ch_1", new: `ch_1\n`, want: without(func(r *processor.Record) { r.ID = "" })},
		"reference is a list": {old: `"` + key + `"`, new: `["x"]`, reason: wrongType,
			want: without(func(r *processor.Record) { r.Reference = "" })},
		"another's own id": {old: "succeeded", new: `settled","florin_payment_id":"pay_1`, reason: errStatus.Error(), want: known},
		"time is not readable": {old: `2026-01-15T12:00:00Z"`, new: `noon","can_still_succeed":true,"x":""`,
			want: without(func(r *processor.Record) { r.CreatedAt = time.Time{} })},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, whole, tc.old)
			bad := strings.Replace(whole, tc.old, tc.new, 1)
			page, err := start(t, 200, `{"data":[`+bad+`,`+paid("authorized", "")+`,`+bad+`],"next_cursor":"c2"}`).
				List(t.Context(), processor.ListCall{})
			require.NoError(t, err)
			require.Equal(t, "c2", page.Next)
			require.Len(t, page.Records, 3)
			for _, i := range []int{0, 2} {
				require.NotEmpty(t, page.Records[i].Unreadable)
				require.Contains(t, page.Records[i].Unreadable, tc.reason)
				page.Records[i].Unreadable = ""
				require.Equal(t, tc.want, page.Records[i])
			}
			require.Equal(t, payment.Authorized, page.Records[1].Status)
		})
	}
	page, err := start(t, 200, `{"data":[{"id":"re_1","payment_id":"ch_1","status":"authorized","amount":1,"currency":"USD"}]}`).
		List(t.Context(), processor.ListCall{Operation: payment.OperationRefund})
	require.NoError(t, err)
	require.Equal(t, []processor.Record{{Result: processor.Result{ID: "re_1"}, ProcessorPaymentID: "ch_1",
		Unreadable: errStatus.Error()}}, page.Records, "a refund has no such status")
}

// Taking one of these for an empty page would hide payments from reconciliation.
func TestUnreadablePageIsAnError(t *testing.T) {
	whole := paid("succeeded", "")
	for name, body := range map[string]string{
		"empty": ``, "null": `null`, "no data": `{}`, "null data": `{"data":null}`, "a list": `[]`, "HTML": `<html>`,
		"half the body":         `{"data":[` + whole,
		"null record":           `{"data":[` + whole + `,null]}`,
		"record is a text":      `{"data":[` + whole + `,"ch_2"]}`,
		"record is a list":      `{"data":[[` + whole + `]]}`,
		"a name twice":          `{"data":[` + strings.Replace(whole, `"id"`, `"id":"ch_2","id"`, 1) + `]}`,
		"cursor is a list":      `{"data":[` + whole + `],"next_cursor":["c2"]}`,
		"the same cursor":       `{"data":[` + whole + `],"next_cursor":"c1"}`,
		"beyond the size limit": `{"data":[` + strings.Repeat(" ", 1<<20) + `]}`,
	} {
		for _, operation := range []payment.Operation{payment.OperationCharge, payment.OperationRefund} {
			t.Run(name+": "+string(operation), func(t *testing.T) {
				page, err := start(t, 200, body).List(t.Context(), processor.ListCall{Operation: operation, Cursor: "c1"})
				require.Zero(t, page)
				requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
			})
		}
	}
}
