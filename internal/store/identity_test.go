package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestPaymentsAndRefundsAreIdentifiedByTheirIDs(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		r := reserve(t, s, newRefund("r-1", c, 3_000))
		of, err := s.Identity(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Equal(t, payment.Identity{MerchantID: c.MerchantID, IdempotencyKey: "order-1"}, of)
		of, err = s.Identity(t.Context(), r.RefundID)
		require.NoError(t, err)
		require.Equal(t, payment.Identity{MerchantID: r.MerchantID, IdempotencyKey: "r-1"}, of)
		for _, id := range []string{"", "order-1", payment.PaymentID("acme", "order-2"), payment.RefundID("acme", "order-1"), "pay_\x00", "\xff"} {
			_, err := s.Identity(t.Context(), id)
			require.ErrorIs(t, err, payment.ErrNotFound, "%q", id)
		}
	})
}
