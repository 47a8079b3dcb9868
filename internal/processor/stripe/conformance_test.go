package stripe

import (
	"encoding/json"
	"errors"
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

// declinedStatus is a name for the combination of a status and an error that means a declined payment.
const declinedStatus = "requires_payment_method, with an error"

func TestAdapterConforms(t *testing.T) {
	payments := map[string]payment.Status{declinedStatus: payment.Declined}
	for name, status := range paymentStatuses {
		payments[string(name)] = status
	}
	refunds := map[string]payment.Status{}
	for name, status := range refundStatuses {
		refunds[string(name)] = status
	}
	processortest.Run(t, processortest.Protocol{
		New:             func(c processor.Client) processor.Processor { return New(c) },
		Profile:         Profile(),
		PaymentStatuses: payments,
		RefundStatuses:  refunds,
		ParseRequest:    parseRequest,
		ParseMetadata:   func(r processortest.Request) map[string]string { return sentMetadata(formOf(r)) },
		WritePayment:    func(r processortest.Record) processortest.Response { return writeJSON(200, writePayment(r)) },
		WriteRefund:     func(r processortest.Record) processortest.Response { return writeJSON(200, writeRefund(r)) },
		WriteLookup:     writeLookup,
		WritePage: func(records []processortest.Record, next string) processortest.Response {
			return writeList(records, writeRecord, next != "")
		},
		ETags: true,
		Declines: []processortest.Decline{{
			Name: "402 with the payment",
			Write: func(r processortest.Record) processortest.Response {
				r.Status = declinedStatus
				return writeJSON(402, map[string]any{"error": map[string]any{"type": "card_error",
					"code": "card_declined", "decline_code": "lost_card",
					"message": "no", "network_decline_code": "41", "payment_intent": writePayment(r)}})
			},
			Want: payment.Decline{Code: "lost_card", Kind: payment.DeclineHard, NetworkCode: "41", Message: "no"},
		}, cardError("insufficient_funds", payment.DeclineSoft),
			cardError("authentication_required", payment.DeclineAction)},
		OpenDeclines:     []string{declinedStatus},
		RefundDeclines:   []processortest.Decline{cardError("generic_decline", payment.DeclineSoft)},
		WriteError:       writeError,
		WriteInFlight:    func() processortest.Response { return writeError(409, "idempotency_key_in_use", "busy") },
		WriteObjectLevel: func() processortest.Response { return writeError(429, "lock_timeout", "busy") },
		WriteMismatch: func() processortest.Response {
			return writeJSON(400, map[string]any{"error": map[string]any{"type": "idempotency_error", "message": "no"}})
		},
	})
}

func cardError(code string, kind payment.DeclineKind) processortest.Decline {
	return processortest.Decline{
		Name: "402 " + code,
		Write: func(processortest.Record) processortest.Response {
			return writeJSON(402, map[string]any{"error": map[string]any{"type": "card_error", "code": "card_declined",
				"decline_code": code, "message": "no"}})
		},
		Want: payment.Decline{Code: code, Kind: kind, Message: "no"},
	}
}

func writeError(status int, code, message string) processortest.Response {
	return writeJSON(status, map[string]any{"error": map[string]any{"type": "invalid_request_error", "code": code,
		"message": message}})
}

func writeJSON(status int, v any) processortest.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return processortest.Response{Status: status, Body: body}
}

// writeLookup writes the response to a search, to a list of refunds or to a retrieval of one payment.
func writeLookup(r processortest.Request, records []processortest.Record) processortest.Response {
	switch {
	case r.Path == "/v1/payment_intents/search":
		return writeList(records, writePayment, false)
	case r.Path == "/v1/refunds":
		return writeList(records, writeRefund, false)
	case len(records) == 0:
		return writeError(404, "resource_missing", "no such payment_intent")
	default:
		return writeJSON(200, writePayment(records[0]))
	}
}

func writeList(records []processortest.Record, write func(processortest.Record) map[string]any,
	more bool) processortest.Response {
	data := make([]any, len(records))
	for i, r := range records {
		data[i] = write(r)
	}
	return writeJSON(200, map[string]any{"object": "list", "data": data, "has_more": more})
}

func writeRecord(r processortest.Record) map[string]any {
	if r.PaymentID != "" {
		return writeRefund(r)
	}
	return writePayment(r)
}

func writePayment(r processortest.Record) map[string]any {
	intent := writeCommon("payment_intent", r)
	intent["amount_received"] = r.Captured
	intent["latest_charge"] = map[string]any{"id": "ch_1", "object": "charge", "captured": r.Captured > 0,
		"amount":          r.Amount,
		"amount_captured": r.Captured, "amount_refunded": r.Amount - r.Captured + r.Refunded}
	if r.Status == declinedStatus {
		intent["status"] = "requires_payment_method"
		intent["last_payment_error"] = map[string]any{"type": "card_error", "code": "card_declined"}
	}
	return intent
}

