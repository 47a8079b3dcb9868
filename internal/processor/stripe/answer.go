package stripe

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// metadataReference is the metadata key for the reference of a payment or a refund at Stripe: the idempotency key of the
// call that made it.
const (
	metadataReference = payment.ReservedMetadataPrefix + "reference"
)

// paymentStatuses maps the statuses of https://docs.stripe.com/payments/paymentintents/lifecycle. A payment whose last attempt
// failed is Declined instead: see hasFailed. An unconfirmed payment is Pending, because Charge always confirms: Stripe is still
// processing it. A payment that Florin, a person or Stripe canceled is Voided; Stripe also cancels an authorization that expires.
var paymentStatuses = map[stripe.PaymentIntentStatus]payment.Status{
	stripe.PaymentIntentStatusSucceeded:             payment.Succeeded,
	stripe.PaymentIntentStatusRequiresCapture:       payment.Authorized,
	stripe.PaymentIntentStatusProcessing:            payment.Pending,
	stripe.PaymentIntentStatusRequiresConfirmation:  payment.Pending,
	stripe.PaymentIntentStatusRequiresPaymentMethod: payment.Pending,
	stripe.PaymentIntentStatusRequiresAction:        payment.RequiresAction,
	stripe.PaymentIntentStatusCanceled:              payment.Voided,
}

// refundStatuses maps the statuses of https://docs.stripe.com/api/refunds/object. requires_action means that the customer must
// name the account that receives the money.
var refundStatuses = map[stripe.RefundStatus]payment.Status{
	stripe.RefundStatusSucceeded:      payment.Succeeded,
	stripe.RefundStatusPending:        payment.Pending,
	stripe.RefundStatusRequiresAction: payment.Pending,
	stripe.RefundStatusFailed:         payment.Declined,
	stripe.RefundStatusCanceled:       payment.Declined,
}

// Errors of an object that is not a payment or a refund, or that lacks a required field.
var (
	errIncomplete = errors.New("the object is of another type, or lacks a valid id, amount or reference")
	errStatus     = errors.New("the object has no status that Stripe documents")
	errAmount     = errors.New("an amount or the currency is not one that Stripe documents")
)

// readPayment reads a payment that Florin made: it must have a reference.
func readPayment(intent *paymentIntent) (processor.Result, error) {
	result, err := intent.result()
	switch {
	case err != nil:
		return processor.Result{}, err
	case result.Reference == "":
		return processor.Result{}, errIncomplete
	}
	return result.Checked()
}

// readAnyPayment reads a payment that may not be Florin's: then it has no reference.
func readAnyPayment(intent *paymentIntent) (processor.Result, error) {
	result, err := intent.result()
	if err != nil {
		return processor.Result{}, err
	}
	return result.CheckedListed()
}

// result reads a payment, whose texts are not checked yet.
func (intent *paymentIntent) result() (processor.Result, error) {
	result := processor.Result{
		ID:         intent.ID,
		Status:     paymentStatuses[intent.Status],
		Currency:   strings.ToUpper(intent.Currency),
		Reference:  intent.Metadata[metadataReference],
		MerchantID: intent.Metadata[processor.MetadataMerchantID],
	}
	result.RefundedUnknown = result.Status == payment.Succeeded && intent.LatestCharge != nil && *intent.LatestCharge == (charge{})
	err := convert(result.Currency,
		[]int64{intent.Amount, intent.AmountReceived, refunded(intent.LatestCharge)},
		&result.Amount, &result.CapturedAmount, &result.RefundedAmount)
	switch {
	case err != nil:
		return processor.Result{}, errAmount
	case result.Status == "":
		return processor.Result{}, errStatus
	case intent.Object != "payment_intent" || !isID(result.ID) || result.Amount == 0,
		result.Status == payment.Succeeded && result.CapturedAmount == 0:
		return processor.Result{}, errIncomplete
	case hasFailed(intent):
		result.Status, result.Decline = payment.Declined, lastRefusal(intent).decline()
		result.CanStillSucceed = canBePaid(intent.Status)
	}
	return result, nil
}

// readVoided reads the response to a cancellation. A payment that was canceled is voided, also if its last attempt failed.
func readVoided(intent *paymentIntent) (processor.Result, error) {
	result, err := readPayment(intent)
	if err == nil && intent.Status == stripe.PaymentIntentStatusCanceled {
		result.Status, result.Decline = payment.Voided, nil
	}
	return result, err
}

// readRefund reads a refund that Florin made: it must have a reference.
func readRefund(refund *refund) (processor.Result, error) {
	result, err := refund.result()
	switch {
	case err != nil:
		return processor.Result{}, err
	case result.Reference == "":
		return processor.Result{}, errIncomplete
	}
	return result.Checked()
}

// readAnyRefund reads a refund that may not be Florin's: then it has no reference.
func readAnyRefund(refund *refund) (processor.Result, error) {
	result, err := refund.result()
	if err != nil {
		return processor.Result{}, err
	}
	return result.CheckedListed()
}

