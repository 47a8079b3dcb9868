package rest

import (
	"encoding/json"
	"errors"
	"fmt"
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

// openDecline is a name for a declined payment that can still succeed.
const openDecline = "declined, can still succeed"

func TestAdapterConforms(t *testing.T) {
	payments := maps.Clone(chargeStatuses)
	payments[openDecline] = payment.Declined
	processortest.Run(t, processortest.Protocol{
		New:             func(c processor.Client) processor.Processor { return New(c) },
		Profile:         Profile(),
		PaymentStatuses: payments,
		RefundStatuses:  maps.Clone(refundStatuses),
		ParseRequest:    readRequest,
		ParseMetadata:   readMetadata,
		WritePayment:    writeRecord,
		WriteRefund:     writeRecord,
		WriteLookup: func(_ processortest.Request, records []processortest.Record) processortest.Response {
			return writeList(records, "")
		},
		WriteNotFound: func(processortest.Request) []processortest.Response {
			return []processortest.Response{writeError(404, "payment_not_found", ""),
				writeError(404, "refund_not_found", "")}
		},
		WritePage:        writeList,
		ETags:            true,
		Declines:         declines,
		OpenDeclines:     []string{openDecline},
		RefundDeclines:   declines,
		WriteError:       writeError,
		WriteInFlight:    func() processortest.Response { return writeError(409, "idempotency_in_flight", "") },
		WriteObjectLevel: func() processortest.Response { return writeError(429, "lock_timeout", "") },
		WriteMismatch:    func() processortest.Response { return writeError(422, "idempotency_mismatch", "") },
		ParseBatch:       readBatch,
		WriteBatch:       writeBatch,
	})
}

var declines = []processortest.Decline{
	{
		Name:  "402 with a decline code and a kind",
		Write: declineOf(402, "card_declined", "lost_card", "hard"),
		Want:  payment.Decline{Code: "lost_card", Kind: payment.DeclineHard, Message: "no"},
	},
	{
		Name:  "402 without a decline code",
		Write: declineOf(402, "card_declined", "", ""),
		Want:  payment.Decline{Code: "card_declined", Kind: payment.DeclineSoft, Message: "no"},
	},
	{
		Name:  "422 with a decline code",
		Write: declineOf(422, "card_declined", "authentication_required", "action"),
		Want:  payment.Decline{Code: "authentication_required", Kind: payment.DeclineAction, Message: "no"},
	},
}

func declineOf(status int, code, declineCode, kind string) func(processortest.Record) processortest.Response {
	return func(processortest.Record) processortest.Response {
		return writeJSON(status, map[string]any{"error": map[string]any{"code": code, "message": "no",
			"decline_code": declineCode, "decline_kind": kind}})
	}
}

func writeError(status int, code, message string) processortest.Response {
	return writeJSON(status, map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func writeRecord(r processortest.Record) processortest.Response { return writeJSON(200, recordOf(r)) }

func writeList(records []processortest.Record, next string) processortest.Response {
	data := make([]any, len(records))
	for i, r := range records {
		data[i] = recordOf(r)
	}
	list := map[string]any{"data": data}
	if next != "" {
		list["next_cursor"] = next
	}
	return writeJSON(200, list)
}

// writeBatch writes the status of each item, and its payment or the error of its body.
func writeBatch(items []processortest.BatchItem) processortest.Response {
	all := make([]any, len(items))
	for i, item := range items {
		one := map[string]any{"key": item.Key, "status": item.Response.Status}
		if item.Response.Status == http.StatusOK {
			one["payment"] = json.RawMessage(item.Response.Body)
		} else {
			var body map[string]json.RawMessage
			if err := json.Unmarshal(item.Response.Body, &body); err != nil {
				panic(err)
			}
			one["error"] = body["error"]
		}
		if after := item.Response.Header.Get("Retry-After"); after != "" {
			one["retry_after"] = after
		}
		all[i] = one
	}
	return writeJSON(200, map[string]any{"items": all})
}

func recordOf(r processortest.Record) any {
	record := map[string]any{
		"id": r.ID, "status": r.Status, "amount": r.Amount, "currency": r.Currency, "reference": r.Reference,
		"created_at": r.CreatedAt.Format(time.RFC3339),
	}
	maps.DeleteFunc(record, func(_ string, v any) bool { return v == "" || v == int64(0) })
	metadata := map[string]string{"florin_merchant_id": r.MerchantID}
	record["metadata"] = metadata
	if r.PaymentID != "" {
		record["payment_id"], metadata["florin_refund_id"] = r.PaymentID, r.OwnID
		return record
	}
	metadata["florin_payment_id"] = r.OwnID
	record["captured_amount"], record["refunded_amount"] = r.Captured, r.Refunded
	if r.Status == openDecline {
		record["status"], record["can_still_succeed"] = "declined", true
	}
	return record
}

func writeJSON(status int, v any) processortest.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return processortest.Response{Status: status, Body: body}
}

// sentBody has the fields of all request bodies of the protocol.
type sentBody struct {
	CardToken string            `json:"card_token"`
	Amount    int64             `json:"amount"`
	Currency  string            `json:"currency"`
	Capture   *bool             `json:"capture"`
	PaymentID string            `json:"payment_id"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata"`
}

func readMetadata(r processortest.Request) map[string]string {
	var body sentBody
	_ = json.Unmarshal(r.Body, &body)
	return body.Metadata
}

func readRequest(r processortest.Request) (parsed processortest.ParsedRequest, err error) {
	if r.Method == http.MethodPost {
		return readPost(r)
	}
	q := r.Query
	switch {
	case r.Method != http.MethodGet || len(r.Body) > 0:
		return parsed, errors.New("the protocol has only POST, and GET without a body")
	case r.Path == "/payments" && q.Has("reference"):
		return processortest.ParsedRequest{Operation: processortest.LookupCharge, Reference: q.Get("reference")}, nil
	case r.Path == "/refunds" && q.Has("reference"):
		return processortest.ParsedRequest{Operation: processortest.LookupRefund, Reference: q.Get("reference")}, nil
	case r.Path == "/payments":
		return readList(processortest.List, q)
	case r.Path == "/refunds":
		return readList(processortest.ListRefunds, q)
	default:
		return parsed, errors.New("no such request in the protocol")
	}
}

func readList(operation processortest.Operation, q url.Values) (parsed processortest.ParsedRequest, err error) {
	parsed = processortest.ParsedRequest{Operation: operation, Cursor: q.Get("cursor")}
	if q.Has("limit") {
		if parsed.Limit, err = strconv.Atoi(q.Get("limit")); err != nil {
			return parsed, err
		}
	}
	if q.Has("created_after") {
		parsed.CreatedAfter, err = time.Parse(time.RFC3339, q.Get("created_after"))
	}
	return parsed, err
}

func readPost(r processortest.Request) (parsed processortest.ParsedRequest, err error) {
	if r.Header.Get("Content-Type") != "application/json" {
		return parsed, fmt.Errorf("content type %q: want application/json", r.Header.Get("Content-Type"))
	}
	var body sentBody
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return parsed, err
	}
	parsed = processortest.ParsedRequest{Amount: body.Amount, Currency: body.Currency, Reference: body.Reference,
		PaymentID:     body.PaymentID,
		PaymentMethod: body.CardToken, ManualCapture: body.Capture != nil && !*body.Capture}
	switch r.Path {
	case "/batches":
		parsed.Operation = processortest.Batch
		return parsed, nil
	case "/charges":
		parsed.Operation = processortest.Charge
		return parsed, nil
	case "/refunds":
		parsed.Operation = processortest.Refund
		return parsed, nil
	}
	path := strings.Split(r.Path, "/")
	if len(path) != 4 || path[1] != "payments" {
		return parsed, errors.New("no such request in the protocol")
	}
	parsed.Operation = map[string]processortest.Operation{"capture": processortest.Capture,
		"void": processortest.Void}[path[3]]
	parsed.PaymentID, err = url.PathUnescape(path[2])
	return parsed, err
}

// readBatch returns each item as the POST /charges that it would be on its own.
func readBatch(r processortest.Request) (charges []processortest.Request, err error) {
	var body struct {
		Items []struct {
			Key    string          `json:"key"`
			Charge json.RawMessage `json:"charge"`
		} `json:"items"`
	}
	err = json.Unmarshal(r.Body, &body)
	for _, item := range body.Items {
		charges = append(charges, processortest.Request{Method: http.MethodPost, Path: "/charges", Body: item.Charge,
			Header: http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {item.Key}}})
	}
	return charges, err
}