func writeRefund(r processortest.Record) map[string]any {
	refund := writeCommon("refund", r)
	refund["payment_intent"] = r.PaymentID
	return refund
}

// writeCommon writes the fields of payments and refunds; it omits empty fields.
func writeCommon(object string, r processortest.Record) map[string]any {
	ownID := processor.MetadataPaymentID
	if r.PaymentID != "" {
		ownID = processor.MetadataRefundID
	}
	v := map[string]any{"object": object, "created": r.CreatedAt.Unix(),
		"metadata": map[string]string{metadataReference: r.Reference, processor.MetadataMerchantID: r.MerchantID, ownID: r.OwnID}}
	for name, value := range map[string]string{"id": r.ID, "status": r.Status, "currency": strings.ToLower(r.Currency)} {
		if value != "" {
			v[name] = value
		}
	}
	if r.Amount != 0 {
		v["amount"] = r.Amount
	}
	return v
}

func formOf(r processortest.Request) url.Values {
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil
	}
	return form
}

func sentMetadata(form url.Values) map[string]string {
	pairs := map[string]string{}
	for name := range form {
		if key, ok := strings.CutPrefix(name, "metadata["); ok {
			pairs[strings.TrimSuffix(key, "]")] = form.Get(name)
		}
	}
	return pairs
}

// parseRequest parses the requests of the protocol. Any other request is an error.
func parseRequest(r processortest.Request) (parsed processortest.ParsedRequest, err error) {
	form, q := formOf(r), r.Query
	rest, isPayment := strings.CutPrefix(r.Path, "/v1/payment_intents")
	id, verb, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	parsed = processortest.ParsedRequest{PaymentID: id, Currency: strings.ToUpper(form.Get("currency")),
		Reference: form.Get("metadata[" + metadataReference + "]")}
	switch {
	case r.Method == http.MethodPost &&
		r.Header.Get("Content-Type") != "application/x-www-form-urlencoded", len(r.Body) > 0 && len(form) == 0,
		r.Method == http.MethodGet && len(r.Body) > 0, r.Method == http.MethodPost && len(q) > 0:
		return parsed, errors.New("want a form with POST, or GET without a body")
	case r.Method == http.MethodPost && r.Path == "/v1/refunds":
		parsed.Operation, parsed.PaymentID = processortest.Refund, form.Get("payment_intent")
		parsed.Amount, err = strconv.ParseInt(form.Get("amount"), 10, 64)
	case r.Method == http.MethodPost && isPayment && rest == "":
		parsed.Operation, parsed.PaymentMethod = processortest.Charge, form.Get("payment_method")
		parsed.ManualCapture = form.Get("capture_method") == "manual"
		parsed.Amount, err = strconv.ParseInt(form.Get("amount"), 10, 64)
	case r.Method == http.MethodPost && isPayment && verb == "capture":
		parsed.Operation = processortest.Capture
		parsed.Amount, err = strconv.ParseInt(form.Get("amount_to_capture"), 10, 64)
	case r.Method == http.MethodPost && isPayment && verb == "cancel":
		parsed.Operation = processortest.Void
	case r.Method == http.MethodGet && r.Path == "/v1/refunds" && !q.Has("payment_intent"):
		return parseList(processortest.ListRefunds, q)
	case r.Method == http.MethodGet && r.Path == "/v1/refunds":
		parsed.Operation, parsed.PaymentID = processortest.LookupRefund, q.Get("payment_intent")
		parsed.Cursor = q.Get("starting_after")
	case r.Method == http.MethodGet && rest == "/search":
		parsed.Operation, parsed.PaymentID = processortest.LookupCharge, ""
		parsed.Reference = strings.TrimSuffix(strings.TrimPrefix(q.Get("query"), "metadata['florin_reference']:'"), "'")
	case r.Method == http.MethodGet && isPayment && rest == "":
		return parseList(processortest.List, q)
	case r.Method == http.MethodGet && isPayment && verb == "":
		parsed.Operation = processortest.LookupCharge
	default:
		err = errors.New("no such request in Stripe's API")
	}
	return parsed, err
}

func parseList(operation processortest.Operation, q url.Values) (parsed processortest.ParsedRequest, err error) {
	parsed = processortest.ParsedRequest{Operation: operation, Cursor: q.Get("starting_after")}
	if limit := q.Get("limit"); limit != "" {
		parsed.Limit, err = strconv.Atoi(limit)
	}
	if created := q.Get("created[gte]"); created != "" && err == nil {
		var seconds int64
		seconds, err = strconv.ParseInt(created, 10, 64)
		parsed.CreatedAfter = time.Unix(seconds, 0)
	}
	return parsed, err
}
