package processor

import (
	"time"

	"github.com/florinpay/florin/payment"
)

// Profile is what has to be known about a processor to use it safely. Its source is the processor's documentation, which the
// adapter names. The zero value assumes nothing.
type Profile struct {
	// KeyLifetime is how long the processor keeps an idempotency key, counted from the first request under it. A resend
	// after that would execute the operation a second time. Zero: the worker assumes 24 h. Its configuration can
	// override the value (key_lifetime). A Client on its own takes zero for no limit.
	KeyLifetime time.Duration
	// KeyMaxLength is the maximum number of characters of a key. Zero: unlimited.
	KeyMaxLength int
	// KeyAllows reports whether a key may contain r. Nil: whatever an HTTP header can carry.
	KeyAllows func(r rune) bool
	// AbsenceProofAfter is how long after the last send "not found" proves that nothing was executed. Zero: never.
	AbsenceProofAfter time.Duration
	// Unavailable503NotExecuted is true if the processor documents that a request answered with 503 was not executed.
	Unavailable503NotExecuted bool
	// RetryHeader is a response header, such as Stripe-Should-Retry, whose value true or false says whether the same
	// call may be sent again. It overrides [Error.Retry], never [Error.Certainty].
	RetryHeader string
	// Refusal reads the body of a response that is not a success. Nil: the status alone decides.
	Refusal func(a Answer) Refusal
	// InFlight recognizes "a request with this key is still in progress".
	InFlight func(status int, code string) bool
	// Mismatch recognizes "this key was used with another payload".
	Mismatch func(status int, code string) bool
	// Conflict recognizes, in addition to every 409, a status below 500 that means "the payment is not in a state for
	// this". An earlier attempt of ours may have caused that state.
	Conflict func(status int, code string) bool
	// SeenBefore recognizes the codes of declines that mean "this looks like an earlier request", such as duplicate_transaction. After
	// a send without a response, such a decline may be about that very send: it proves nothing, and the outcome is looked up until it is
	// known. It is never a soft decline, because a retry that succeeds could be a second charge. Nil: there is no such code.
	SeenBefore func(code string) bool
	// ObjectLevel recognizes, among 429 and 5xx, a response about one object, such as a lock on a payment. It proves nothing
	// about the processor: it does not open the circuit breaker, and slows no other call down. Nil: every 429 and every 5xx is
	// about the processor.
	ObjectLevel func(status int, code string) bool
	// MaxBatch is how many charges the processor takes in one request, see [Batcher]. Zero: it takes them one by one.
	MaxBatch int
	// RefundListsComplete is true if a lookup of a refund reads a list that contains every refund that the processor has executed,
	// and not a search index, which lags. Then "not found" proves at once that no earlier request was executed, except one that
	// may still be executing: after a request without a response, AbsenceProofAfter counts all the same.
	RefundListsComplete bool
	// Limits are what the processor accepts in a request. The worker checks them before it stores a payment or a refund, and before it
	// sends a capture.
	Limits Limits
	// Audited are the fields of requests and responses whose values the audit log contains, by path: names separated by dots, with []
	// after that of an array, such as "data[].id". The shape says what a value must look like. All other values are masked, as
	// are those that do not have the shape. Name only fields whose values the processor itself defines or assigns. A path through a
	// field that may identify a card, an account or a person, such as "card.brand", is an error. The configuration may add
	// paths (audit.allow).
	Audited map[string]Shape
}

// Shape is what a value looks like that the audit log may contain, as text of a form or in JSON.
type Shape string

// The shapes of values.
const (
	// ShapeID is an id that the processor assigns: up to 128 letters, digits and _ - . : =, with at least one digit.
	ShapeID Shape = "id"
	// ShapeCode is one of a set of codes that the processor documents: up to 64 letters, digits and _ - . without a number of more
	// than five digits.
	ShapeCode Shape = "code"
	// ShapeAmount is an integer of up to twelve digits.
	ShapeAmount Shape = "amount"
	// ShapeCurrency is a code of ISO 4217, in any case.
	ShapeCurrency Shape = "currency"
	// ShapeTime is a time of RFC 3339, or the seconds or milliseconds since 1970.
	ShapeTime Shape = "time"
	// ShapeBool is true or false.
	ShapeBool Shape = "bool"
)

// Refusal is the content of a processor's response that is not a success. What Florin itself refuses is a [payment.Refusal].
type Refusal struct {
	// Code and Message are the processor's own. The client clips them, see [Clip].
	Code    string
	Message string
	// Decline is set if the issuer or the processor declined the payment, which is a business outcome.
	Decline *payment.Decline
}
