package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/florinpay/florin/payment"
)

const (
	batchColumns = `name, content_hash, state, per_second, in_flight, changed_by, reason, changed_at, revision, lines, received, last_line,
		started, succeeded, authorized, declined, failed, conflicted, refused, created_by, created_at, started_at, finished_at`
	selectBatch = "SELECT " + batchColumns + " FROM batches WHERE name = $1"
	insertBatch = `INSERT INTO batches (name, content_hash, state, per_second, in_flight, lines, created_by, created_at, progressed_at, attended_at)
		VALUES ($1, $2, 'receiving', $3, $4, $5, $6, $7, $7, $7) ON CONFLICT DO NOTHING`
	receiveLines = "UPDATE batches SET received = received + $2, last_line = $3, progressed_at = $4, attended_at = $4 WHERE name = $1 RETURNING " + batchColumns
	startBatch   = "UPDATE batches SET state = 'running', started_at = $2, progressed_at = $2, attended_at = $2 WHERE name = $1 RETURNING " + batchColumns
	changeBatch  = `UPDATE batches SET state = $2, per_second = $3, in_flight = $4, changed_by = $5, reason = $6, changed_at = $7,
		progressed_at = $7, revision = revision + 1 WHERE name = $1 RETURNING ` + batchColumns
	countStarted = "UPDATE batches SET started = started + $2, progressed_at = $3 WHERE name = $1 RETURNING " + batchColumns
	countEnded   = `UPDATE batches SET succeeded = succeeded + $2, authorized = authorized + $3, declined = declined + $4, failed = failed + $5,
		conflicted = conflicted + $6, refused = refused + $7, progressed_at = $8 WHERE name = $1`
	attendBatch = "UPDATE batches SET attended_at = $2 WHERE name = $1 AND finished_at IS NULL"
	sweepBatch  = "UPDATE batches SET swept_at = $2 WHERE name = $1 AND finished_at IS NULL"
	// finishBatch ends a batch whose lines have all ended; of a canceled one, those that were started.
	finishBatch = `UPDATE batches SET state = CASE state WHEN 'running' THEN 'completed' ELSE state END, finished_at = $2
		WHERE name = $1 AND finished_at IS NULL AND (state = 'running' AND started = lines OR state = 'canceled')
			AND succeeded + authorized + declined + failed + conflicted + refused = started`

	// claimLines starts the next lines that wait. Those before $2 are known not to wait: without that, PostgreSQL would read past the index
	// entries of all lines that have waited since the last vacuum.
	claimLines = `UPDATE batch_lines SET status = 'open' WHERE batch = $1 AND line IN (
			SELECT line FROM batch_lines WHERE batch = $1 AND status = 'waiting' AND line > $2 ORDER BY line LIMIT $3)
		RETURNING line, operation, request`
	// lineStatus is the status of a line's payment or refund. Another purchase under the same key is not what the line requests.
	lineStatus      = `CASE WHEN coalesce(p.fingerprint, r.fingerprint) <> l.fingerprint THEN 'refused' ELSE coalesce(p.status, r.status, '') END`
	selectOpenLines = `SELECT l.line, l.operation, l.request, ` + lineStatus + ` FROM batch_lines l
			LEFT JOIN payments p ON p.payment_id = l.id LEFT JOIN refunds r ON r.refund_id = l.id
		WHERE l.batch = $1 AND l.status = 'open' AND l.line > $2 ORDER BY l.line LIMIT $3`
	selectRespondedLines = `SELECT l.line, ` + lineStatus + ` FROM batch_lines l
			LEFT JOIN payments p ON p.payment_id = l.id LEFT JOIN refunds r ON r.refund_id = l.id
		WHERE l.batch = $1 AND l.status = 'responded' AND l.line > $2 ORDER BY l.line LIMIT $3`
	selectLineStatuses = `SELECT l.line, ` + lineStatus + ` FROM batch_lines l
			LEFT JOIN payments p ON p.payment_id = l.id LEFT JOIN refunds r ON r.refund_id = l.id
		WHERE l.batch = `
	refuseLine = "UPDATE batch_lines SET status = 'refused', refusal = $3, request = '' WHERE batch = $1 AND line = $2 AND status IN ('open', 'responded') RETURNING line"
	// isAccepted finds a line that was started and not refused, of a batch whose caller has proven who it is.
	isAccepted = `SELECT count(*) FROM batch_lines l JOIN batches b ON b.name = l.batch
		WHERE l.id = $1 AND l.fingerprint = $2 AND l.status NOT IN ('waiting', 'refused') AND b.created_by <> ''`
)

