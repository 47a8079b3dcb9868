package acme

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// acme implements [processor.Processor].
type acme struct{ client processor.Client }

func (a *acme) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	form := formOf(call.Amount, call.Key, call.AllMetadata())
	form.Set("currency", strings.ToLower(call.Currency))
	form.Set("source", call.PaymentMethod)
	if call.Capture == payment.CaptureManual {
		form.Set("settle", "later")
	}
	return a.post(ctx, paymentStates, form, processor.Call{Path: "/transactions",
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "charge", PaymentID: call.PaymentID})
}

func (a *acme) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	form := url.Values{"amount": {strconv.FormatInt(call.Amount, 10)}}
	return a.post(ctx, paymentStates, form, processor.Call{Path: pathOf(call.ProcessorPaymentID, "settle"),
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "capture", PaymentID: call.PaymentID})
}

func (a *acme) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	return a.post(ctx, paymentStates, nil, processor.Call{Path: pathOf(call.ProcessorPaymentID, "cancel"),
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "void", PaymentID: call.PaymentID})
}

func (a *acme) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	form := formOf(call.Amount, call.Key, call.AllMetadata())
	return a.post(ctx, returnStates, form, processor.Call{Path: pathOf(call.ProcessorPaymentID, "returns"),
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "refund", PaymentID: call.RefundID})
}

// pathOf returns the path of an action on one transaction. The client refuses an ID that is missing or "..".
func pathOf(id, action string) string { return "/transactions/" + url.PathEscape(id) + "/" + action }

// formOf returns what a charge and a refund share. Acme counts amounts in minor units of ISO 4217, as Florin does. Its field
// "order" is the reference, by which a lookup finds the transaction.
func formOf(amount int64, reference string, metadata map[string]string) url.Values {
	form := url.Values{"amount": {strconv.FormatInt(amount, 10)}, "order": {reference}}
	for name, value := range metadata {
		form.Set("meta."+name, value)
	}
	return form
}

// post sends one operation. Decode reads a success; the client classifies every other response by the profile.
func (a *acme) post(ctx context.Context, known states, form url.Values, call processor.Call) (processor.Result, error) {
	call.Method, call.ContentType, call.Body = http.MethodPost, "application/x-www-form-urlencoded", []byte(form.Encode())
	var result processor.Result
	call.Decode = func(body []byte) error {
		var t transaction
		err := processor.DecodeJSON(body, &t)
		if err != nil || t.Order == "" {
			return errors.New("want a transaction with an order")
		}
		if result, err = t.result(known); err == nil {
			result, err = result.Checked()
		}
		return err
	}
	answer, err := a.client.Do(ctx, call)
	switch {
	case err != nil:
		return processor.Result{}, err
	case answer.Decline != nil:
		return answer.Declined(call.Key), nil
	}
	result.RequestID = answer.RequestID
	return result, nil
}

// Lookup finds a payment by its reference, and a return among those of its payment: Acme cannot search for returns.
func (a *acme) Lookup(ctx context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	path, query, known := "/transactions", url.Values{"order": {call.Reference}}, paymentStates
	if call.Operation == payment.OperationRefund {
		path, query, known = pathOf(call.ProcessorPaymentID, "returns"), nil, returnStates
	}
	page, answer, err := a.get(ctx, known, processor.Call{Path: path, Query: query, Operation: "lookup", Reference: call.Reference})
	if err != nil {
		return processor.Result{}, false, err
	}
	ours := slices.DeleteFunc(slices.Clone(page.Records), func(r processor.Record) bool { return r.Reference != call.Reference })
	unreadable := slices.ContainsFunc(page.Records, func(r processor.Record) bool {
		return r.Unreadable != "" && (r.Reference == call.Reference || r.Reference == "") // it may be ours
	})
	switch {
	case page.Next == "" && len(ours) == 1 && !unreadable:
		ours[0].RequestID = answer.RequestID
		return ours[0].Result, true, nil
	case page.Next == "" && len(ours) == 0 && !unreadable && (len(page.Records) == 0 || query == nil):
		return processor.Result{}, false, nil
	default: // several with our reference, another page, or a search that found only other references
		return processor.Result{}, false, processor.Malformed(answer, "want one transaction with the reference, or an empty list")
	}
}

