package stripe

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// The metadata by which a payment or a refund at Stripe names the one in Florin. The reference is the key of the call
// that made it.
const (
	metadataReference  = payment.ReservedMetadataPrefix + "reference"
	metadataPaymentID  = payment.ReservedMetadataPrefix + "payment_id"
	metadataMerchantID = payment.ReservedMetadataPrefix + "merchant_id"
	metadataRefundID   = payment.ReservedMetadataPrefix + "refund_id"
)

// paymentStatuses are those of https://docs.stripe.com/payments/paymentintents/lifecycle; a failed one is Declined
// whatever it says here. A payment that was not confirmed yet is one whose charge Stripe still works on: we never
// leave any unconfirmed. What is canceled is let go of, by whomever: a hold that expires is as well.
var paymentStatuses = map[stripe.PaymentIntentStatus]payment.Status{
	stripe.PaymentIntentStatusSucceeded:             payment.Succeeded,
	stripe.PaymentIntentStatusRequiresCapture:       payment.Authorized,
	stripe.PaymentIntentStatusProcessing:            payment.Pending,
	stripe.PaymentIntentStatusRequiresConfirmation:  payment.Pending,
	stripe.PaymentIntentStatusRequiresPaymentMethod: payment.Pending,
	stripe.PaymentIntentStatusRequiresAction:        payment.RequiresAction,
	stripe.PaymentIntentStatusCanceled:              payment.Voided,
}

// refundStatuses are those of https://docs.stripe.com/api/refunds/object. The action that is required is the
// customer's, who says where the money should go.
var refundStatuses = map[stripe.RefundStatus]payment.Status{
	stripe.RefundStatusSucceeded:      payment.Succeeded,
	stripe.RefundStatusPending:        payment.Pending,
	stripe.RefundStatusRequiresAction: payment.Pending,
	stripe.RefundStatusFailed:         payment.Declined,
	stripe.RefundStatusCanceled:       payment.Declined,
}

// errIncomplete is an answer that lacks what makes it a payment or a refund.
var errIncomplete = errors.New("the answer is of another kind, or lacks an id, a known status, an amount or a reference")

// readPayment reads a payment of ours.
func readPayment(intent *stripe.PaymentIntent) (processor.Result, error) {
	result, err := readAnyPayment(intent)
	if err == nil && result.Reference == "" {
		return processor.Result{}, errIncomplete
	}
	return result, err
}

// readAnyPayment reads a payment that somebody else may have made at Stripe: then it has no reference.
func readAnyPayment(intent *stripe.PaymentIntent) (processor.Result, error) {
	result := processor.Result{
		ID:         intent.ID,
		Status:     paymentStatuses[intent.Status],
		Currency:   strings.ToUpper(string(intent.Currency)),
		Reference:  intent.Metadata[metadataReference],
		MerchantID: intent.Metadata[metadataMerchantID],
	}
	err := convert(result.Currency,
		[]int64{intent.Amount, intent.AmountReceived, refunded(intent.LatestCharge)},
		&result.Amount, &result.CapturedAmount, &result.RefundedAmount)
	switch {
	case err != nil:
		return processor.Result{}, err
	case intent.Object != "payment_intent" || result.Status == "" || !isID(result.ID) || result.Amount == 0,
		result.Status == payment.Succeeded && result.CapturedAmount == 0:
		return processor.Result{}, errIncomplete
	case hasFailed(intent):
		result.Status, result.Decline = payment.Declined, lastRefusal(intent).decline()
	}
	return result, nil
}

// readRefund reads a refund of ours.
func readRefund(refund *stripe.Refund) (processor.Result, error) {
	result := processor.Result{
		ID:         refund.ID,
		Status:     refundStatuses[refund.Status],
		Currency:   strings.ToUpper(string(refund.Currency)),
		Reference:  refund.Metadata[metadataReference],
		MerchantID: refund.Metadata[metadataMerchantID],
	}
	err := convert(result.Currency, []int64{refund.Amount}, &result.Amount)
	switch {
	case err != nil:
		return processor.Result{}, err
	case refund.Object != "refund" || result.Status == "" || !isID(result.ID) || result.Amount == 0 || result.Reference == "":
		return processor.Result{}, errIncomplete
	case result.Status == payment.Declined:
		result.Decline = &payment.Decline{
			Code: processor.Clip(cmp.Or(string(refund.FailureReason), string(refund.Status))),
			Kind: cmp.Or(kinds[refundFailures[refund.FailureReason]], payment.DeclineSoft),
		}
	}
	return result, nil
}

// convert fills in Florin's amounts of Stripe's.
func convert(currency string, amounts []int64, into ...*int64) (err error) {
	for i, amount := range amounts {
		if *into[i], err = fromStripe(amount, currency); err != nil {
			return err
		}
	}
	return nil
}

// page is a list of Stripe's, or a part of one.
type page[T any] struct {
	Data    []*T `json:"data"`
	HasMore bool `json:"has_more"`
}

// readPage fails where there is no list at all: an error's body is not an empty list. A page that promises more must
// have something to go on from.
func readPage[T any](body []byte) (page[T], error) {
	var list page[T]
	if json.Unmarshal(body, &list) != nil || list.Data == nil || slices.Contains(list.Data, nil) || list.HasMore && len(list.Data) == 0 {
		return page[T]{}, errors.New("the list cannot be read")
	}
	return list, nil
}