// maxRefusal is the longest refusal of a line, in characters.
const maxRefusal = 500

// scannedBatch scans batchColumns.
type scannedBatch struct {
	payment.Batch
	started int64
}

func (b *scannedBatch) fields() []any {
	return []any{
		&b.Name, &b.ContentHash, &b.State, &b.PerSecond, &b.InFlight, &b.By, &b.Reason, storedTime{&b.At}, &b.Revision, &b.Lines, &b.Received,
		&b.LastLine, &b.started, &b.Succeeded, &b.Authorized, &b.Declined, &b.Failed, &b.Conflicted, &b.Refused, &b.CreatedBy,
		storedTime{&b.CreatedAt}, storedTime{&b.StartedAt}, storedTime{&b.FinishedAt},
	}
}

func (b *scannedBatch) batch() payment.Batch {
	b.Waiting, b.Open = b.Lines-b.started, b.started-b.Ended()
	return b.Batch
}

// batch runs a statement that returns one batch; payment.ErrNotFound if there is none.
func (q querier) batch(ctx context.Context, statement string, args ...any) (payment.Batch, error) {
	var b scannedBatch
	err := q.queryOne(ctx, statement, args, b.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = payment.ErrNotFound
	}
	return b.batch(), err
}

// Batch returns a batch by its name, or payment.ErrNotFound.
func (s *Store) Batch(ctx context.Context, name string) (payment.Batch, error) {
	b, err := s.read().batch(ctx, selectBatch, name)
	return b, s.wrap(err, "read batch %q", name)
}

// BatchMerchants returns the merchants of a batch, at most limit of them.
func (s *Store) BatchMerchants(ctx context.Context, name string, limit int) (merchants []string, err error) {
	err = s.onWriter().queryEach(ctx, "SELECT merchant_id FROM batch_merchants WHERE batch = $1 ORDER BY merchant_id LIMIT $2", []any{name, limit},
		func(row scanner) error {
			var merchant string
			err := row.Scan(&merchant)
			merchants = append(merchants, merchant)
			return err
		})
	return merchants, s.wrap(err, "read the merchants of batch %q", name)
}

// AddBatchLines persists lines of a batch, and returns the batch. The first chunk creates it, for the caller who is named by; the last one
// starts it. Lines up to [payment.Batch.LastLine] are skipped, and nothing is added to a batch that was started or canceled, so the call is
// safe to repeat.
//
// AddBatchLines returns payment.ErrIdempotencyMismatch if the batch has another content, number of lines or creator, and ErrInvalid for an
// invalid chunk, for a key that another line of the batch has, and if lines are missing in the last chunk.
func (s *Store) AddBatchLines(ctx context.Context, c payment.BatchChunk, by string) (b payment.Batch, err error) {
	if err := c.Validate(); err != nil {
		return b, s.wrap(fmt.Errorf("%w: %w", ErrInvalid, err), "add lines to batch %q", c.Name)
	}
	err = s.transact(ctx, func(q querier) error {
		b, err = q.addBatchLines(ctx, c, clean(by, maxCauseBy))
		return err
	})
	return b, s.wrap(err, "add lines to batch %q", c.Name)
}

