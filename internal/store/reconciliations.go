package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
)

// detectedByReconcile is DetectedBy of the divergences that a reconciliation records.
const detectedByReconcile = "reconcile"

// maxRunReason is the longest reason of a run that the database accepts, in characters.
const maxRunReason = 500

const (
	runColumns = `run_id, processor, workflow_id, window_from, window_to, started_at, ended_at, complete, reason,
		pages, listed, compared, checked, hurried, findings`
	selectRun = "SELECT " + runColumns + " FROM reconciliation_runs "
	insertRun = `INSERT INTO reconciliation_runs (run_id, processor, workflow_id, window_from, window_to, started_at)
		VALUES ($1, $2, $3, $4, $5, $6)`
	endRun = `UPDATE reconciliation_runs SET ended_at = $2, complete = $3, reason = $4, pages = $5, listed = $6, compared = $7, checked = $8,
		hurried = $9, findings = (SELECT count(*) FROM divergences d WHERE d.processor = reconciliation_runs.processor
			AND d.detected_at >= reconciliation_runs.started_at AND d.detected_by = '` + detectedByReconcile + `')
		WHERE run_id = $1 AND ended_at IS NULL`
	endAbandonedRuns = `UPDATE reconciliation_runs SET ended_at = $3, reason = 'run ' || $2 || ' began before this one had ended'
		WHERE processor = $1 AND run_id <> $2 AND ended_at IS NULL`
	// selectWatermark omits windows that end in the future: the clock of their worker was wrong, and nothing of then was compared.
	selectWatermark = "SELECT max(window_to) FROM reconciliation_runs WHERE processor = $1 AND complete AND window_to <= $2"
	countFindings   = `SELECT count(*) FROM divergences WHERE processor = $1 AND detected_at >= $2 AND detected_by = '` + detectedByReconcile + `'`
)

func scanRun(row scanner) (r payment.Reconciliation, err error) {
	err = row.Scan(&r.RunID, &r.Processor, &r.WorkflowID, storedTime{&r.WindowFrom}, storedTime{&r.WindowTo}, storedTime{&r.StartedAt},
		storedTime{&r.EndedAt}, &r.Complete, &r.Reason, &r.Counts.Pages, &r.Counts.Listed, &r.Counts.Compared, &r.Counts.Checked,
		&r.Counts.Hurried, &r.Counts.Findings)
	return r, err
}

// Window is how the window of a reconciliation follows from the last one.
type Window struct {
	// Lag is how long before now it ends, so that the processor's lists contain what is in it.
	Lag time.Duration
	// Overlap is how long before the end of the last complete window it begins, for what the processor lists late.
	Overlap time.Duration
}

// BeginReconciliation persists that the run of a workflow has begun to reconcile a processor, and returns it with its window: from the end of
// the last complete window, or else from the oldest payment of the processor, minus the overlap, until now minus the lag. A run of the
// processor that has not ended ends as not complete: its workflow no longer runs, or stops. A run that has begun before is returned as it is,
// so the call is safe to repeat. BeginReconciliation uses the ids and the processor of r.
func (s *Store) BeginReconciliation(ctx context.Context, r payment.Reconciliation, w Window) (payment.Reconciliation, error) {
	var begun payment.Reconciliation
	err := s.transact(ctx, func(q querier) (err error) {
		begun, err = q.run(ctx, r.RunID)
		if !errors.Is(err, payment.ErrNotFound) {
			return err
		}
		begun = payment.Reconciliation{RunID: r.RunID, Processor: r.Processor, WorkflowID: r.WorkflowID}
		begun.StartedAt = time.Now().UTC().Truncate(time.Microsecond)
		if begun.WindowFrom, begun.WindowTo, err = q.window(ctx, r.Processor, begun.StartedAt, w); err != nil {
			return err
		}
		if err := q.exec(ctx, endAbandonedRuns, r.Processor, r.RunID, formatTime(begun.StartedAt)); err != nil {
			return err
		}
		return q.exec(ctx, insertRun, r.RunID, r.Processor, r.WorkflowID, formatTime(begun.WindowFrom), formatTime(begun.WindowTo),
			formatTime(begun.StartedAt))
	})
	return begun, s.wrap(err, "begin to reconcile processor %q", r.Processor)
}

