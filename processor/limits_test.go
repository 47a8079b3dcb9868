package processor

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

var limited = Profile{Limits: Limits{
	MetadataPairs: 2, MetadataKeyLength: 4, MetadataValueLength: 5, DescriptionLength: 6,
	MetadataKeyAllows: func(r rune) bool { return r != '[' && r != ']' },
	Amount: func(m payment.Money) error {
		if m.Amount%10 != 0 {
			return fmt.Errorf("%s: want whole tens", m)
		}
		return nil
	},
}}

func TestWhatTheProcessorDoesNotAcceptIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		request payment.ChargeRequest
		want    []payment.FieldError
	}{
		"nothing": {request: payment.ChargeRequest{}},
		"everything at its limit": {request: payment.ChargeRequest{Amount: 1250, Currency: "USD", Description: "sechsß",
			Metadata: map[string]string{"keyß": "fünf!", "b": ""}}},
		"too many pairs": {request: payment.ChargeRequest{Metadata: map[string]string{"a": "", "b": "", "c": ""}},
			want: []payment.FieldError{{Field: "metadata", Problem: "has 3 pairs: the processor accepts at most 2 besides Florin's own"}}},
		"long key": {request: payment.ChargeRequest{Metadata: map[string]string{"order": ""}},
			want: []payment.FieldError{{Field: "metadata", Problem: `key "order" has 5 characters: the processor accepts at most 4`}}},
		"character in a key": {request: payment.ChargeRequest{Metadata: map[string]string{"a[b]": ""}},
			want: []payment.FieldError{{Field: "metadata", Problem: `key "a[b]": the processor does not accept '[' in a key`}}},
		"long value": {request: payment.ChargeRequest{Metadata: map[string]string{"a": "[six]!"}},
			want: []payment.FieldError{{Field: "metadata.a", Problem: "has 6 characters: the processor accepts at most 5"}}},
		"long description": {request: payment.ChargeRequest{Description: "siebenß"},
			want: []payment.FieldError{{Field: "description", Problem: "has 7 characters: the processor accepts at most 6"}}},
		"amount": {request: payment.ChargeRequest{Amount: 1251, Currency: "USD"},
			want: []payment.FieldError{{Field: "amount", Problem: "12.51 USD: want whole tens"}}},
		"several": {request: payment.ChargeRequest{Amount: 1, Currency: "USD", Description: strings.Repeat("d", 9),
			Metadata: map[string]string{"z]": "", "a[": "", "b": "values"}},
			want: []payment.FieldError{
				{Field: "amount", Problem: "0.01 USD: want whole tens"},
				{Field: "description", Problem: "has 9 characters: the processor accepts at most 6"},
				{Field: "metadata", Problem: "has 3 pairs: the processor accepts at most 2 besides Florin's own"},
				{Field: "metadata", Problem: `key "a[": the processor does not accept '[' in a key`},
				{Field: "metadata.b", Problem: "has 6 characters: the processor accepts at most 5"},
				{Field: "metadata", Problem: `key "z]": the processor does not accept ']' in a key`},
			}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, limited.CheckCharge(c.request))
			require.Empty(t, Profile{}.CheckCharge(c.request), "a profile without limits")
		})
	}
}

func TestRefundsAndCapturesAreCheckedInTheCurrencyOfThePayment(t *testing.T) {
	wrong := []payment.FieldError{{Field: "amount", Problem: "0.01 USD: want whole tens"}}
	require.Equal(t, wrong, limited.CheckCapture(payment.CaptureRequest{Amount: new(int64(1))}, "USD"))
	require.Empty(t, limited.CheckCapture(payment.CaptureRequest{Amount: new(int64(10))}, "USD"))
	require.Empty(t, limited.CheckCapture(payment.CaptureRequest{}, "USD"), "all that is authorized")
	require.Empty(t, limited.CheckRefund(payment.RefundRequest{Reason: "too long for a description"}, "USD"), "all that is left")
	require.Equal(t, append(wrong, payment.FieldError{Field: "metadata", Problem: `key "a[": the processor does not accept '[' in a key`}),
		limited.CheckRefund(payment.RefundRequest{Amount: new(int64(1)), Metadata: map[string]string{"a[": ""}}, "USD"))

	unknown := Profile{Limits: Limits{Amount: func(payment.Money) error { return errors.New("never") }}}
	require.Len(t, unknown.CheckRefund(payment.RefundRequest{Amount: new(int64(1))}, "XXX"), 1)
}