func (q querier) addBatchLines(ctx context.Context, c payment.BatchChunk, by string) (b payment.Batch, err error) {
	inFlight := c.InFlight
	if inFlight == 0 {
		inFlight = payment.DefaultBatchInFlight
	}
	now := formatTime(time.Now())
	if err := q.exec(ctx, insertBatch, c.Name, c.ContentHash, c.PerSecond, inFlight, c.Lines, by, now); err != nil {
		return b, err
	}
	if b, err = q.batch(ctx, selectBatch+q.s.dialect.forUpdate, c.Name); err != nil {
		return b, err
	}
	if b.ContentHash != c.ContentHash || b.Lines != c.Lines || b.CreatedBy != by {
		return b, payment.Refuse(payment.ErrIdempotencyMismatch, "batch %q was submitted with another file or other --amounts, or by another caller: choose another name", c.Name)
	}
	if b.State != payment.BatchReceiving {
		return b, nil
	}
	var added []payment.BatchLine
	for _, l := range c.Chunk {
		if l.Line > b.LastLine {
			added = append(added, l)
		}
	}
	if len(added) > 0 {
		if err := q.insertBatchLines(ctx, c.Name, added); err != nil {
			return b, err
		}
		if b, err = q.batch(ctx, receiveLines, c.Name, len(added), added[len(added)-1].Line, now); err != nil {
			return b, err
		}
	}
	switch {
	case !c.Complete:
		return b, nil
	case b.Received != b.Lines:
		return b, fmt.Errorf("%w: %d of %d lines were handed over: submit the file again", ErrInvalid, b.Received, b.Lines)
	default:
		return q.batch(ctx, startBatch, c.Name, now)
	}
}

func (q querier) insertBatchLines(ctx context.Context, name string, lines []payment.BatchLine) error {
	var values conditions
	rows := make([]string, len(lines))
	merchants := map[string]bool{}
	for i, l := range lines {
		var request any = l.Charge
		if l.Refund != nil {
			request = l.Refund
		}
		text, err := json.Marshal(request)
		if err != nil {
			return err
		}
		rows[i] = "(" + listed(&values, []any{
			name, l.Line, string(l.Operation()), l.MerchantID(), l.IdempotencyKey(), l.ID(), l.Fingerprint(), string(text),
		}) + ", 'waiting')"
		if merchant := l.MerchantID(); !merchants[merchant] {
			merchants[merchant] = true
			if err := q.exec(ctx, "INSERT INTO batch_merchants (batch, merchant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, merchant); err != nil {
				return err
			}
		}
	}
	inserted := make(map[int64]bool, len(lines))
	err := q.queryEach(ctx, `INSERT INTO batch_lines (batch, line, operation, merchant_id, idempotency_key, id, fingerprint, request, status) VALUES `+
		strings.Join(rows, ", ")+" ON CONFLICT DO NOTHING RETURNING line", values.args, func(row scanner) error {
		var line int64
		err := row.Scan(&line)
		inserted[line] = true
		return err
	})
	if err != nil {
		return err
	}
	for _, l := range lines {
		if inserted[l.Line] {
			continue
		}
		var first int64
		if err := q.queryOne(ctx, "SELECT line FROM batch_lines WHERE id = $1 AND batch = $2", []any{l.ID(), name}, &first); err != nil {
			return err
		}
		return fmt.Errorf("%w: line %d: idempotency_key %q was used on line %d", ErrInvalid, l.Line, l.IdempotencyKey(), first)
	}
	return nil
}

// ControlBatch persists a change of a batch by a caller, and returns the batch. A change that is in force already, by the same caller for the
// same reason, changes nothing, so the call is safe to repeat. It counts from when it is persisted: no line is started later that the
// change forbids, except for those that [Store.ClaimBatchLines] has returned before.
//
// ControlBatch returns payment.ErrNotFound if there is no such batch, and ErrInvalid for an invalid change, or one that the state does not
// allow.
func (s *Store) ControlBatch(ctx context.Context, c payment.BatchChange) (b payment.Batch, err error) {
	if err := c.Validate(); err != nil {
		return b, s.wrap(fmt.Errorf("%w: %w", ErrInvalid, err), "%s batch %q", c.Action, c.Name)
	}
	err = s.transact(ctx, func(q querier) error {
		if b, err = q.batch(ctx, selectBatch+s.dialect.forUpdate, c.Name); err != nil {
			return err
		}
		changed, err := changedBatch(b, c)
		if err != nil || changed == b {
			return err
		}
		at := latest(time.Now().UTC().Truncate(time.Microsecond), b.At)
		b, err = q.batch(ctx, changeBatch, c.Name, string(changed.State), changed.PerSecond, changed.InFlight, changed.By, changed.Reason, formatTime(at))
		return err
	})
	return b, s.wrap(err, "%s batch %q", c.Action, c.Name)
}

