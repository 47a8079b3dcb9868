package stripe

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// SignatureHeader is the header with the signature of an event.
const SignatureHeader = "Stripe-Signature"

// ReadEvent reads an event: https://docs.stripe.com/api/events/object. Payments, charges and refunds carry Florin's ids in their
// metadata; Stripe copies a payment's metadata to its charge when it creates the charge. A dispute has metadata of its own, and the id
// of its payment: https://docs.stripe.com/api/disputes/object. Events about other objects, such as customers and payouts, have no
// Florin ids. ReadEvent returns [processor.ErrNoEvent] for a body that is not an event.
func ReadEvent(body []byte) (processor.Event, error) {
	var event struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data struct {
			Object jsontext.Value `json:"object"`
		} `json:"data"`
	}
	if processor.DecodeJSON(body, &event) != nil {
		return processor.Event{}, processor.ErrNoEvent
	}
	var about struct {
		ID            string            `json:"id"`
		Object        string            `json:"object"`
		Metadata      map[string]string `json:"metadata"`
		PaymentIntent jsontext.Value    `json:"payment_intent"`
	}
	read := processor.Event{ID: event.ID, Type: event.Type}
	if processor.DecodeJSON(event.Data.Object, &about) == nil {
		switch about.Object {
		case "payment_intent":
			read.MerchantID, read.PaymentID = about.Metadata[processor.MetadataMerchantID], about.Metadata[processor.MetadataPaymentID]
			read.Record = intentOf(event.Type, event.Data.Object)
		case "charge":
			read.Record = chargeOf(event.Type, event.Data.Object)
			read.MerchantID, read.PaymentID = about.Metadata[processor.MetadataMerchantID], about.Metadata[processor.MetadataPaymentID]
		case "dispute":
			read.Dispute, read.DisputeID = true, about.ID
			if processor.DecodeJSON(about.PaymentIntent, &read.ProcessorPaymentID) != nil {
				read.ProcessorPaymentID = "" // null or missing: the charge was made without a PaymentIntent
			}
		case "refund":
			read.MerchantID, read.RefundID = about.Metadata[processor.MetadataMerchantID], about.Metadata[processor.MetadataRefundID]
			read.Record = refundOf(event.Type, event.Data.Object)
		}
	}
	return read.Checked()
}

// The functions below return an event's record, if the event is of a type that a payment or refund which succeeds causes, or causes
// afterwards: https://docs.stripe.com/api/events/types. Any other type may be about something else than the status of its object.

// intentOf returns the record of a payment that has succeeded. An event contains the payment's charge as an id only, so what was refunded
// is unknown.
func intentOf(kind string, object jsontext.Value) *processor.Result {
	var intent paymentIntent
	if stripe.EventType(kind) != stripe.EventTypePaymentIntentSucceeded || processor.DecodeJSON(object, &intent) != nil {
		return nil
	}
	result, err := intent.result()
	if err != nil || result.Status != payment.Succeeded {
		return nil
	}
	return &result
}

// chargeOf returns the record of the payment whose charge was captured, and is not disputed.
func chargeOf(kind string, object jsontext.Value) *processor.Result {
	switch stripe.EventType(kind) {
	case stripe.EventTypeChargeSucceeded, stripe.EventTypeChargeCaptured, stripe.EventTypeChargeUpdated, stripe.EventTypeChargeRefunded:
	default:
		return nil
	}
	var of struct {
		PaymentIntent  string              `json:"payment_intent"`
		Status         stripe.ChargeStatus `json:"status"`
		Captured       bool                `json:"captured"`
		Disputed       bool                `json:"disputed"`
		Currency       string              `json:"currency"`
		Amount         int64               `json:"amount"`
		AmountCaptured int64               `json:"amount_captured"`
		AmountRefunded int64               `json:"amount_refunded"`
	}
	if processor.DecodeJSON(object, &of) != nil || of.Status != stripe.ChargeStatusSucceeded || !of.Captured || of.Disputed {
		return nil
	}
	result := processor.Result{ID: of.PaymentIntent, Status: payment.Succeeded, Currency: strings.ToUpper(of.Currency)}
	err := convert(result.Currency, []int64{of.Amount, of.AmountCaptured, of.AmountRefunded},
		&result.Amount, &result.CapturedAmount, &result.RefundedAmount)
	if err != nil {
		return nil
	}
	return &result
}

// refundOf returns the record of a refund that has succeeded.
func refundOf(kind string, object jsontext.Value) *processor.Result {
	switch stripe.EventType(kind) {
	case stripe.EventTypeRefundCreated, stripe.EventTypeRefundUpdated, stripe.EventTypeChargeRefundUpdated:
	default:
		return nil
	}
	var of refund
	if processor.DecodeJSON(object, &of) != nil {
		return nil
	}
	result, err := readRefund(&of)
	if err != nil || result.Status != payment.Succeeded {
		return nil
	}
	return &result
}
