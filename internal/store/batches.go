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
)

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
