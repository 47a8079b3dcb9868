package processor

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/florinpay/florin/payment"
)

// Limits are what a processor accepts beyond the rules that all requests of Florin obey. A charge that violates them would be
// refused by the processor: it would end as failed, and its idempotency key would be used up. The zero value limits nothing.
type Limits struct {
	// MetadataPairs is the maximum number of pairs of the caller: the adapter has subtracted the pairs that Florin adds.
	MetadataPairs int
	// MetadataKeyLength and MetadataValueLength are in characters.
	MetadataKeyLength   int
	MetadataValueLength int
	// MetadataKeyAllows reports whether a key may contain r.
	MetadataKeyAllows func(r rune) bool
	// DescriptionLength is in characters.
	DescriptionLength int
	// Amount returns why an amount cannot be charged, captured or refunded, such as a precision that the processor does not have.
	Amount func(payment.Money) error
}

// CheckCharge returns what the processor does not accept about a request that [payment.ChargeRequest.Validate] has accepted.
func (p Profile) CheckCharge(r payment.ChargeRequest) []payment.FieldError {
	problems := p.Limits.amount(&r.Amount, r.Currency)
	if limit, length := p.Limits.DescriptionLength, utf8.RuneCountInString(r.Description); limit > 0 && length > limit {
		problems = append(problems, payment.FieldError{Field: "description",
			Problem: fmt.Sprintf("has %d characters: the processor accepts at most %d", length, limit)})
	}
	return append(problems, p.Limits.metadata(r.Metadata)...)
}

// CheckCapture returns what the processor does not accept about a capture of a payment in currency.
func (p Profile) CheckCapture(r payment.CaptureRequest, currency string) []payment.FieldError {
	return p.Limits.amount(r.Amount, currency)
}

// CheckRefund returns what the processor does not accept about a refund of a payment in currency.
func (p Profile) CheckRefund(r payment.RefundRequest, currency string) []payment.FieldError {
	return append(p.Limits.amount(r.Amount, currency), p.Limits.metadata(r.Metadata)...)
}

// amount checks nothing if the amount is nil: then the whole amount is meant, which the processor has accepted before.
func (l Limits) amount(amount *int64, currency string) []payment.FieldError {
	if amount == nil || l.Amount == nil {
		return nil
	}
	if err := l.Amount(payment.Money{Amount: *amount, Currency: currency}); err != nil {
		return []payment.FieldError{{Field: "amount", Problem: err.Error()}}
	}
	return nil
}

func (l Limits) metadata(pairs map[string]string) (problems []payment.FieldError) {
	add := func(field, format string, args ...any) {
		problems = append(problems, payment.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if l.MetadataPairs > 0 && len(pairs) > l.MetadataPairs {
		add("metadata", "has %d pairs: the processor accepts at most %d besides Florin's own", len(pairs), l.MetadataPairs)
	}
	keys := make([]string, 0, len(pairs))
	for key := range pairs {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if length := utf8.RuneCountInString(key); l.MetadataKeyLength > 0 && length > l.MetadataKeyLength {
			add("metadata", "key %q has %d characters: the processor accepts at most %d", key, length, l.MetadataKeyLength)
		}
		for _, r := range key {
			if l.MetadataKeyAllows != nil && !l.MetadataKeyAllows(r) {
				add("metadata", "key %q: the processor does not accept %q in a key", key, r)
				break
			}
		}
		if length := utf8.RuneCountInString(pairs[key]); l.MetadataValueLength > 0 && length > l.MetadataValueLength {
			add("metadata."+key, "has %d characters: the processor accepts at most %d", length, l.MetadataValueLength)
		}
	}
	return problems
}
