package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/florinpay/florin/payment"
)

const paymentColumns = `payment_id, merchant_id, idempotency_key, status, amount, currency, captured_amount, refunded_amount,
	processor, processor_payment_id, processor_request_id, payment_method, decline, failure, created_at, updated_at, revision, modification, modifications`

// paymentRow is a row of payments: the payment, and the columns that only the store uses.
type paymentRow struct {
	payment.Charge
	fingerprint string
	reserved    int64
}

// fields returns the scan destinations for paymentColumns, fingerprint, reserved_amount.
func (p *paymentRow) fields() []any {
	return []any{
		&p.PaymentID, &p.MerchantID, &p.IdempotencyKey, &p.Status, &p.Amount, &p.Currency, &p.CapturedAmount, &p.RefundedAmount,
		&p.Processor, optional{&p.ProcessorPaymentID}, optional{&p.ProcessorRequestID}, &p.PaymentMethod,
		storedDetail[payment.Decline]{&p.Decline}, storedDetail[payment.Failure]{&p.Failure},
		storedTime{&p.CreatedAt}, storedTime{&p.UpdatedAt}, &p.Revision, storedDetail[payment.Modification]{&p.Modification}, &p.Modifications, &p.fingerprint, &p.reserved,
	}
}

// ofMerchant is the condition for the merchant of a payment or refund that is found by its id. No index fits it: before PostgreSQL has
// statistics about a table, it would as well read all rows of the merchant, and keep that plan.
const ofMerchant = `(merchant_id = $1) IS TRUE`

const (
	selectPayment      = `SELECT ` + paymentColumns + `, fingerprint, reserved_amount FROM payments `
	selectPaymentByKey = selectPayment + `WHERE merchant_id = $1 AND idempotency_key = $2`
	selectPaymentByID  = selectPayment + `WHERE payment_id = $2 AND ` + ofMerchant

	// selectPaymentByProcessorID reads by the index of the constraint payments_one_per_processor_id.
	selectPaymentByProcessorID = selectPayment + `WHERE processor = $1 AND processor_payment_id = $2`
)

// payment returns payment.ErrNotFound if query finds no row. owner is the merchant of the key or id or, for a processor's id, the
// processor.
func (q querier) payment(ctx context.Context, query, owner, keyOrID string) (paymentRow, error) {
	var p paymentRow
	err := q.queryOne(ctx, query, []any{owner, keyOrID}, p.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = payment.ErrNotFound
	}
	return p, err
}

// Payment returns the payment of a merchant with an idempotency key. It returns payment.ErrNotFound if there is none.
func (s *Store) Payment(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	p, err := s.read().payment(ctx, selectPaymentByKey, merchantID, idempotencyKey)
	return p.Charge, s.wrap(err, "payment by its merchant and idempotency key")
}

// PaymentByID returns the payment of a merchant with an id. It returns payment.ErrNotFound if there is none, and if the payment
// belongs to another merchant.
func (s *Store) PaymentByID(ctx context.Context, merchantID, paymentID string) (payment.Charge, error) {
	p, err := s.read().payment(ctx, selectPaymentByID, merchantID, paymentID)
	return p.Charge, s.wrap(err, "payment %q of merchant %q", paymentID, merchantID)
}

// CurrentPayment is [Store.PaymentByID] as of the last write, even if reads may come from a database that lags.
func (s *Store) CurrentPayment(ctx context.Context, merchantID, paymentID string) (payment.Charge, error) {
	p, err := s.onWriter().payment(ctx, selectPaymentByID, merchantID, paymentID)
	return p.Charge, s.wrap(err, "payment %q of merchant %q", paymentID, merchantID)
}

// PaymentByProcessorID returns the payment, of any merchant, to which a processor has given an id. It is for what the processor itself
// reports, such as a dispute, and is as of the last write. It returns payment.ErrNotFound if there is none, and for an empty id.
func (s *Store) PaymentByProcessorID(ctx context.Context, processor, processorPaymentID string) (payment.Charge, error) {
	p, err := s.onWriter().payment(ctx, selectPaymentByProcessorID, processor, processorPaymentID)
	return p.Charge, s.wrap(err, "payment %q of processor %q", processorPaymentID, processor)
}

// ON CONFLICT names no columns on purpose: if it did, PostgreSQL would report a violation of the primary key while another
// transaction inserts the same one.
const insertPayment = `INSERT INTO payments (payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency,
		processor, payment_method, created_at, updated_at, cause_by, cause_evidence)
	VALUES ($1, $2, $3, $4, 'processing', $5, $6, $7, $8, $9, $10, $11, $12)
	ON CONFLICT DO NOTHING
	RETURNING ` + paymentColumns + `, fingerprint, reserved_amount`