// result reads a refund, whose texts are not checked yet.
func (refund *refund) result() (processor.Result, error) {
	result := processor.Result{
		ID:         refund.ID,
		Status:     refundStatuses[refund.Status],
		Currency:   strings.ToUpper(refund.Currency),
		Reference:  refund.Metadata[metadataReference],
		MerchantID: refund.Metadata[processor.MetadataMerchantID],
	}
	err := convert(result.Currency, []int64{refund.Amount}, &result.Amount)
	switch {
	case err != nil:
		return processor.Result{}, errAmount
	case result.Status == "":
		return processor.Result{}, errStatus
	case refund.Object != "refund" || !isID(result.ID) || result.Amount == 0:
		return processor.Result{}, errIncomplete
	case result.Status == payment.Declined:
		result.Decline = &payment.Decline{
			Code: processor.ClipCode(cmp.Or(string(refund.FailureReason), string(refund.Status))),
			Kind: cmp.Or(kinds[refundFailures[refund.FailureReason]], payment.DeclineSoft),
		}
	}
	return result, nil
}

// convert converts Stripe's amounts to Florin's and stores them in into.
func convert(currency string, amounts []int64, into ...*int64) (err error) {
	for i, amount := range amounts {
		if *into[i], err = fromStripe(amount, currency); err != nil {
			return err
		}
	}
	return nil
}

// record is a record of a list.
type record interface {
	*paymentIntent | *refund | *listed
	id() string
}

func (intent *paymentIntent) id() string { return intent.ID }
func (refund *refund) id() string        { return refund.ID }

// page is one page of a list or of search results.
type page[T record] struct {
	Data    []T  `json:"data"`
	HasMore bool `json:"has_more"`
}

// next returns the id after which the next page starts; empty if there is none.
func (p page[T]) next() string {
	if !p.HasMore {
		return ""
	}
	return p.Data[len(p.Data)-1].id()
}

// readPage returns an error if the body has no "data": the body of an error is not an empty list. A page with has_more must end with
// a record that has a valid id, because the next page starts after it: without one, the rest of the list would be lost.
func readPage[T record](body []byte) (page[T], error) {
	var list page[T]
	if processor.DecodeJSON(body, &list) != nil || list.Data == nil || slices.Contains(list.Data, nil) ||
		list.HasMore && (len(list.Data) == 0 || !isID(list.next())) {
		return page[T]{}, errors.New("the response is not a list with data")
	}
	return list, nil
}

// onlyPayment returns the id of the payment with the reference, or found if the page has none; found is the id from an earlier page.
// A second payment is a double charge, which needs a decision of an operator: onlyPayment returns an error, and the response counts
// as malformed.
func onlyPayment(intents []*paymentIntent, reference, found string) (id string, err error) {
	for _, intent := range intents {
		switch {
		case intent.Metadata[metadataReference] != reference:
		case found != "":
			return "", errors.New("several payments have the requested reference: want 1")
		case !isID(intent.ID):
			return "", errIncomplete
		default:
			found = intent.ID
		}
	}
	return found, nil
}

// onlyRefund returns the refund with the reference, or the zero Result if the page has none. found reports whether an earlier
// page had one. A second one is a double refund, which needs a decision of an operator: onlyRefund returns an error, and the
// response counts as malformed.
func onlyRefund(refunds []*refund, reference string, found bool) (result processor.Result, err error) {
	for _, refund := range refunds {
		if refund.Metadata[metadataReference] != reference {
			continue
		}
		if found {
			return processor.Result{}, errors.New("several refunds have the requested reference: want 1")
		}
		if result, err = readRefund(refund); err != nil {
			return processor.Result{}, err
		}
		found = true
	}
	return result, nil
}

// refunded returns how much captured money was refunded. Stripe's amount_refunded also contains released money: the rest of a
// partial capture and the whole of a canceled authorization.
func refunded(charge *charge) int64 {
	if charge == nil || !charge.Captured {
		return 0
	}
	return max(0, charge.AmountRefunded-max(0, charge.Amount-charge.AmountCaptured))
}

// hasFailed reports whether the payment's charge was declined. A canceled payment was declined only if it was never authorized:
// otherwise the error is that of a capture.
func hasFailed(intent *paymentIntent) bool {
	if intent.LastPaymentError == nil {
		return false
	}
	switch intent.Status {
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		return true
	case stripe.PaymentIntentStatusCanceled:
		return intent.LatestCharge == nil || intent.LatestCharge.Status == stripe.ChargeStatusFailed
	default:
		return false
	}
}

// canBePaid reports whether the customer, who has the payment's client secret, can pay it with another payment method. After a
// failed attempt, such as a failed 3-D Secure challenge, the status is requires_payment_method again; only a canceled or paid
// payment is final: https://docs.stripe.com/payments/paymentintents/lifecycle.
func canBePaid(status stripe.PaymentIntentStatus) bool {
	switch status {
	case stripe.PaymentIntentStatusRequiresPaymentMethod, stripe.PaymentIntentStatusRequiresConfirmation,
		stripe.PaymentIntentStatusRequiresAction:
		return true
	default:
		return false
	}
}