// window returns the window of a run that begins now.
func (q querier) window(ctx context.Context, processor string, now time.Time, w Window) (from, to time.Time, err error) {
	to = now.Add(-w.Lag)
	if err = q.queryOne(ctx, selectWatermark, []any{processor, formatTime(now)}, storedTime{&from}); err != nil {
		return from, to, err
	}
	if from.IsZero() {
		if from, err = q.oldestPayment(ctx, processor); err != nil {
			return from, to, err
		}
	}
	if from.IsZero() || from.After(to) {
		from = to
	}
	return from.Add(-w.Overlap), to, nil
}

// oldestPayment returns when the oldest payment of a processor was created; zero if there is none. It reads one row of the index for each
// status.
func (q querier) oldestPayment(ctx context.Context, processor string) (oldest time.Time, err error) {
	for _, status := range slices.Sorted(maps.Keys(payment.PaymentTransitions)) {
		var created time.Time
		err := q.queryOne(ctx, "SELECT min(created_at) FROM payments WHERE processor || '/' || status = $1",
			[]any{processor + "/" + string(status)}, storedTime{&created})
		if err != nil {
			return oldest, err
		}
		if oldest.IsZero() || !created.IsZero() && created.Before(oldest) {
			oldest = created
		}
	}
	return oldest, nil
}

// EndReconciliation persists how a run has ended, and returns it. A complete run moves the watermark. reason is why it is not complete, and
// is cut to 500 characters. The number of findings is counted, whatever counts says. If the run has ended already, EndReconciliation changes
// nothing. It returns payment.ErrNotFound if there is no such run.
func (s *Store) EndReconciliation(
	ctx context.Context, runID string, complete bool, reason string, counts payment.ReconcileCounts,
) (ended payment.Reconciliation, err error) {
	err = s.transact(ctx, func(q querier) (err error) {
		if err := q.exec(ctx, endRun, runID, formatTime(time.Now()), complete, clean(reason, maxRunReason), counts.Pages, counts.Listed,
			counts.Compared, counts.Checked, counts.Hurried); err != nil {
			return err
		}
		ended, err = q.run(ctx, runID)
		return err
	})
	return ended, s.wrap(err, "end run %q of reconciliation", runID)
}

// Reconciliation returns a run with the number of its findings so far, as of the last write. It returns payment.ErrNotFound if there is none.
func (s *Store) Reconciliation(ctx context.Context, runID string) (payment.Reconciliation, error) {
	q := s.onWriter()
	r, err := q.run(ctx, runID)
	if err == nil && r.EndedAt.IsZero() {
		err = q.queryOne(ctx, countFindings, []any{r.Processor, formatTime(r.StartedAt)}, &r.Counts.Findings)
	}
	return r, s.wrap(err, "read run %q of reconciliation", runID)
}

func (q querier) run(ctx context.Context, runID string) (r payment.Reconciliation, err error) {
	err = payment.ErrNotFound
	readErr := q.queryEach(ctx, selectRun+"WHERE run_id = $1", []any{runID}, func(row scanner) error {
		r, err = scanRun(row)
		return err
	})
	if readErr != nil {
		return r, readErr
	}
	return r, err
}

// Reconciliations returns a page of runs, the latest first. It returns ErrInvalid for an invalid filter.
func (s *Store) Reconciliations(ctx context.Context, f payment.ReconciliationFilter) (payment.ReconciliationPage, error) {
	page, err := s.reconciliations(ctx, f)
	return page, s.wrap(err, "list reconciliations")
}

