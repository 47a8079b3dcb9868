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
		Read:            readAcme,
		Metadata:        readAcmeMetadata,
		Payment:         func(r processortest.Record) processortest.Answer { return writeAcme(200, acmeRecord(r)) },
		Refund:          func(r processortest.Record) processortest.Answer { return writeAcme(200, acmeRecord(r)) },
		Found: func(_ processortest.Request, records []processortest.Record) processortest.Answer {
			return writeAcmePage(records, "")
		},
		Page: writeAcmePage,
		Declines: []processortest.Decline{{
			Says:   "402 with a reason",
			Answer: func(processortest.Record) processortest.Answer { return writeAcmeError(402, "refused", "", "stolen") },
			Want:   payment.Decline{Code: "stolen", Kind: payment.DeclineHard},
		}},
		Error: func(status int, code, message string) processortest.Answer {
			return writeAcmeError(status, code, message, "")
		},
		Mismatch: func() processortest.Answer { return writeAcmeError(400, "key_reused", "", "") },
		Conflict: func() processortest.Answer { return writeAcmeError(400, "already_settled", "", "") },
		InFlight: nil, // Acme makes the second request wait
	}
}

func acmeRecord(r processortest.Record) map[string]any {
	t := map[string]any{"id": r.ID, "state": r.Status, "cents": r.Amount, "currency": strings.ToLower(r.Currency), "order": r.Reference,
		"settled_cents": r.Captured, "returned_cents": r.Refunded, "meta": map[string]string{"florin_merchant_id": r.MerchantID}}
	maps.DeleteFunc(t, func(_ string, v any) bool { return v == "" || v == int64(0) })
	return t
}

func writeAcmePage(records []processortest.Record, next string) processortest.Answer {
	items := []any{}
	for _, r := range records {
		items = append(items, acmeRecord(r))
	}
	return writeAcme(200, map[string]any{"items": items, "more": next != ""})
}

func writeAcmeError(status int, code, text, reason string) processortest.Answer {
	return writeAcme(status, map[string]any{"error": code, "text": text, "reason": reason})
}

func writeAcme(status int, v any) processortest.Answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return processortest.Answer{Status: status, Body: body}
}

func readAcmeMetadata(r processortest.Request) map[string]string {
	form, _ := url.ParseQuery(string(r.Body))
	pairs := map[string]string{}
	for name := range form {
		if key, ok := strings.CutPrefix(name, "meta."); ok {
			pairs[key] = form.Get(name)
		}
	}
	return pairs
}

func readAcme(r processortest.Request) (processortest.Asked, error) {
	path := strings.Split(strings.Trim(r.Path, "/"), "/")
	if path[0] != "transactions" || len(path) == 2 || len(path) > 3 {
		return processortest.Asked{}, errors.New("unknown")
	}
	if r.Method == http.MethodGet {
		return readAcmeQuestion(path, r.Query)
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return processortest.Asked{}, err
	}
	asked := processortest.Asked{Operation: processortest.Charge, Currency: strings.ToUpper(form.Get("currency")), Reference: form.Get("order"),
		PaymentMethod: form.Get("source"), Manual: form.Get("settle") == "later"}
	if form.Has("cents") {
		if asked.Amount, err = strconv.ParseInt(form.Get("cents"), 10, 64); err != nil {
			return asked, err
		}
	}
	if len(path) == 3 {
		asked.PaymentID = path[1]
		asked.Operation = map[string]processortest.Operation{
			"settle": processortest.Capture, "cancel": processortest.Void, "returns": processortest.Refund}[path[2]]
	}
	return asked, nil
}

func readAcmeQuestion(path []string, q url.Values) (asked processortest.Asked, err error) {
	switch {
	case len(path) == 3 && path[2] == "returns":
		return processortest.Asked{Operation: processortest.LookupRefund, PaymentID: path[1]}, nil
	case len(path) == 3:
		return asked, errors.New("unknown")
	case q.Has("order"):
		return processortest.Asked{Operation: processortest.LookupCharge, Reference: q.Get("order")}, nil
	}
	asked = processortest.Asked{Operation: processortest.List, Cursor: q.Get("after")}
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
