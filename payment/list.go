package payment

import "time"

// The limits of a filter. They are part of the API, as those of a request.
const (
	maxCursor    = 512
	maxPaymentID = 64
	maxYear      = 9999 // the last one that JSON can express
)

// Filter selects payments. Zero fields match everything.
type Filter struct {
	// MerchantID selects the payments of one merchant. Empty selects those of all merchants, which is for operators.
	MerchantID string `json:"merchant_id,omitempty"`
	// Statuses selects the payments in any of these statuses.
	Statuses []Status `json:"statuses,omitempty"`
	// Processor selects the payments at the processor of this name.
	Processor string `json:"processor,omitempty"`
	// Divergent selects the payments that have a [Divergence] which no operator has acknowledged.
	Divergent bool `json:"divergent,omitempty"`
	// CreatedFrom and CreatedBefore select the payments with CreatedFrom <= CreatedAt < CreatedBefore.
	CreatedFrom   time.Time `json:"created_from,omitzero"`
	CreatedBefore time.Time `json:"created_before,omitzero"`
	// Limit is the maximum number of payments in a page: 50 if it is 0, and at most 500.
	Limit int `json:"limit,omitempty"`
	// Cursor is [Page.Next] of the previous page for the same filter. Empty selects the first page.
	Cursor string `json:"cursor,omitempty"`
}

// Validate checks the fields. It returns nil or an [*InvalidRequestError] that lists every invalid field. Whether the cursor is one
// that a page has returned, and whether the processor is configured, is not checked.
func (f Filter) Validate() error {
	var v validator
	v.filteredMerchant(f.MerchantID)
	if len(f.Statuses) > len(PaymentTransitions) {
		v.add("statuses", "has %d: want each of the %d statuses at most once", len(f.Statuses), len(PaymentTransitions))
	} else {
		for _, status := range f.Statuses {
			if _, known := PaymentTransitions[status]; !known {
				v.add("statuses", "unknown status %s", quote(string(status)))
			}
		}
	}
	v.processor(f.Processor)
	v.created(f.CreatedFrom, f.CreatedBefore)
	v.cursor(f.Cursor)
	return v.err()
}

// created checks the limits of a range of time that may be open.
func (v *validator) created(from, before time.Time) {
	for _, named := range []struct {
		field string
		at    time.Time
	}{{"created_from", from}, {"created_before", before}} {
		if year := named.at.UTC().Year(); !named.at.IsZero() && (year < 1 || year > maxYear) {
			v.add(named.field, "year %d: want 1 to %d", year, maxYear)
		}
	}
}

// filteredMerchant checks a merchant that may be omitted.
func (v *validator) filteredMerchant(merchantID string) {
	if merchantID != "" && (!isName(merchantID, maxMerchantID) || ContainsCardNumber(merchantID)) {
		v.add("merchant_id", "%s: want 1 to %d of A-Z a-z 0-9 . _ -", quote(merchantID), maxMerchantID)
	}
}

func (v *validator) cursor(cursor string) {
	if len(cursor) > maxCursor || !isPrintable(cursor) {
		v.add("cursor", "want Next of the previous page")
	}
}

// Page is a page of payments, newest first.
type Page struct {
	Payments []Charge `json:"payments"`
	// Next is the cursor of the next page; empty on the last page.
	Next string `json:"next,omitempty"`
}

// RefundFilter selects refunds of all merchants at one processor, for operators and for reconciliation.
type RefundFilter struct {
	// Processor selects the refunds at the processor of this name. It is required.
	Processor string `json:"processor"`
	// CreatedFrom and CreatedBefore select the refunds with CreatedFrom <= CreatedAt < CreatedBefore. Zero: no limit.
	CreatedFrom   time.Time `json:"created_from,omitzero"`
	CreatedBefore time.Time `json:"created_before,omitzero"`
	// Limit is the maximum number of refunds in a page: 50 if it is 0, and at most 500.
	Limit int `json:"limit,omitempty"`
	// Cursor is [RefundPage.Next] of the previous page for the same filter. Empty selects the first page.
	Cursor string `json:"cursor,omitempty"`
}

// Validate checks the fields, as [Filter.Validate] does.
func (f RefundFilter) Validate() error {
	var v validator
	if v.processor(f.Processor); f.Processor == "" {
		v.add("processor", "is missing: want the name of a configured processor")
	}
	v.created(f.CreatedFrom, f.CreatedBefore)
	v.cursor(f.Cursor)
	return v.err()
}

// ListedRefund is a refund in a list.
type ListedRefund struct {
	Refund
	// ProcessorPaymentID is the processor's id of the refunded payment.
	ProcessorPaymentID string `json:"processor_payment_id,omitempty"`
}

// RefundPage is a page of refunds, newest first.
type RefundPage struct {
	Refunds []ListedRefund `json:"refunds"`
	// Next is the cursor of the next page; empty on the last page.
	Next string `json:"next,omitempty"`
}
