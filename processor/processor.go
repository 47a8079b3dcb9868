package processor

import (
	"context"
	"time"

	"github.com/florinpay/florin/payment"
)

// Processor executes operations at one payment processor. Implementations are safe for concurrent use.
//
// Every method makes one attempt and never retries: retries are Temporal's. Every method may be called again with the same
// call: Key is the idempotency key, under which the processor executes an operation at most once.
//
// An error is always an [*Error], which says whether money may have moved. A decline is not an error: it is a [Result] whose
// Status is [payment.Declined].
type Processor interface {
	// Charge takes or, with [payment.CaptureManual], authorizes the amount.
	Charge(ctx context.Context, call ChargeCall) (Result, error)
	// Capture takes authorized money and returns the payment. The rest of the authorization is released.
	Capture(ctx context.Context, call CaptureCall) (Result, error)
	// Void releases authorized money, or cancels a payment that is pending or that is declined but can still succeed, and returns the
	// payment. If the payment has succeeded meanwhile, Void returns a state conflict, which is ambiguous.
	Void(ctx context.Context, call VoidCall) (Result, error)
	// Refund returns captured money to the customer.
	Refund(ctx context.Context, call RefundCall) (Result, error)
	// Lookup finds a charge or a refund by its reference. found is false if the processor has no record of it now: that
	// proves that nothing was executed only after [Profile.AbsenceProofAfter]. The outcome of a capture or a void is
	// found in the record of its charge.
	Lookup(ctx context.Context, call LookupCall) (result Result, found bool, err error)
	// List returns one page of the processor's payments or refunds, in the processor's order, including those that Florin did not
	// make. A record that cannot be read does not hide the others: see [Record.Unreadable].
	List(ctx context.Context, call ListCall) (Page, error)
}

