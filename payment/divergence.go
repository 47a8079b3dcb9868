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
	// PaymentID and MerchantID are empty if the contradiction is about a record of the processor that belongs to no payment.
	PaymentID string `json:"payment_id"`
	// RefundID is empty if the contradiction is about the payment itself.
	RefundID   string `json:"refund_id,omitempty"`
	MerchantID string `json:"merchant_id"`
	// Processor is the name of the configured processor. The store sets it if there is a payment.
	Processor string `json:"processor,omitempty"`
	// ProcessorRecordID identifies the record at the processor if the contradiction is about that: its id there or, if it has none that can
	// be read, an id that Florin has derived from it.
	ProcessorRecordID string         `json:"processor_record_id,omitempty"`
	Kind              DivergenceKind `json:"kind"`
	// StatusHere is the status in Florin; empty if there is no payment. StatusThere is the one at the processor; empty if the contradiction is not in the status.
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
	// AcknowledgedReason is what the operator wrote; it may be empty.
	AcknowledgedReason string `json:"acknowledged_reason,omitempty"`
}

// DivergenceKind is what of a payment or refund is contradicted.
type DivergenceKind string

// The kinds of divergences.
const (
	// DivergenceStatus means that the processor reports another status of the payment, such as a success after a decline.
	DivergenceStatus DivergenceKind = "status"
	// DivergenceAmount means that the processor reports another amount of the payment or refund.
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
	// DivergenceCurrency means that the processor reports the same amount in another currency.
	DivergenceCurrency DivergenceKind = "currency"
	// DivergenceMissingHere means that the processor has a payment which may have moved money, and that Florin does not know.
	DivergenceMissingHere DivergenceKind = "missing_here"
	// DivergenceMissingThere means that the processor has no record of a payment that is authorized or has succeeded here.
	DivergenceMissingThere DivergenceKind = "missing_there"
	// DivergenceDuplicateReference means that the processor has another payment or refund under the reference of this one.
	DivergenceDuplicateReference DivergenceKind = "duplicate_reference"
	// DivergenceRefundMissingHere means that the processor has a refund which Florin does not know, for example one of its dashboard.
	DivergenceRefundMissingHere DivergenceKind = "refund_missing_here"
	// DivergenceRefundMissingThere means that the processor has no record of a refund that has succeeded here.
	DivergenceRefundMissingThere DivergenceKind = "refund_missing_there"
	// DivergenceUnreadable means that the processor has a record which Florin cannot read, such as one with an unknown status.
	DivergenceUnreadable DivergenceKind = "unreadable"
)

// DivergenceKinds are all kinds of divergences.
var DivergenceKinds = []DivergenceKind{
	DivergenceStatus, DivergenceAmount, DivergenceCaptured, DivergenceRefunded, DivergenceDispute, DivergenceRefundStatus,
	DivergenceCurrency, DivergenceMissingHere, DivergenceMissingThere, DivergenceDuplicateReference, DivergenceRefundMissingHere,
	DivergenceRefundMissingThere, DivergenceUnreadable,
}

// The keys of a divergence's evidence that only refer to where the contradiction was seen. Each lookup has other values.
const (
	EvidenceRequestID = "request_id"
	EvidenceEventID   = "event_id"
)

// EvidenceOperation is the key of the evidence of [DivergenceUnreadable] that says which list has the record: [OperationCharge] or
// [OperationRefund]. A payment and a refund may have the same id at the processor.
const EvidenceOperation = "operation"

// Fingerprint identifies the contradiction: d with another DetectedAt, DetectedBy, request id or event id has the same one. A contradiction
// about a record of the processor is the same as long as its record and its kind are: what the record shows may change.
func (d Divergence) Fingerprint() string {
	if d.ProcessorRecordID != "" {
		return fingerprint("divergence/v2", nil, d.Processor, d.ProcessorRecordID, string(d.Kind), d.PaymentID, d.RefundID, d.Evidence[EvidenceOperation])
	}
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
	MerchantID string `json:"merchant_id,omitempty"`
	PaymentID  string `json:"payment_id,omitempty"`
	// Processor selects the divergences at the processor of this name.
	Processor string         `json:"processor,omitempty"`
	Kind      DivergenceKind `json:"kind,omitempty"`
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
	v.processor(f.Processor)
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
	// Reason is what the operator has found out and done; it may be empty.
	Reason string `json:"reason,omitempty"`
}

// Validate returns nil or an [*InvalidRequestError] that lists every invalid field.
func (a Acknowledgement) Validate() error {
	var v validator
	if a.DivergenceID == "" || len(a.DivergenceID) > maxDivergenceID || !isPrintable(a.DivergenceID) {
		v.add("divergence_id", "%s: want the id of a divergence, such as div_d85a7c25-1d82-5816-8d28-de7ad0add1cc", quote(a.DivergenceID))
	}
	v.operatorText("by", a.By, maxBy)
	if a.Reason != "" {
		v.operatorText("reason", a.Reason, maxReason)
	}
	return v.err()
}

const maxDivergenceID = 64
