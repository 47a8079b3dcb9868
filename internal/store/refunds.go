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

// refundRow is a row of refunds: the refund, and a column that only the store uses.
type refundRow struct {
	payment.Refund
	fingerprint string
}

// fields returns the scan destinations for refundColumns, fingerprint.
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
	selectRefundByID  = selectRefund + `WHERE refund_id = $2 AND ` + ofMerchant
	// selectRefundByProcessorID reads by the index of the constraint refunds_one_per_processor_id.
	selectRefundByProcessorID = selectRefund + `WHERE processor = $1 AND processor_refund_id = $2`
	selectRefunds             = selectRefund + `WHERE payment_id = $2 AND ` + ofMerchant + ` ORDER BY created_at, refund_id`
)

// refund returns payment.ErrNotFound if query finds no row.
func (q querier) refund(ctx context.Context, query, merchantID, keyOrID string) (refundRow, error) {
	var r refundRow
	err := q.queryOne(ctx, query, []any{merchantID, keyOrID}, r.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = payment.ErrNotFound
	}
	return r, err
}

// Refund returns the refund of a merchant with an idempotency key. It returns payment.ErrNotFound if there is none.
func (s *Store) Refund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	r, err := s.read().refund(ctx, selectRefundByKey, merchantID, idempotencyKey)
	return r.Refund, s.wrap(err, "refund by its merchant and idempotency key")
}

// CurrentRefund is [Store.RefundByID] as of the last write, even if reads may come from a database that lags.
func (s *Store) CurrentRefund(ctx context.Context, merchantID, refundID string) (payment.Refund, error) {
	r, err := s.onWriter().refund(ctx, selectRefundByID, merchantID, refundID)
	return r.Refund, s.wrap(err, "refund %q of merchant %q", refundID, merchantID)
}

// RefundByID returns the refund of a merchant with an id. It returns payment.ErrNotFound if there is none, and if the refund belongs
// to another merchant.
func (s *Store) RefundByID(ctx context.Context, merchantID, refundID string) (payment.Refund, error) {
	r, err := s.read().refund(ctx, selectRefundByID, merchantID, refundID)
	return r.Refund, s.wrap(err, "refund %q of merchant %q", refundID, merchantID)
}

// RefundByProcessorID is [Store.PaymentByProcessorID] for a refund.
func (s *Store) RefundByProcessorID(ctx context.Context, processor, processorRefundID string) (payment.Refund, error) {
	r, err := s.onWriter().refund(ctx, selectRefundByProcessorID, processor, processorRefundID)
	return r.Refund, s.wrap(err, "refund %q of processor %q", processorRefundID, processor)
}

// Refunds returns the refunds of a payment of a merchant as of the last write, oldest first. It returns none if the merchant has no such payment.
func (s *Store) Refunds(ctx context.Context, merchantID, paymentID string) ([]payment.Refund, error) {
	var refunds []payment.Refund
	err := s.onWriter().queryEach(ctx, selectRefunds, []any{merchantID, paymentID}, func(row scanner) error {
		var r refundRow
		err := row.Scan(r.fields()...)
		refunds = append(refunds, r.Refund)
		return err
	})
	return refunds, s.wrap(err, "refunds of payment %q of merchant %q", paymentID, merchantID)
}

// insertRefund inserts a refund. A trigger adds its amount to the payment's reserved_amount.
const insertRefund = `INSERT INTO refunds (refund_id, payment_id, merchant_id, idempotency_key, fingerprint, status, amount,
		currency, processor, created_at, updated_at, cause_by, cause_evidence)
	VALUES ($1, $2, $3, $4, $5, 'processing', $6, $7, $8, $9, $10, $11, $12)
	ON CONFLICT DO NOTHING
	RETURNING ` + refundColumns + `, fingerprint`

// ReserveRefund persists a refund before its processor is called, with the status processing, and reserves its amount. The
// remaining amount of a payment is its captured amount minus the refunds that succeeded or may still succeed. A refund of
// amount 0 is for all of the remaining amount. r.Currency may be empty. The stored refund has the processor and currency of its
// payment, which is returned as refunded.
//
// If the merchant has used the idempotency key for a refund before, ReserveRefund returns the stored refund in its current
// status, and created is false. So the call is safe to repeat.
//
// ReserveRefund returns payment.ErrIdempotencyMismatch if the stored refund has another fingerprint, payment.ErrPaymentNotFound if the merchant has no such
// payment, payment.ErrPaymentNotRefundable if the payment did not succeed or its processor's id is unknown, payment.ErrInvalidRequest if r.Currency is not
// the currency of the payment, and payment.ErrRefundExceedsCaptured if the amount exceeds the remaining amount. It returns ErrInvalid if
// r violates a rule of the database or if another refund has its id.
func (s *Store) ReserveRefund(
	ctx context.Context, r payment.Refund, fingerprint string,
) (stored payment.Refund, refunded payment.Charge, created bool, err error) {
	var row refundRow
	var paid paymentRow
	if r.Amount < 0 || r.Status != payment.Processing && r.Status != "" {
		err = fmt.Errorf("%w: amount %d, status %q: a refund must begin as %s, with an amount of 0 or more",
			ErrInvalid, r.Amount, r.Status, payment.Processing)
	} else {
		err = s.transact(ctx, func(q querier) (err error) {
			row, paid, created, err = q.reserve(ctx, r, fingerprint)
			return err
		})
	}
	if err != nil {
		return payment.Refund{}, payment.Charge{}, false, s.wrap(err, "reserve refund %q of payment %q", r.RefundID, r.PaymentID)
	}
	if created {
		s.notify(Transition{Refund: true, Processor: row.Processor, Currency: row.Currency, To: row.Status})
	}
	return row.Refund, paid.Charge, created, nil
}

