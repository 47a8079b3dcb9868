package stripe

import "github.com/florinpay/florin/processor"

// audited are the fields that Stripe itself defines or assigns, of the requests that the adapter sends, and of PaymentIntents,
// charges, refunds and errors: https://docs.stripe.com/api. Payment methods and customers are not among them, nor are texts,
// references and URLs.
func audited() map[string]processor.Shape {
	fields := map[string]processor.Shape{
		"object": processor.ShapeCode, "has_more": processor.ShapeBool, "expand[]": processor.ShapeCode,

		// Requests.
		"confirm": processor.ShapeBool, "capture_method": processor.ShapeCode, "amount_to_capture": processor.ShapeAmount,
		"cancellation_reason": processor.ShapeCode, "payment_intent": processor.ShapeID,
		"automatic_payment_methods.enabled":         processor.ShapeBool,
		"automatic_payment_methods.allow_redirects": processor.ShapeCode,
	}
	// A list has the objects in data, and an error has the PaymentIntent that it is about.
	for _, in := range []string{"", "data[].", "error.payment_intent."} {
		add(fields, in, object)
		add(fields, in, intent)
		add(fields, in+"last_payment_error.", refused)
		add(fields, in+"latest_charge.", object)
		add(fields, in+"latest_charge.", charged)
	}
	add(fields, "error.", refused)
	return fields
}

func add(fields map[string]processor.Shape, in string, more map[string]processor.Shape) {
	for name, shape := range more {
		fields[in+name] = shape
	}
}

var (
	// object are the fields that PaymentIntents, charges and refunds have in common.
	object = map[string]processor.Shape{
		"id": processor.ShapeID, "object": processor.ShapeCode, "status": processor.ShapeCode, "livemode": processor.ShapeBool,
		"amount": processor.ShapeAmount, "currency": processor.ShapeCurrency, "created": processor.ShapeTime,
		"payment_intent": processor.ShapeID, "balance_transaction": processor.ShapeID,

		"metadata." + processor.MetadataPaymentID:  processor.ShapeID,
		"metadata." + processor.MetadataRefundID:   processor.ShapeID,
		"metadata." + processor.MetadataMerchantID: processor.ShapeCode,
	}
	// intent are the further fields of a PaymentIntent and of a refund.
	intent = map[string]processor.Shape{
		"amount_received": processor.ShapeAmount, "amount_capturable": processor.ShapeAmount, "capture_method": processor.ShapeCode,
		"canceled_at": processor.ShapeTime, "cancellation_reason": processor.ShapeCode, "confirmation_method": processor.ShapeCode,
		"latest_charge": processor.ShapeID, "payment_method_types[]": processor.ShapeCode, "setup_future_usage": processor.ShapeCode,
		"charge": processor.ShapeID, "failure_reason": processor.ShapeCode,
	}
	charged = map[string]processor.Shape{
		"amount_captured": processor.ShapeAmount, "amount_refunded": processor.ShapeAmount,
		"captured": processor.ShapeBool, "paid": processor.ShapeBool, "refunded": processor.ShapeBool, "disputed": processor.ShapeBool,
		"failure_code": processor.ShapeCode, "outcome.type": processor.ShapeCode, "outcome.network_status": processor.ShapeCode,
		"outcome.network_decline_code": processor.ShapeCode, "outcome.advice_code": processor.ShapeCode,
		"outcome.network_advice_code": processor.ShapeCode,
	}
	// refused are the fields of an error.
	refused = map[string]processor.Shape{
		"type": processor.ShapeCode, "code": processor.ShapeCode, "decline_code": processor.ShapeCode, "charge": processor.ShapeID,
		"advice_code": processor.ShapeCode, "network_advice_code": processor.ShapeCode, "network_decline_code": processor.ShapeCode,
	}
)
