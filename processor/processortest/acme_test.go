package processortest_test

// The complete adapter of docs/adapters.md. Acme is a fictitious processor that differs from the REST protocol as much as
// possible: it accepts forms, writes currencies in lower case, gives a reason for each decline, and has no search for refunds:
// they are listed per payment.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// acmeProfile contains what Acme documents about idempotency: https://acme.example/docs/safe-retries
func acmeProfile() processor.Profile {
	return processor.Profile{
		KeyLifetime:  7 * 24 * time.Hour,
		KeyMaxLength: 45,
		MaxBatch:     acmeMaxBatch,
		Refusal:      acmeRefusal,
		Mismatch:     func(_ int, code string) bool { return code == "key_reused" },
		Conflict:     func(_ int, code string) bool { return code == "already_settled" },
		ObjectLevel:  func(_ int, code string) bool { return code == "transaction_locked" },
		Audited: map[string]processor.Shape{"id": processor.ShapeID, "state": processor.ShapeCode, "cents": processor.ShapeAmount,
			"items[].id": processor.ShapeID, "items[].payment": processor.ShapeID, "items[].created": processor.ShapeTime},
	}
}

type acme struct{ client processor.Client }

func (a *acme) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	return a.post(ctx, acmeStates, acmeCharge(call))
}

// acmeCharge returns the request of a charge.
func acmeCharge(call processor.ChargeCall) processor.Call {
	form := url.Values{
		"cents": {strconv.FormatInt(call.Amount, 10)}, "currency": {strings.ToLower(call.Currency)},
		"source": {call.PaymentMethod},
		"settle": {"now"}, "order": {call.Key},
	}
	if call.Capture == payment.CaptureManual {
		form.Set("settle", "later")
	}
	for name, value := range call.Metadata {
		form.Set("meta."+name, value)
	}
	form.Set("meta.florin_payment_id", call.PaymentID)
	form.Set("meta.florin_merchant_id", call.MerchantID)
	return processor.Call{Path: "/transactions", Body: []byte(form.Encode()),
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "charge", PaymentID: call.PaymentID}
}

// post sends an operation. Decode reads a success; the profile's Refusal reads every other response. The client decides what
// a response proves about money.
func (a *acme) post(ctx context.Context, states map[string]payment.Status, call processor.Call) (processor.Result, error) {
	call.Method, call.ContentType = http.MethodPost, "application/x-www-form-urlencoded"
	var result processor.Result
	call.Decode = decodeAcme(states, &result)
	answer, err := a.client.Do(ctx, call)
	return acmeOutcome(call, result, answer, err)
}

// decodeAcme returns the Decode of an operation, which sets the result.
func decodeAcme(states map[string]payment.Status, result *processor.Result) func(body []byte) error {
	return func(body []byte) error {
		var t transaction
		err := processor.DecodeJSON(body, &t)
		if err == nil {
			*result, err = t.checked(states)
		}
		return err
	}
}

// acmeOutcome returns the outcome of an operation. result is what its Decode has read.
func acmeOutcome(call processor.Call, result processor.Result, answer processor.Answer, err error) (processor.Result, error) {
	switch {
	case err != nil:
		return processor.Result{}, err
	case answer.Decline != nil:
		return answer.Declined(call.Key), nil
	}
	result.RequestID = answer.RequestID
	return result, nil
}

// transaction is a payment or, in Acme's terms, a return (a refund).
type transaction struct {
	ID       string            `json:"id"`
	State    string            `json:"state"`
	Cents    int64             `json:"cents"`
	Currency string            `json:"currency"`
	Settled  int64             `json:"settled_cents"`
	Returned int64             `json:"returned_cents"`
	Order    string            `json:"order"`
	Reason   string            `json:"reason"`
	Meta     map[string]string `json:"meta"`
	Payment  string            `json:"payment"` // of a return
	Created  int64             `json:"created"`
}

var acmeStates = map[string]payment.Status{
	"settled": payment.Succeeded, "held": payment.Authorized, "working": payment.Pending, "refused": payment.Declined,
	"reopened": payment.Declined, "canceled": payment.Voided,
}

