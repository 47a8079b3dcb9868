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

func TestTheAdapterConforms(t *testing.T) {
	processortest.Run(t, processortest.Protocol{
		New:             func(c processor.Client) processor.Processor { return New(c) },
		Profile:         Profile(),
		PaymentStatuses: maps.Clone(chargeStatuses),
		RefundStatuses:  maps.Clone(refundStatuses),
		Read:            readRequest,
		Metadata:        readMetadata,
		Payment:         writeRecord,
		Refund:          writeRecord,
		Found: func(_ processortest.Request, records []processortest.Record) processortest.Answer {
			return writeList(records, "")
		},
		NotFound: func(processortest.Request) []processortest.Answer {
			return []processortest.Answer{writeError(404, "payment_not_found", ""), writeError(404, "refund_not_found", "")}
		},
		Page:           writeList,
		ETags:          true,
		Declines:       declines,
		RefundDeclines: declines,
		Error:          writeError,
		InFlight:       func() processortest.Answer { return writeError(409, "idempotency_in_flight", "") },
		Mismatch:       func() processortest.Answer { return writeError(422, "idempotency_mismatch", "") },
	})
}

var declines = []processortest.Decline{
	{
		Says:   "402 with a code and a kind",
		Answer: declineOf(402, "card_declined", "lost_card", "hard"),
		Want:   payment.Decline{Code: "lost_card", Kind: payment.DeclineHard, Message: "no"},
	},
	{
		Says:   "402 without",
		Answer: declineOf(402, "card_declined", "", ""),
		Want:   payment.Decline{Code: "card_declined", Kind: payment.DeclineSoft, Message: "no"},
	},
	{
		Says:   "422 with a code",
		Answer: declineOf(422, "card_declined", "authentication_required", "action"),
		Want:   payment.Decline{Code: "authentication_required", Kind: payment.DeclineAction, Message: "no"},
	},
}

func declineOf(status int, code, declineCode, kind string) func(processortest.Record) processortest.Answer {
	return func(processortest.Record) processortest.Answer {
		return writeJSON(status, map[string]any{"error": map[string]any{"code": code, "message": "no", "decline_code": declineCode, "decline_kind": kind}})
	}
}

func writeError(status int, code, message string) processortest.Answer {
	return writeJSON(status, map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func writeRecord(r processortest.Record) processortest.Answer { return writeJSON(200, recordOf(r)) }

func writeList(records []processortest.Record, next string) processortest.Answer {
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

func recordOf(r processortest.Record) any {
	record := map[string]any{
		"id": r.ID, "status": r.Status, "amount": r.Amount, "currency": r.Currency, "reference": r.Reference,
		"metadata": map[string]string{"florin_merchant_id": r.MerchantID}, "created_at": "2026-01-15T12:00:00Z",
	}
	maps.DeleteFunc(record, func(_ string, v any) bool { return v == "" || v == int64(0) })
	if r.PaymentID != "" {
		record["payment_id"] = r.PaymentID
		return record
	}
	record["captured_amount"], record["refunded_amount"] = r.Captured, r.Refunded
	return record
}

func writeJSON(status int, v any) processortest.Answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return processortest.Answer{Status: status, Body: body}
}

// sentBody is every body of the protocol.
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

func readRequest(r processortest.Request) (asked processortest.Asked, err error) {
	if r.Method == http.MethodPost {
		return readPost(r)
	}
	q := r.Query
	switch {
	case r.Method != http.MethodGet || len(r.Body) > 0:
		return asked, errors.New("the protocol has only POST, and GET without a body")
	case r.Path == "/payments" && q.Has("reference"):
		return processortest.Asked{Operation: processortest.LookupCharge, Reference: q.Get("reference")}, nil
	case r.Path == "/refunds" && q.Has("reference"):
		return processortest.Asked{Operation: processortest.LookupRefund, Reference: q.Get("reference")}, nil
	case r.Path == "/payments":
		return readList(q)
	default:
		return asked, errors.New("unknown")
	}
}

func readList(q url.Values) (asked processortest.Asked, err error) {
	asked = processortest.Asked{Operation: processortest.List, Cursor: q.Get("cursor")}
	if q.Has("limit") {
		if asked.Limit, err = strconv.Atoi(q.Get("limit")); err != nil {
			return asked, err
		}
	}
	if q.Has("created_after") {
		asked.CreatedAfter, err = time.Parse(time.RFC3339, q.Get("created_after"))
	}
	return asked, err
}

func readPost(r processortest.Request) (asked processortest.Asked, err error) {
	if r.Header.Get("Content-Type") != "application/json" {
		return asked, fmt.Errorf("content type %q", r.Header.Get("Content-Type"))
	}
	var body sentBody
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return asked, err
	}
	asked = processortest.Asked{Amount: body.Amount, Currency: body.Currency, Reference: body.Reference, PaymentID: body.PaymentID,
		PaymentMethod: body.CardToken, Manual: body.Capture != nil && !*body.Capture}
	switch r.Path {
	case "/charges":
		asked.Operation = processortest.Charge
		return asked, nil
	case "/refunds":
		asked.Operation = processortest.Refund
		return asked, nil
	}
	path := strings.Split(r.Path, "/")
	if len(path) != 4 || path[1] != "payments" {
		return asked, errors.New("unknown")
	}
	asked.Operation = map[string]processortest.Operation{"capture": processortest.Capture, "void": processortest.Void}[path[3]]
	asked.PaymentID, err = url.PathUnescape(path[2])
	return asked, err
}
