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
}

// Money is the amount that was asked for.
func (c Charge) Money() Money { return Money{c.Amount, c.Currency} }

// Final reports whether the status never changes by itself again, see [Status.Final].
func (c Charge) Final() bool { return c.Status.Final() }
