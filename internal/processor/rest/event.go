package rest

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/florinpay/florin/processor"
)

// SignatureHeader is the header with the signature of an event, in the scheme of package internal/webhook.
const SignatureHeader = "Florin-Signature"

// ReadEvent reads an event: {"id", "type", "data"}, where data is a payment or a refund with its metadata. For other data, the
// event has no Florin ids. ReadEvent returns [processor.ErrNoEvent] for a body that is not an event.
func ReadEvent(body []byte) (processor.Event, error) {
	var event struct {
		ID   string         `json:"id"`
		Type string         `json:"type"`
		Data jsontext.Value `json:"data"`
	}
	if processor.DecodeJSON(body, &event) != nil {
		return processor.Event{}, processor.ErrNoEvent
	}
	read := processor.Event{ID: event.ID, Type: event.Type}
	var about struct {
		Metadata map[string]string `json:"metadata"`
	}
	if processor.DecodeJSON(event.Data, &about) == nil {
		read.MerchantID = about.Metadata[processor.MetadataMerchantID]
		read.PaymentID, read.RefundID = about.Metadata[processor.MetadataPaymentID], about.Metadata[processor.MetadataRefundID]
	}
	return read.Checked()
}