// changedBatch returns the batch after a change.
func changedBatch(b payment.Batch, c payment.BatchChange) (payment.Batch, error) {
	legal := map[payment.BatchAction][]payment.BatchState{
		payment.BatchPause:  {payment.BatchRunning, payment.BatchPaused},
		payment.BatchResume: {payment.BatchPaused, payment.BatchRunning},
		payment.BatchCancel: {payment.BatchReceiving, payment.BatchRunning, payment.BatchPaused, payment.BatchCanceled},
		payment.BatchRate:   {payment.BatchReceiving, payment.BatchRunning, payment.BatchPaused},
	}
	to := map[payment.BatchAction]payment.BatchState{
		payment.BatchPause: payment.BatchPaused, payment.BatchResume: payment.BatchRunning, payment.BatchCancel: payment.BatchCanceled,
	}
	allowed := false
	for _, state := range legal[c.Action] {
		allowed = allowed || b.State == state
	}
	if !allowed || b.Finished() && c.Action != payment.BatchCancel {
		return b, fmt.Errorf("%w: the batch is %s: %s is possible only if it is one of %v", ErrInvalid, b.State, c.Action, legal[c.Action])
	}
	if b.State == to[c.Action] {
		return b, nil
	}
	if state, moves := to[c.Action]; moves {
		b.State = state
	}
	if c.PerSecond != nil {
		b.PerSecond = *c.PerSecond
	}
	if c.InFlight != 0 {
		b.InFlight = c.InFlight
	}
	b.By, b.Reason = clean(c.By, maxCauseBy), clean(c.Reason, maxControlReason)
	return b, nil
}

// OpenLine is a line of a batch that was started.
type OpenLine struct {
	payment.BatchLine
	// Status is that of the payment or refund; empty before it has begun, and [payment.LineRefused] if the key is that of another one.
	Status payment.Status
}

func scanOpenLine(row scanner, more ...any) (l OpenLine, err error) {
	var operation payment.Operation
	var request string
	if err := row.Scan(append([]any{&l.Line, &operation, &request}, more...)...); err != nil {
		return l, err
	}
	if operation == payment.OperationRefund {
		return l, json.Unmarshal([]byte(request), &l.Refund)
	}
	return l, json.Unmarshal([]byte(request), &l.Charge)
}

// ClaimBatchLines starts the next lines after a number that wait, at most limit, and returns them in no order, together with the batch. It
// returns none unless the batch is running. A line that was claimed has to be started, if not by this caller then by one that finds it
// with [Store.OpenBatchLines]. After an error, lines may have been claimed.
func (s *Store) ClaimBatchLines(ctx context.Context, name string, after int64, limit int) (b payment.Batch, lines []OpenLine, err error) {
	err = s.transact(ctx, func(q querier) error {
		lines = nil
		if b, err = q.batch(ctx, selectBatch+s.dialect.forUpdate, name); err != nil || b.State != payment.BatchRunning || b.Waiting == 0 {
			return err
		}
		err := q.queryEach(ctx, claimLines, []any{name, after, limit}, func(row scanner) error {
			l, err := scanOpenLine(row)
			lines = append(lines, l)
			return err
		})
		if err != nil || len(lines) == 0 {
			return err
		}
		b, err = q.batch(ctx, countStarted, name, len(lines), formatTime(time.Now()))
		return err
	})
	return b, lines, s.wrap(err, "claim lines of batch %q", name)
}

