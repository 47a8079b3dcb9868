package activities

import (
	"fmt"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Mismatch compares what the processor did with what was requested, and returns nil if it is the same. A decline without a record of its own has no amount.
func Mismatch(got, want processor.Result) *payment.Failure {
	wanted := payment.Money{Amount: want.Amount, Currency: want.Currency}
	switch {
	case got.Reference != want.Reference:
		return ConflictFailure("the processor responded for reference %q instead of %q", got.Reference, want.Reference)
	case got.Status == payment.Declined && got.ID == "":
		return nil
	case got.Amount != want.Amount || got.Currency != want.Currency:
		return ConflictFailure("the processor reports %s instead of %s", payment.Money{Amount: got.Amount, Currency: got.Currency}, wanted)
	case got.CapturedAmount > want.Amount:
		return ConflictFailure("the processor captured %s of %s", payment.Money{Amount: got.CapturedAmount, Currency: got.Currency}, wanted)
	default:
		return nil
	}
}

// ConflictFailure is the failure of what the processor did otherwise than requested.
func ConflictFailure(format string, args ...any) *payment.Failure {
	return &payment.Failure{Class: payment.ClassInvalidResponse, Message: fmt.Sprintf(format, args...) + ": clear it up with the processor"}
}
