package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/florinpay/florin/payment"
)

const (
	selectPaymentIdentity = `SELECT merchant_id, idempotency_key FROM payments WHERE payment_id = $1`
	selectRefundIdentity  = `SELECT merchant_id, idempotency_key FROM refunds WHERE refund_id = $1`
)

// Identity returns the merchant and the idempotency key of the payment or refund with an id, whatever its merchant is, as of the last
// write: it is for operators, and for what a processor reports. It returns payment.ErrNotFound if there is none.
func (s *Store) Identity(ctx context.Context, id string) (payment.Identity, error) {
	found, err := s.identity(ctx, id)
	return found, s.wrap(err, "identity of %q", id)
}

func (s *Store) identity(ctx context.Context, id string) (found payment.Identity, err error) {
	var query string
	switch {
	case payment.IsPaymentID(id):
		query = selectPaymentIdentity
	case payment.IsRefundID(id):
		query = selectRefundIdentity
	default:
		return found, payment.ErrNotFound
	}
	err = s.onWriter().queryOne(ctx, query, []any{id}, &found.MerchantID, &found.IdempotencyKey)
	if errors.Is(err, sql.ErrNoRows) {
		err = payment.ErrNotFound
	}
	return found, err
}
