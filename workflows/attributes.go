package workflows

import (
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// The search attributes by which people and dashboards find payments.
var (
	attributePaymentStatus = temporal.NewSearchAttributeKeyKeyword(payment.AttributePaymentStatus)
	attributePaymentID     = temporal.NewSearchAttributeKeyKeyword(payment.AttributePaymentID)
	attributeMerchantID    = temporal.NewSearchAttributeKeyKeyword(payment.AttributeMerchantID)
	attributeProcessor     = temporal.NewSearchAttributeKeyKeyword(payment.AttributeProcessor)
	attributeCurrency      = temporal.NewSearchAttributeKeyKeyword(payment.AttributeCurrency)
	attributeFailureClass  = temporal.NewSearchAttributeKeyKeyword(payment.AttributeFailureClass)
	attributeAmount        = temporal.NewSearchAttributeKeyInt64(payment.AttributeAmount)
)

// ChargeAttributes are what is known of a charge before it starts.
func ChargeAttributes(req payment.ChargeRequest) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{
		attributePaymentID.ValueSet(payment.PaymentID(req.MerchantID, req.IdempotencyKey)),
		attributeMerchantID.ValueSet(req.MerchantID),
		attributeAmount.ValueSet(req.Amount),
		attributeCurrency.ValueSet(req.Currency),
	}
}

// RefundAttributes are what is known of a refund before it starts.
func RefundAttributes(req payment.RefundRequest) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{
		attributePaymentID.ValueSet(req.PaymentID),
		attributeMerchantID.ValueSet(req.MerchantID),
	}
}

// StatusAttribute is the status on its own.
func StatusAttribute(status payment.Status) temporal.SearchAttributeUpdate {
	return attributePaymentStatus.ValueSet(string(status))
}

func outcomeAttributes(processor string, status payment.Status, failure *payment.Failure) []temporal.SearchAttributeUpdate {
	updates := []temporal.SearchAttributeUpdate{StatusAttribute(status), attributeProcessor.ValueSet(processor)}
	if failure == nil {
		return append(updates, attributeFailureClass.ValueUnset())
	}
	return append(updates, attributeFailureClass.ValueSet(string(failure.Class)))
}
