package payment

import "time"

// Filter chooses payments. A field that is left out leaves nothing out.
type Filter struct {
	// MerchantID is whose payments; empty is everybody's, which is for operators only.
	MerchantID string   `json:"merchant_id,omitempty"`
	Statuses   []Status `json:"statuses,omitempty"`
	Processor  string   `json:"processor,omitempty"`
	// Divergent selects the payments that have a [Divergence] which no operator has acknowledged.
	Divergent bool `json:"divergent,omitempty"`
	// CreatedFrom is the first moment that is wanted, CreatedBefore the first that no longer is.
	CreatedFrom   time.Time `json:"created_from,omitzero"`
	CreatedBefore time.Time `json:"created_before,omitzero"`
	// Limit is how many payments a page has: 50 unless said otherwise, and never more than 500.
	Limit int `json:"limit,omitempty"`
	// Cursor is the Next of the page before, for the same filter.
	Cursor string `json:"cursor,omitempty"`
}

// Page is a page of payments, newest first.
type Page struct {
	Payments []Charge `json:"payments"`
	// Next is the cursor of the next page; empty on the last.
	Next string `json:"next,omitempty"`
}