// onlyRefund reads the one refund that has the reference; its ID is empty where there is none. A second one would be
// a double refund: it is for a human, so it comes back as an answer that cannot be believed.
func onlyRefund(refunds []*stripe.Refund, reference string, found bool) (result processor.Result, err error) {
	for _, refund := range refunds {
		if refund.Metadata[metadataReference] != reference {
			continue
		}
		if found {
			return processor.Result{}, errors.New("two refunds have the reference that was looked up")
		}
		if result, err = readRefund(refund); err != nil {
			return processor.Result{}, err
		}
		found = true
	}
	return result, nil
}

// refunded is what was given back of what was taken. Stripe also counts as refunded what a capture of a part let go
// of, and all of a hold that was canceled.
func refunded(charge *stripe.Charge) int64 {
	if charge == nil || !charge.Captured {
		return 0
	}
	return max(0, charge.AmountRefunded-max(0, charge.Amount-charge.AmountCaptured))
}

// hasFailed holds for a payment whose last attempt was refused. One that is canceled after that was never held; one
// that is canceled and was held has an error only of its capture.
func hasFailed(intent *stripe.PaymentIntent) bool {
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

// errorBody is how Stripe writes an error.
type errorBody struct {
	Error refusal `json:"error"`
}

// refusal is Stripe's error: https://docs.stripe.com/api/errors.
type refusal struct {
	Type               stripe.ErrorType               `json:"type"`
	Code               stripe.ErrorCode               `json:"code"`
	DeclineCode        stripe.DeclineCode             `json:"decline_code"`
	Message            string                         `json:"message"`
	NetworkDeclineCode string                         `json:"network_decline_code"`
	AdviceCode         stripe.ChargeOutcomeAdviceCode `json:"advice_code"`
	NetworkAdviceCode  string                         `json:"network_advice_code"`
	PaymentIntent      json.RawMessage                `json:"payment_intent"`
}

// readRefusal reads Stripe's error. A body that is none, such as a proxy's HTML page, leaves it empty: then the status
// alone decides. An error without a code has its type as code.
func readRefusal(a processor.Answer) processor.Refusal {
	var body errorBody
	if json.Unmarshal(a.Body, &body) != nil {
		return processor.Refusal{}
	}
	e := body.Error
	r := processor.Refusal{Code: cmp.Or(string(e.Code), string(e.Type)), Message: e.Message}
	if isDecline(a.Status, e.Type, e.Code) && !e.contradicted() {
		r.Decline = e.decline()
	}
	return r
}

// contradicted holds where the payment goes on although something was refused: the capture of a hold, say. What became
// of it only the payment itself can tell.
func (r refusal) contradicted() bool {
	var intent struct {
		Status stripe.PaymentIntentStatus `json:"status"`
	}
	if json.Unmarshal(r.PaymentIntent, &intent) != nil {
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
		Code:        processor.Clip(cmp.Or(string(r.DeclineCode), string(r.Code), string(r.Type))),
		Kind:        declineKind(r.Code, r.DeclineCode, r.AdviceCode),
		NetworkCode: processor.Clip(r.NetworkDeclineCode),
		AdviceCode:  processor.Clip(cmp.Or(r.NetworkAdviceCode, string(r.AdviceCode))),
		Message:     processor.Clip(r.Message),
	}
}

// lastRefusal is what a payment says of its last attempt. What the network said is with the charge, if that is there.
func lastRefusal(intent *stripe.PaymentIntent) refusal {
	e := intent.LastPaymentError
	r := refusal{Type: e.Type, Code: e.Code, DeclineCode: e.DeclineCode, Message: e.Msg}
	if intent.LatestCharge != nil && intent.LatestCharge.Outcome != nil {
		outcome := intent.LatestCharge.Outcome
		r.NetworkDeclineCode, r.AdviceCode, r.NetworkAdviceCode = outcome.NetworkDeclineCode, outcome.AdviceCode, outcome.NetworkAdviceCode
	}
	return r
}

// declined returns the result of a declined operation, with the payment as far as the response contains it. A declined refund
// has no record.
func declined(call processor.Call, a processor.Answer) processor.Result {
	result := a.Declined(call.Key)
	var body errorBody
	var intent stripe.PaymentIntent
	if call.Operation != string(payment.OperationRefund) && json.Unmarshal(a.Body, &body) == nil && json.Unmarshal(body.Error.PaymentIntent, &intent) == nil {
		if paid, err := readPayment(&intent); err == nil {
			result = paid
		}
	}
	result.Status, result.Decline, result.RequestID = payment.Declined, a.Decline, a.RequestID
	return result
}

// isInFlight recognizes a key or an object that another request is at work on. A 409 is never about another payload.
func isInFlight(status int, code string) bool {
	return errorCodes[stripe.ErrorCode(code)] == inFlight || status == http.StatusConflict && errorTypes[stripe.ErrorType(code)] == mismatch
}

// isMismatch recognizes a key that was used with another payload: such an error has a type and no code.
func isMismatch(status int, code string) bool {
	return status != http.StatusConflict && errorTypes[stripe.ErrorType(code)] == mismatch
}

// isConflict recognizes a refusal that is a matter of the payment's state: Stripe says so with a 400, mostly.
func isConflict(_ int, code string) bool { return errorCodes[stripe.ErrorCode(code)] == conflict }

// isID holds for an id that names one object in a path and may be kept in a history.
func isID(id string) bool {
	return id != "" && len(id) <= 255 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
