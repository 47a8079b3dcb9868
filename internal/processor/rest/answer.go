package rest

import (
	"encoding/json"
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

// result is false where the record lacks what makes it one: of a charge or of a refund, as the statuses say.
func (r record) result(statuses map[string]payment.Status, requestID string) (processor.Result, bool) {
	status, ok := statuses[r.Status]
	if !ok || !sane(r.ID) || !sane(r.Currency) || !sane(r.Reference) || r.Amount <= 0 || r.RefundedAmount < 0 {
		return processor.Result{}, false
	}
	result := processor.Result{
		ID:             r.ID,
		Status:         status,
		Amount:         r.Amount,
		Currency:       r.Currency,
		RefundedAmount: r.RefundedAmount,
		Reference:      r.Reference,
		RequestID:      requestID,
		MerchantID:     r.Metadata[metadataMerchantID],
	}
	switch {
	case r.CapturedAmount != nil:
		result.CapturedAmount = *r.CapturedAmount
	case status == payment.Succeeded:
		result.CapturedAmount = r.Amount
	}
	if result.CapturedAmount < 0 || status == payment.Succeeded && result.CapturedAmount == 0 {
		return processor.Result{}, false
	}
	if status == payment.Declined {
		result.Decline = newDecline(r.DeclineCode, r.DeclineKind, "")
	}
	return result, true
}

// sane holds for an id that may be kept in a history.
func sane(id string) bool { return id != "" && len(id) <= 255 }

// errorBody is the protocol's error.
type errorBody struct {
	Error struct {
		Code        string `json:"code"`
		Message     string `json:"message"`
		DeclineCode string `json:"decline_code"`
		DeclineKind string `json:"decline_kind"`
	} `json:"error"`
}

// declined recognizes a decline: a 402 with the protocol's error, and a 422 that has a decline code. A 402
// without is some gateway's, and says nothing about the card.
func declined(a processor.Answer) (*payment.Decline, bool) {
	e := readError(a).Error
	switch {
	case a.Status == http.StatusPaymentRequired && e.DeclineCode != "",
		a.Status == http.StatusUnprocessableEntity && e.DeclineCode != "":
		return newDecline(e.DeclineCode, e.DeclineKind, e.Message), true
	case a.Status == http.StatusPaymentRequired && e.Code != "":
		return newDecline(e.Code, e.DeclineKind, e.Message), true
	default:
		return nil, false
	}
}

// refusal is any other answer than a success or a decline.
func (p *Processor) refusal(a processor.Answer) *processor.Error {
	e := readError(a)
	return processor.Classify(a, processor.Clip(e.Error.Code), processor.Clip(e.Error.Message), p.profile)
}

// readError reads the error of an answer. A body that is none, such as a proxy's HTML page, leaves it empty:
// then the status alone decides.
func readError(a processor.Answer) errorBody {
	var e errorBody
	if json.Unmarshal(a.Body, &e) != nil {
		return errorBody{}
	}
	return e
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