// BeginPayment persists a payment before its processor is called: with the status processing, and nothing captured. It uses
// the ids, amount, currency, processor, payment method and times of c; a zero time means now.
//
// If the merchant has used the idempotency key before, BeginPayment returns the stored payment in its current status, and
// created is false. The caller must continue with the processor and the times of the stored payment. So the call is safe to
// repeat.
//
// BeginPayment returns payment.ErrIdempotencyMismatch if the stored payment has another fingerprint, and ErrInvalid if c violates a rule of the
// database or if another payment has its id.
func (s *Store) BeginPayment(
	ctx context.Context, c payment.Charge, fingerprint string,
) (stored payment.Charge, created bool, err error) {
	p, created, err := s.beginPayment(ctx, c, fingerprint)
	return p.Charge, created, s.wrap(err, "begin payment %q", c.PaymentID)
}

func (s *Store) beginPayment(ctx context.Context, c payment.Charge, fingerprint string) (p paymentRow, created bool, err error) {
	if c.Status != payment.Processing && c.Status != "" {
		return p, false, fmt.Errorf("%w: status %q: a payment must begin as %s", ErrInvalid, c.Status, payment.Processing)
	}
	by, evidence, err := causeRequest.encode()
	if err != nil {
		return p, false, err
	}
	createdAt, updatedAt := formatTimes(c.CreatedAt, c.UpdatedAt)
	err = s.write(ctx, func(q querier) error {
		return q.queryOne(ctx, insertPayment, []any{c.PaymentID, c.MerchantID, c.IdempotencyKey, fingerprint, c.Amount, c.Currency,
			c.Processor, c.PaymentMethod, createdAt, updatedAt, by, evidence}, p.fields()...)
	})
	if err == nil {
		s.notify(Transition{Processor: p.Processor, Currency: p.Currency, To: p.Status})
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return p, err == nil, err
	}
	switch p, err = s.onWriter().payment(ctx, selectPaymentByKey, c.MerchantID, c.IdempotencyKey); {
	case errors.Is(err, payment.ErrNotFound):
		return p, false, fmt.Errorf("%w: another payment has this id", ErrInvalid)
	case err != nil:
		return p, false, err
	case p.fingerprint != fingerprint:
		return paymentRow{}, false, payment.ErrIdempotencyMismatch
	}
	return p, false, nil
}

// formatTimes returns the times of a new row as they are stored: a zero time becomes now, the same for both, and an updatedAt before
// createdAt becomes createdAt.
func formatTimes(createdAt, updatedAt time.Time) (created, updated string) {
	now := time.Now()
	if createdAt.IsZero() {
		createdAt = now
	}
	if updatedAt.IsZero() {
		updatedAt = now
	}
	if updatedAt.Before(createdAt) {
		updatedAt = createdAt
	}
	return formatTime(createdAt), formatTime(updatedAt)
}

// updatePayment never removes a known processor's id, and never sets updated_at back. [updatePaymentArgs] are its parameters.
const updatePayment = `UPDATE payments SET status = $3, captured_amount = $4,
		processor_payment_id = coalesce($5, processor_payment_id), processor_request_id = coalesce($6, processor_request_id),
		decline = $7, failure = $8, updated_at = CASE WHEN updated_at < $9 THEN $9 ELSE updated_at END,
		modification = $13, modifications = CASE WHEN modifications < $12 THEN $12 ELSE modifications END,
		status_since = CASE WHEN status = $3 THEN status_since WHEN updated_at < $9 THEN $9 ELSE updated_at END,
		` + setPrevious + `, revision = revision + 1, cause_by = $10, cause_evidence = $11
	WHERE payment_id = $2 AND ` + ofMerchant + `
		AND (` + paymentTransitionIsLegal + ` OR ` + paymentDetailsChange + `)
		AND (` + paymentModificationIsKnown + `)
	RETURNING ` + paymentColumns + `, fingerprint, reserved_amount, ` + selectPrevious

// The conditions of updatePayment. checkTransition and dropsUnknownModification find out which of them was not met.
const (
	// paymentTransitionIsLegal: the status changes, as payment.PaymentTransitions allows.
	paymentTransitionIsLegal = `EXISTS (SELECT 1 FROM transitions WHERE kind = 'payment' AND from_status = payments.status AND to_status = $3)`

	// paymentDetailsChange: the status stays, is not final, and something else than the request id changes: each lookup has another
	// request id.
	paymentDetailsChange = `status = $3
		AND EXISTS (SELECT 1 FROM transitions WHERE kind = 'payment' AND from_status = payments.status)
		AND (captured_amount <> $4 OR coalesce($5, processor_payment_id) IS DISTINCT FROM processor_payment_id
			OR decline IS DISTINCT FROM $7 OR failure IS DISTINCT FROM $8 OR modification IS DISTINCT FROM $13 OR modifications < $12)`

	// paymentModificationIsKnown: a stored modification in flight is the new one, or may be replaced ($14), or has ended, or the new
	// status is final.
	paymentModificationIsKnown = `modification IS NULL OR modification = $13 OR modification = $14 OR modifications < $12
		OR NOT EXISTS (SELECT 1 FROM transitions WHERE kind = 'payment' AND from_status = $3)`
)