// errorBody is the body of an error.
type errorBody struct {
	Error refusal `json:"error"`
}

// refusal is an error object, also that of a payment's last attempt: https://docs.stripe.com/api/errors.
type refusal struct {
	Type               stripe.ErrorType               `json:"type"`
	Code               stripe.ErrorCode               `json:"code"`
	DeclineCode        stripe.DeclineCode             `json:"decline_code"`
	Message            string                         `json:"message"`
	NetworkDeclineCode string                         `json:"network_decline_code"`
	AdviceCode         stripe.ChargeOutcomeAdviceCode `json:"advice_code"`
	NetworkAdviceCode  string                         `json:"network_advice_code"`
	PaymentIntent      jsontext.Value                 `json:"payment_intent"`
}

// readRefusal reads the body of an error. For any other body, such as a proxy's HTML page, the refusal is empty, and the status
// alone decides. The code of an error without a code is its type.
func readRefusal(a processor.Answer) processor.Refusal {
	var body errorBody
	if processor.DecodeJSON(a.Body, &body) != nil {
		return processor.Refusal{}
	}
	e := body.Error
	r := processor.Refusal{Code: cmp.Or(string(e.Code), string(e.Type)), Message: e.Message}
	if isDecline(a.Status, e.Type, e.Code) && !e.contradicted() {
		r.Decline = e.decline()
	}
	return r
}

// contradicted reports whether the payment in the error has succeeded, is processing or is authorized, for example after a
// refused capture. The error is then not a decline: only a lookup of the payment can find the outcome.
func (r refusal) contradicted() bool {
	var intent struct {
		Status stripe.PaymentIntentStatus `json:"status"`
	}
	if processor.DecodeJSON(r.PaymentIntent, &intent) != nil {
		return false
	}
	switch intent.Status {
	case stripe.PaymentIntentStatusSucceeded, stripe.PaymentIntentStatusProcessing, stripe.PaymentIntentStatusRequiresCapture:
		return true
	default:
		return false
	}
}

func (r refusal) decline() *payment.Decline {
	return &payment.Decline{
		Code:        processor.ClipCode(cmp.Or(string(r.DeclineCode), string(r.Code), string(r.Type))),
		Kind:        declineKind(r.Code, r.DeclineCode, r.AdviceCode),
		NetworkCode: processor.ClipCode(r.NetworkDeclineCode),
		AdviceCode:  processor.ClipCode(cmp.Or(r.NetworkAdviceCode, string(r.AdviceCode))),
		Message:     processor.Clip(r.Message),
	}
}

// lastRefusal returns the error of the payment's last attempt. The codes of the card network come from its charge, if the
// response contains it.
func lastRefusal(intent *paymentIntent) refusal {
	r := *intent.LastPaymentError
	if intent.LatestCharge != nil && intent.LatestCharge.Outcome != nil {
		outcome := intent.LatestCharge.Outcome
		r.NetworkDeclineCode = outcome.NetworkDeclineCode
		r.AdviceCode, r.NetworkAdviceCode = outcome.AdviceCode, outcome.NetworkAdviceCode
	}
	return r
}

// declined returns the result of a declined operation, with the payment as far as the response contains it. A declined refund
// has no record.
func declined(call processor.Call, a processor.Answer) processor.Result {
	result := a.Declined(call.Key)
	var body errorBody
	var intent paymentIntent
	if call.Operation != string(payment.OperationRefund) && processor.DecodeJSON(a.Body, &body) == nil &&
		processor.DecodeJSON(body.Error.PaymentIntent, &intent) == nil {
		if paid, err := readPayment(&intent); err == nil {
			result = paid
			result.CanStillSucceed = canBePaid(intent.Status)
		}
	}
	result.Status, result.Decline, result.RequestID = payment.Declined, a.Decline, a.RequestID
	return result
}

// isInFlight reports whether another request is using the key or the object. An idempotency_error with a 409 means a key in
// use, never another payload.
func isInFlight(status int, code string) bool {
	return errorCodes[stripe.ErrorCode(code)] == inFlight ||
		status == http.StatusConflict && errorTypes[stripe.ErrorType(code)] == mismatch
}

// isMismatch reports whether the key was used with another payload. Such an error has a type but no code.
func isMismatch(status int, code string) bool {
	return status != http.StatusConflict && errorTypes[stripe.ErrorType(code)] == mismatch
}

// isConflict reports whether the payment is not in a state for the operation. Stripe mostly uses a 400 for that.
func isConflict(_ int, code string) bool { return errorCodes[stripe.ErrorCode(code)] == conflict }

// isID reports whether an id is safe in a path and short enough to be stored in a workflow history.
func isID(id string) bool {
	return id != "" && len(id) <= 255 &&
		strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
