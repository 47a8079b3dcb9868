package acme

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor/processortest"
)

func TestAdapterConforms(t *testing.T) { processortest.Run(t, protocol()) }

// protocol describes Acme's protocol to the conformance suite.
func protocol() processortest.Protocol {
	return processortest.Protocol{
		New:             Adapter().New,
		Profile:         Adapter().Profile,
		PaymentStatuses: paymentStates,
		RefundStatuses:  returnStates,
		ParseRequest:    readRequest,
		ParseMetadata:   readMetadata,
		WritePayment:    writeTransaction,
		WriteRefund:     writeTransaction,
		WriteLookup: func(_ processortest.Request, records []processortest.Record) processortest.Response {
			return writePage(records, "")
		},
		WritePage: writePage,
		Declines: []processortest.Decline{{
			Name:  "402 with a reason",
			Write: func(processortest.Record) processortest.Response { return writeError(402, "refused", "", "stolen") },
			Want:  payment.Decline{Code: "stolen", Kind: payment.DeclineHard},
		}},
		DeclinesAreFinal: true, // a refused transaction cannot be settled any more
		WriteError: func(status int, code, message string) processortest.Response {
			return writeError(status, code, message, "")
		},
		WriteMismatch: func() processortest.Response { return writeError(400, "key_reused", "", "") },
		WriteConflict: func() processortest.Response { return writeError(400, "already_settled", "", "") },
		WriteInFlight: nil, // a second request with the same key waits for the first
	}
}

// readRequest reads what a request of the adapter asks for, as Acme does.
func readRequest(r processortest.Request) (asked processortest.ParsedRequest, err error) {
	path := strings.Split(strings.TrimPrefix(r.Path, "/"), "/")
	if r.Method == http.MethodGet && r.Path == "/returns" {
		return readList(processortest.ListRefunds, r.Query)
	}
	if path[0] != "transactions" || len(path) == 2 || len(path) > 3 {
		return asked, errors.New("Acme has no such path")
	}
	if len(path) == 3 {
		if asked.PaymentID, err = url.PathUnescape(path[1]); err != nil {
			return asked, err
		}
	}
	if r.Method == http.MethodGet {
		return readQuery(asked, r.Query)
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return asked, err
	}
	asked.Operation = processortest.Charge
	if len(path) == 3 {
		asked.Operation = map[string]processortest.Operation{
			"settle": processortest.Capture, "cancel": processortest.Void, "returns": processortest.Refund}[path[2]]
	}
	asked.Currency, asked.Reference = strings.ToUpper(form.Get("currency")), form.Get("order")
	asked.PaymentMethod, asked.ManualCapture = form.Get("source"), form.Get("settle") == "later"
	if form.Has("amount") {
		asked.Amount, err = strconv.ParseInt(form.Get("amount"), 10, 64)
	}
	return asked, err
}

func readQuery(asked processortest.ParsedRequest, q url.Values) (_ processortest.ParsedRequest, err error) {
	switch {
	case asked.PaymentID != "":
		asked.Operation = processortest.LookupRefund
		return asked, nil
	case q.Has("order"):
		asked.Operation, asked.Reference = processortest.LookupCharge, q.Get("order")
		return asked, nil
	}
	return readList(processortest.List, q)
}

func readList(operation processortest.Operation, q url.Values) (asked processortest.ParsedRequest, err error) {
	asked = processortest.ParsedRequest{Operation: operation, Cursor: q.Get("after")}
	if q.Has("limit") {
		if asked.Limit, err = strconv.Atoi(q.Get("limit")); err != nil {
			return asked, err
		}
	}
	if q.Has("since") {
		seconds, err := strconv.ParseInt(q.Get("since"), 10, 64)
		if err != nil {
			return asked, err
		}
		asked.CreatedAfter = time.Unix(seconds, 0)
	}
	return asked, nil
}

func readMetadata(r processortest.Request) map[string]string {
	form, _ := url.ParseQuery(string(r.Body)) // readRequest has reported the error
	metadata := map[string]string{}
	for name := range form {
		if key, ok := strings.CutPrefix(name, "meta."); ok {
			metadata[key] = form.Get(name)
		}
	}
	return metadata
}

func writeTransaction(r processortest.Record) processortest.Response {
	return writeJSON(200, transactionOf(r))
}

func writePage(records []processortest.Record, next string) processortest.Response {
	items := make([]any, len(records))
	for i, r := range records {
		items[i] = transactionOf(r)
	}
	return writeJSON(200, map[string]any{"items": items, "more": next != ""})
}

func transactionOf(r processortest.Record) map[string]any {
	t := map[string]any{
		"id": r.ID, "state": r.Status, "amount": r.Amount, "currency": strings.ToLower(r.Currency), "settled": r.Captured,
		"returned": r.Refunded, "order": r.Reference, "payment": r.PaymentID, "created": r.CreatedAt.Unix(),
	}
	maps.DeleteFunc(t, func(_ string, v any) bool { return v == "" || v == int64(0) })
	ownID := "florin_payment_id"
	if r.PaymentID != "" {
		ownID = "florin_refund_id"
	}
	t["meta"] = map[string]string{"florin_merchant_id": r.MerchantID, ownID: r.OwnID}
	return t
}

func writeError(status int, code, text, reason string) processortest.Response {
	return writeJSON(status, map[string]any{"error": code, "text": text, "reason": reason})
}

func writeJSON(status int, v any) processortest.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return processortest.Response{Status: status, Body: body}
}
