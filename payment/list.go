package payment

import "time"

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

// Page is a page of payments, newest first.
type Page struct {
	Payments []Charge `json:"payments"`
	// Next is the cursor of the next page; empty on the last page.
	Next string `json:"next,omitempty"`
}
