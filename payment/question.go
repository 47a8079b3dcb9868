package payment

import "time"

// ProcessorQuestion asks what the processor of a payment or refund has of it, whatever Florin's store says.
type ProcessorQuestion struct {
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	// Refund reports that the key is that of a refund.
	Refund bool `json:"refund,omitempty"`
	// ProcessorPaymentID is the processor's id of the payment, or of the payment that the refund is of; empty if it is not known. Some
	// processors find a refund only among the refunds of its payment.
	ProcessorPaymentID string `json:"processor_payment_id,omitempty"`
	// NotBefore is a time no later than the first send. Zero: not known.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// ID returns the payment ID or refund ID.
func (q ProcessorQuestion) ID() string {
	if q.Refund {
		return RefundID(q.MerchantID, q.IdempotencyKey)
	}
	return PaymentID(q.MerchantID, q.IdempotencyKey)
}

// Operation returns the operation whose record is asked for.
func (q ProcessorQuestion) Operation() Operation {
	if q.Refund {
		return OperationRefund
	}
	return OperationCharge
}
