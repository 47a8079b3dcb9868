// Package settlement compares a processor's settlement file with the payments and refunds that Florin has stored. It only reports: what it
// finds is written nowhere, because a file that an operator has is no evidence from the processor.
//
// Both sides are read once, as streams, and are joined by sorting them in temporary files, so that the memory it takes does not grow with
// them.
package settlement

import (
	"time"

	"github.com/florinpay/florin/payment"
)

// The kinds of findings. Those that a divergence can have, too, mean the same.
const (
	KindMissingHere        = payment.DivergenceMissingHere
	KindMissingThere       = payment.DivergenceMissingThere
	KindAmount             = payment.DivergenceAmount
	KindCurrency           = payment.DivergenceCurrency
	KindCaptured           = payment.DivergenceCaptured
	KindRefunded           = payment.DivergenceRefunded
	KindStatus             = payment.DivergenceStatus
	KindDuplicateReference = payment.DivergenceDuplicateReference
	KindRefundMissingHere  = payment.DivergenceRefundMissingHere
	KindRefundMissingThere = payment.DivergenceRefundMissingThere
	KindRefundStatus       = payment.DivergenceRefundStatus
	KindUnreadable         = payment.DivergenceUnreadable
	// KindUnexplained is a difference whose cause this file cannot show: the Reason says why.
	KindUnexplained payment.DivergenceKind = "unexplained"
)

// The reasons of findings of [KindUnexplained].
const (
	// ReasonBoundary means that a payment or refund that the file lacks was created near an end of the compared range: another file may have it.
	ReasonBoundary = "near the boundary"
	// ReasonNotRead means that a line is about a payment that was created before the range that was read.
	ReasonNotRead = "created before the range that was read"
)

// Line is a line of a settlement file.
type Line struct {
	// Number counts the lines of the file from 1: of a record with line breaks, it is that of the first line.
	Number int64 `json:"line"`
	// Reference is the merchant's reference at the processor, ID the processor's id of what the line is about, and PaymentID the processor's id
	// of the payment. Each may be empty.
	Reference string `json:"reference,omitempty"`
	ID        string `json:"id,omitempty"`
	PaymentID string `json:"payment,omitempty"`
	Refund    bool   `json:"refund,omitempty"`
	// Amount is in minor units of Currency, and never negative.
	Amount   int64  `json:"amount"`
	Currency string `json:"currency,omitempty"`
	// Status is empty if the file does not say: then the line means that money has moved.
	Status    payment.Status `json:"status,omitempty"`
	CreatedAt time.Time      `json:"created_at,omitzero"`
	// Unreadable is why the rest of the line cannot be read; empty for one that was read.
	Unreadable string `json:"unreadable,omitempty"`
}

// moved returns the amount that has moved according to the line.
func (l Line) moved() int64 {
	if l.Unreadable != "" || l.Status != "" && l.Status != payment.Succeeded {
		return 0
	}
	return l.Amount
}

// Record is a stored payment or refund.
type Record struct {
	PaymentID      string         `json:"payment_id"`
	RefundID       string         `json:"refund_id,omitempty"`
	MerchantID     string         `json:"merchant_id"`
	IdempotencyKey string         `json:"idempotency_key"`
	Status         payment.Status `json:"status"`
	// Amount is in minor units of Currency. Captured is what was captured of a payment.
	Amount      int64     `json:"amount"`
	Captured    int64     `json:"captured_amount,omitempty"`
	Currency    string    `json:"currency"`
	ProcessorID string    `json:"processor_id,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
}

// moved returns the amount that has moved according to the store.
func (r Record) moved() int64 {
	switch {
	case r.RefundID == "":
		return r.Captured
	case r.Status == payment.Succeeded:
		return r.Amount
	default:
		return 0
	}
}

// Finding is a difference between the file and the store.
type Finding struct {
	Kind payment.DivergenceKind `json:"kind"`
	// Reason is set for [KindUnreadable] and [KindUnexplained].
	Reason string `json:"reason,omitempty"`
	// There is the line of the file, Here the stored payment or refund. One of them may be missing.
	There *Line   `json:"there,omitempty"`
	Here  *Record `json:"here,omitempty"`
	// Refund reports that the amounts are of refunds.
	Refund bool `json:"refund,omitempty"`
	// MovedThere and MovedHere are the amounts that have moved according to each side. Their difference is a part of the difference of the
	// totals. A side without an amount has no currency.
	MovedThere payment.Money `json:"moved_there,omitzero"`
	MovedHere  payment.Money `json:"moved_here,omitzero"`
}

// Totals are the sums of one currency, in its minor units.
type Totals struct {
	Currency string `json:"currency"`
	Gross    Sums   `json:"gross"`
	Refunds  Sums   `json:"refunds"`
	// Fees and Net are the sums of the file's columns, if they are mapped. Florin knows neither.
	Fees int64 `json:"fees,omitempty"`
	Net  int64 `json:"net,omitempty"`
}

// Sums are what has moved according to each side.
type Sums struct {
	There int64 `json:"there"`
	Here  int64 `json:"here"`
	// Explained is the part of the difference that findings explain, Unexplained that of [KindUnexplained].
	Explained   int64 `json:"explained"`
	Unexplained int64 `json:"unexplained"`
}

// Difference returns what has moved there and not here.
func (s Sums) Difference() int64 { return s.There - s.Here }

// Unattributed returns the part of the difference that no finding has. It is always 0, unless the comparison is wrong.
func (s Sums) Unattributed() int64 { return s.Difference() - s.Explained - s.Unexplained }

// Summary is the result of a comparison.
type Summary struct {
	Processor string `json:"processor"`
	// From and To are the compared range: From <= created < To.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Lines are those of the file, without the header. Of them, Ignored have a type to ignore, and Outside were created outside the range.
	Lines   int64 `json:"lines"`
	Ignored int64 `json:"ignored"`
	Outside int64 `json:"outside"`
	// Payments and Refunds are those that were read from the store, also from before the range.
	Payments int64 `json:"payments"`
	Refunds  int64 `json:"refunds"`
	// Findings are their numbers by kind.
	Findings map[payment.DivergenceKind]int64 `json:"findings"`
	Totals   []Totals                         `json:"totals"`
}

// Found returns the number of all findings.
func (s Summary) Found() (n int64) {
	for _, count := range s.Findings {
		n += count
	}
	return n
}
