// Package acme is an adapter for Acme, a payment processor that does not exist. Acme's requests are forms, its currencies are in
// lower case, and it has names of its own: a payment is a transaction, a capture settles it, and a refund is a return.
package acme

import (
	"cmp"
	"net/http"
	"time"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Adapter returns the adapter. The configuration refers to it with `adapter: acme`.
func Adapter() processor.Adapter {
	return processor.Adapter{
		Name:            "acme",
		BaseURL:         "https://api.acme.example/v2",
		Profile:         profile,
		New:             func(client processor.Client) processor.Processor { return &acme{client} },
		ReadEvent:       readEvent,
		SignatureHeader: "Acme-Signature",
	}
}

// profile is what Acme documents at https://docs.acme.example/idempotency and https://docs.acme.example/errors. It has no
// AbsenceProofAfter, because Acme does not document how soon a search finds a new transaction.
var profile = processor.Profile{
	KeyLifetime:  7 * 24 * time.Hour,
	KeyMaxLength: 45,
	Refusal:      readRefusal,
	Mismatch:     func(_ int, code string) bool { return code == "key_reused" },
	Conflict:     func(_ int, code string) bool { return code == "already_settled" },
	Audited:      audited,
}

// audited are the fields of requests and responses that the audit log may contain: what Acme assigns or defines.
var audited = map[string]processor.Shape{
	"id": processor.ShapeID, "state": processor.ShapeCode, "reason": processor.ShapeCode, "error": processor.ShapeCode,
	"amount": processor.ShapeAmount, "settled": processor.ShapeAmount, "returned": processor.ShapeAmount,
	"currency": processor.ShapeCurrency, "settle": processor.ShapeCode, "more": processor.ShapeBool,
	"items[].id": processor.ShapeID, "items[].state": processor.ShapeCode, "items[].amount": processor.ShapeAmount,
	"items[].payment": processor.ShapeID, "items[].created": processor.ShapeTime,
	"meta.florin_payment_id": processor.ShapeID, "meta.florin_refund_id": processor.ShapeID,
}

// readRefusal reads the body of an error. A body of another form, such as the HTML page of a gateway, leaves the refusal empty:
// then the status alone decides.
func readRefusal(a processor.Answer) processor.Refusal {
	var body struct {
		Error  string `json:"error"`
		Text   string `json:"text"`
		Reason string `json:"reason"`
	}
	if processor.DecodeJSON(a.Body, &body) != nil {
		return processor.Refusal{}
	}
	refusal := processor.Refusal{Code: body.Error, Message: body.Text}
	if a.Status == http.StatusPaymentRequired && body.Error == "refused" {
		refusal.Decline = declineOf(body.Reason)
	}
	return refusal
}

// declineOf translates the reasons at https://docs.acme.example/reasons. All others are soft: the card may be accepted later.
func declineOf(reason string) *payment.Decline {
	decline := &payment.Decline{Code: cmp.Or(processor.ClipCode(reason), "unspecified"), Kind: payment.DeclineSoft}
	switch reason {
	case "stolen", "closed":
		decline.Kind = payment.DeclineHard
	case "confirm":
		decline.Kind = payment.DeclineAction
	}
	return decline
}

// readEvent reads which payment or return an event is about.
func readEvent(body []byte) (processor.Event, error) {
	var event struct {
		Event       string      `json:"event"`
		Kind        string      `json:"kind"`
		Transaction transaction `json:"transaction"`
	}
	if processor.DecodeJSON(body, &event) != nil {
		return processor.Event{}, processor.ErrNoEvent
	}
	meta := event.Transaction.Meta
	return processor.Event{ID: event.Event, Type: event.Kind, MerchantID: meta[processor.MetadataMerchantID],
		PaymentID: meta[processor.MetadataPaymentID], RefundID: meta[processor.MetadataRefundID]}.Checked()
}
