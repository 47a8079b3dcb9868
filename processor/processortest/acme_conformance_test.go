package processortest_test

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
	"github.com/florinpay/florin/processor"
	"github.com/florinpay/florin/processor/processortest"
)

func TestAcmeConforms(t *testing.T) { processortest.Run(t, acmeProtocol()) }

// acmeProtocol describes Acme's protocol to the conformance suite.
func acmeProtocol() processortest.Protocol {
	return processortest.Protocol{
		New:             func(c processor.Client) processor.Processor { return &acme{c} },
		Profile:         acmeProfile(),
		PaymentStatuses: acmeStates,
		RefundStatuses:  acmeReturnStates,
		ParseRequest:    parseAcme,
		ParseMetadata:   parseAcmeMetadata,
		WritePayment:    func(r processortest.Record) processortest.Response { return writeAcme(200, acmeRecord(r)) },
		WriteRefund:     func(r processortest.Record) processortest.Response { return writeAcme(200, acmeRecord(r)) },
		WriteLookup: func(_ processortest.Request, records []processortest.Record) processortest.Response {
			return writeAcmePage(records, "")
		},
		WritePage: writeAcmePage,
		Declines: []processortest.Decline{{
			Name:  "402 with a reason",
			Write: func(processortest.Record) processortest.Response { return writeAcmeError(402, "refused", "", "stolen") },
			Want:  payment.Decline{Code: "stolen", Kind: payment.DeclineHard},
		}},
		OpenDeclines: []string{"reopened"},
		WriteError: func(status int, code, message string) processortest.Response {
			return writeAcmeError(status, code, message, "")
		},
		WriteMismatch:    func() processortest.Response { return writeAcmeError(400, "key_reused", "", "") },
		WriteConflict:    func() processortest.Response { return writeAcmeError(400, "already_settled", "", "") },
		WriteObjectLevel: func() processortest.Response { return writeAcmeError(429, "transaction_locked", "", "") },
		ParseBatch:       parseAcmeBatch,
		WriteBatch:       writeAcmeBatch,
		WriteInFlight:    nil, // Acme answers the second request after the first one has ended
	}
}

func acmeRecord(r processortest.Record) map[string]any {
	t := map[string]any{"id": r.ID, "state": r.Status, "cents": r.Amount, "currency": strings.ToLower(r.Currency),
		"order":         r.Reference,
		"settled_cents": r.Captured, "returned_cents": r.Refunded,
		"payment": r.PaymentID, "created": r.CreatedAt.Unix(),
		"meta": map[string]string{"florin_merchant_id": r.MerchantID, "florin_payment_id": r.OwnID, "florin_refund_id": r.OwnID}}
	maps.DeleteFunc(t, func(_ string, v any) bool { return v == "" || v == int64(0) })
	return t
}

func writeAcmePage(records []processortest.Record, next string) processortest.Response {
	items := []any{}
	for _, r := range records {
		items = append(items, acmeRecord(r))
	}
	return writeAcme(200, map[string]any{"items": items, "more": next != ""})
}

// writeAcmeBatch writes each response as it is, in its item.
func writeAcmeBatch(items []processortest.BatchItem) processortest.Response {
	results := []any{}
	for _, item := range items {
		result := map[string]any{"key": item.Key, "code": item.Response.Status, "body": json.RawMessage(item.Response.Body)}
		if seconds := item.Response.Header.Get("Retry-After"); seconds != "" {
			result["retry_after"] = seconds
		}
		results = append(results, result)
	}
	return writeAcme(200, map[string]any{"results": results})
}

func writeAcmeError(status int, code, text, reason string) processortest.Response {
	return writeAcme(status, map[string]any{"error": code, "text": text, "reason": reason})
}

func writeAcme(status int, v any) processortest.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return processortest.Response{Status: status, Body: body}
}

func parseAcmeMetadata(r processortest.Request) map[string]string {
	form, _ := url.ParseQuery(string(r.Body))
	pairs := map[string]string{}
	for name := range form {
		if key, ok := strings.CutPrefix(name, "meta."); ok {
			pairs[key] = form.Get(name)
		}
	}
	return pairs
}

func parseAcme(r processortest.Request) (processortest.ParsedRequest, error) {
	path := strings.Split(strings.Trim(r.Path, "/"), "/")
	if r.Method == http.MethodGet && r.Path == "/returns" {
		return parseAcmeList(processortest.ListRefunds, r.Query)
	}
	if r.Method == http.MethodPost && r.Path == "/batches" {
		return processortest.ParsedRequest{Operation: processortest.Batch}, nil
	}
	if path[0] != "transactions" || len(path) == 2 || len(path) > 3 {
		return processortest.ParsedRequest{}, errors.New("no such request in Acme's protocol")
	}
	if r.Method == http.MethodGet {
		return parseAcmeQuery(path, r.Query)
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return processortest.ParsedRequest{}, err
	}
	parsed := processortest.ParsedRequest{Operation: processortest.Charge,
		Currency: strings.ToUpper(form.Get("currency")), Reference: form.Get("order"),
		PaymentMethod: form.Get("source"), ManualCapture: form.Get("settle") == "later"}
	if form.Has("cents") {
		if parsed.Amount, err = strconv.ParseInt(form.Get("cents"), 10, 64); err != nil {
			return parsed, err
		}
	}
	if len(path) == 3 {
		parsed.PaymentID = path[1]
		parsed.Operation = map[string]processortest.Operation{
			"settle": processortest.Capture, "cancel": processortest.Void, "returns": processortest.Refund}[path[2]]
	}
	return parsed, nil
}

func parseAcmeBatch(r processortest.Request) (charges []processortest.Request, err error) {
	var items []acmeItem
	if err := json.Unmarshal(r.Body, &items); err != nil {
		return nil, err
	}
	for _, item := range items {
		charges = append(charges, processortest.Request{Method: http.MethodPost, Path: "/transactions", Body: []byte(item.Form),
			Header: http.Header{"Idempotency-Key": {item.Key}}})
	}
	return charges, nil
}

func parseAcmeQuery(path []string, q url.Values) (parsed processortest.ParsedRequest, err error) {
	switch {
	case len(path) == 3 && path[2] == "returns":
		return processortest.ParsedRequest{Operation: processortest.LookupRefund, PaymentID: path[1]}, nil
	case len(path) == 3:
		return parsed, errors.New("no such request in Acme's protocol")
	case q.Has("order"):
		return processortest.ParsedRequest{Operation: processortest.LookupCharge, Reference: q.Get("order")}, nil
	}
	return parseAcmeList(processortest.List, q)
}

func parseAcmeList(operation processortest.Operation, q url.Values) (parsed processortest.ParsedRequest, err error) {
	parsed = processortest.ParsedRequest{Operation: operation, Cursor: q.Get("after")}
	if q.Has("limit") {
		if parsed.Limit, err = strconv.Atoi(q.Get("limit")); err != nil {
			return parsed, err
		}
	}
	if q.Has("since") {
		seconds, err := strconv.ParseInt(q.Get("since"), 10, 64)
		if err != nil {
			return parsed, err
		}
		parsed.CreatedAfter = time.Unix(seconds, 0)
	}
	return parsed, nil
}
