package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"github.com/florinpay/florin/payment"
)

const refundColumns = `refund_id, payment_id, merchant_id, idempotency_key, status, amount, currency, processor,
	processor_refund_id, decline, failure, created_at, updated_at`

type refundRow struct {
	payment.Refund
	fingerprint string
}

// fields are where to scan refundColumns, fingerprint.
func (r *refundRow) fields() []any {
	return []any{
		&r.RefundID, &r.PaymentID, &r.MerchantID, &r.IdempotencyKey, &r.Status, &r.Amount, &r.Currency, &r.Processor,
		optional{&r.ProcessorRefundID}, storedDetail[payment.Decline]{&r.Decline}, storedDetail[payment.Failure]{&r.Failure},
		storedTime{&r.CreatedAt}, storedTime{&r.UpdatedAt}, &r.fingerprint,
	}
}

const (
	selectRefund      = `SELECT ` + refundColumns + `, fingerprint FROM refunds `
	selectRefundByKey = selectRefund + `WHERE merchant_id = $1 AND idempotency_key = $2`
	selectRefundByID  = selectRefund + `WHERE merchant_id = $1 AND refund_id = $2`
	selectRefunds     = selectRefund + `WHERE merchant_id = $1 AND payment_id = $2 ORDER BY created_at, refund_id`
)

func (q querier) refund(ctx context.Context, query, merchantID, keyOrID string) (refundRow, error) {
	var r refundRow
	err := q.one(ctx, query, []any{merchantID, keyOrID}, r.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return r, err
}

// Refund returns a merchant's refund by its idempotency key; ErrNotFound.
func (s *Store) Refund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	r, err := s.read().refund(ctx, selectRefundByKey, merchantID, idempotencyKey)
	return r.Refund, s.fail(err, "refund of merchant %q by its idempotency key", merchantID)
}

// RefundByID returns a merchant's refund; ErrNotFound, also where the refund is another merchant's.
func (s *Store) RefundByID(ctx context.Context, merchantID, refundID string) (payment.Refund, error) {
	r, err := s.read().refund(ctx, selectRefundByID, merchantID, refundID)
	return r.Refund, s.fail(err, "refund %q of merchant %q", refundID, merchantID)
}

// Refunds returns the refunds of a merchant's payment, oldest first; none for a payment that is not known.
func (s *Store) Refunds(ctx context.Context, merchantID, paymentID string) ([]payment.Refund, error) {
	var refunds []payment.Refund
	err := s.read().each(ctx, selectRefunds, []any{merchantID, paymentID}, func(row scanner) error {
		var r refundRow
		err := row.Scan(r.fields()...)
		refunds = append(refunds, r.Refund)
		return err
	})
	return refunds, s.fail(err, "refunds of payment %q of merchant %q", paymentID, merchantID)
}

// insertRefund: a trigger adds the amount to what is reserved of the payment.
const insertRefund = `INSERT INTO refunds (refund_id, payment_id, merchant_id, idempotency_key, fingerprint, status, amount,
		currency, processor, created_at, updated_at, cause_by, cause_evidence)
	VALUES ($1, $2, $3, $4, $5, 'processing', $6, $7, $8, $9, $10, $11, $12)
	ON CONFLICT DO NOTHING
	RETURNING ` + refundColumns + `, fingerprint`

