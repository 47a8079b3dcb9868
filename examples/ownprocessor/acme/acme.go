package acme

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
	ours := slices.DeleteFunc(page.Records, func(r processor.Record) bool { return r.Reference != call.Reference })
	switch {
	case page.Next == "" && len(ours) == 1:
		ours[0].RequestID = answer.RequestID
		return ours[0].Result, true, nil
	case page.Next == "" && len(ours) == 0 && (len(page.Records) == 0 || query == nil):
		return processor.Result{}, false, nil
	default: // several with our reference, another page, or a search that found only other references
		return processor.Result{}, false, processor.Malformed(answer, "want one transaction with the reference, or an empty list")
	}
}

func (a *acme) List(ctx context.Context, call processor.ListCall) (processor.Page, error) {
	query := url.Values{}
	if call.Cursor != "" {
		query.Set("after", call.Cursor)
	}
	if call.Limit > 0 {
		query.Set("limit", strconv.Itoa(call.Limit))
	}
	if !call.CreatedAfter.IsZero() {
		query.Set("since", strconv.FormatInt(call.CreatedAfter.Unix(), 10))
	}
	page, _, err := a.get(ctx, paymentStates, processor.Call{Path: "/transactions", Query: query, Operation: "list"})
	return page, err
}

// get reads one page of transactions. A response without a list is an error, never an empty page.
func (a *acme) get(ctx context.Context, known states, call processor.Call) (page processor.Page, answer processor.Answer, err error) {
	call.Method = http.MethodGet
	call.Decode = func(body []byte) (err error) {
		var list struct {
			Items []transaction `json:"items"`
			More  bool          `json:"more"`
		}
		if processor.DecodeJSON(body, &list) != nil || list.Items == nil || list.More && len(list.Items) == 0 {
			return errors.New("want a list of transactions")
		}
		records := make([]processor.Record, len(list.Items))
		for i, t := range list.Items {
			if records[i].Result, err = t.result(known); err == nil {
				records[i].Result, err = records[i].CheckedListed()
			}
			if err != nil {
				return err
			}
		}
		page = processor.Page{Records: records}
		if list.More {
			page.Next = records[len(records)-1].ID
		}
		return nil
	}
	answer, err = a.client.Do(ctx, call)
	return page, answer, err
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
