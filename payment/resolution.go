package payment

import (
	"slices"
	"strconv"

	"github.com/florinpay/florin/internal/printable"
)

// Limits of a resolution, in bytes.
const (
	maxEvidence    = 500
	maxBy          = 80
	maxProcessorID = 255
)

// Resolution is an operator's decision on an unknown outcome. It is the argument of the update [UpdateResolve]. Temporal stores
// it in the workflow's history, and the store keeps Status, Evidence and By forever.
type Resolution struct {
	// Status is the outcome, one of [ResolvedPaymentStatuses] or [ResolvedRefundStatuses]. [Authorized] means that a capture or
	// void was not executed.
	Status Status `json:"status"`
	// Evidence is what the decision is based on, such as the id in the processor's dashboard: 1 to 500 bytes, on
	// one line and without control characters and invisible ones.
	Evidence string `json:"evidence"`
	// By identifies the operator, such as a staff id: 1 to 80 bytes, as Evidence.
	By string `json:"by"`
	// CapturedAmount is what the processor has taken of a payment that succeeded, in minor units of the payment's currency. 0
	// means the whole amount; with [CaptureManual] it is required.
	CapturedAmount int64 `json:"captured_amount,omitempty"`
	// ProcessorID is the processor's id of the payment or refund: at most 255 printable ASCII characters. It is required for
	// [Authorized] and [Succeeded] if the id is not known yet: without it, a payment can be neither captured, voided nor refunded.
	ProcessorID string `json:"processor_id,omitempty"`
	// WithoutProcessorID permits [Succeeded] without a ProcessorID, although the id is not known: the operator has not found it.
	WithoutProcessorID bool `json:"without_processor_id,omitempty"`
}

// The statuses that an operator may choose.
var (
	// ResolvedPaymentStatuses are the statuses of a [Resolution] of a payment.
	ResolvedPaymentStatuses = []Status{Succeeded, Declined, Failed, Voided, Expired, Authorized}
	// ResolvedRefundStatuses are the statuses of a [Resolution] of a refund.
	ResolvedRefundStatuses = []Status{Succeeded, Declined, Failed}
)

// Validate checks the fields. statuses is [ResolvedPaymentStatuses] or [ResolvedRefundStatuses]. Validate returns nil or an
// [*InvalidRequestError] that lists every invalid field. The workflow checks whether the resolution contradicts the payment.
func (r Resolution) Validate(statuses []Status) error {
	var v validator
	if !slices.Contains(statuses, r.Status) {
		v.add("status", "%s: want one of %v", quote(string(r.Status)), statuses)
	}
	v.operatorText("evidence", r.Evidence, maxEvidence)
	v.operatorText("by", r.By, maxBy)
	switch {
	case r.CapturedAmount < 0 || r.CapturedAmount > MaxAmount:
		v.add("captured_amount", "%s: want 0 to %d minor units", quoteAmount(r.CapturedAmount), MaxAmount)
	case r.CapturedAmount > 0 && r.Status != Succeeded:
		v.add("captured_amount", "%s: want it only with status %s", quoteAmount(r.CapturedAmount), Succeeded)
	}
	switch {
	case len(r.ProcessorID) > maxProcessorID || !isPrintable(r.ProcessorID):
		v.add("processor_id", "want at most %d printable ASCII characters", maxProcessorID)
	case ContainsCardNumber(r.ProcessorID):
		v.add("processor_id", "looks like a card number")
	}
	switch {
	case r.WithoutProcessorID && r.Status != Succeeded:
		v.add("without_processor_id", "true: want it only with status %s", Succeeded)
	case r.WithoutProcessorID && r.ProcessorID != "":
		v.add("without_processor_id", "true: contradicts processor_id")
	}
	return v.err()
}

// operatorText checks a text of an operator, which is required.
func (v *validator) operatorText(field, value string, limit int) {
	switch {
	case value == "" || len(value) > limit:
		v.add(field, "want 1 to %d characters", limit)
	case !printable.IsClean(value):
		v.add(field, "contains a control character or an invisible one, such as a line break: want plain text on one line")
	case ContainsCardNumber(value):
		v.add(field, "looks like a card number")
	}
}

// Fingerprint returns a hash of all fields: 64 hexadecimal digits. It is the ID of the update, so that the same resolution is
// recorded once.
func (r Resolution) Fingerprint() string {
	fields := []string{string(r.Status), r.Evidence, r.By, strconv.FormatInt(r.CapturedAmount, 10), r.ProcessorID}
	if r.WithoutProcessorID {
		fields = append(fields, "without_processor_id") // only if set: the fingerprints of older resolutions stay as they are
	}
	return fingerprint("resolution/v1", nil, fields...)
}
