package payment

import "fmt"

// RefusalCode identifies why a request, an update or a read is refused: nothing was sent to a processor because of it. It is the
// type of the non-retryable application error in Temporal, so services in other languages rely on it. A RefusalCode is an
// error, so that it can be the target of [errors.Is].
type RefusalCode string

// The refusal codes.
const (
	// ErrInvalidRequest means that the request cannot be executed as it is. See [InvalidRequestError] for the fields.
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
	// ErrNotResolvable means that the outcome is not unknown, or that an operation is in flight.
	ErrNotResolvable RefusalCode = "NotResolvable"
	// ErrNotCapturable means that the payment is not authorized, or that another modification is in flight.
	ErrNotCapturable RefusalCode = "NotCapturable"
	// ErrNotVoidable means that there is nothing to void, or that another modification is in flight.
	ErrNotVoidable RefusalCode = "NotVoidable"
	// ErrCaptureExceedsAuthorized means that the capture exceeds the authorized amount.
	ErrCaptureExceedsAuthorized RefusalCode = "CaptureExceedsAuthorized"
)

// refusals are the messages of all codes.
var refusals = map[RefusalCode]string{
	ErrInvalidRequest:           "invalid request",
	ErrIdempotencyMismatch:      "the idempotency key belongs to a different request: use a new key for a new purchase",
	ErrNotFound:                 "not found",
	ErrPaymentNotFound:          "payment not found",
	ErrPaymentNotRefundable:     "payment not refundable",
	ErrRefundExceedsCaptured:    "refund exceeds what remains of the payment",
	ErrNotResolvable:            "not resolvable",
	ErrNotCapturable:            "not capturable",
	ErrNotVoidable:              "not voidable",
	ErrCaptureExceedsAuthorized: "capture exceeds the authorized amount",
}

// Error returns the meaning of the code.
func (c RefusalCode) Error() string { return refusals[c] }

// ParseRefusalCode returns the code that is the type of an application error. ok is false if the type is not a refusal.
func ParseRefusalCode(errorType string) (code RefusalCode, ok bool) {
	_, ok = refusals[RefusalCode(errorType)]
	return RefusalCode(errorType), ok
}

// Refusal is a refused request, update or read: its code, and the reason in one sentence.
type Refusal struct {
	Code    RefusalCode
	Message string
}

// Refuse returns a Refusal with a formatted message, which is one complete sentence.
func Refuse(code RefusalCode, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// Unwrap returns the code.
func (r *Refusal) Unwrap() error { return r.Code }

// RefusedRequest is the detail of an application error for a refused charge or refund: what was requested. An InvalidRequest has an
// [InvalidRequestError] instead.
type RefusedRequest struct {
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	PaymentID      string `json:"payment_id"`
	// Amount is in minor units of Currency; 0 if the request was for everything that remains.
	Amount   int64  `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
}
