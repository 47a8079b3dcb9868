package stripe

import (
	"github.com/go-json-experiment/json/jsontext"

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
		case "payment_intent", "charge":
			read.MerchantID, read.PaymentID = about.Metadata[processor.MetadataMerchantID], about.Metadata[processor.MetadataPaymentID]
		case "dispute":
			read.Dispute, read.DisputeID = true, about.ID
			if processor.DecodeJSON(about.PaymentIntent, &read.ProcessorPaymentID) != nil {
				read.ProcessorPaymentID = "" // null or missing: the charge was made without a PaymentIntent
			}
		case "refund":
			read.MerchantID, read.RefundID = about.Metadata[processor.MetadataMerchantID], about.Metadata[processor.MetadataRefundID]
		}
	}
	return read.Checked()
}