var acmeReturnStates = map[string]payment.Status{"returned": payment.Succeeded, "working": payment.Pending}

// result returns an error for a transaction that lacks a required field. The operation is then ambiguous, because it may have
// moved money.
func (t transaction) result(states map[string]payment.Status) (processor.Result, error) {
	if t.Order == "" {
		return processor.Result{}, errors.New("the transaction lacks an order")
	}
	return t.listed(states)
}

// listed is result for a transaction that another system may have made: then it has no order.
func (t transaction) listed(states map[string]payment.Status) (processor.Result, error) {
	status, known := states[t.State]
	if !known || t.Cents <= 0 {
		return processor.Result{}, errors.New("the transaction lacks a known state or an amount")
	}
	result := processor.Result{ID: t.ID, Status: status, Amount: t.Cents, Currency: strings.ToUpper(t.Currency),
		CapturedAmount: t.Settled, RefundedAmount: t.Returned, Reference: t.Order, MerchantID: t.Meta["florin_merchant_id"]}
	if status == payment.Declined {
		result.Decline, result.CanStillSucceed = acmeDecline(t.Reason), t.State == "reopened"
	}
	return result, nil
}

// checked returns an error for a transaction whose texts must not be stored.
func (t transaction) checked(states map[string]payment.Status) (processor.Result, error) {
	result, err := t.result(states)
	if err != nil {
		return processor.Result{}, err
	}
	return result.Checked()
}

// acmeRefusal reads {"error": …, "text": …, "reason": …}. For any other body, such as a gateway's HTML page, the refusal is
// empty, and the status alone decides.
func acmeRefusal(a processor.Answer) processor.Refusal {
	var body struct {
		Error  string `json:"error"`
		Text   string `json:"text"`
		Reason string `json:"reason"`
	}
	if processor.DecodeJSON(a.Body, &body) != nil {
		return processor.Refusal{}
	}
	r := processor.Refusal{Code: body.Error, Message: body.Text}
	if a.Status == http.StatusPaymentRequired && body.Error == "refused" {
		r.Decline = acmeDecline(body.Reason)
	}
	return r
}

func acmeDecline(reason string) *payment.Decline {
	kind := payment.DeclineSoft
	switch reason {
	case "stolen", "closed":
		kind = payment.DeclineHard
	case "confirm":
		kind = payment.DeclineAction
	case "":
		reason = "unspecified"
	}
	return &payment.Decline{Code: processor.ClipCode(reason), Kind: kind}
}

func (a *acme) Capture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	path, err := acmePath(call.ProcessorPaymentID, "settle")
	if err != nil {
		return processor.Result{}, err
	}
	return a.post(ctx, acmeStates, processor.Call{Path: path, Body: []byte("cents=" + strconv.FormatInt(call.Amount, 10)),
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "capture", PaymentID: call.PaymentID})
}

func (a *acme) Void(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	path, err := acmePath(call.ProcessorPaymentID, "cancel")
	if err != nil {
		return processor.Result{}, err
	}
	return a.post(ctx, acmeStates, processor.Call{Path: path,
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "void", PaymentID: call.PaymentID})
}

func (a *acme) Refund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	path, err := acmePath(call.ProcessorPaymentID, "returns")
	if err != nil {
		return processor.Result{}, err
	}
	form := url.Values{"cents": {strconv.FormatInt(call.Amount, 10)}, "order": {call.Key}}
	for name, value := range call.Metadata {
		form.Set("meta."+name, value)
	}
	form.Set("meta.florin_refund_id", call.RefundID)
	form.Set("meta.florin_merchant_id", call.MerchantID)
	return a.post(ctx, acmeReturnStates, processor.Call{Path: path, Body: []byte(form.Encode()),
		Key: call.Key, KeyFirstUsed: call.KeyFirstUsed, Operation: "refund", PaymentID: call.RefundID})
}

// acmePath returns an error for an id that would change the path, such as "..".
func acmePath(id, action string) (string, error) {
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", &processor.Error{Class: payment.ClassInvalidRequest, Certainty: processor.NotExecuted,
			Message: "processor_payment_id: want Acme's id of the payment"}
	}
	return "/transactions/" + id + "/" + action, nil
}

