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
	Refund(ctx context.Context, call RefundCall) (Result, error)
	// Lookup finds what became of an operation by its reference. found is false where the processor has no
	// record of it now, which is proof that nothing happened only after Profile.AbsenceProofAfter.
	Lookup(ctx context.Context, call LookupCall) (result Result, found bool, err error)
	Profile() Profile
}

// ChargeCall is one charge at a processor.
type ChargeCall struct {
	// Key is the idempotency key and the reference of the call.
	Key           string            `json:"key"`
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

// RefundCall is one refund at a processor.
type RefundCall struct {
	// Key is the idempotency key and the reference of the call.
	Key                string            `json:"key"`
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
// documentation, named in its adapter.
type Profile struct {
	// KeyLifetime is how long the processor remembers an idempotency key. A resend after it, counted from
	// the first send, would execute anew.
	KeyLifetime time.Duration
	// AbsenceProofAfter is how long after the last send "not found" becomes proof that nothing happened.
	// Zero: never.
	AbsenceProofAfter time.Duration
	// Unavailable503NotExecuted is set where the processor documents that a 503 did nothing.
	Unavailable503NotExecuted bool
	// InFlight recognizes "a request with this key is still being worked on".
	InFlight func(status int, code string) bool
	// Mismatch recognizes "this key was used with another payload".
	Mismatch func(status int, code string) bool
}