// ReserveRefund makes a refund known before its processor is called, and sets its amount aside: what is left of a payment
// is what was captured, less the refunds that succeeded or may still succeed. An amount of 0 is all that is left. Currency
// may be empty; processor and currency of what is stored are the payment's. of is that payment.
//
// The same refund again returns what is stored, whatever became of it; its key with another fingerprint is ErrMismatch.
// Otherwise ErrPaymentNotFound, also for another merchant's payment, ErrNotRefundable, ErrCurrency, ErrExceedsCaptured.
// Safe to repeat.
func (s *Store) ReserveRefund(ctx context.Context, r payment.Refund, fingerprint string) (stored payment.Refund, of payment.Charge, created bool, err error) {
	var row refundRow
	var paid paymentRow
	if r.Amount < 0 || r.Status != payment.Processing && r.Status != "" {
		err = fmt.Errorf("%w: amount %d, status %q: a refund begins as %s, with 0 or more", ErrInvalid, r.Amount, r.Status, payment.Processing)
	} else {
		err = s.transact(ctx, func(q querier) (err error) {
			row, paid, created, err = q.reserve(ctx, r, fingerprint)
			return err
		})
	}
	if err != nil {
		return payment.Refund{}, payment.Charge{}, false, s.fail(err, "reserve refund %q of payment %q", r.RefundID, r.PaymentID)
	}
	if created {
		s.tell(Change{Refund: true, Processor: row.Processor, Currency: row.Currency, To: row.Status})
	}
	return row.Refund, paid.Charge, created, nil
}

// reserve locks the payment first of all. Whoever asks for the same refund, or for another one of this payment, waits.
func (q querier) reserve(ctx context.Context, r payment.Refund, fingerprint string) (stored refundRow, paid paymentRow, created bool, err error) {
	paid, err = q.payment(ctx, selectPaymentByID+q.s.dialect.forUpdate, r.MerchantID, r.PaymentID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return stored, paid, false, err
	}
	unknown := err != nil
	stored, err = q.sameRefund(ctx, r, fingerprint)
	switch {
	case !errors.Is(err, ErrNotFound):
		return stored, paid, false, err
	case unknown:
		return stored, paid, false, ErrPaymentNotFound
	}
	if r, err = paid.refundable(r); err != nil {
		return stored, paid, false, err
	}
	by, evidence, err := causeRequest.bounded()
	if err != nil {
		return stored, paid, false, err
	}
	createdAt, updatedAt := span(r.CreatedAt, r.UpdatedAt)
	err = q.one(ctx, insertRefund, []any{r.RefundID, r.PaymentID, r.MerchantID, r.IdempotencyKey, fingerprint, r.Amount,
		r.Currency, r.Processor, createdAt, updatedAt, by, evidence}, stored.fields()...)
	if !errors.Is(err, sql.ErrNoRows) {
		return stored, paid, err == nil, err
	}
	// The key was used for another payment at this very moment.
	stored, err = q.sameRefund(ctx, r, fingerprint)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: another refund has its id", ErrInvalid)
	}
	return stored, paid, false, err
}

// sameRefund finds the refund of r's key; ErrMismatch where it is another one.
func (q querier) sameRefund(ctx context.Context, r payment.Refund, fingerprint string) (refundRow, error) {
	stored, err := q.refund(ctx, selectRefundByKey, r.MerchantID, r.IdempotencyKey)
	if err == nil && stored.fingerprint != fingerprint {
		return refundRow{}, ErrMismatch
	}
	return stored, err
}

// refundable checks a refund against its locked payment and fills in what is the payment's to say.
func (p paymentRow) refundable(r payment.Refund) (payment.Refund, error) {
	left := payment.Money{Amount: p.CapturedAmount - p.RefundedAmount - p.reserved, Currency: p.Currency}
	switch {
	case p.Status != payment.Succeeded:
		return r, fmt.Errorf("%w: it is %s: only a succeeded payment can be refunded", ErrNotRefundable, p.Status)
	case p.ProcessorPaymentID == "":
		return r, fmt.Errorf("%w: nobody knows the processor's id of it: it was resolved without one", ErrNotRefundable)
	case r.Currency != "" && r.Currency != p.Currency:
		return r, fmt.Errorf("%w: %q, but the payment is in %s", ErrCurrency, r.Currency, p.Currency)
	case left.Amount == 0:
		return r, fmt.Errorf("%w: nothing is left", ErrExceedsCaptured)
	case r.Amount > left.Amount:
		return r, fmt.Errorf("%w: %s asked, but only %s is left", ErrExceedsCaptured, payment.Money{Amount: r.Amount, Currency: p.Currency}, left)
	case r.Amount == 0:
		r.Amount = left.Amount
	}
	r.Currency, r.Processor = p.Currency, p.Processor
	return r, nil
}

