package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/florinpay/florin/payment"
)

const (
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
