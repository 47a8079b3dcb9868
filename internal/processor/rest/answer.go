package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// record is a payment or a refund in the JSON of the protocol.
type record struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	Amount         int64  `json:"amount"`
	Currency       string `json:"currency"`
	CapturedAmount *int64 `json:"captured_amount"`
	RefundedAmount *int64 `json:"refunded_amount"`
	Reference      string `json:"reference"`
	DeclineCode    string `json:"decline_code"`
	DeclineKind    string `json:"decline_kind"`
	// CanStillSucceed is only true for a declined payment, see [processor.Result.CanStillSucceed].
	CanStillSucceed bool              `json:"can_still_succeed"`
	Metadata        map[string]string `json:"metadata"`
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

// list is the response to a lookup, whose records are of type record, or to a list, whose records are not read yet.
type list[R record | jsontext.Value] struct {
	Data       []R    `json:"data"`
	NextCursor string `json:"next_cursor"`
}

// decode returns an error if the body has no "data": the body of an error is not an empty list.
func (l *list[R]) decode(body []byte) error {
	if processor.DecodeJSON(body, l) != nil || l.Data == nil {
		return errors.New("the response is not a list with data")
	}
	return nil
}

// only returns the record with the reference. found is false only if the list is empty. Several matching records are a double
// charge. Records without a match, or a next page, show that the processor did not search by reference. Both need a decision
// of an operator, so only returns an error, and the response counts as malformed.
func only(l list[record], read reader, reference string) (result processor.Result, found bool, err error) {
	if len(l.Data) == 0 && l.NextCursor == "" {
		return processor.Result{}, false, nil
	}
	matching := slices.DeleteFunc(l.Data, func(r record) bool { return r.Reference != reference })
	switch {
	case l.NextCursor != "":
		return processor.Result{}, false, errors.New("the lookup returned more than one page: want one record")
	case len(matching) != 1:
		return processor.Result{}, false, fmt.Errorf("%d records have the requested reference: want 1", len(matching))
	}
	result, err = read(matching[0])
	return result, err == nil, err
}

// Errors of a record that lacks a required field or has an invalid one. Texts are checked by [processor.Result.Checked].
var (
	errStatus    = errors.New("the record has no status of the protocol")
	errAmount    = errors.New("the record has no amount above zero")
	errMoved     = errors.New("the record has an invalid captured_amount or refunded_amount")
	errReference = errors.New("the record has no reference")
)

// reader converts a record of one kind.
type reader func(record) (processor.Result, error)

// readPayment reads a payment that Florin made: it must have a reference.
func readPayment(r record) (processor.Result, error) {
	result, err := r.payment()
	switch {
	case err != nil:
		return processor.Result{}, err
	case r.Reference == "":
		return processor.Result{}, errReference
	}
	return result.Checked()
}

// readAnyPayment reads a payment that may not be Florin's: then it may have no reference.
func readAnyPayment(r record) (processor.Result, error) {
	result, err := r.payment()
	if err != nil {
		return processor.Result{}, err
	}
	return result.CheckedListed()
}

// payment reads the record of a payment, whose texts are not checked yet.
func (r record) payment() (processor.Result, error) {
	result, err := r.result(chargeStatuses)
	if err != nil {
		return processor.Result{}, err
	}
	result.CanStillSucceed = r.CanStillSucceed
	if r.RefundedAmount != nil {
		result.RefundedAmount = *r.RefundedAmount
	}
	result.RefundedUnknown = r.RefundedAmount == nil && result.Status == payment.Succeeded
	switch {
	case r.CapturedAmount != nil:
		result.CapturedAmount = *r.CapturedAmount
	case result.Status == payment.Succeeded:
		result.CapturedAmount = r.Amount
	}
	if result.CapturedAmount < 0 || result.RefundedAmount < 0 ||
		result.Status == payment.Succeeded && result.CapturedAmount == 0 {
		return processor.Result{}, errMoved
	}
	return result, nil
}

// readRefund reads a refund. CapturedAmount and RefundedAmount stay 0: they belong to the payment.
func readRefund(r record) (processor.Result, error) {
	result, err := r.result(refundStatuses)
	switch {
	case err != nil:
		return processor.Result{}, err
	case r.Reference == "":
		return processor.Result{}, errReference
	}
	return result.Checked()
}

// readAnyRefund reads a refund that may not be Florin's: then it may have no reference.
func readAnyRefund(r record) (processor.Result, error) {
	result, err := r.result(refundStatuses)
	if err != nil {
		return processor.Result{}, err
	}
	return result.CheckedListed()
}

// result reads the fields that payments and refunds have in common.
func (r record) result(statuses map[string]payment.Status) (processor.Result, error) {
	status, ok := statuses[r.Status]
	switch {
	case !ok:
		return processor.Result{}, errStatus
	case r.Amount <= 0:
		return processor.Result{}, errAmount
	}
	result := processor.Result{
		ID:         r.ID,
		Status:     status,
		Amount:     r.Amount,
		Currency:   r.Currency,
		Reference:  r.Reference,
		MerchantID: r.Metadata[processor.MetadataMerchantID],
	}
	if status == payment.Declined {
		result.Decline = newDecline(r.DeclineCode, r.DeclineKind, "")
	}
	return result, nil
}

// errorBody is the body of an error.
type errorBody struct {
	Error struct {
		Code        string `json:"code"`
		Message     string `json:"message"`
		DeclineCode string `json:"decline_code"`
		DeclineKind string `json:"decline_kind"`
	} `json:"error"`
}

// refusal reads the body of an error. For any other body, such as a proxy's HTML page, the refusal is empty, and the status
// alone decides. A 402 with an error code and a 422 with a decline code are declines. A 402 without an error code comes from a
// gateway and is not a decline of the card.
func refusal(a processor.Answer) processor.Refusal {
	var body errorBody
	if processor.DecodeJSON(a.Body, &body) != nil {
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
	d := &payment.Decline{Code: processor.ClipCode(code), Kind: payment.DeclineKind(kind), Message: processor.Clip(message)}
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