// List reads what Acme lists as transactions or as returns. Acme's times are in seconds, so that the list may begin a little
// earlier.
func (a *acme) List(ctx context.Context, call processor.ListCall) (processor.Page, error) {
	path, query, known := "/transactions", url.Values{}, paymentStates
	if call.Operation == payment.OperationRefund {
		path, known = "/returns", returnStates
	}
	if call.Cursor != "" {
		query.Set("after", call.Cursor)
	}
	if call.Limit > 0 {
		query.Set("limit", strconv.Itoa(call.Limit))
	}
	if !call.CreatedAfter.IsZero() {
		query.Set("since", strconv.FormatInt(call.CreatedAfter.Unix(), 10))
	}
	page, _, err := a.get(ctx, known, processor.Call{Path: path, Query: query, Operation: "list"})
	return page, err
}

// get reads one page of transactions. A response without a list is an error, never an empty page, and so is one with more pages
// that does not name the transaction after which the next one begins.
func (a *acme) get(ctx context.Context, known states, call processor.Call) (page processor.Page, answer processor.Answer, err error) {
	call.Method = http.MethodGet
	call.Decode = func(body []byte) error {
		var list struct {
			Items []json.RawMessage `json:"items"`
			More  bool              `json:"more"`
		}
		if processor.DecodeJSON(body, &list) != nil || list.Items == nil {
			return errors.New("want a list of transactions")
		}
		page = processor.Page{Records: make([]processor.Record, len(list.Items))}
		for i, item := range list.Items {
			page.Records[i] = recordOf(item, known)
			page.Next = page.Records[i].ID
		}
		switch {
		case !list.More:
			page.Next = ""
		case page.Next == "":
			return errors.New("want a transaction with an ID at the end of a page")
		}
		return nil
	}
	if answer, err = a.client.Do(ctx, call); err != nil {
		return processor.Page{}, answer, err
	}
	return page, answer, nil
}

// recordOf reads one record of a list. Listed reports a transaction that cannot be read as unreadable, so that it hides no other.
func recordOf(item []byte, known states) processor.Record {
	var t transaction
	err := processor.DecodeJSON(item, &t)
	record := processor.Record{Result: processor.Result{ID: t.ID, Reference: t.Order}, ProcessorPaymentID: t.Payment,
		CreatedAt: time.Unix(t.Created, 0), OwnID: cmp.Or(t.Meta[processor.MetadataRefundID], t.Meta[processor.MetadataPaymentID])}
	if err != nil {
		return record.Listed(err)
	}
	result, err := t.result(known)
	if err == nil {
		record.Result = result
	}
	return record.Listed(err)
}

// transaction is a payment or a return. Order is empty if another system made it.
type transaction struct {
	ID       string            `json:"id"`
	State    string            `json:"state"`
	Amount   int64             `json:"amount"`
	Settled  int64             `json:"settled"`
	Returned int64             `json:"returned"`
	Currency string            `json:"currency"`
	Order    string            `json:"order"`
	Reason   string            `json:"reason"`
	Meta     map[string]string `json:"meta"`
	Created  int64             `json:"created"` // seconds since 1970
	Payment  string            `json:"payment"` // of a return
}

type states map[string]payment.Status

// paymentStates and returnStates are all states that Acme documents.
var (
	paymentStates = states{"settled": payment.Succeeded, "held": payment.Authorized,
		"working": payment.Pending, "refused": payment.Declined, "canceled": payment.Voided}
	returnStates = states{"returned": payment.Succeeded, "working": payment.Pending, "refused": payment.Declined}
)

// result translates a transaction, and refuses one that lacks a value: money may have moved, but the response does not prove it.
func (t transaction) result(known states) (processor.Result, error) {
	status, ok := known[t.State]
	if !ok || t.Amount <= 0 {
		return processor.Result{}, errors.New("want a transaction with a documented state and an amount")
	}
	result := processor.Result{ID: t.ID, Status: status, Amount: t.Amount, Currency: strings.ToUpper(t.Currency),
		CapturedAmount: t.Settled, RefundedAmount: t.Returned, Reference: t.Order, MerchantID: t.Meta[processor.MetadataMerchantID]}
	if status == payment.Declined {
		result.Decline = declineOf(t.Reason)
	}
	return result, nil
}