// updatePaymentArgs returns the parameters of updatePayment. replaced is a modification in flight that the new one may replace; nil if
// there is none.
func updatePaymentArgs(c payment.Charge, cause Cause, replaced *payment.Modification) ([]any, error) {
	by, evidence, errCause := cause.encode()
	decline, errDecline := encodeDetail(c.Decline)
	failure, errFailure := encodeDetail(c.Failure)
	modification, errModification := encodeDetail(c.Modification)
	old, errOld := encodeDetail(replaced)
	return []any{
		c.MerchantID, c.PaymentID, // $1, $2
		string(c.Status), c.CapturedAmount, // $3, $4
		nullable(c.ProcessorPaymentID), nullable(c.ProcessorRequestID), // $5, $6
		decline, failure, // $7, $8
		formatTime(c.UpdatedAt), // $9
		by, evidence,            // $10, $11
		c.Modifications, modification, // $12, $13
		old, // $14
	}, cmp.Or(errCause, errDecline, errFailure, errModification, errOld)
}

// RecordPayment persists the state of a payment and returns the stored payment. It sets the status, captured amount,
// processor's ids, decline, failure and UpdatedAt, its Modification, and raises Modifications. An empty id keeps the stored one, and a zero UpdatedAt means now. It
// ignores c.RefundedAmount, which follows from the refunds. If the state is already stored, RecordPayment changes nothing and
// appends no event, so the call is safe to repeat.
//
// RecordPayment returns payment.ErrNotFound if the merchant has no such payment. It returns ErrIllegalTransition for a transition that
// is not in [payment.PaymentTransitions], for other details of a final status, and if the stored payment has a modification in flight
// that c does not have. It returns ErrProcessorIDTaken if another
// payment has the processor's id: the processor then answered for the wrong payment. In this case, record the payment as
// conflicted, without the id, and with the id as evidence. It returns ErrInvalid for values that violate a rule of the
// database.
func (s *Store) RecordPayment(ctx context.Context, c payment.Charge, cause Cause) (payment.Charge, error) {
	p, err := s.recordPayment(ctx, c, cause)
	return p.Charge, s.wrap(err, "record payment %q as %s", c.PaymentID, c.Status)
}

func (s *Store) recordPayment(ctx context.Context, c payment.Charge, cause Cause) (p paymentRow, err error) {
	if _, known := payment.PaymentTransitions[c.Status]; !known {
		return p, fmt.Errorf("%w: unknown status %q", ErrInvalid, c.Status)
	}
	c.Decline, c.Failure = cleanDecline(c.Decline), cleanFailure(c.Failure)
	c.ProcessorRequestID = clean(c.ProcessorRequestID, maxProcessorID)
	c.UpdatedAt = orNow(c.UpdatedAt)
	var replaced *payment.Modification
	for range maxConcurrentChanges {
		args, err := updatePaymentArgs(c, cause, replaced)
		if err != nil {
			return p, err
		}
		var before previous
		err = s.write(ctx, func(q querier) error {
			return q.queryOne(ctx, updatePayment, args, append(p.fields(), before.fields()...)...)
		})
		if err == nil {
			s.notify(before.complete(Transition{
				Processor: p.Processor, Currency: p.Currency, To: p.Status, After: p.UpdatedAt.Sub(p.CreatedAt),
			}))
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return p, err
		}
		if p, err = s.onWriter().payment(ctx, selectPaymentByID, c.MerchantID, c.PaymentID); err != nil {
			return p, err
		}
		if p.dropsUnknownModification(c) {
			if c.Modification == nil || c.Modification.RunID != p.Modification.RunID || c.Modification.RunID == "" {
				return paymentRow{}, illegalTransition(p.Status, c.Status)
			}
			// The same run began it in a workflow task that Temporal has discarded: it was never sent, and is replaced.
			replaced = p.Modification
			continue
		}
		switch checkTransition(payment.PaymentTransitions, p.Status, c.Status, p.hasDetails(c)) {
		case unchanged:
			return p, nil
		case illegal:
			return paymentRow{}, illegalTransition(p.Status, c.Status)
		case legal: // a concurrent call changed the row after the UPDATE: try again
		}
	}
	return paymentRow{}, errConcurrentChanges
}

// dropsUnknownModification reports whether recording c would replace or remove a modification in flight that c does not know. Only the
// modification that has ended is removed, or any with a final status.
func (p paymentRow) dropsUnknownModification(c payment.Charge) bool {
	return p.Modification != nil && (c.Modification == nil || !p.Modification.Equal(*c.Modification)) &&
		c.Modifications <= p.Modifications && !c.Status.Final()
}

// maxProcessorID is the longest id from a processor that the database accepts, in characters.
const maxProcessorID = 255

// hasDetails reports whether recording c would change nothing but the status, UpdatedAt and the request id.
func (p paymentRow) hasDetails(c payment.Charge) bool {
	return p.CapturedAmount == c.CapturedAmount && (c.ProcessorPaymentID == "" || p.ProcessorPaymentID == c.ProcessorPaymentID) &&
		reflect.DeepEqual(p.Decline, c.Decline) && reflect.DeepEqual(p.Failure, c.Failure) && reflect.DeepEqual(p.Modification, c.Modification) && p.Modifications >= c.Modifications
}
