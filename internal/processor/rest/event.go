package rest

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/florinpay/florin/processor"
)

// SignatureHeader is the header with the signature of an event, in the scheme of package internal/webhook.
const SignatureHeader = "Florin-Signature"

// disputeTypes begins the types of events about disputes.
const disputeTypes = "dispute."

// ReadEvent reads an event: {"id", "type", "data"}, where data is a payment or a refund with its metadata or, if the type begins with
// "dispute.", a dispute with its id and payment_id. For other data, the event has no Florin ids. ReadEvent returns [processor.ErrNoEvent] for a body that is not an event.
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
	if strings.HasPrefix(event.Type, disputeTypes) {
		var about struct {
			ID        string `json:"id"`
			PaymentID string `json:"payment_id"`
		}
		if processor.DecodeJSON(event.Data, &about) == nil {
			read.DisputeID, read.ProcessorPaymentID = about.ID, about.PaymentID
		}
		read.Dispute = true
		return read.Checked()
	}
	var about struct {
		Metadata map[string]string `json:"metadata"`
	}
	if processor.DecodeJSON(event.Data, &about) == nil {
		read.MerchantID = about.Metadata[processor.MetadataMerchantID]
		read.PaymentID, read.RefundID = about.Metadata[processor.MetadataPaymentID], about.Metadata[processor.MetadataRefundID]
	}
	return read.Checked()
}
