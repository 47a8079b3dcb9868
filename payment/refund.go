package payment

import "time"

// RefundRequest asks to give back, once, all or a part of a captured payment. It is the input of the
// workflow Refund.
type RefundRequest struct {
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	PaymentID      string `json:"payment_id"`
	// Amount is in minor units of the payment's currency. Nil is all that is left; 0 is an error, so that a sum
	// that came out as nothing does not give everything back.
	Amount *int64 `json:"amount,omitempty"`
	// Currency may be empty; otherwise it must be the payment's.
	Currency string `json:"currency,omitempty"`

	// SendBy is the time after which nothing is sent, as [ChargeRequest.SendBy].
	SendBy time.Time `json:"send_by,omitzero"`

	Reason   string            `json:"reason,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Refund is a refund as Florin knows it: the result of the workflow Refund, and the answer to its queries
// and updates.
type Refund struct {
	RefundID       string `json:"refund_id"`
	PaymentID      string `json:"payment_id"`
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	Status         Status `json:"status"`
	// Amount is in minor units of Currency; both are empty until the payment was found.
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`

	Processor         string `json:"processor,omitempty"`
	ProcessorRefundID string `json:"processor_refund_id,omitempty"`

	Decline *Decline `json:"decline,omitempty"`
	Failure *Failure `json:"failure,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Money is the amount of the refund.
func (r Refund) Money() Money { return Money{r.Amount, r.Currency} }

// Final reports whether the status never changes by itself again, see [Status.Final].
func (r Refund) Final() bool { return r.Status.Final() }
