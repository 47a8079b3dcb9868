package payment

import (
	"maps"
	"slices"
	"time"
)

// Divergence is a contradiction between a payment or refund in Florin and the same one at its processor, found after its status
// became final. Florin records it and alerts an operator. It neither changes the payment nor moves money because of it.
type Divergence struct {
	// DivergenceID is derived from the contradiction, so that the same one is recorded once. The store sets it.
	DivergenceID string `json:"divergence_id"`
	PaymentID    string `json:"payment_id"`
	// RefundID is empty if the contradiction is about the payment itself.
	RefundID   string         `json:"refund_id,omitempty"`
	MerchantID string         `json:"merchant_id"`
	Kind       DivergenceKind `json:"kind"`
	// StatusHere is the status in Florin. StatusThere is the one at the processor; empty if the contradiction is not in the status.
	StatusHere  Status `json:"status_here"`
	StatusThere string `json:"status_there,omitempty"`
	// Evidence supports the contradiction, such as the amounts here and there. The values of [EvidenceRequestID] and
	// [EvidenceEventID] do not make it another contradiction. Evidence is kept forever, so it must not contain secrets or card data.
	Evidence map[string]string `json:"evidence,omitempty"`
	// DetectedBy names the actor that found it, such as "lookup".
	DetectedAt time.Time `json:"detected_at"`
	DetectedBy string    `json:"detected_by"`
	// AcknowledgedAt is zero, and AcknowledgedBy empty, until an operator has dealt with the divergence.
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
}

// DivergenceKind is what of a payment or refund is contradicted.
type DivergenceKind string

// The kinds of divergences.
const (
	// DivergenceStatus means that the processor reports another status of the payment, such as a success after a decline.
	DivergenceStatus DivergenceKind = "status"
	// DivergenceAmount means that the processor reports another amount or currency of the payment or refund.
	DivergenceAmount DivergenceKind = "amount"
	// DivergenceCaptured means that the processor reports another captured amount.
	DivergenceCaptured DivergenceKind = "captured"
	// DivergenceRefunded means that the processor reports another refunded amount, for example after a refund in its dashboard.
	DivergenceRefunded DivergenceKind = "refunded"
	// DivergenceDispute means that the customer disputes the payment.
	DivergenceDispute DivergenceKind = "dispute"
	// DivergenceRefundStatus means that the processor reports another status of a refund. The failure of a succeeded refund is no
	// divergence but a transition: see [RefundTransitions].
	DivergenceRefundStatus DivergenceKind = "refund_status"
)

// DivergenceKinds are all kinds of divergences.
var DivergenceKinds = []DivergenceKind{
	DivergenceStatus, DivergenceAmount, DivergenceCaptured, DivergenceRefunded, DivergenceDispute, DivergenceRefundStatus,
}

// The keys of a divergence's evidence that only refer to where the contradiction was seen. Each lookup has other values.
const (
	EvidenceRequestID = "request_id"
	EvidenceEventID   = "event_id"
)

// Fingerprint identifies the contradiction: d with another DetectedAt, DetectedBy, request id or event id has the same one.
func (d Divergence) Fingerprint() string {
	evidence := maps.Clone(d.Evidence)
	delete(evidence, EvidenceRequestID)
	delete(evidence, EvidenceEventID)
	return fingerprint("divergence/v1", evidence, d.PaymentID, d.RefundID, string(d.Kind), string(d.StatusHere), d.StatusThere)
}

// ID derives the id of the divergence from its fingerprint.
func (d Divergence) ID() string { return "div_" + derive("divergence", d.Fingerprint()) }

// DivergenceFilter selects divergences. Zero fields match everything.
type DivergenceFilter struct {
	// MerchantID limits the list to one merchant. Only operators may leave it empty.
	MerchantID string         `json:"merchant_id,omitempty"`
	PaymentID  string         `json:"payment_id,omitempty"`
	Kind       DivergenceKind `json:"kind,omitempty"`
	// Open selects the divergences that no operator has acknowledged.
	Open bool `json:"open,omitempty"`
	// Limit is the size of a page: 50 by default, and at most 500.
	Limit int `json:"limit,omitempty"`
	// Cursor is the Next of the previous page, for the same filter.
	Cursor string `json:"cursor,omitempty"`
}

// Validate checks the fields, as [Filter.Validate] does.
func (f DivergenceFilter) Validate() error {
	var v validator
	v.filteredMerchant(f.MerchantID)
	if f.PaymentID != "" && !isName(f.PaymentID, maxPaymentID) {
		v.add("payment_id", "%s: want the payment_id of a charge, pay_ and a UUID", quote(f.PaymentID))
	}
	if f.Kind != "" && !slices.Contains(DivergenceKinds, f.Kind) {
		v.add("kind", "unknown kind %s: want one of %v", quote(string(f.Kind)), DivergenceKinds)
	}
	v.cursor(f.Cursor)
	return v.err()
}

// DivergencePage is a page of divergences, the latest first.
type DivergencePage struct {
	Divergences []Divergence `json:"divergences"`
	// Next is the cursor of the next page. It is empty on the last page.
	Next string `json:"next,omitempty"`
}

// Acknowledgement is the argument of [ActivityAcknowledgeDivergence].
type Acknowledgement struct {
	DivergenceID string `json:"divergence_id"`
	// By identifies the operator who has dealt with the divergence, as [Resolution.By].
	By string `json:"by"`
}

// Validate returns nil or an [*InvalidRequestError] that lists every invalid field.
func (a Acknowledgement) Validate() error {
	var v validator
	if a.DivergenceID == "" || len(a.DivergenceID) > maxDivergenceID || !isPrintable(a.DivergenceID) {
		v.add("divergence_id", "%s: want the id of a divergence, such as div_d85a7c25-1d82-5816-8d28-de7ad0add1cc", quote(a.DivergenceID))
	}
	v.operatorText("by", a.By, maxBy)
	return v.err()
}

const maxDivergenceID = 64
