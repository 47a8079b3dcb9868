// Package processor is the boundary to payment processors: the interface that an adapter implements, what a
// processor's answers mean (classify.go), and the HTTP client that adapters are built on (client.go). It
// knows nothing of Temporal and can be used without it.
package processor

import (
	"context"
	"time"

	"github.com/florinpay/florin/payment"
)

// Processor moves money at one payment processor. Every method may be repeated: calls that move money carry
// an idempotency key, and the same key never executes twice. All are safe for concurrent use.
//
// An error is always an *Error, which says whether money may have moved. A decline is no error: it is a
// Result whose Status is payment.Declined.
type Processor interface {
	Charge(ctx context.Context, call ChargeCall) (Result, error)
	// Capture takes money that an earlier charge holds, and Void lets it go. Both return the payment.
	Capture(ctx context.Context, call CaptureCall) (Result, error)
	Void(ctx context.Context, call VoidCall) (Result, error)
	Refund(ctx context.Context, call RefundCall) (Result, error)
	// Lookup finds what became of a charge or a refund by its reference. found is false where the processor has
	// no record of it now, which is proof that nothing happened only after Profile.AbsenceProofAfter. What became
	// of a capture or a void, the charge's own record says.
	Lookup(ctx context.Context, call LookupCall) (result Result, found bool, err error)
	// List reads the processor's payments page by page, oldest or newest first as it has them: for reconciliation.
	List(ctx context.Context, call ListCall) (Page, error)
}

// ChargeCall is one charge at a processor.
type ChargeCall struct {
	// Key is the idempotency key and the reference of the call.
	Key string `json:"key"`
	// KeyFirstUsed is no later than the first send under the key. Zero: this is the first.
	KeyFirstUsed  time.Time         `json:"key_first_used,omitzero"`
	PaymentID     string            `json:"payment_id"`
	MerchantID    string            `json:"merchant_id"`
	Amount        int64             `json:"amount"`
	Currency      string            `json:"currency"`
	PaymentMethod string            `json:"payment_method"`
	Capture       payment.Capture   `json:"capture"`
	CustomerID    string            `json:"customer_id,omitempty"`
	Description   string            `json:"description,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

// CaptureCall takes Amount of what an authorized payment holds; the rest is let go.
type CaptureCall struct {
	Key                string    `json:"key"`
	KeyFirstUsed       time.Time `json:"key_first_used,omitzero"`
	PaymentID          string    `json:"payment_id"`
	ProcessorPaymentID string    `json:"processor_payment_id"`
	Amount             int64     `json:"amount"`
	Currency           string    `json:"currency"`
}

// VoidCall lets go of what an authorized payment holds.
type VoidCall struct {
	Key                string    `json:"key"`
	KeyFirstUsed       time.Time `json:"key_first_used,omitzero"`
	PaymentID          string    `json:"payment_id"`
	ProcessorPaymentID string    `json:"processor_payment_id"`
}

// RefundCall is one refund at a processor.
type RefundCall struct {
	// Key is the idempotency key and the reference of the call.
	Key                string            `json:"key"`
	KeyFirstUsed       time.Time         `json:"key_first_used,omitzero"`
	RefundID           string            `json:"refund_id"`
	MerchantID         string            `json:"merchant_id"`
	ProcessorPaymentID string            `json:"processor_payment_id"`
	Amount             int64             `json:"amount"`
	Currency           string            `json:"currency"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// LookupCall asks what became of an operation.
type LookupCall struct {
	Operation payment.Operation `json:"operation"`
	Reference string            `json:"reference"`
	// ProcessorPaymentID is the processor's id of the payment that a refund is of, or of the charge itself; empty
	// where it is not known. Some processors find a refund only among its payment's.
	ProcessorPaymentID string `json:"processor_payment_id,omitempty"`
}

// ListCall asks for one page of payments.
type ListCall struct {
	// CreatedAfter leaves out what is older.
	CreatedAfter time.Time
	// Cursor is the Next of the page before; empty for the first.
	Cursor string
	// Limit is how many payments a page has at most; 0 leaves it to the processor.
	Limit int
}

// Page is a page of payments.
type Page struct {
	Payments []Result
	// Next is the cursor of the next page; empty on the last.
	Next string
}

// Result is a payment or a refund as the processor sees it.
type Result struct {
	ID             string           `json:"id"`
	Status         payment.Status   `json:"status"`
	Amount         int64            `json:"amount"`
	Currency       string           `json:"currency"`
	CapturedAmount int64            `json:"captured_amount,omitempty"`
	RefundedAmount int64            `json:"refunded_amount,omitempty"`
	Reference      string           `json:"reference"`
	RequestID      string           `json:"request_id,omitempty"`
	Decline        *payment.Decline `json:"decline,omitempty"`
	// MerchantID is the merchant that the payment was made for, where the processor repeats our metadata.
	MerchantID string `json:"merchant_id,omitempty"`
}

// Profile is what one has to know about a processor to use it safely. Sources: the processor's
// documentation, named in its adapter. The zero value assumes nothing.
type Profile struct {
	// KeyLifetime is how long the processor remembers an idempotency key. A resend after it, counted from
	// the first send, would execute anew. Zero: for ever.
	KeyLifetime time.Duration
	// KeyMaxLength is how many characters a key may have. Zero: any number.
	KeyMaxLength int
	// KeyAllows says which characters, beside what a header can hold. Nil: all.
	KeyAllows func(r rune) bool
	// AbsenceProofAfter is how long after the last send "not found" becomes proof that nothing happened.
	// Zero: never.
	AbsenceProofAfter time.Duration
	// Unavailable503NotExecuted is set where the processor documents that a 503 did nothing.
	Unavailable503NotExecuted bool
	// RetryHeader is a header, such as Stripe-Should-Retry, in which the processor says true or false to
	// whether the same call may be sent again. It overrides that, and never what is certain about money.
	RetryHeader string
	// Refusal reads the body of an answer that is no success. Nil: the status alone decides.
	Refusal func(a Answer) Refusal
	// InFlight recognizes "a request with this key is still being worked on".
	InFlight func(status int, code string) bool
	// Mismatch recognizes "this key was used with another payload".
	Mismatch func(status int, code string) bool
	// Conflict recognizes "the payment is not in a state for this" below 500, beside every 409: that state may be of our
	// own making.
	Conflict func(status int, code string) bool
}

// Refusal is what the body of an answer says that is no success.
type Refusal struct {
	// Code and Message are the processor's own, as they are: who keeps them clips them.
	Code    string
	Message string
	// Decline is set where an issuer or the processor said no to the payment: the business outcome.
	Decline *payment.Decline
}
