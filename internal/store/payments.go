package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/florinpay/florin/payment"
)

const paymentColumns = `payment_id, merchant_id, idempotency_key, status, amount, currency, captured_amount, refunded_amount,
	processor, processor_payment_id, processor_request_id, payment_method, decline, failure, created_at, updated_at, revision`

// paymentRow is a payment with what only the store knows of it.
type paymentRow struct {
	payment.Charge
	fingerprint string
	reserved    int64
}

// fields are where to scan paymentColumns, fingerprint, reserved_amount.
func (p *paymentRow) fields() []any {
	return []any{
		&p.PaymentID, &p.MerchantID, &p.IdempotencyKey, &p.Status, &p.Amount, &p.Currency, &p.CapturedAmount, &p.RefundedAmount,
		&p.Processor, optional{&p.ProcessorPaymentID}, optional{&p.ProcessorRequestID}, &p.PaymentMethod,
		storedDetail[payment.Decline]{&p.Decline}, storedDetail[payment.Failure]{&p.Failure},
		storedTime{&p.CreatedAt}, storedTime{&p.UpdatedAt}, &p.Revision, &p.fingerprint, &p.reserved,
	}
}

const (
	selectPayment      = `SELECT ` + paymentColumns + `, fingerprint, reserved_amount FROM payments `
	selectPaymentByKey = selectPayment + `WHERE merchant_id = $1 AND idempotency_key = $2`
	selectPaymentByID  = selectPayment + `WHERE merchant_id = $1 AND payment_id = $2`
)

