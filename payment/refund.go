package payment

import "time"

// RefundRequest is a request to refund a captured payment once, wholly or in part. It is the input of the workflow
// [WorkflowRefund], so Temporal stores it in the workflow's history. [RefundRequest.Validate] checks every limit.
type RefundRequest struct {
	// MerchantID identifies the merchant of the payment: 1 to 64 of A-Z a-z 0-9 . _ -
	MerchantID string `json:"merchant_id"`
	// IdempotencyKey is the caller's name for this one refund, in the form of [ChargeRequest.IdempotencyKey]. Keys of charges and
	// of refunds are independent of each other.
	IdempotencyKey string `json:"idempotency_key"`
	// PaymentID is [Charge.PaymentID] of the payment to refund.
	PaymentID string `json:"payment_id"`
	// Amount is in minor units of the payment's currency: 1 to [MaxAmount]. Nil means all that is left when the refund begins. 0
	// is an error, so that a computed amount of zero does not refund everything.
	Amount *int64 `json:"amount,omitempty"`
	// Currency is that of the payment, or empty.
	Currency string `json:"currency,omitempty"`

	// SendBy is when Florin stops sending the refund, as [ChargeRequest.SendBy].
	SendBy time.Time `json:"send_by,omitzero"`

	// Reason has at most 500 characters. It is kept in the history only, and not passed on to the processor.
	Reason string `json:"reason,omitempty"`
	// Metadata is passed on to the processor. It has the limits of [ChargeRequest.Metadata].
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Refund is the state of a refund. It is the result of the workflow [WorkflowRefund], of its updates and of the query
// [QueryStatus].
type Refund struct {
	// RefundID is derived from MerchantID and IdempotencyKey, see the function [RefundID].
	RefundID string `json:"refund_id"`
	// PaymentID is [Charge.PaymentID] of the refunded payment.
	PaymentID      string `json:"payment_id"`
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	// Status is one of those in [RefundTransitions].
	Status Status `json:"status"`
	// Amount is in minor units of Currency, an ISO 4217 code. Until the payment is found, they are those of the request: 0 and
	// empty if the request has none.
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`

	// Processor is the name of the payment's processor; empty until the payment is found.
	Processor string `json:"processor,omitempty"`
	// ProcessorRefundID is the processor's id of the refund; empty until the processor has returned one.
	ProcessorRefundID string `json:"processor_refund_id,omitempty"`

	// Decline is set if Status is [Declined].
	Decline *Decline `json:"decline,omitempty"`
	// Failure is the reason for a Status that is neither a success nor a decline.
	Failure *Failure `json:"failure,omitempty"`

	// CreatedAt is when the refund began, UpdatedAt when it last changed. Both are in UTC.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Money returns the amount of the refund.
func (r Refund) Money() Money { return Money{r.Amount, r.Currency} }

// Final reports whether Florin does not change the status by itself, see [Status.Final].
func (r Refund) Final() bool { return r.Status.Final() }