func (s *Store) reconciliations(ctx context.Context, f payment.ReconciliationFilter) (page payment.ReconciliationPage, err error) {
	if err := f.Validate(); err != nil {
		return page, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var where conditions
	if f.Processor != "" {
		where.add("processor = %s", f.Processor)
	}
	if f.Cursor != "" {
		at, id, err := parseCursor(f.Cursor)
		if err != nil {
			return page, err
		}
		where.add("(started_at, run_id) < (%s, %s)", at, id)
	}
	limit := pageSize(f.Limit)
	statement := selectRun + where.clause() + " ORDER BY started_at DESC, run_id DESC LIMIT " + where.arg(limit+1)
	err = s.read().queryEach(ctx, statement, where.args, func(row scanner) error {
		r, err := scanRun(row)
		page.Reconciliations = append(page.Reconciliations, r)
		return err
	})
	if err != nil {
		return payment.ReconciliationPage{}, err
	}
	if len(page.Reconciliations) > limit {
		page.Reconciliations = page.Reconciliations[:limit]
		last := page.Reconciliations[limit-1]
		page.Next = newCursor(last.StartedAt, last.RunID)
	}
	return page, nil
}

// Watermarks returns, for each processor with a complete reconciliation, the end of its last complete window that is not in the future.
func (s *Store) Watermarks(ctx context.Context) (map[string]time.Time, error) {
	watermarks := map[string]time.Time{}
	err := s.read().queryEach(ctx, `SELECT processor, max(window_to) FROM reconciliation_runs WHERE complete AND window_to <= $1
		GROUP BY processor`, []any{formatTime(time.Now())},
		func(row scanner) error {
			var processor string
			var until time.Time
			err := row.Scan(&processor, storedTime{&until})
			watermarks[processor] = until
			return err
		})
	return watermarks, s.wrap(err, "read the watermarks of reconciliation")
}

// LastReconciliations returns the latest run of each processor that has ended.
func (s *Store) LastReconciliations(ctx context.Context) (runs []payment.Reconciliation, err error) {
	err = s.read().queryEach(ctx, selectRun+`WHERE ended_at IS NOT NULL AND started_at = (SELECT max(started_at) FROM reconciliation_runs latest
		WHERE latest.processor = reconciliation_runs.processor AND latest.ended_at IS NOT NULL)`, nil, func(row scanner) error {
		r, err := scanRun(row)
		runs = append(runs, r)
		return err
	})
	return runs, s.wrap(err, "read the last reconciliations")
}

// ListedRecord is what a processor has listed, as a run of reconciliation keeps it.
type ListedRecord struct {
	// ID is the processor's id, or what stands for it.
	ID        string
	Reference string
	// CreatedAt is zero if it is not known.
	CreatedAt time.Time
	// Record is JSON.
	Record string
}

const (
	insertRecords  = "INSERT INTO reconciliation_records (run_id, operation, record_id, reference, created_at, record) VALUES "
	replaceRecords = ` ON CONFLICT (run_id, operation, record_id) DO UPDATE SET reference = excluded.reference,
		created_at = excluded.created_at, record = excluded.record`
	selectRecords = "SELECT record_id, reference, created_at, record FROM reconciliation_records "
)

// maxStaged is how many records one statement persists: a page of a processor may have more than a statement may have values.
const maxStaged = 1000

// StageRecords persists what a page of the processor has listed, until the run has ended. Of a record that is listed again, the later state
// counts. It is safe to repeat.
func (s *Store) StageRecords(ctx context.Context, runID string, operation payment.Operation, records []ListedRecord) error {
	latest := map[string]ListedRecord{} // one statement must not change a row twice
	for _, r := range records {
		latest[r.ID] = r
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(latest)), maxStaged) {
		var values conditions
		rows := make([]string, len(ids))
		for i, id := range ids {
			r := latest[id]
			rows[i] = "(" + listed(&values, []any{runID, string(operation), r.ID, r.Reference, nullableTime(r.CreatedAt), r.Record}) + ")"
		}
		err := s.write(ctx, func(q querier) error {
			return q.exec(ctx, insertRecords+strings.Join(rows, ", ")+replaceRecords, values.args...)
		})
		if err != nil {
			return s.wrap(err, "keep the records of run %q", runID)
		}
	}
	return nil
}

