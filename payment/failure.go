package payment

import "fmt"

// FailureClass says why a payment or refund failed, for machines.
type FailureClass string

// The failure classes. Services and dashboards rely on the names.
const (
	ClassInvalidRequest      FailureClass = "invalid_request"
	ClassIdempotencyMismatch FailureClass = "idempotency_mismatch"
	ClassAuthentication      FailureClass = "authentication"
	ClassPermission          FailureClass = "permission"
	ClassConfig              FailureClass = "config"
	ClassRateLimited         FailureClass = "rate_limited"
	ClassUnavailable         FailureClass = "unavailable"
	ClassNotSent             FailureClass = "not_sent"
	ClassStateConflict       FailureClass = "state_conflict"
	ClassInvalidResponse     FailureClass = "invalid_response"
	ClassOutcomeUnknown      FailureClass = "outcome_unknown"
)

// FailureClasses lists every class.
var FailureClasses = []FailureClass{
	ClassInvalidRequest, ClassIdempotencyMismatch, ClassAuthentication, ClassPermission, ClassConfig,
	ClassRateLimited, ClassUnavailable, ClassNotSent, ClassStateConflict, ClassInvalidResponse, ClassOutcomeUnknown,
}

// Failure is the technical reason behind a payment or refund that is failed, conflicted, unknown or needs
// reconciliation. Message is one sentence for a human and never holds a payment method or a secret.
type Failure struct {
	Class         FailureClass `json:"class"`
	Message       string       `json:"message"`
	HTTPStatus    int          `json:"http_status,omitempty"`
	ProcessorCode string       `json:"processor_code,omitempty"`
}

func (f *Failure) String() string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s", f.Class, f.Message)
}

// DeclineKind says what a caller may do about a decline.
type DeclineKind string

// The kinds of decline.
const (
	// DeclineHard: never try this payment method again (stolen card, closed account).
	DeclineHard DeclineKind = "hard"
	// DeclineSoft: may work later or with another amount (insufficient funds).
	DeclineSoft DeclineKind = "soft"
	// DeclineAction: may work once the customer has acted (authentication required).
	DeclineAction DeclineKind = "action"
)

// Decline is the answer of an issuer or processor that said no.
type Decline struct {
	Code        string      `json:"code"`
	Kind        DeclineKind `json:"kind"`
	NetworkCode string      `json:"network_code,omitempty"`
	AdviceCode  string      `json:"advice_code,omitempty"`
	Message     string      `json:"message,omitempty"`
}
