package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/florinpay/florin/payment"
)

const divergenceColumns = `divergence_id, payment_id, refund_id, merchant_id, kind, status_here, status_there, evidence, detected_at,
	detected_by, acknowledged_at, acknowledged_by, processor, processor_record_id, acknowledged_reason`

func scanDivergence(row scanner) (d payment.Divergence, err error) {
	var evidence string
	if err := row.Scan(&d.DivergenceID, optional{&d.PaymentID}, optional{&d.RefundID}, optional{&d.MerchantID}, &d.Kind, &d.StatusHere, &d.StatusThere,
		&evidence, storedTime{&d.DetectedAt}, &d.DetectedBy, storedTime{&d.AcknowledgedAt}, optional{&d.AcknowledgedBy},
		&d.Processor, optional{&d.ProcessorRecordID}, optional{&d.AcknowledgedReason}); err != nil {
		return d, err
	}
	return d, json.Unmarshal([]byte(evidence), &d.Evidence)
}

const (
	// maxDivergences limits the divergences of one payment: a processor that contradicts itself must not fill the table.
	maxDivergences = 100
	// maxDivergenceStatus is the longest status at the processor that the database accepts, in characters.
	maxDivergenceStatus = 64
)

const insertDivergence = `INSERT INTO divergences (divergence_id, payment_id, refund_id, merchant_id, kind, status_here, status_there,
		evidence, detected_at, detected_by, fingerprint, processor, processor_record_id)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce((SELECT processor FROM payments WHERE payment_id = $2), $13), $14
	WHERE (SELECT count(*) FROM divergences WHERE payment_id = $2) < $12
	ON CONFLICT DO NOTHING
	RETURNING divergence_id`

// RecordDivergence persists a divergence, and reports whether it is a new one. It sets DivergenceID, and a zero DetectedAt means
// now. The same contradiction is recorded once, however often and whenever it is seen, even after it was acknowledged; so the call is
// safe to repeat. Without a payment, d is about a record of the processor, and Processor and ProcessorRecordID are required. DetectedBy is
// required. Evidence and DetectedBy are cut as a [Cause] is. After 100 divergences of one payment no
// more are recorded.
//
// RecordDivergence returns ErrInvalid for an unknown kind, and if the merchant has no such payment or the payment no such refund.
func (s *Store) RecordDivergence(ctx context.Context, d payment.Divergence) (created bool, err error) {
	created, err = s.recordDivergence(ctx, d)
	return created, s.wrap(err, "record divergence of payment %q", d.PaymentID)
}

