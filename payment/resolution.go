package payment

import (
	"fmt"
	"slices"
	"strconv"
)

// maxProcessorID is how long a processor's id may be.
const maxProcessorID = 255

// Resolution is an operator's word on how a payment or refund ended of which the processor tells nothing. It is recorded
// for ever, with who gave it.
type Resolution struct {
	// Status is how it ended: succeeded, declined or failed; a payment may also be voided or expired, or, where a capture or
	// void was lost, authorized as before.
	Status Status `json:"status"`
	// Evidence is what the operator saw, such as the id in the processor's dashboard: 1 to 500 characters.
	Evidence string `json:"evidence"`
	// By is who says so: 1 to 80 characters.
	By string `json:"by"`
	// CapturedAmount is what the processor has taken of a payment that succeeded, in minor units of its currency. It may be
	// left out where all was to be taken at once.
	CapturedAmount int64 `json:"captured_amount,omitempty"`
	// ProcessorID is the processor's id of the payment or refund. Without it, what the processor never answered for cannot be
	// refunded.
	ProcessorID string `json:"processor_id,omitempty"`
}

// ResolvedPayment and ResolvedRefund are the statuses that an operator may give.
var (
	ResolvedPayment = []Status{Succeeded, Declined, Failed, Voided, Expired, Authorized}
	ResolvedRefund  = []Status{Succeeded, Declined, Failed}
)

// Validate checks the resolution of something that may end as one of the statuses. Its error is an
// *InvalidRequestError that names every field that is wrong.
func (r Resolution) Validate(statuses []Status) error {
	var fields []FieldError
	if !slices.Contains(statuses, r.Status) {
		fields = append(fields, FieldError{"status", fmt.Sprintf("%s: want one of %v", quote(string(r.Status)), statuses)})
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{{"evidence", r.Evidence, 500}, {"by", r.By, 80}} {
		switch {
		case f.value == "" || len(f.value) > f.limit:
			fields = append(fields, FieldError{f.name, fmt.Sprintf("want 1 to %d characters", f.limit)})
		case ContainsCardNumber(f.value):
			fields = append(fields, FieldError{f.name, "looks like a card number"})
		}
	}
	switch {
	case r.CapturedAmount < 0 || r.CapturedAmount > MaxAmount:
		fields = append(fields, FieldError{"captured_amount", fmt.Sprintf("%s: want 0 to %d minor units", number(r.CapturedAmount), MaxAmount)})
	case r.CapturedAmount > 0 && r.Status != Succeeded:
		fields = append(fields, FieldError{"captured_amount", fmt.Sprintf("%s: only what is %s was captured", number(r.CapturedAmount), Succeeded)})
	}
	switch {
	case len(r.ProcessorID) > maxProcessorID || !printable(r.ProcessorID):
		fields = append(fields, FieldError{"processor_id", fmt.Sprintf("want at most %d printable ASCII characters", maxProcessorID)})
	case ContainsCardNumber(r.ProcessorID):
		fields = append(fields, FieldError{"processor_id", "looks like a card number"})
	}
	if len(fields) > 0 {
		return &InvalidRequestError{Fields: fields}
	}
	return nil
}

// Fingerprint names the resolution: the same one twice is one.
func (r Resolution) Fingerprint() string {
	return fingerprint("resolution/v1", nil, string(r.Status), r.Evidence, r.By, strconv.FormatInt(r.CapturedAmount, 10), r.ProcessorID)
}
