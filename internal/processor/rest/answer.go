package rest

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/payment"
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

// errNoRecord is a record that lacks what makes it one.
var errNoRecord = errors.New("the answer lacks an id, a known status, an amount or a reference")

// result reads the record of a charge or of a refund, as the statuses say.
func (r record) result(statuses map[string]payment.Status) (processor.Result, error) {
	status, ok := statuses[r.Status]
	if !ok || !sane(r.ID) || !sane(r.Currency) || !sane(r.Reference) || r.Amount <= 0 || r.RefundedAmount < 0 ||
		len(r.Metadata[metadataMerchantID]) > maxID {
		return processor.Result{}, errNoRecord
	}
	result := processor.Result{
		ID:             r.ID,
		Status:         status,
		Amount:         r.Amount,
		Currency:       r.Currency,
		RefundedAmount: r.RefundedAmount,
		Reference:      r.Reference,
		MerchantID:     r.Metadata[metadataMerchantID],
	}
	switch {
	case r.CapturedAmount != nil:
		result.CapturedAmount = *r.CapturedAmount
	case status == payment.Succeeded:
		result.CapturedAmount = r.Amount
	}
	if result.CapturedAmount < 0 || status == payment.Succeeded && result.CapturedAmount == 0 {
		return processor.Result{}, errNoRecord
	}
	if status == payment.Declined {
		result.Decline = newDecline(r.DeclineCode, r.DeclineKind, "")
	}
	return result, nil
}

// maxID is how long an id may be to be kept in a history.
const maxID = 255

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