func (s *Store) recordDivergence(ctx context.Context, d payment.Divergence) (created bool, err error) {
	if !slices.Contains(payment.DivergenceKinds, d.Kind) {
		return false, fmt.Errorf("%w: unknown kind %q: want one of %v", ErrInvalid, d.Kind, payment.DivergenceKinds)
	}
	by, evidence, err := Cause{By: d.DetectedBy, Evidence: d.Evidence}.encode()
	if err != nil {
		return false, err
	}
	d.StatusThere = clean(d.StatusThere, maxDivergenceStatus)
	var id string
	err = s.write(ctx, func(q querier) error {
		return q.queryOne(ctx, insertDivergence, []any{d.ID(), nullable(d.PaymentID), nullable(d.RefundID), nullable(d.MerchantID),
			string(d.Kind), string(d.StatusHere), d.StatusThere, evidence, formatTime(orNow(d.DetectedAt)), by, d.Fingerprint(), maxDivergences,
			nullable(d.Processor), nullable(d.ProcessorRecordID)}, &id)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

const acknowledgeDivergence = `UPDATE divergences SET acknowledged_at = $2, acknowledged_by = $3, acknowledged_reason = $4
	WHERE divergence_id = $1 AND acknowledged_at IS NULL`

// AcknowledgeDivergence persists that an operator has dealt with a divergence, and returns it. It is no longer open then. If it is
// acknowledged already, AcknowledgeDivergence changes nothing. It returns payment.ErrNotFound if there is no such divergence, and
// ErrInvalid if by is empty. by and reason are cut to 100 and 500 characters; reason may be empty. Only operators acknowledge, whatever the merchant.
func (s *Store) AcknowledgeDivergence(ctx context.Context, divergenceID, by, reason string) (payment.Divergence, error) {
	d, err := s.acknowledgeDivergence(ctx, divergenceID, by, reason)
	return d, s.wrap(err, "acknowledge divergence %q", divergenceID)
}

func (s *Store) acknowledgeDivergence(ctx context.Context, divergenceID, by, reason string) (d payment.Divergence, err error) {
	if by == "" {
		return d, fmt.Errorf("%w: the operator is missing", ErrInvalid)
	}
	err = s.transact(ctx, func(q querier) error {
		err := q.exec(ctx, acknowledgeDivergence, divergenceID, formatTime(time.Now()), clean(by, maxCauseBy),
			nullable(clean(reason, maxControlReason)))
		if err != nil {
			return err
		}
		d, err = divergenceByID(ctx, q, divergenceID)
		return err
	})
	return d, err
}

// Divergence returns a divergence, or payment.ErrNotFound.
func (s *Store) Divergence(ctx context.Context, divergenceID string) (d payment.Divergence, err error) {
	d, err = divergenceByID(ctx, s.read(), divergenceID)
	return d, s.wrap(err, "read divergence %q", divergenceID)
}

func divergenceByID(ctx context.Context, q querier, divergenceID string) (d payment.Divergence, err error) {
	err = payment.ErrNotFound
	readErr := q.queryEach(ctx, "SELECT "+divergenceColumns+" FROM divergences WHERE divergence_id = $1", []any{divergenceID},
		func(row scanner) error {
			d, err = scanDivergence(row)
			return err
		})
	if readErr != nil {
		return d, readErr
	}
	return d, err
}

// Divergences returns a page of divergences, the latest first. It returns ErrInvalid for an invalid filter.
func (s *Store) Divergences(ctx context.Context, f payment.DivergenceFilter) (payment.DivergencePage, error) {
	page, err := s.divergences(ctx, f)
	return page, s.wrap(err, "list divergences")
}

// openDivergences is the condition of the index divergences_open.
const openDivergences = "acknowledged_at IS NULL"

func (s *Store) divergences(ctx context.Context, f payment.DivergenceFilter) (page payment.DivergencePage, err error) {
	if err := f.Validate(); err != nil {
		return page, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var where conditions
	if f.MerchantID != "" {
		where.add("merchant_id = %s", f.MerchantID)
	}
	if f.PaymentID != "" {
		where.add("payment_id = %s", f.PaymentID)
	}
	if f.Processor != "" {
		where.add("processor = %s", f.Processor)
	}
	if f.Kind != "" {
		where.add("kind = %s", string(f.Kind))
	}
	if f.Open {
		where.add(openDivergences)
	}
	if f.Cursor != "" {
		at, id, err := parseCursor(f.Cursor)
		if err != nil {
			return page, err
		}
		where.add("(detected_at, divergence_id) < (%s, %s)", at, id)
	}
	limit := pageSize(f.Limit)
	statement := "SELECT " + divergenceColumns + " FROM divergences " + where.clause() +
		" ORDER BY detected_at DESC, divergence_id DESC LIMIT " + where.arg(limit+1)
	err = s.read().queryEach(ctx, statement, where.args, func(row scanner) error {
		d, err := scanDivergence(row)
		page.Divergences = append(page.Divergences, d)
		return err
	})
	if err != nil {
		return payment.DivergencePage{}, err
	}
	if len(page.Divergences) > limit {
		page.Divergences = page.Divergences[:limit]
		last := page.Divergences[limit-1]
		page.Next = newCursor(last.DetectedAt, last.DivergenceID)
	}
	return page, nil
}

const countDivergences = `SELECT kind, count(*) FROM divergences WHERE ` + openDivergences + ` GROUP BY kind`

// OpenDivergences counts the divergences that no operator has acknowledged. It omits kinds without any.
func (s *Store) OpenDivergences(ctx context.Context) (map[payment.DivergenceKind]int64, error) {
	open := map[payment.DivergenceKind]int64{}
	err := s.read().queryEach(ctx, countDivergences, nil, func(row scanner) error {
		var kind payment.DivergenceKind
		var count int64
		err := row.Scan(&kind, &count)
		open[kind] = count
		return err
	})
	return open, s.wrap(err, "count open divergences")
}