// OpenBatchLines returns the lines after a number that were started, and have neither ended nor been persisted with [Store.RespondedBatchLines],
// in their order, at most limit.
func (s *Store) OpenBatchLines(ctx context.Context, name string, after int64, limit int) (lines []OpenLine, err error) {
	err = s.onWriter().queryEach(ctx, selectOpenLines, []any{name, after, limit}, func(row scanner) error {
		var status payment.Status
		l, err := scanOpenLine(row, &status)
		l.Status = status
		lines = append(lines, l)
		return err
	})
	return lines, s.wrap(err, "read the open lines of batch %q", name)
}

// lockBatch takes the lock under which the lines of a batch change, until the end of the transaction: two workers may work on one batch.
func (q querier) lockBatch(ctx context.Context, name string) error {
	_, err := q.batch(ctx, selectBatch+q.s.dialect.forUpdate, name)
	return err
}

// MarkBatchLinesResponded persists that the processor has responded to lines without an outcome: they are still open, but no longer among the
// [Store.OpenBatchLines]. It is safe to repeat.
func (s *Store) MarkBatchLinesResponded(ctx context.Context, name string, lines []int64) error {
	if len(lines) == 0 {
		return nil
	}
	err := s.transact(ctx, func(q querier) error {
		if err := q.lockBatch(ctx, name); err != nil {
			return err
		}
		var where conditions
		statement := "UPDATE batch_lines SET status = 'responded' WHERE batch = " + where.arg(name) +
			" AND status = 'open' AND line IN (" + listed(&where, lines) + ")"
		return q.exec(ctx, statement, where.args...)
	})
	return s.wrap(err, "persist what has responded of batch %q", name)
}

// RespondedLine is a line of a batch whose processor has responded without an outcome, with the current status of its payment or refund.
type RespondedLine struct {
	Line   int64
	Status payment.Status
}

// RespondedBatchLines returns the lines after a number that were persisted with [Store.MarkBatchLinesResponded] and have not ended, in their
// order, at most limit.
func (s *Store) RespondedBatchLines(ctx context.Context, name string, after int64, limit int) (lines []RespondedLine, err error) {
	err = s.onWriter().queryEach(ctx, selectRespondedLines, []any{name, after, limit}, func(row scanner) error {
		var l RespondedLine
		err := row.Scan(&l.Line, &l.Status)
		lines = append(lines, l)
		return err
	})
	return lines, s.wrap(err, "read the responded lines of batch %q", name)
}

// BatchRequests returns lines of a batch with their requests, without those that have ended.
func (s *Store) BatchRequests(ctx context.Context, name string, lines []int64) (requests []payment.BatchLine, err error) {
	if len(lines) == 0 {
		return nil, nil
	}
	var where conditions
	where.add("batch = %s", name)
	where.all = append(where.all, "status IN ('open', 'responded')", "line IN ("+listed(&where, lines)+")")
	err = s.onWriter().queryEach(ctx, "SELECT line, operation, request FROM batch_lines "+where.clause()+" ORDER BY line", where.args, func(row scanner) error {
		l, err := scanOpenLine(row)
		requests = append(requests, l.BatchLine)
		return err
	})
	return requests, s.wrap(err, "read lines of batch %q", name)
}

// BatchSweptAt returns when [Store.MarkBatchSwept] was last called for a batch; zero if never.
func (s *Store) BatchSweptAt(ctx context.Context, name string) (at time.Time, err error) {
	err = s.onWriter().queryOne(ctx, "SELECT swept_at FROM batches WHERE name = $1", []any{name}, storedTime{&at})
	return at, s.wrap(err, "read batch %q", name)
}

// MarkBatchSwept persists that the outcomes of all responded lines of a batch were read now.
func (s *Store) MarkBatchSwept(ctx context.Context, name string) error {
	err := s.write(ctx, func(q querier) error { return q.exec(ctx, sweepBatch, name, formatTime(time.Now())) })
	return s.wrap(err, "persist that batch %q was swept", name)
}