func nullableTime(t time.Time) sql.NullString {
	if t.IsZero() {
		return sql.NullString{}
	}
	return nullable(formatTime(t))
}

// RecordsByReference returns the listed records with any of the references, by reference.
func (s *Store) RecordsByReference(
	ctx context.Context, runID string, operation payment.Operation, references []string,
) (map[string][]ListedRecord, error) {
	found := map[string][]ListedRecord{}
	if len(references) == 0 {
		return found, nil
	}
	var where conditions
	where.add("run_id = %s", runID)
	where.add("operation = %s", string(operation))
	where.all = append(where.all, "reference IN ("+listed(&where, references)+")")
	err := s.onWriter().queryEach(ctx, selectRecords+where.clause()+" ORDER BY record_id", where.args, func(row scanner) error {
		r, err := scanRecord(row)
		found[r.Reference] = append(found[r.Reference], r)
		return err
	})
	return found, s.wrap(err, "read the records of run %q", runID)
}

// RecordByID returns a listed record. It returns payment.ErrNotFound if there is none.
func (s *Store) RecordByID(ctx context.Context, runID string, operation payment.Operation, id string) (r ListedRecord, err error) {
	err = payment.ErrNotFound
	readErr := s.onWriter().queryEach(ctx, selectRecords+"WHERE run_id = $1 AND operation = $2 AND record_id = $3",
		[]any{runID, string(operation), id}, func(row scanner) error {
			r, err = scanRecord(row)
			return err
		})
	return r, s.wrap(errors.Join(readErr, err), "read a record of run %q", runID)
}

func scanRecord(row scanner) (r ListedRecord, err error) {
	err = row.Scan(&r.ID, &r.Reference, storedTime{&r.CreatedAt}, &r.Record)
	return r, err
}

// UnmatchedRecords returns the listed records after an id that [Store.CompareRecords] has matched with nothing, by id. It omits those that
// were created outside of the window: other windows contain them.
func (s *Store) UnmatchedRecords(
	ctx context.Context, run payment.Reconciliation, operation payment.Operation, after string, limit int,
) (records []ListedRecord, err error) {
	err = s.onWriter().queryEach(ctx, selectRecords+`WHERE run_id = $1 AND operation = $2 AND record_id > $3 AND NOT matched
		AND (created_at IS NULL OR created_at >= $4 AND created_at < $5) ORDER BY record_id LIMIT $6`,
		[]any{run.RunID, string(operation), after, formatTime(run.WindowFrom), formatTime(run.WindowTo), limit}, func(row scanner) error {
			r, err := scanRecord(row)
			records = append(records, r)
			return err
		})
	return records, s.wrap(err, "read the records of run %q", run.RunID)
}

// Check is a difference between a list and the store that a lookup has to confirm.
type Check struct {
	Operation payment.Operation
	// SubjectID is the id of the payment or refund or, if there is none, "record " and RecordID.
	SubjectID  string
	MerchantID string
	// RecordID is the id of a listed record without a payment or refund.
	RecordID string
	// Round is how many lookups were made. Doubts are the ids of the divergences that the next one decides.
	Round  int
	Doubts []string
}

// CompareRecords persists what a comparison has brought: the references of the records that have their payment or refund, and what has to be
// checked. It is safe to repeat.
func (s *Store) CompareRecords(
	ctx context.Context, runID string, operation payment.Operation, references []string, checks []Check,
) error {
	err := s.transact(ctx, func(q querier) error {
		if len(references) > 0 {
			var where conditions
			where.add("run_id = %s", runID)
			where.add("operation = %s", string(operation))
			where.all = append(where.all, "reference IN ("+listed(&where, references)+")")
			if err := q.exec(ctx, "UPDATE reconciliation_records SET matched = TRUE "+where.clause(), where.args...); err != nil {
				return err
			}
		}
		if len(checks) == 0 {
			return nil
		}
		var values conditions
		rows := make([]string, len(checks))
		for i, c := range checks {
			rows[i] = "(" + listed(&values, []any{runID, string(c.Operation), c.SubjectID, c.MerchantID, c.RecordID}) + ")"
		}
		return q.exec(ctx, "INSERT INTO reconciliation_checks (run_id, operation, subject_id, merchant_id, record_id) VALUES "+
			strings.Join(rows, ", ")+" ON CONFLICT DO NOTHING", values.args...)
	})
	return s.wrap(err, "keep the comparison of run %q", runID)
}

