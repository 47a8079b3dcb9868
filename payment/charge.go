package payment

import "time"

// Capture is when the money of a charge is taken.
type Capture string

// The ways to capture.
const (
	// CaptureAutomatic takes the money at once. It is the default.
	CaptureAutomatic Capture = "automatic"
	// CaptureManual only authorizes the amount. The update [UpdateCapture] takes the money later, and [UpdateVoid] releases it.
	CaptureManual Capture = "manual"
)

// ChargeRequest is a request to charge a customer once. It is the input of the workflow [WorkflowCharge], so Temporal stores it
// in the workflow's history. [ChargeRequest.Validate] checks every limit.
type ChargeRequest struct {
	// MerchantID identifies the merchant that is paid: 1 to 64 of A-Z a-z 0-9 . _ -
	MerchantID string `json:"merchant_id"`
	// IdempotencyKey is the caller's name for this one purchase: 1 to 180 of A-Z a-z 0-9 . _ - : @ + = , ~ and blanks, but no blank at
	// its beginning or end. The same key of the same merchant is the same purchase forever. The key is part of the workflow ID,
	// which is never encrypted, so it must not contain personal data.
	IdempotencyKey string `json:"idempotency_key"`
	// Amount is in minor units of Currency: 1 to [MaxAmount].
	Amount int64 `json:"amount"`
	// Currency is an ISO 4217 code in upper case, see [Exponent].
	Currency string `json:"currency"`
	// PaymentMethod is a token of the processor's vault, never a card number: 1 to 255 printable ASCII characters.
	PaymentMethod string `json:"payment_method"`
	// Capture is when the money is taken. Empty means [CaptureAutomatic].
	Capture Capture `json:"capture,omitempty"`
	// SendBy is when Florin stops sending the charge: later, one that was not executed has failed, and one whose outcome is unknown is
	// only looked up. It is not part of the fingerprint. Zero means that only the configured send_within applies.
	SendBy time.Time `json:"send_by,omitzero"`
	// Processor is the name of a configured processor: at most 64 of A-Z a-z 0-9 . _ - Empty means the configured default.
	Processor string `json:"processor,omitempty"`

	// CustomerID, at most 255 characters, Description, at most 1000, and Metadata are passed on to the processor. Florin keeps
	// them in the history only, not in its database, except for a line of a batch that has not ended.
	CustomerID  string `json:"customer_id,omitempty"`
	Description string `json:"description,omitempty"`
	// Metadata has at most 50 pairs: keys of 1 to 40 printable ASCII characters that do not begin with [ReservedMetadataPrefix],
	// and values of at most 500 characters.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Money returns the requested amount.
func (r ChargeRequest) Money() Money { return Money{r.Amount, r.Currency} }

// CaptureRequest is a request to capture an authorized payment, or a part of it. What is not captured is released. It is the
// argument of the update [UpdateCapture], so Temporal stores it in the workflow's history.
type CaptureRequest struct {
	// Amount is in minor units of the payment's currency: 1 to the authorized amount. Nil means the whole authorized amount.
	Amount *int64 `json:"amount,omitempty"`
	// Currency is that of the payment, or empty.
	Currency string `json:"currency,omitempty"`
}

// AmountOf returns the amount to capture of the payment, in minor units of its currency.
func (r CaptureRequest) AmountOf(c Charge) int64 {
	if r.Amount == nil {
		return c.Amount
	}
	return *r.Amount
}

// Captured reports whether the payment was captured as r requests.
func (c Charge) Captured(r CaptureRequest) bool {
	return c.Status == Succeeded && c.CapturedAmount == r.AmountOf(c) && (r.Currency == "" || r.Currency == c.Currency)
}

// Charge is the state of a payment. It is the result of the workflow [WorkflowCharge], of its updates and of the query
// [QueryStatus].
type Charge struct {
	// PaymentID is derived from MerchantID and IdempotencyKey, see the function [PaymentID].
	PaymentID      string `json:"payment_id"`
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	Status         Status `json:"status"`
	// Amount is the requested amount, CapturedAmount what the processor has taken of it, and RefundedAmount the sum of the
	// refunds that have succeeded. All are in minor units of Currency, an ISO 4217 code. Only the store has the current
	// RefundedAmount: the result of a workflow does not reflect later refunds.
	Amount         int64  `json:"amount"`
	Currency       string `json:"currency"`
	CapturedAmount int64  `json:"captured_amount"`
	RefundedAmount int64  `json:"refunded_amount"`

	// Processor is the name of the configured processor; empty until the payment has begun.
	Processor string `json:"processor,omitempty"`
	// ProcessorPaymentID is the processor's id of the payment; empty until the processor has returned one.
	ProcessorPaymentID string `json:"processor_payment_id,omitempty"`
	// ProcessorRequestID is the processor's id of the HTTP request that determined Status, for its support.
	ProcessorRequestID string `json:"processor_request_id,omitempty"`
	// PaymentMethod is the token of the request.
	PaymentMethod string `json:"payment_method"`

	// Decline describes the latest decline: of the payment if Status is [Declined], or of a capture or void.
	Decline *Decline `json:"decline,omitempty"`
	// Failure is the reason for a Status that is neither a success nor a decline. With [Authorized], it is the reason why the
	// latest capture or void was not executed.
	Failure *Failure `json:"failure,omitempty"`

	// CreatedAt is when the payment began, UpdatedAt when it last changed. Both are in UTC.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// Revision counts the stored changes of the payment, without those of its refunds. Of two results of the same payment, the
	// one with the higher Revision is newer. 0: the payment is not stored.
	Revision int64 `json:"revision,omitempty"`
	// Modification is the capture or void in flight: it is persisted before it is sent, and removed when its outcome is known.
	Modification *Modification `json:"modification,omitempty"`
	// Modifications counts the captures and voids that have ended. It numbers their idempotency keys at the processor.
	Modifications int64 `json:"modifications,omitempty"`
}

// Modification is a capture or void of a payment.
type Modification struct {
	// Operation is [OperationCapture] or [OperationVoid].
	Operation Operation `json:"operation"`
	// Amount is what to capture, in minor units of the payment's currency; 0 for a void.
	Amount int64 `json:"amount,omitempty"`
	// Reason is why Florin voids the payment by itself: "deadline", "cancellation" or "decline". Empty: a caller has asked for it.
	Reason string `json:"void_reason,omitempty"`
	// StatusBefore is the status of the payment if the modification is not executed.
	StatusBefore Status `json:"status_before"`
	// BeganAt is no later than the first send.
	BeganAt time.Time `json:"began_at"`
	// RunID is Temporal's ID of the run that began it. A run never sends a modification that it does not know: Temporal may discard a
	// workflow task after it has stored one.
	RunID string `json:"run_id,omitempty"`
}

// Equal reports whether both are the same modification: one that is requested again later is another one.
func (m Modification) Equal(other Modification) bool {
	return m.Operation == other.Operation && m.Amount == other.Amount && m.Reason == other.Reason && m.BeganAt.Equal(other.BeganAt)
}

// Money returns the requested amount.
func (c Charge) Money() Money { return Money{c.Amount, c.Currency} }

// Final reports whether Florin does not change the status by itself, see [Status.Final].
func (c Charge) Final() bool { return c.Status.Final() }