// reserve locks the payment first, so that refunds of the same payment are reserved one after the other.
func (q querier) reserve(
	ctx context.Context, r payment.Refund, fingerprint string,
) (stored refundRow, paid paymentRow, created bool, err error) {
	paid, err = q.payment(ctx, selectPaymentByID+q.s.dialect.forUpdate, r.MerchantID, r.PaymentID)
	if err != nil && !errors.Is(err, payment.ErrNotFound) {
		return stored, paid, false, err
	}
	paymentUnknown := err != nil
	stored, err = q.existingRefund(ctx, r, fingerprint)
	switch {
	case !errors.Is(err, payment.ErrNotFound):
		return stored, paid, false, err
	case paymentUnknown:
		return stored, paid, false, payment.ErrPaymentNotFound
	}
	if r, err = paid.completeRefund(r); err != nil {
		return stored, paid, false, err
	}
	by, evidence, err := causeRequest.encode()
	if err != nil {
		return stored, paid, false, err
	}
	createdAt, updatedAt := formatTimes(r.CreatedAt, r.UpdatedAt)
	err = q.queryOne(ctx, insertRefund, []any{r.RefundID, r.PaymentID, r.MerchantID, r.IdempotencyKey, fingerprint, r.Amount,
		r.Currency, r.Processor, createdAt, updatedAt, by, evidence}, stored.fields()...)
	if !errors.Is(err, sql.ErrNoRows) {
		return stored, paid, err == nil, err
	}
	// A concurrent call used the key for a refund of another payment, which has a lock of its own.
	stored, err = q.existingRefund(ctx, r, fingerprint)
	if errors.Is(err, payment.ErrNotFound) {
		err = fmt.Errorf("%w: another refund has this id", ErrInvalid)
	}
	return stored, paid, false, err
}

// existingRefund returns the stored refund with r's idempotency key. It returns payment.ErrNotFound if there is none, and payment.ErrIdempotencyMismatch
// if it has another fingerprint.
func (q querier) existingRefund(ctx context.Context, r payment.Refund, fingerprint string) (refundRow, error) {
	stored, err := q.refund(ctx, selectRefundByKey, r.MerchantID, r.IdempotencyKey)
	if err == nil && stored.fingerprint != fingerprint {
		return refundRow{}, payment.ErrIdempotencyMismatch
	}
	return stored, err
}

// completeRefund checks a new refund against its locked payment. It sets the refund's currency and processor, and its amount if
// that is 0.
func (p paymentRow) completeRefund(r payment.Refund) (payment.Refund, error) {
	remaining := payment.Money{Amount: p.CapturedAmount - p.RefundedAmount - p.reserved, Currency: p.Currency}
	switch {
	case p.Status != payment.Succeeded:
		return r, fmt.Errorf("%w: its status is %s: only a succeeded payment can be refunded", payment.ErrPaymentNotRefundable, p.Status)
	case p.ProcessorPaymentID == "":
		return r, fmt.Errorf("%w: its id at the processor is unknown: it was resolved without one", payment.ErrPaymentNotRefundable)
	case r.Currency != "" && r.Currency != p.Currency:
		return r, fmt.Errorf("%w: refund in %q, payment in %s", payment.ErrInvalidRequest, r.Currency, p.Currency)
	case remaining.Amount == 0:
		return r, fmt.Errorf("%w: nothing remains to refund", payment.ErrRefundExceedsCaptured)
	case r.Amount > remaining.Amount:
		requested := payment.Money{Amount: r.Amount, Currency: p.Currency}
		return r, fmt.Errorf("%w: refund of %s, remaining %s", payment.ErrRefundExceedsCaptured, requested, remaining)
	case r.Amount == 0:
		r.Amount = remaining.Amount
	}
	r.Currency, r.Processor = p.Currency, p.Processor
	return r, nil
}

