package payment

import "time"

// Capture says when the money is taken.
type Capture string

// The ways to capture.
const (
	// CaptureAutomatic takes the money at once. The default.
	CaptureAutomatic Capture = "automatic"
	// CaptureManual only holds it.
	CaptureManual Capture = "manual"
)

// ChargeRequest asks to take money from a customer once. It is the input of the workflow Charge, stored in
// its history: nothing in it may be secret, and PaymentMethod is a token of the processor's vault, never a
// card number.
type ChargeRequest struct {
	// MerchantID is who is paid: 1 to 64 of A-Z a-z 0-9 . _ -
	MerchantID string `json:"merchant_id"`
	// IdempotencyKey is the caller's name for this one purchase: 1 to 180 printable ASCII characters without
	// "/". The same key is the same purchase, for ever.
	IdempotencyKey string `json:"idempotency_key"`
	// Amount is in minor units of Currency, above 0.
	Amount int64 `json:"amount"`
	// Currency is an ISO 4217 code in upper case.
	Currency string `json:"currency"`
	// PaymentMethod is a token of the processor's vault.
	PaymentMethod string `json:"payment_method"`
	// Capture is automatic unless said otherwise.
	Capture Capture `json:"capture,omitempty"`
	// SendBy is the time after which nothing is sent for the first time, or again: a charge that was never sent until then has
	// failed, and one whose outcome is unknown is only looked up. It is not part of the Fingerprint. Zero: the configuration's
	// send_within applies.
	SendBy time.Time `json:"send_by,omitzero"`
	// Processor names one of the configured processors; empty is the configured default.
	Processor string `json:"processor,omitempty"`

	CustomerID  string            `json:"customer_id,omitempty"`
	Description string            `json:"description,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// Money is what the request asks for.
func (r ChargeRequest) Money() Money { return Money{r.Amount, r.Currency} }

// CaptureRequest asks to take money that an authorized payment holds. It is the argument of the update capture.
type CaptureRequest struct {
	// Amount is in minor units of the payment's currency. Nil is all that is held; what is not taken is let go.
	Amount *int64 `json:"amount,omitempty"`
	// Currency may be empty; otherwise it must be the payment's.
	Currency string `json:"currency,omitempty"`
}

// Of is the amount that is to be taken of a payment.
func (r CaptureRequest) Of(c Charge) int64 {
	if r.Amount == nil {
		return c.Amount
	}
	return *r.Amount
}

// Captured reports whether the request was carried out.
func (c Charge) Captured(r CaptureRequest) bool {
	return c.Status == Succeeded && c.CapturedAmount == r.Of(c) && (r.Currency == "" || r.Currency == c.Currency)
}

// Charge is a payment as Florin knows it: the result of the workflow Charge, and the answer to its queries
// and updates.
type Charge struct {
	PaymentID      string `json:"payment_id"`
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	Status         Status `json:"status"`
	// Amount, CapturedAmount and RefundedAmount are in minor units of Currency.
	Amount         int64  `json:"amount"`
	Currency       string `json:"currency"`
	CapturedAmount int64  `json:"captured_amount"`
	RefundedAmount int64  `json:"refunded_amount"`

	Processor          string `json:"processor,omitempty"`
	ProcessorPaymentID string `json:"processor_payment_id,omitempty"`
	ProcessorRequestID string `json:"processor_request_id,omitempty"`
	PaymentMethod      string `json:"payment_method"`

	Decline *Decline `json:"decline,omitempty"`
	Failure *Failure `json:"failure,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// Revision counts what happened to the payment itself, refunds left aside: of two answers the higher one is the newer.
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
	// Reason is why Florin voids the payment by itself: "deadline" or "cancellation". Empty: a caller has asked for it.
	Reason string `json:"reason,omitempty"`
	// StatusBefore is the status of the payment if the modification is not executed.
	StatusBefore Status `json:"status_before"`
	// BeganAt is no later than the first send.
	BeganAt time.Time `json:"began_at"`
}

// Money is the amount that was asked for.
func (c Charge) Money() Money { return Money{c.Amount, c.Currency} }

// Final reports whether the status never changes by itself again, see [Status.Final].
func (c Charge) Final() bool { return c.Status.Final() }