// BatchLineStatuses returns the status of the payment or refund of each of these lines, as [OpenLine] has it.
func (s *Store) BatchLineStatuses(ctx context.Context, name string, lines []int64) (map[int64]payment.Status, error) {
	statuses := make(map[int64]payment.Status, len(lines))
	if len(lines) == 0 {
		return statuses, nil
	}
	// Statements of few lengths only: PostgreSQL's driver prepares each.
	padded := append([]int64(nil), lines...)
	for len(padded)&(len(padded)-1) != 0 {
		padded = append(padded, lines[0])
	}
	var where conditions
	statement := selectLineStatuses + where.arg(name) + " AND l.line IN (" + listed(&where, padded) + ")"
	err := s.read().queryEach(ctx, statement, where.args, func(row scanner) error {
		var line int64
		var status payment.Status
		err := row.Scan(&line, &status)
		statuses[line] = status
		return err
	})
	return statuses, s.wrap(err, "read the statuses of lines of batch %q", name)
}

// LineEnd is how a line of a batch has ended.
type LineEnd struct {
	Line int64
	// Status is one that ends a line, or [payment.LineRefused] with the reason as the Refusal.
	Status  payment.Status
	Refusal string
}

// EndBatchLines persists how lines have ended, and returns how many of them ended now, by status: a line ends once, so the call is safe to
// repeat.
func (s *Store) EndBatchLines(ctx context.Context, name string, ends []LineEnd) (ended map[payment.Status]int64, err error) {
	err = s.transact(ctx, func(q querier) error {
		if err := q.lockBatch(ctx, name); err != nil {
			return err
		}
		ended = map[payment.Status]int64{}
		byStatus := map[payment.Status][]int64{}
		for _, end := range ends {
			if end.Status != payment.LineRefused {
				byStatus[end.Status] = append(byStatus[end.Status], end.Line)
				continue
			}
			refusal := clean(end.Refusal, maxRefusal)
			if refusal == "" {
				refusal = "refused"
			}
			if err := q.countRows(ctx, refuseLine, []any{name, end.Line, refusal}, ended, end.Status); err != nil {
				return err
			}
		}
		for status, lines := range byStatus {
			var where conditions
			statement := "UPDATE batch_lines SET status = " + where.arg(string(status)) + ", request = '' WHERE batch = " + where.arg(name) +
				" AND status IN ('open', 'responded') AND line IN (" + listed(&where, lines) + ") RETURNING line"
			if err := q.countRows(ctx, statement, where.args, ended, status); err != nil {
				return err
			}
		}
		if len(ended) == 0 {
			return nil
		}
		return q.exec(ctx, countEnded, name, ended[payment.Succeeded], ended[payment.Authorized], ended[payment.Declined],
			ended[payment.Failed]+ended[payment.Voided]+ended[payment.Expired], ended[payment.Conflicted], ended[payment.LineRefused],
			formatTime(time.Now()))
	})
	return ended, s.wrap(err, "end lines of batch %q", name)
}

// countRows runs a statement and adds the number of its rows to counts[status].
func (q querier) countRows(ctx context.Context, statement string, args []any, counts map[payment.Status]int64, status payment.Status) error {
	return q.queryEach(ctx, statement, args, func(scanner) error {
		counts[status]++
		return nil
	})
}

// FinishBatch persists that a worker has worked on a batch until now and, if all its lines have ended, that it has finished, and returns it. It is
// safe to repeat.
func (s *Store) FinishBatch(ctx context.Context, name string) (b payment.Batch, err error) {
	err = s.transact(ctx, func(q querier) error {
		now := formatTime(time.Now())
		if err := q.exec(ctx, attendBatch, name, now); err != nil {
			return err
		}
		if err := q.exec(ctx, finishBatch, name, now); err != nil {
			return err
		}
		b, err = q.batch(ctx, selectBatch, name)
		return err
	})
	return b, s.wrap(err, "finish batch %q", name)
}

