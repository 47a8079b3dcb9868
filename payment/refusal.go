package payment

import "fmt"

// RefusalCode is the reason why a request, an update or a read was refused. Nothing was sent to a processor because of it. In
// Temporal it is the type of a non-retryable application error, which services in other languages compare. A RefusalCode is
// itself an error, so that it can be the target of [errors.Is].
type RefusalCode string

// The refusal codes.
const (
	// ErrInvalidRequest means that the request cannot be executed as it is. An [InvalidRequestError] lists the fields.
	ErrInvalidRequest RefusalCode = "InvalidRequest"
	// ErrIdempotencyMismatch means that the idempotency key was used for a different request.
	ErrIdempotencyMismatch RefusalCode = "IdempotencyMismatch"
	// ErrNotFound means that the store has no such payment or refund.
	ErrNotFound RefusalCode = "NotFound"
	// ErrPaymentNotFound means that the payment to refund does not exist, or belongs to another merchant.
	ErrPaymentNotFound RefusalCode = "PaymentNotFound"
	// ErrPaymentNotRefundable means that the payment to refund has not succeeded.
	ErrPaymentNotRefundable RefusalCode = "PaymentNotRefundable"
	// ErrRefundExceedsCaptured means that the refund exceeds what remains of the payment.
	ErrRefundExceedsCaptured RefusalCode = "RefundExceedsCaptured"
	// ErrNotResolvable means that there is no unknown outcome to resolve, or that an operation is in flight.
	ErrNotResolvable RefusalCode = "NotResolvable"
	// ErrNotCapturable means that the payment is not authorized, or that another modification is in flight.
	ErrNotCapturable RefusalCode = "NotCapturable"
	// ErrNotVoidable means that there is nothing to void, or that another modification is in flight.
	ErrNotVoidable RefusalCode = "NotVoidable"
	// ErrCaptureExceedsAuthorized means that the capture exceeds the authorized amount.
	ErrCaptureExceedsAuthorized RefusalCode = "CaptureExceedsAuthorized"
	// ErrTooManyUpdates means that too many updates [UpdateOutcome] of a workflow wait, or have waited, under different update IDs.
	ErrTooManyUpdates RefusalCode = "TooManyUpdates"
	// ErrNotAuthorized means that the caller has not proven that he may do this. It is no statement about what exists.
	ErrNotAuthorized RefusalCode = "NotAuthorized"
)

// refusals has the message of every code.
var refusals = map[RefusalCode]string{
	ErrInvalidRequest:           "invalid request",
	ErrIdempotencyMismatch:      "the idempotency key belongs to a different request: find out which request came first",
	ErrNotFound:                 "not found",
	ErrPaymentNotFound:          "payment not found",
	ErrPaymentNotRefundable:     "payment not refundable",
	ErrRefundExceedsCaptured:    "refund exceeds what remains of the payment",
	ErrNotResolvable:            "not resolvable",
	ErrNotCapturable:            "not capturable",
	ErrNotVoidable:              "not voidable",
	ErrCaptureExceedsAuthorized: "capture exceeds the authorized amount",
	ErrTooManyUpdates:           "too many updates wait for the outcome",
	ErrNotAuthorized:            "not authorized",
}

// Error returns a general message for the code. [Refusal] has the reason in a particular case.
func (c RefusalCode) Error() string { return refusals[c] }

// ParseRefusalCode returns the code for the type of an application error. ok is false if the type is not a RefusalCode.
func ParseRefusalCode(errorType string) (code RefusalCode, ok bool) {
	_, ok = refusals[RefusalCode(errorType)]
	return RefusalCode(errorType), ok
}

// Refusal is the error of a refused request, update or read.
type Refusal struct {
	Code RefusalCode
	// Message is the reason, in one complete sentence.
	Message string
}

// Refuse returns a Refusal with a formatted message.
func Refuse(code RefusalCode, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// Unwrap returns the code.
func (r *Refusal) Unwrap() error { return r.Code }

// RefusedRequest is the detail of the application error for a refused charge or refund: what was requested. Temporal stores it in
// the workflow's history. For a request with invalid fields, the detail is an [InvalidRequestError] instead.
type RefusedRequest struct {
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	// PaymentID is that of the charge, or of the payment to refund.
	PaymentID string `json:"payment_id"`
	// Amount is in minor units of Currency. 0: a refund of all that is left.
	Amount   int64  `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
}
