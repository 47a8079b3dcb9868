package florintest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/florinpay/florin/internal/simulator/tokens"
	"github.com/florinpay/florin/payment"
)

// PaymentMethod is a payment method that a [Fake] and the simulated processor know.
type PaymentMethod struct {
	// Name is what [payment.ChargeRequest.PaymentMethod] must be.
	Name string
	// Operation is the operation that Description and Status are about: a charge, a capture (void included, unless Description
	// excludes it) or a refund. The other operations succeed.
	Operation payment.Operation
	// Description is what the processor does.
	Description string
	// FirstStatus is [payment.Pending] or [payment.RequiresAction] if the processor does not decide at once, and otherwise empty.
	FirstStatus payment.Status
	// Status is the status in the end: of the payment, or of the refund if Operation is a refund. A charge with manual capture is
	// [payment.Authorized] instead of [payment.Succeeded].
	Status payment.Status
}

// PaymentMethods returns all payment methods that a [Fake] knows.
func PaymentMethods() []PaymentMethod {
	var methods []PaymentMethod
	for _, t := range tokens.All() {
		methods = append(methods, PaymentMethod{
			Name: t.Name, Operation: payment.Operation(t.Scope), Description: t.Description,
			FirstStatus: payment.Status(t.FirstStatus), Status: payment.Status(t.ExpectedStatus),
		})
	}
	return methods
}

// failures are the failures of the tokens whose charge, capture or refund is not executed.
var failures = map[string]payment.Failure{
	"tok_400":         simulated(http.StatusBadRequest, payment.ClassInvalidRequest, "invalid_request"),
	"tok_401_always":  simulated(http.StatusUnauthorized, payment.ClassAuthentication, "unauthorized"),
	"tok_403":         simulated(http.StatusForbidden, payment.ClassPermission, "forbidden"),
	"tok_404":         simulated(http.StatusNotFound, payment.ClassConfig, "not_found"),
	"tok_422":         simulated(http.StatusUnprocessableEntity, payment.ClassInvalidRequest, "invalid_request"),
	"tok_501":         simulated(http.StatusNotImplemented, payment.ClassConfig, "not_implemented"),
	"tok_mismatch":    simulated(http.StatusUnprocessableEntity, payment.ClassIdempotencyMismatch, "idempotency_mismatch"),
	"tok_500_always":  simulated(http.StatusInternalServerError, payment.ClassUnavailable, "internal_error"),
	"tok_429_always":  simulated(http.StatusTooManyRequests, payment.ClassRateLimited, "rate_limited"),
	"tok_capture_403": simulated(http.StatusForbidden, payment.ClassPermission, "forbidden"),

	"tok_refund_500_always": simulated(http.StatusInternalServerError, payment.ClassUnavailable, "internal_error"),
}

func simulated(status int, class payment.FailureClass, code string) payment.Failure {
	return payment.Failure{Class: class, Message: fmt.Sprintf("a simulated %d", status), HTTPStatus: status, ProcessorCode: code}
}

func failureOf(t tokens.Token) *payment.Failure {
	failure, known := failures[t.Name]
	if !known {
		panic(fmt.Sprintf("token %s has no failure", t.Name))
	}
	return &failure
}

// The failures that do not depend on the token.
var (
	unknownPaymentMethod = payment.Failure{
		Class: payment.ClassInvalidRequest, HTTPStatus: http.StatusUnprocessableEntity, ProcessorCode: "card_token_unknown",
		Message: "unknown payment method: florintest.PaymentMethods lists the known ones",
	}
	outcomeUnknown = payment.Failure{
		Class: payment.ClassOutcomeUnknown, HTTPStatus: 500, ProcessorCode: "internal_error",
		Message: "the processor did not report the outcome in time",
	}
	notSent  = payment.Failure{Class: payment.ClassNotSent, Message: "not sent: send_by of the request has passed"}
	conflict = payment.Failure{
		Class: payment.ClassInvalidResponse, Message: "the processor executed something other than what was requested",
	}
	voidOfPending = payment.Failure{
		Class: payment.ClassStateConflict, HTTPStatus: http.StatusConflict, ProcessorCode: "state_conflict",
		Message: "the processor does not void a pending payment",
	}
)

func declinedCapture(t tokens.Token) payment.Failure {
	return payment.Failure{
		Class: payment.ClassStateConflict, ProcessorCode: t.DeclineCode, Message: "the processor declined the capture",
	}
}

// chargeDecline returns the decline of a charge. A payment in the response has no message, only an error has one.
func chargeDecline(t tokens.Token) *payment.Decline {
	d := &payment.Decline{Code: t.DeclineCode, Kind: payment.DeclineKind(t.DeclineKind)}
	if t.FirstStatus == "" && t.Name != "tok_declined_200" && t.Name != "tok_declined_open" {
		d.Message = "the card was declined: " + t.DeclineCode
	}
	return d
}

// canPayAfterADecline reports whether the customer can pay a payment that was declined after an action.
func canPayAfterADecline(t tokens.Token) bool {
	return t.Name == "tok_action_declined_open" || t.Name == "tok_action_declined_then_paid"
}

func captureDecline(t tokens.Token) *payment.Decline {
	return &payment.Decline{
		Code: t.DeclineCode, Kind: payment.DeclineKind(t.DeclineKind), Message: "the capture was declined: " + t.DeclineCode,
	}
}

// refundDecline returns the decline of a refund, which is soft: the processor reports no kind.
func refundDecline(t tokens.Token) *payment.Decline {
	return &payment.Decline{Code: t.DeclineCode, Kind: payment.DeclineSoft, Message: "the refund was declined: " + t.DeclineCode}
}

// processorID returns the processor's id of a payment or refund.
func processorID(prefix, key string) string {
	sum := sha256.Sum256([]byte(prefix + key))
	return prefix + hex.EncodeToString(sum[:12])
}