func (a *acme) Lookup(ctx context.Context, call processor.LookupCall) (result processor.Result, found bool, err error) {
	get, states := processor.Call{Path: "/transactions", Query: url.Values{"order": {call.Reference}},
		Operation: "lookup", Reference: call.Reference}, acmeStates
	if call.Operation == payment.OperationRefund {
		states, get.Query = acmeReturnStates, nil
		if get.Path, err = acmePath(call.ProcessorPaymentID, "returns"); err != nil {
			return processor.Result{}, false, err
		}
	}
	list, requestID, err := a.get(ctx, get, func(list transactions) error {
		matching := 0
		for _, t := range list.Items {
			if t.Order == call.Reference {
				matching++
				if result, err = t.checked(states); err != nil {
					return err
				}
			}
		}
		if matching > 1 || list.More || matching == 0 && get.Query.Has("order") && len(list.Items) > 0 {
			return fmt.Errorf("%d transactions have the requested order: want 1", matching)
		}
		return nil
	})
	if err != nil || len(list.Items) == 0 || result.ID == "" {
		return processor.Result{}, false, err
	}
	result.RequestID = requestID
	return result, true, nil
}

func (a *acme) List(ctx context.Context, call processor.ListCall) (page processor.Page, err error) {
	path, query, states := "/transactions", url.Values{}, acmeStates
	if call.Operation == payment.OperationRefund {
		path, states = "/returns", acmeReturnStates
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
	_, err = a.client.Do(ctx, processor.Call{Method: http.MethodGet, Path: path, Query: query, Operation: "list",
		Decode: func(body []byte) (err error) {
			page, err = readAcmePage(body, states)
			return err
		}})
	if err != nil {
		return processor.Page{}, err
	}
	return page, nil
}

// readAcmePage reads the records of a page one by one: one that cannot be read must not hide the others.
func readAcmePage(body []byte, states map[string]payment.Status) (page processor.Page, err error) {
	var list struct {
		Items []json.RawMessage `json:"items"`
		More  bool              `json:"more"`
	}
	if processor.DecodeJSON(body, &list) != nil || list.Items == nil {
		return page, errors.New("the response is not a list")
	}
	for _, item := range list.Items {
		if string(item) == "null" {
			return processor.Page{}, errors.New("the list has a null")
		}
		page.Records = append(page.Records, listedByAcme(item, states))
	}
	if !list.More {
		return page, nil
	}
	if len(page.Records) > 0 {
		page.Next = page.Records[len(page.Records)-1].ID
	}
	if page.Next == "" {
		return processor.Page{}, errors.New("the response has no transaction after which the next page begins")
	}
	return page, nil
}

func listedByAcme(item []byte, states map[string]payment.Status) processor.Record {
	var t transaction
	err := processor.DecodeJSON(item, &t)
	record := processor.Record{CreatedAt: time.Unix(t.Created, 0), ProcessorPaymentID: t.Payment, OwnID: t.Meta["florin_payment_id"]}
	if t.Payment != "" {
		record.OwnID = t.Meta["florin_refund_id"]
	}
	if err == nil {
		record.Result, err = t.listed(states)
	}
	if err != nil {
		record.Result = processor.Result{ID: t.ID, Reference: t.Order}
	}
	return record.Listed(err)
}

type transactions struct {
	Items []transaction `json:"items"`
	More  bool          `json:"more"`
}

// get requests a list. A body without a list is an error, not an empty list.
func (a *acme) get(ctx context.Context, call processor.Call,
	read func(transactions) error) (list transactions, requestID string, err error) {
	call.Method = http.MethodGet
	call.Decode = func(body []byte) error {
		list = transactions{}
		if err := processor.DecodeJSON(body, &list); err != nil || list.Items == nil || list.More && len(list.Items) == 0 {
			return errors.New("the response is not a list")
		}
		return read(list)
	}
	answer, err := a.client.Do(ctx, call)
	return list, answer.RequestID, err
}