// Checks returns what of a run is still to be checked after the given number of rounds, in a fixed order.
func (s *Store) Checks(ctx context.Context, runID string, round, limit int) (checks []Check, err error) {
	err = s.onWriter().queryEach(ctx, `SELECT operation, subject_id, merchant_id, record_id, round, doubts FROM reconciliation_checks
		WHERE run_id = $1 AND round = $2 AND NOT done ORDER BY operation, subject_id LIMIT $3`, []any{runID, round, limit},
		func(row scanner) error {
			var c Check
			var doubts string
			if err := row.Scan(&c.Operation, &c.SubjectID, &c.MerchantID, &c.RecordID, &c.Round, &doubts); err != nil {
				return err
			}
			checks = append(checks, c)
			return json.Unmarshal([]byte(doubts), &checks[len(checks)-1].Doubts)
		})
	return checks, s.wrap(err, "read the checks of run %q", runID)
}

// OpenChecks counts what of a run is still to be checked.
func (s *Store) OpenChecks(ctx context.Context, runID string) (open int64, err error) {
	err = s.onWriter().queryOne(ctx, "SELECT count(*) FROM reconciliation_checks WHERE run_id = $1 AND NOT done", []any{runID}, &open)
	return open, s.wrap(err, "count the checks of run %q", runID)
}

// RecordCheck persists that a check was made once more: it is done, unless there are doubts. It is safe to repeat.
func (s *Store) RecordCheck(ctx context.Context, runID string, c Check) error {
	doubts, err := json.Marshal(c.Doubts)
	if err != nil {
		return err
	}
	err = s.write(ctx, func(q querier) error {
		return q.exec(ctx, `UPDATE reconciliation_checks SET round = $4, doubts = $5, done = $6
			WHERE run_id = $1 AND operation = $2 AND subject_id = $3`,
			runID, string(c.Operation), c.SubjectID, c.Round, string(doubts), len(c.Doubts) == 0)
	})
	return s.wrap(err, "keep a check of run %q", runID)
}

// CleanReconciliations deletes up to limit records, and as many checks, of ended runs, and reports whether there may be more.
func (s *Store) CleanReconciliations(ctx context.Context, processor string, limit int) (more bool, err error) {
	for _, table := range []struct{ name, key string }{
		{"reconciliation_records", "run_id, operation, record_id"},
		{"reconciliation_checks", "run_id, operation, subject_id"},
	} {
		var deleted int
		err := s.write(ctx, func(q querier) error {
			deleted = 0
			return q.queryEach(ctx, "DELETE FROM "+table.name+" WHERE ("+table.key+") IN (SELECT "+table.key+" FROM "+table.name+
				` WHERE run_id IN (SELECT run_id FROM reconciliation_runs WHERE processor = $1 AND ended_at IS NOT NULL) LIMIT $2)
				RETURNING run_id`, []any{processor, limit}, func(row scanner) error {
				var runID string
				deleted++
				return row.Scan(&runID)
			})
		})
		if err != nil {
			return false, s.wrap(err, "delete what runs of reconciliation have left")
		}
		more = more || deleted == limit
	}
	return more, nil
}

const (
	selectRefundsOfProcessor = selectRefund + "WHERE processor = $1 AND created_at >= $2 AND created_at < $3 "
	// selectUnknownRefunds reads the index refunds_open, and sorts what it finds. No index has these expressions: otherwise, all refunds of the
	// processor could be read by another one.
	selectUnknownRefunds = selectRefund + "WHERE " + openRefunds + ` AND coalesce(processor_refund_id, '') = ''
		AND coalesce(processor, '') = $1 `
	// The next two repeat the conditions of the indexes payments_unidentified and refunds_unidentified literally. IS NULL would make SQLite read
	// by the constraint on the ids everything that has none, such as what was declined.
	selectUnidentifiedPayments = selectPayment + "WHERE status = 'succeeded' AND coalesce(processor_payment_id, '') = '' AND processor = $1 "
	selectUnidentifiedRefunds  = selectRefund + "WHERE status = 'succeeded' AND coalesce(processor_refund_id, '') = '' AND processor = $1 "
)