// updateRefund: a trigger sets the payment's refunded_amount and reserved_amount to the new sums over its refunds.
const updateRefund = `UPDATE refunds SET status = $3, processor_refund_id = coalesce($4, processor_refund_id), decline = $5,
		failure = $6, updated_at = CASE WHEN updated_at < $7 THEN $7 ELSE updated_at END,
		revision = revision + 1, cause_by = $8, cause_evidence = $9
	WHERE merchant_id = $1 AND refund_id = $2 AND (
		EXISTS (SELECT 1 FROM transitions WHERE kind = 'refund' AND from_status = refunds.status AND to_status = $3)
		OR status = $3
			AND EXISTS (SELECT 1 FROM transitions WHERE kind = 'refund' AND from_status = refunds.status)
			AND (coalesce($4, processor_refund_id) IS DISTINCT FROM processor_refund_id
				OR decline IS DISTINCT FROM $5 OR failure IS DISTINCT FROM $6))
	RETURNING ` + refundColumns + `, fingerprint, ` + earlierOfRefund

// SettleRefund sets what became of a refund: status, the processor's id (empty leaves what is stored), decline, failure
// and UpdatedAt (zero is now), and returns what is stored then. In the same transaction the payment's refunded amount
// becomes the sum of its refunds that succeeded; one that was declined or failed gives its amount free, one that is
// unknown keeps it. What is stored already changes nothing and leaves no event, so it is safe to repeat.
//
// ErrNotFound; ErrIllegalTransition and ErrProcessorIDTaken as for RecordPayment.
func (s *Store) SettleRefund(ctx context.Context, r payment.Refund, cause Cause) (payment.Refund, error) {
	row, err := s.settleRefund(ctx, r, cause)
	return row.Refund, s.fail(err, "settle refund %q as %s", r.RefundID, r.Status)
}

func (s *Store) settleRefund(ctx context.Context, r payment.Refund, cause Cause) (row refundRow, err error) {
	if _, known := payment.RefundTransitions[r.Status]; !known {
		return row, fmt.Errorf("%w: unknown status %q", ErrInvalid, r.Status)
	}
	by, evidence, err := cause.bounded()
	if err != nil {
		return row, err
	}
	r.Decline, r.Failure = cleanDecline(r.Decline), cleanFailure(r.Failure)
	decline, err := detail(r.Decline)
	if err != nil {
		return row, err
	}
	failure, err := detail(r.Failure)
	if err != nil {
		return row, err
	}
	args := []any{r.MerchantID, r.RefundID, string(r.Status), nullable(r.ProcessorRefundID), decline, failure,
		moment(orNow(r.UpdatedAt)), by, evidence}
	for range maxRaces {
		var before earlier
		err = s.write(ctx, func(q querier) error {
			return q.one(ctx, updateRefund, args, append(row.fields(), before.fields()...)...)
		})
		if err == nil {
			s.tell(before.change(Change{Refund: true, Processor: row.Processor, Currency: row.Currency, To: row.Status, After: row.UpdatedAt.Sub(row.CreatedAt)}))
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return row, err
		}
		if row, err = s.read().refund(ctx, selectRefundByID, r.MerchantID, r.RefundID); err != nil {
			return row, err
		}
		switch judge(payment.RefundTransitions, row.Status, r.Status, row.hasDetails(r)) {
		case same:
			return row, nil
		case illegal:
			return refundRow{}, refused(row.Status, r.Status)
		case legal: // another call changed it in between
		}
	}
	return refundRow{}, errRaced
}

func (r refundRow) hasDetails(of payment.Refund) bool {
	return (of.ProcessorRefundID == "" || r.ProcessorRefundID == of.ProcessorRefundID) &&
		reflect.DeepEqual(r.Decline, of.Decline) && reflect.DeepEqual(r.Failure, of.Failure)
}