// AcceptedInBatch reports whether a batch has started the payment or refund with this id and fingerprint, without ending it as refused, and its
// caller was permitted to request it.
func (s *Store) AcceptedInBatch(ctx context.Context, id, fingerprint string) (bool, error) {
	var count int64
	err := s.onWriter().queryOne(ctx, isAccepted, []any{id, fingerprint}, &count)
	return count > 0, s.wrap(err, "find %q in a batch", id)
}

// BatchLines returns a page of lines, in the order of the file. It returns ErrInvalid for an invalid filter.
func (s *Store) BatchLines(ctx context.Context, f payment.BatchLineFilter) (payment.BatchLinePage, error) {
	page, err := s.batchLines(ctx, f)
	return page, s.wrap(err, "list lines of batch %q", f.Name)
}

func (s *Store) batchLines(ctx context.Context, f payment.BatchLineFilter) (page payment.BatchLinePage, err error) {
	if err := f.Validate(); err != nil {
		return page, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var where conditions
	where.add("l.batch = %s", f.Name)
	where.add("l.line > %s", f.After)
	switch f.Status {
	case "":
	case payment.LineOpen:
		where.all = append(where.all, "l.status IN ('open', 'responded')")
	default:
		where.add("l.status = %s", string(f.Status))
	}
	limit := pageSize(f.Limit)
	statement := `SELECT l.line, l.operation, l.merchant_id, l.idempotency_key, l.id, CASE l.status WHEN 'responded' THEN 'open' ELSE l.status END, l.refusal, coalesce(p.status, r.status),
			coalesce(p.amount, r.amount, 0), coalesce(p.currency, r.currency), coalesce(p.decline, r.decline), coalesce(p.failure, r.failure)
		FROM batch_lines l LEFT JOIN payments p ON p.payment_id = l.id LEFT JOIN refunds r ON r.refund_id = l.id ` + where.clause() +
		" ORDER BY l.line LIMIT " + where.arg(limit+1)
	err = s.read().queryEach(ctx, statement, where.args, func(row scanner) error {
		var l payment.BatchResult
		err := row.Scan(&l.Line, &l.Operation, &l.MerchantID, &l.IdempotencyKey, &l.ID, &l.Status, optional{&l.Refusal}, optional{(*string)(&l.Current)},
			&l.Amount, optional{&l.Currency}, storedDetail[payment.Decline]{&l.Decline}, storedDetail[payment.Failure]{&l.Failure})
		page.Lines = append(page.Lines, l)
		return err
	})
	if err != nil {
		return payment.BatchLinePage{}, err
	}
	if len(page.Lines) > limit {
		page.Lines = page.Lines[:limit]
		page.Next = page.Lines[limit-1].Line
	}
	return page, nil
}

// BatchBacklog is what the batches in one state, which have not finished, still have to do.
type BatchBacklog struct {
	Batches int64
	// Waiting and Open count their lines.
	Waiting, Open int64
	// OldestProgress is when the one with waiting lines that has waited longest has last made progress; zero if none has waiting lines.
	OldestProgress time.Time
	// OldestAttention is when the one that was left alone longest was last worked on: when lines of it were handed over, or at the end of the last
	// execution that starts lines and reads outcomes.
	OldestAttention time.Time
}

// UnfinishedBatches returns the backlog of the batches that have not finished, by state. It omits states without any.
func (s *Store) UnfinishedBatches(ctx context.Context) (map[payment.BatchState]BatchBacklog, error) {
	backlog := map[payment.BatchState]BatchBacklog{}
	err := s.read().queryEach(ctx, `SELECT state, count(*), CAST(sum(lines - started) AS bigint),
			CAST(sum(started - succeeded - authorized - declined - failed - conflicted - refused) AS bigint), min(progressed_at) FILTER (WHERE started < lines), min(attended_at)
		FROM batches WHERE finished_at IS NULL GROUP BY state`, nil, func(row scanner) error {
		var state payment.BatchState
		var b BatchBacklog
		err := row.Scan(&state, &b.Batches, &b.Waiting, &b.Open, storedTime{&b.OldestProgress}, storedTime{&b.OldestAttention})
		backlog[state] = b
		return err
	})
	return backlog, s.wrap(err, "count unfinished batches")
}