// RefundsOfProcessor returns a page of the refunds of a processor with from <= CreatedAt < to, the oldest first, and the cursor of the next
// page, which is empty on the last one.
func (s *Store) RefundsOfProcessor(
	ctx context.Context, processor string, from, to time.Time, cursor string, limit int,
) (refunds []payment.Refund, next string, err error) {
	return s.pageOfRefunds(ctx, selectRefundsOfProcessor, []any{processor, formatTime(from), formatTime(to)}, cursor, limit)
}

// UnknownRefunds is [Store.RefundsOfProcessor] for the refunds of any time whose outcome is not known, nor their id at the processor.
func (s *Store) UnknownRefunds(
	ctx context.Context, processor, cursor string, limit int,
) (refunds []payment.Refund, next string, err error) {
	return s.pageOfRefunds(ctx, selectUnknownRefunds, []any{processor}, cursor, limit)
}

// UnidentifiedRefunds is [Store.RefundsOfProcessor] for the refunds of any time that have succeeded, as an operator has decided, and whose id
// at the processor is not known.
func (s *Store) UnidentifiedRefunds(
	ctx context.Context, processor, cursor string, limit int,
) (refunds []payment.Refund, next string, err error) {
	return s.pageOfRefunds(ctx, selectUnidentifiedRefunds, []any{processor}, cursor, limit)
}

// UnidentifiedPayments is [Store.UnidentifiedRefunds] for payments.
func (s *Store) UnidentifiedPayments(
	ctx context.Context, processor, cursor string, limit int,
) (payments []payment.Charge, next string, err error) {
	statement, args, err := oldestFirst(selectUnidentifiedPayments, "payment_id", []any{processor}, cursor, limit)
	if err != nil {
		return nil, "", s.wrap(err, "list payments")
	}
	err = s.read().queryEach(ctx, statement, args, func(row scanner) error {
		var p paymentRow
		err := row.Scan(p.fields()...)
		payments = append(payments, p.Charge)
		return err
	})
	if len(payments) == limit {
		last := payments[limit-1]
		next = newCursor(last.CreatedAt, last.PaymentID)
	}
	return payments, next, s.wrap(err, "list payments")
}

func (s *Store) pageOfRefunds(
	ctx context.Context, statement string, args []any, cursor string, limit int,
) (refunds []payment.Refund, next string, err error) {
	if statement, args, err = oldestFirst(statement, "refund_id", args, cursor, limit); err != nil {
		return nil, "", s.wrap(err, "list refunds")
	}
	err = s.read().queryEach(ctx, statement, args, func(row scanner) error {
		var r refundRow
		err := row.Scan(r.fields()...)
		refunds = append(refunds, r.Refund)
		return err
	})
	if len(refunds) == limit {
		last := refunds[limit-1]
		next = newCursor(last.CreatedAt, last.RefundID)
	}
	return refunds, next, s.wrap(err, "list refunds")
}

// oldestFirst completes a statement and its arguments: it returns the page after the cursor, in the order of creation. id is the column with
// which the cursor ends.
func oldestFirst(statement, id string, args []any, cursor string, limit int) (string, []any, error) {
	if cursor != "" {
		at, last, err := parseCursor(cursor)
		if err != nil {
			return "", nil, err
		}
		args = append(args, at, last)
		statement += fmt.Sprintf("AND (created_at, %s) > ($%d, $%d) ", id, len(args)-1, len(args))
	}
	args = append(args, limit)
	return statement + fmt.Sprintf("ORDER BY created_at, %s LIMIT $%d", id, len(args)), args, nil
}