func (q querier) payment(ctx context.Context, query, merchantID, keyOrID string) (paymentRow, error) {
	var p paymentRow
	err := q.one(ctx, query, []any{merchantID, keyOrID}, p.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return p, err
}

// Payment returns a merchant's payment by its idempotency key; ErrNotFound.
func (s *Store) Payment(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	p, err := s.read().payment(ctx, selectPaymentByKey, merchantID, idempotencyKey)
	return p.Charge, s.fail(err, "payment of merchant %q by its idempotency key", merchantID)
}

// PaymentByID returns a merchant's payment; ErrNotFound, also where the payment is another merchant's.
func (s *Store) PaymentByID(ctx context.Context, merchantID, paymentID string) (payment.Charge, error) {
	p, err := s.read().payment(ctx, selectPaymentByID, merchantID, paymentID)
	return p.Charge, s.fail(err, "payment %q of merchant %q", paymentID, merchantID)
}

// ON CONFLICT names no columns on purpose: with them, PostgreSQL would report a primary key that another transaction
// is just about to insert.
const insertPayment = `INSERT INTO payments (payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency,
		processor, payment_method, created_at, updated_at, cause_by, cause_evidence)
	VALUES ($1, $2, $3, $4, 'processing', $5, $6, $7, $8, $9, $10, $11, $12)
	ON CONFLICT DO NOTHING
	RETURNING ` + paymentColumns + `, fingerprint, reserved_amount`

// BeginPayment makes a payment known before its processor is called: processing, with nothing captured. It needs c's
// ids, amount, currency, processor and payment method; times that are zero are now. The same key again returns what is
// stored, whatever became of it, and created is false: its processor and times are the ones to go on with. The same key
// with another fingerprint is ErrMismatch. Safe to repeat.
func (s *Store) BeginPayment(ctx context.Context, c payment.Charge, fingerprint string) (stored payment.Charge, created bool, err error) {
	p, created, err := s.beginPayment(ctx, c, fingerprint)
	return p.Charge, created, s.fail(err, "begin payment %q", c.PaymentID)
}

func (s *Store) beginPayment(ctx context.Context, c payment.Charge, fingerprint string) (p paymentRow, created bool, err error) {
	if c.Status != payment.Processing && c.Status != "" {
		return p, false, fmt.Errorf("%w: status %q: a payment begins as %s", ErrInvalid, c.Status, payment.Processing)
	}
	by, evidence, err := causeRequest.bounded()
	if err != nil {
		return p, false, err
	}
	createdAt, updatedAt := span(c.CreatedAt, c.UpdatedAt)
	err = s.write(ctx, func(q querier) error {
		return q.one(ctx, insertPayment, []any{c.PaymentID, c.MerchantID, c.IdempotencyKey, fingerprint, c.Amount, c.Currency,
			c.Processor, c.PaymentMethod, createdAt, updatedAt, by, evidence}, p.fields()...)
	})
	if err == nil {
		s.tell(Change{Processor: p.Processor, Currency: p.Currency, To: p.Status})
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return p, err == nil, err
	}
	switch p, err = s.read().payment(ctx, selectPaymentByKey, c.MerchantID, c.IdempotencyKey); {
	case errors.Is(err, ErrNotFound):
		return p, false, fmt.Errorf("%w: another payment has its id", ErrInvalid)
	case err != nil:
		return p, false, err
	case p.fingerprint != fingerprint:
		return paymentRow{}, false, ErrMismatch
	}
	return p, false, nil
}

// span is when something was created and updated, as it is stored.
func span(createdAt, updatedAt time.Time) (created, updated string) {
	createdAt = orNow(createdAt)
	if updatedAt.Before(createdAt) {
		updatedAt = createdAt
	}
	return moment(createdAt), moment(updatedAt)
}

// A processor's id that is known is not forgotten. updated_at does not go back. The request id alone is no news: each
// lookup has another one.
const updatePayment = `UPDATE payments SET status = $3, captured_amount = $4,
		processor_payment_id = coalesce($5, processor_payment_id), processor_request_id = coalesce($6, processor_request_id),
		decline = $7, failure = $8, updated_at = CASE WHEN updated_at < $9 THEN $9 ELSE updated_at END,
		revision = revision + 1, cause_by = $10, cause_evidence = $11
	WHERE merchant_id = $1 AND payment_id = $2 AND (
		EXISTS (SELECT 1 FROM transitions WHERE kind = 'payment' AND from_status = payments.status AND to_status = $3)
		OR status = $3
			AND EXISTS (SELECT 1 FROM transitions WHERE kind = 'payment' AND from_status = payments.status)
			AND (captured_amount <> $4 OR coalesce($5, processor_payment_id) IS DISTINCT FROM processor_payment_id
				OR decline IS DISTINCT FROM $7 OR failure IS DISTINCT FROM $8))
	RETURNING ` + paymentColumns + `, fingerprint, reserved_amount, ` + earlierOfPayment

// RecordPayment sets what became of a payment: status, captured amount, the processor's ids (an empty one leaves what is
// stored), decline, failure and UpdatedAt (zero is now), and returns what is stored then. RefundedAmount is not taken
// from c: it belongs to the refunds. What is stored already changes nothing and leaves no event, so it is safe to repeat.
//
// ErrNotFound; ErrIllegalTransition for a move that payment.PaymentTransitions does not have, and for other details of
// a final status. ErrProcessorIDTaken: another payment has this id of the processor, which then has answered for the
// wrong one. Record it as conflicted without the id, and the id as evidence.
func (s *Store) RecordPayment(ctx context.Context, c payment.Charge, cause Cause) (payment.Charge, error) {
	p, err := s.recordPayment(ctx, c, cause)
	return p.Charge, s.fail(err, "record payment %q as %s", c.PaymentID, c.Status)
}

func (s *Store) recordPayment(ctx context.Context, c payment.Charge, cause Cause) (p paymentRow, err error) {
	if _, known := payment.PaymentTransitions[c.Status]; !known {
		return p, fmt.Errorf("%w: unknown status %q", ErrInvalid, c.Status)
	}
	by, evidence, err := cause.bounded()
	if err != nil {
		return p, err
	}
	c.Decline, c.Failure = cleanDecline(c.Decline), cleanFailure(c.Failure)
	c.ProcessorRequestID = clean(c.ProcessorRequestID, maxProcessorID)
	decline, err := detail(c.Decline)
	if err != nil {
		return p, err
	}
	failure, err := detail(c.Failure)
	if err != nil {
		return p, err
	}
	args := []any{c.MerchantID, c.PaymentID, string(c.Status), c.CapturedAmount, nullable(c.ProcessorPaymentID),
		nullable(c.ProcessorRequestID), decline, failure, moment(orNow(c.UpdatedAt)), by, evidence}
	for range maxRaces {
		var before earlier
		err = s.write(ctx, func(q querier) error {
			return q.one(ctx, updatePayment, args, append(p.fields(), before.fields()...)...)
		})
		if err == nil {
			s.tell(before.change(Change{Processor: p.Processor, Currency: p.Currency, To: p.Status, After: p.UpdatedAt.Sub(p.CreatedAt)}))
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return p, err
		}
		if p, err = s.read().payment(ctx, selectPaymentByID, c.MerchantID, c.PaymentID); err != nil {
			return p, err
		}
		switch judge(payment.PaymentTransitions, p.Status, c.Status, p.hasDetails(c)) {
		case same:
			return p, nil
		case illegal:
			return paymentRow{}, refused(p.Status, c.Status)
		case legal: // another call changed it in between
		}
	}
	return paymentRow{}, errRaced
}

// maxProcessorID is the longest id of a processor that is stored.
const maxProcessorID = 255

// hasDetails reports whether everything that RecordPayment sets is as c says; the request id does not count.
func (p paymentRow) hasDetails(c payment.Charge) bool {
	return p.CapturedAmount == c.CapturedAmount && (c.ProcessorPaymentID == "" || p.ProcessorPaymentID == c.ProcessorPaymentID) &&
		reflect.DeepEqual(p.Decline, c.Decline) && reflect.DeepEqual(p.Failure, c.Failure)
}
