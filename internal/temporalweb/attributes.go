// Package temporalweb creates what Temporal Web shows about a payment: search attributes, summaries and details of a request, and
// Markdown that is safe to render. Package florin sets them when it starts a workflow, and the workflows update them.
package temporalweb

import (
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// The keys of the search attributes by which operators and dashboards find payments.
var (
	paymentStatus = temporal.NewSearchAttributeKeyKeyword(payment.AttributePaymentStatus)
	paymentID     = temporal.NewSearchAttributeKeyKeyword(payment.AttributePaymentID)
	merchantID    = temporal.NewSearchAttributeKeyKeyword(payment.AttributeMerchantID)
	processor     = temporal.NewSearchAttributeKeyKeyword(payment.AttributeProcessor)
	currency      = temporal.NewSearchAttributeKeyKeyword(payment.AttributeCurrency)
	failureClass  = temporal.NewSearchAttributeKeyKeyword(payment.AttributeFailureClass)
	amount        = temporal.NewSearchAttributeKeyInt64(payment.AttributeAmount)
	findings      = temporal.NewSearchAttributeKeyInt64(payment.AttributeFindings)
)

// ChargeAttributes returns the search attributes that are known before a charge starts.
func ChargeAttributes(req payment.ChargeRequest) []temporal.SearchAttributeUpdate {
	return append([]temporal.SearchAttributeUpdate{
		paymentID.ValueSet(payment.PaymentID(req.MerchantID, req.IdempotencyKey)),
		merchantID.ValueSet(req.MerchantID),
	}, MoneyAttributes(req.Money())...)
}

// RefundAttributes returns the search attributes that are known before a refund starts.
func RefundAttributes(req payment.RefundRequest) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{
		paymentID.ValueSet(req.PaymentID),
		merchantID.ValueSet(req.MerchantID),
	}
}

// MoneyAttributes returns the search attributes Amount, in minor units, and Currency. A refund has them once its amount is known.
func MoneyAttributes(m payment.Money) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{amount.ValueSet(m.Amount), currency.ValueSet(m.Currency)}
}

// StatusAttribute returns the search attribute PaymentStatus, which also has the status of a refund.
func StatusAttribute(status payment.Status) temporal.SearchAttributeUpdate {
	return paymentStatus.ValueSet(string(status))
}

// OutcomeAttributes returns the search attributes for an outcome. A nil failure removes the failure class.
func OutcomeAttributes(name string, status payment.Status, failure *payment.Failure) []temporal.SearchAttributeUpdate {
	updates := []temporal.SearchAttributeUpdate{StatusAttribute(status), processor.ValueSet(name)}
	if failure == nil {
		return append(updates, failureClass.ValueUnset())
	}
	return append(updates, failureClass.ValueSet(string(failure.Class)))
}
