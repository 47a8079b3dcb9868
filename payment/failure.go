package payment

import "fmt"

// FailureClass classifies the reason for a failure, for programs. The classes are values of the search attribute
// [AttributeFailureClass] and of metrics. A class alone does not prove that no money moved: the status does.
type FailureClass string

// The failure classes.
const (
	// ClassInvalidRequest means that the processor has refused the request as invalid.
	ClassInvalidRequest FailureClass = "invalid_request"
	// ClassIdempotencyMismatch means that the processor has seen the idempotency key with another request.
	ClassIdempotencyMismatch FailureClass = "idempotency_mismatch"
	// ClassAuthentication means that the processor does not accept the credentials (HTTP 401).
	ClassAuthentication FailureClass = "authentication"
	// ClassPermission means that the credentials do not permit the operation (HTTP 403).
	ClassPermission FailureClass = "permission"
	// ClassConfig means that the configuration is wrong: for example, the processor's certificate cannot be verified, or its base
	// URL has no such resource.
	ClassConfig FailureClass = "config"
	// ClassRateLimited means that the processor limits the rate of requests (HTTP 429).
	ClassRateLimited FailureClass = "rate_limited"
	// ClassUnavailable means that the processor has an outage (such as HTTP 503), or that Florin's circuit breaker or one of its
	// limits prevented the request.
	ClassUnavailable FailureClass = "unavailable"
	// ClassNotSent means that the request did not reach the processor: for example, its host refused the connection, or the
	// payment was canceled before.
	ClassNotSent FailureClass = "not_sent"
	// ClassStateConflict means that the state of the payment does not allow the operation (such as HTTP 409), that the
	// processor declined a capture or void, or that a refund failed after it had succeeded.
	ClassStateConflict FailureClass = "state_conflict"
	// ClassInvalidResponse means that the processor's response is malformed or contradicts the request.
	ClassInvalidResponse FailureClass = "invalid_response"
	// ClassOutcomeUnknown means that no response arrived, or that an operator has resolved the outcome.
	ClassOutcomeUnknown FailureClass = "outcome_unknown"
)

// FailureClasses lists every class.
var FailureClasses = []FailureClass{
	ClassInvalidRequest, ClassIdempotencyMismatch, ClassAuthentication, ClassPermission, ClassConfig,
	ClassRateLimited, ClassUnavailable, ClassNotSent, ClassStateConflict, ClassInvalidResponse, ClassOutcomeUnknown,
}

// Failure is the technical reason for the status of a payment or refund that failed, conflicts with its request, is unknown or
// needs reconciliation. It contains neither a payment method nor a secret.
type Failure struct {
	Class FailureClass `json:"class"`
	// Message is one sentence for a human.
	Message string `json:"message"`
	// HTTPStatus is that of the processor's response; 0 if there was none.
	HTTPStatus int `json:"http_status,omitempty"`
	// ProcessorCode is the processor's own error code.
	ProcessorCode string `json:"processor_code,omitempty"`
}

// String returns class and message; empty for nil.
func (f *Failure) String() string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s", f.Class, f.Message)
}

// DeclineKind is what the caller may do after a decline.
type DeclineKind string

// The kinds of declines.
const (
	// DeclineHard means that the payment method must not be tried again (stolen card, closed account).
	DeclineHard DeclineKind = "hard"
	// DeclineSoft means that the same payment method may work later, or with another amount (insufficient funds).
	DeclineSoft DeclineKind = "soft"
	// DeclineAction means that the payment method may work after the customer has acted (authentication required).
	DeclineAction DeclineKind = "action"
)

// Decline is the refusal of an operation by the issuer or the processor, for a business reason. No money moved.
type Decline struct {
	// Code is the processor's decline code, such as insufficient_funds.
	Code string `json:"code"`
	// Kind is derived from the codes by the processor's adapter.
	Kind DeclineKind `json:"kind"`
	// NetworkCode is the card network's response code, such as 51, if the processor reports it.
	NetworkCode string `json:"network_code,omitempty"`
	// AdviceCode is the card network's or the processor's advice on trying again, if the processor reports it.
	AdviceCode string `json:"advice_code,omitempty"`
	// Message is the processor's text, without card numbers and secrets.
	Message string `json:"message,omitempty"`
}
