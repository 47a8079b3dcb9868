package payment

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryRefusalCodeHasAMessageAndIsParsedFromItsType(t *testing.T) {
	for code, message := range refusals {
		require.NotEmpty(t, message, code)
		parsed, ok := ParseRefusalCode(string(code))
		require.True(t, ok)
		require.Equal(t, code, parsed)
	}
	_, ok := ParseRefusalCode("TimeoutError")
	require.False(t, ok)
}

func TestRefusalHasItsReasonAndIsItsCode(t *testing.T) {
	err := fmt.Errorf("workflow charge/acme/order-1: %w", Refuse(ErrNotCapturable, "the payment is %s", Voided))
	require.EqualError(t, err, "workflow charge/acme/order-1: the payment is voided")
	require.ErrorIs(t, err, ErrNotCapturable)
	require.NotErrorIs(t, err, ErrNotVoidable)
	var code RefusalCode
	require.ErrorAs(t, err, &code)
	require.Equal(t, ErrNotCapturable, code)
}

func TestInvalidRequestErrorIsErrInvalidRequest(t *testing.T) {
	err := error(&InvalidRequestError{Fields: []FieldError{{Field: "amount", Problem: "0: must be above 0"}}})
	require.ErrorIs(t, err, ErrInvalidRequest)
	require.NotErrorIs(t, err, ErrIdempotencyMismatch)
}
