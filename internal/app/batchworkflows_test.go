package app

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// The workflow that has the key of a line may still be refused, such as one that a caller of another merchant has started: only the
// store says whose the key is.
func TestOnlyAnInvalidLineIsRefusedByItsStart(t *testing.T) {
	invalid := &payment.InvalidRequestError{Fields: []payment.FieldError{{Field: "amount", Problem: "0: must be above 0"}}}
	for name, tt := range map[string]struct {
		err     error
		refused bool
	}{
		"an invalid line":                         {err: invalid, refused: true},
		"a workflow of another request":           {err: fmt.Errorf("workflow charge/acme/k-1: %w", florin.ErrIdempotencyMismatch)},
		"a history that is gone":                  {err: fmt.Errorf("workflow charge/acme/k-1: %w", florin.ErrNotFound)},
		"a Temporal that does not answer in time": {err: errors.New("deadline exceeded")},
	} {
		t.Run(name, func(t *testing.T) {
			err := startError(tt.err)
			var refusal *payment.Refusal
			require.Error(t, err)
			require.Equal(t, tt.refused, errors.As(err, &refusal))
		})
	}
}