// updateRefund updates a refund. A trigger adds the difference to the payment's refunded_amount and reserved_amount. A succeeded refund fails only with the processor's id: the processor's report about the refund has it, and a conclusion
// that the refund was never executed does not.
const updateRefund = `UPDATE refunds SET status = $3, processor_refund_id = coalesce($4, processor_refund_id), decline = $5,
		failure = $6, updated_at = CASE WHEN updated_at < $7 THEN $7 ELSE updated_at END,
		status_since = CASE WHEN status = $3 THEN status_since WHEN updated_at < $7 THEN $7 ELSE updated_at END,
		` + setPrevious + `, revision = revision + 1, cause_by = $8, cause_evidence = $9
	WHERE refund_id = $2 AND ` + ofMerchant + ` AND (
		EXISTS (SELECT 1 FROM transitions WHERE kind = 'refund' AND from_status = refunds.status AND to_status = $3)
			AND (status <> 'succeeded' OR coalesce(processor_refund_id, $4) = $4)
		OR status = $3 AND ` + openRefunds + `
			AND (coalesce($4, processor_refund_id) IS DISTINCT FROM processor_refund_id
				OR decline IS DISTINCT FROM $5 OR failure IS DISTINCT FROM $6))
	RETURNING ` + refundColumns + `, fingerprint, ` + selectPrevious

// SettleRefund persists the state of a refund and returns the stored refund. It sets the status, processor's id, decline,
// failure and UpdatedAt. An empty id keeps the stored one, and a zero UpdatedAt means now. In the same transaction the payment's
// refunded amount becomes the sum of its succeeded refunds. A declined or failed refund releases its reserved amount; an unknown
// one keeps it. A succeeded refund that the processor reports as failed later becomes failed, which needs the processor's id in r. If
// the state is already stored, SettleRefund changes nothing and appends no event, so the call is safe to repeat.
//
// SettleRefund returns payment.ErrNotFound if the merchant has no such refund, and ErrIllegalTransition, ErrProcessorIDTaken and
// ErrInvalid as [Store.RecordPayment] does.
func (s *Store) SettleRefund(ctx context.Context, r payment.Refund, cause Cause) (payment.Refund, error) {
	row, err := s.settleRefund(ctx, r, cause)
	return row.Refund, s.wrap(err, "settle refund %q as %s", r.RefundID, r.Status)
}

func (s *Store) settleRefund(ctx context.Context, r payment.Refund, cause Cause) (row refundRow, err error) {
	if _, known := payment.RefundTransitions[r.Status]; !known {
		return row, fmt.Errorf("%w: unknown status %q", ErrInvalid, r.Status)
	}
	by, evidence, err := cause.encode()
	if err != nil {
		return row, err
	}
	r.Decline, r.Failure = cleanDecline(r.Decline), cleanFailure(r.Failure)
	decline, err := encodeDetail(r.Decline)
	if err != nil {
		return row, err
	}
	failure, err := encodeDetail(r.Failure)
	if err != nil {
		return row, err
	}
	args := []any{r.MerchantID, r.RefundID, string(r.Status), nullable(r.ProcessorRefundID), decline, failure,
		formatTime(orNow(r.UpdatedAt)), by, evidence}
	for range maxConcurrentChanges {
		var before previous
		err = s.write(ctx, func(q querier) error {
			return q.queryOne(ctx, updateRefund, args, append(row.fields(), before.fields()...)...)
		})
		if err == nil {
			s.notify(before.complete(Transition{
				Refund: true, Processor: row.Processor, Currency: row.Currency, To: row.Status, After: row.UpdatedAt.Sub(row.CreatedAt),
			}))
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return row, err
		}
		if row, err = s.onWriter().refund(ctx, selectRefundByID, r.MerchantID, r.RefundID); err != nil {
			return row, err
		}
		transition := checkTransition(payment.RefundTransitions, row.Status, r.Status, row.hasDetails(r))
		if row.Status == payment.Succeeded && transition == legal && !row.isReportedBy(r) {
			transition = illegal
		}
		switch transition {
		case unchanged:
			return row, nil
		case illegal:
			return refundRow{}, illegalTransition(row.Status, r.Status)
		case legal: // a concurrent call changed the row after the UPDATE: try again
		}
	}
	return refundRow{}, errConcurrentChanges
}

// hasDetails reports whether recording of would change nothing but the status and UpdatedAt.
func (r refundRow) hasDetails(of payment.Refund) bool {
	return (of.ProcessorRefundID == "" || r.ProcessorRefundID == of.ProcessorRefundID) &&
		reflect.DeepEqual(r.Decline, of.Decline) && reflect.DeepEqual(r.Failure, of.Failure)
}

// isReportedBy reports whether of has the processor's id of the refund.
func (r refundRow) isReportedBy(of payment.Refund) bool {
	return of.ProcessorRefundID != "" && (r.ProcessorRefundID == "" || r.ProcessorRefundID == of.ProcessorRefundID)
}
