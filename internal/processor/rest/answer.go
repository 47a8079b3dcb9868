package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// record is a payment or a refund as the protocol writes it.
type record struct {
	ID             string            `json:"id"`
	Status         string            `json:"status"`
	Amount         int64             `json:"amount"`
	Currency       string            `json:"currency"`
	CapturedAmount *int64            `json:"captured_amount"`
	RefundedAmount int64             `json:"refunded_amount"`
	Reference      string            `json:"reference"`
	DeclineCode    string            `json:"decline_code"`
	DeclineKind    string            `json:"decline_kind"`
	Metadata       map[string]string `json:"metadata"`
}

var chargeStatuses = map[string]payment.Status{
	"succeeded":       payment.Succeeded,
	"success":         payment.Succeeded,
	"authorized":      payment.Authorized,
	"pending":         payment.Pending,
	"requires_action": payment.RequiresAction,
	"declined":        payment.Declined,
	"voided":          payment.Voided,
}

var refundStatuses = map[string]payment.Status{
	"succeeded": payment.Succeeded,
	"success":   payment.Succeeded,
	"pending":   payment.Pending,
	"declined":  payment.Declined,
}

// list is what the protocol answers to a search.
type list struct {
	Data       []record `json:"data"`
	NextCursor string   `json:"next_cursor"`
}

// decode fails where there is no list at all: an error's body is not an empty list.
func (l *list) decode(body []byte) error {
	if json.Unmarshal(body, l) != nil || l.Data == nil {
		return errors.New("the list cannot be read")
	}
	return nil
}

// only is the record with our reference, found is false where there is none at all. Several would be a double charge,
// and none among others, or a next page, a processor that does not search by reference: both are for a human, so they
// come back as an answer that cannot be believed.
func (l list) only(read reader, reference string) (result processor.Result, found bool, err error) {
	if len(l.Data) == 0 && l.NextCursor == "" {
		return processor.Result{}, false, nil
	}
	ours := slices.DeleteFunc(l.Data, func(r record) bool { return r.Reference != reference })
	switch {
	case l.NextCursor != "":
		return processor.Result{}, false, errors.New("the record that was looked up fills more than a page")
	case len(ours) != 1:
		return processor.Result{}, false, fmt.Errorf("%d records have the reference that was looked up", len(ours))
	}
	result, err = read(ours[0])
	return result, err == nil, err
}

// errNoRecord is a record that lacks what makes it one.
var errNoRecord = errors.New("the answer lacks an id, a known status, an amount or a reference")

// reader reads one kind of record.
type reader func(record) (processor.Result, error)

// ownPayment reads a payment that we made.
func ownPayment(r record) (processor.Result, error) {
	if r.Reference == "" {
		return processor.Result{}, errNoRecord
	}
	return anyPayment(r)
}

// anyPayment reads a payment that somebody else may have made, without a reference.
func anyPayment(r record) (processor.Result, error) {
	result, err := r.result(chargeStatuses)
	if err != nil {
		return processor.Result{}, err
	}
	result.RefundedAmount = r.RefundedAmount
	switch {
	case r.CapturedAmount != nil:
		result.CapturedAmount = *r.CapturedAmount
	case result.Status == payment.Succeeded:
		result.CapturedAmount = r.Amount
	}
	if result.CapturedAmount < 0 || result.RefundedAmount < 0 || result.Status == payment.Succeeded && result.CapturedAmount == 0 {
		return processor.Result{}, errNoRecord
	}
	return result, nil
}

// ownRefund reads a refund. What was captured and refunded is its payment's to say.
func ownRefund(r record) (processor.Result, error) {
	if r.Reference == "" {
		return processor.Result{}, errNoRecord
	}
	return r.result(refundStatuses)
}

// result reads what payments and refunds have in common.
func (r record) result(statuses map[string]payment.Status) (processor.Result, error) {
	status, ok := statuses[r.Status]
	if !ok || !sane(r.ID) || !sane(r.Currency) || r.Amount <= 0 || len(r.Reference) > maxID || len(r.Metadata[metadataMerchantID]) > maxID {
		return processor.Result{}, errNoRecord
	}
	result := processor.Result{
		ID:         r.ID,
		Status:     status,
		Amount:     r.Amount,
		Currency:   r.Currency,
		Reference:  r.Reference,
		MerchantID: r.Metadata[metadataMerchantID],
	}
	if status == payment.Declined {
		result.Decline = newDecline(r.DeclineCode, r.DeclineKind, "")
	}
	return result, nil
}

// maxID is how long an id may be to be kept in a history.
const maxID = 255

// sane holds for an id that may be kept in a history.
func sane(id string) bool { return id != "" && len(id) <= maxID }

// errorBody is the protocol's error.
type errorBody struct {
	Error struct {
		Code        string `json:"code"`
		Message     string `json:"message"`
		DeclineCode string `json:"decline_code"`
		DeclineKind string `json:"decline_kind"`
	} `json:"error"`
}

// refusal reads the protocol's error. A body that is none, such as a proxy's HTML page, leaves it empty: then the
// status alone decides. A decline is a 402 with an error, and a 422 that has a decline code; a 402 without is some
// gateway's, and says nothing about the card.
func refusal(a processor.Answer) processor.Refusal {
	var body errorBody
	if json.Unmarshal(a.Body, &body) != nil {
		return processor.Refusal{}
	}
	e := body.Error
	r := processor.Refusal{Code: e.Code, Message: e.Message}
	switch {
	case a.Status == http.StatusPaymentRequired && e.DeclineCode != "",
		a.Status == http.StatusUnprocessableEntity && e.DeclineCode != "":
		r.Decline = newDecline(e.DeclineCode, e.DeclineKind, e.Message)
	case a.Status == http.StatusPaymentRequired && e.Code != "":
		r.Decline = newDecline(e.Code, e.DeclineKind, e.Message)
	}
	return r
}

func newDecline(code, kind, message string) *payment.Decline {
	d := &payment.Decline{Code: processor.Clip(code), Kind: payment.DeclineKind(kind), Message: processor.Clip(message)}
	if d.Code == "" {
		d.Code = "unspecified"
	}
	switch d.Kind {
	case payment.DeclineHard, payment.DeclineSoft, payment.DeclineAction:
	default:
		d.Kind = payment.DeclineSoft
	}
	return d
}
