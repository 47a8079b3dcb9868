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
// "dispute.", a dispute with its id and payment_id. For other data, the event has no Florin ids. If the type is "payment." or "refund."
// and the status of the data, the data is the event's record. ReadEvent returns [processor.ErrNoEvent] for a body that is not an event.
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
		read.Record = finalRecord(event.Type, event.Data, read.RefundID != "")
	}
	return read.Checked()
}

// finalRecord returns the record in an event's data, or nil if the type does not say that its status is what the event is about.
func finalRecord(kind string, data jsontext.Value, isRefund bool) *processor.Result {
	var r record
	if processor.DecodeJSON(data, &r) != nil {
		return nil
	}
	var result processor.Result
	var err error
	switch {
	case isRefund && kind == "refund."+r.Status:
		result, err = r.result(refundStatuses)
	case !isRefund && kind == "payment."+r.Status:
		result, err = r.payment()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return &result
}