// ChargeCall is one charge at a processor.
type ChargeCall struct {
	// Key is the idempotency key of the charge and its reference at the processor.
	Key string `json:"key"`
	// KeyFirstUsed is a time no later than the first send under Key. Zero: this is the first send.
	KeyFirstUsed time.Time `json:"key_first_used,omitzero"`
	// PaymentID and MerchantID are Florin's. They are stored at the processor with the metadata, see [ChargeCall.AllMetadata].
	PaymentID  string `json:"payment_id"`
	MerchantID string `json:"merchant_id"`
	// Amount is in minor units of Currency (ISO 4217).
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	// PaymentMethod is a token of the processor's vault.
	PaymentMethod string            `json:"payment_method"`
	Capture       payment.Capture   `json:"capture"`
	CustomerID    string            `json:"customer_id,omitempty"`
	Description   string            `json:"description,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

// CaptureCall takes Amount, in minor units of Currency, of an authorized payment. The rest is released.
type CaptureCall struct {
	Key          string    `json:"key"`
	KeyFirstUsed time.Time `json:"key_first_used,omitzero"`
	PaymentID    string    `json:"payment_id"`
	// Sequence is the number of captures and voids of the payment before this one. The Key is derived from it.
	Sequence           int    `json:"sequence,omitempty"`
	ProcessorPaymentID string `json:"processor_payment_id"`
	Amount             int64  `json:"amount"`
	Currency           string `json:"currency"`
}

// VoidCall releases an authorized payment, or cancels one that is pending or that is declined but can still succeed.
type VoidCall struct {
	Key          string    `json:"key"`
	KeyFirstUsed time.Time `json:"key_first_used,omitzero"`
	PaymentID    string    `json:"payment_id"`
	// Sequence is that of [CaptureCall].
	Sequence           int    `json:"sequence,omitempty"`
	ProcessorPaymentID string `json:"processor_payment_id"`
}

// RefundCall is one refund at a processor.
type RefundCall struct {
	// Key is the idempotency key of the refund and its reference at the processor.
	Key          string    `json:"key"`
	KeyFirstUsed time.Time `json:"key_first_used,omitzero"`
	// RefundID and MerchantID are Florin's. They are stored at the processor with the metadata, see [RefundCall.AllMetadata].
	RefundID   string `json:"refund_id"`
	MerchantID string `json:"merchant_id"`
	// ProcessorPaymentID is the processor's id of the payment to refund.
	ProcessorPaymentID string `json:"processor_payment_id"`
	// Amount is in minor units of Currency (ISO 4217).
	Amount   int64             `json:"amount"`
	Currency string            `json:"currency"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// LookupCall asks for the record of a charge or a refund.
type LookupCall struct {
	// Operation is [payment.OperationCharge] or [payment.OperationRefund].
	Operation payment.Operation `json:"operation"`
	// Reference is the Key of the operation.
	Reference string `json:"reference"`
	// ProcessorPaymentID is the processor's id of the charge, or of the payment that a refund is of; empty if it is not
	// known. Some processors find a refund only among the refunds of its payment.
	ProcessorPaymentID string `json:"processor_payment_id,omitempty"`
	// ID is the processor's id of the record itself, if an operator has named it: the adapter reads the record with this id, whatever its
	// reference is, and the workflow compares that. An adapter that cannot do so may ignore ID: then the operator's id is not taken.
	ID string `json:"id,omitempty"`
	// NotBefore is a time no later than the first send of the operation. An adapter whose search is unavailable or lags can look
	// through the payments that were created since then. Zero: not known.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// ListCall asks for one page of payments or refunds.
type ListCall struct {
	// Operation is [payment.OperationCharge], or empty, for payments, and [payment.OperationRefund] for refunds.
	Operation payment.Operation
	// CreatedAfter excludes what is older, never what was created at or after it. A processor whose filter is coarser lists more.
	// Zero excludes none.
	CreatedAfter time.Time
	// Cursor is the Next of the previous page; empty for the first page.
	Cursor string
	// Limit is the maximum number of records of a page; 0 leaves it to the processor.
	Limit int
}

// Page is a page of payments or refunds.
type Page struct {
	Records []Record
	// Next is the cursor of the next page; empty on the last page.
	Next string
}

// Record is a payment or a refund in a list. An adapter passes every record through [Record.Listed].
type Record struct {
	Result
	// CreatedAt is when the processor created it; zero if the processor does not say.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// ProcessorPaymentID is, for a refund, the processor's id of its payment; empty if the processor does not say.
	ProcessorPaymentID string `json:"processor_payment_id,omitempty"`
	// OwnID is Florin's payment id or, for a refund, refund id, if the processor returns our metadata. Anyone who can write metadata at
	// the processor can claim an id: the Reference has to fit.
	OwnID string `json:"own_id,omitempty"`
	// Unreadable is why the rest of the record cannot be read, such as an unknown status; empty for one that was read. ID, CreatedAt and
	// Reference of an unreadable record are set as far as they are known.
	Unreadable string `json:"unreadable,omitempty"`
}

// Result is a payment or a refund as the processor describes it. The adapter reports amount, currency and reference as they
// are, even if they differ from the call: the workflow compares them.
type Result struct {
	// ID is the processor's id of the payment or refund; empty for a decline without a record.
	ID     string         `json:"id"`
	Status payment.Status `json:"status"`
	// Amount, CapturedAmount and RefundedAmount are in minor units of Currency (ISO 4217, upper case).
	Amount         int64  `json:"amount"`
	Currency       string `json:"currency"`
	CapturedAmount int64  `json:"captured_amount,omitempty"`
	RefundedAmount int64  `json:"refunded_amount,omitempty"`
	// RefundedUnknown reports that the record of a succeeded payment does not contain what was refunded: RefundedAmount is 0 and
	// means nothing.
	RefundedUnknown bool `json:"refunded_unknown,omitempty"`
	// Reference is the Key under which the operation was made.
	Reference string `json:"reference"`
	// RequestID is the processor's id of the request, see [Answer.RequestID].
	RequestID string `json:"request_id,omitempty"`
	// Decline is set if and only if Status is [payment.Declined].
	Decline *payment.Decline `json:"decline,omitempty"`
	// CanStillSucceed is only set with the status [payment.Declined]. It means that the processor's record is declined now, but that
	// the customer could still pay it, for example with another card after a failed 3-D Secure challenge. The payment has to be voided
	// before the decline is reported: otherwise a new attempt of the merchant and the customer's payment would charge twice.
	CanStillSucceed bool `json:"can_still_succeed,omitempty"`
	// MerchantID is Florin's id of the merchant, if the processor returns our metadata.
	MerchantID string `json:"merchant_id,omitempty"`
}

// Adapter is one protocol that processors speak, by a name that the configuration refers to as `adapter:`.
type Adapter struct {
	// Name is unique among the adapters of a worker: lower-case letters, digits and hyphens.
	Name string
	// Profile is what the adapter knows about its processors. The configuration of a processor may override
	// KeyLifetime and AbsenceProofAfter.
	Profile Profile
	// New returns the adapter for one configured processor. It is called once per processor and must not block.
	New func(Client) Processor
	// BaseURL is the default of the configuration's base_url, for a protocol that only one processor speaks.
	BaseURL string
	// ReadEvent reads an event that the processor has sent to POST /webhooks/<processor>, after its signature was
	// verified. It returns [ErrNoEvent] for a body that is not an event. Nil: the processor sends no events.
	ReadEvent func(body []byte) (Event, error)
	// SignatureHeader is the header that carries the signature of an event: "t=<Unix seconds>,v1=<hex of HMAC-SHA256 over
	// t, a dot and the body>", as Stripe documents it.
	SignatureHeader string
}
