package simulator

// The ledger's database: opening it, its schema and transactions.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // registers the driver
)

// schema makes idempotency_key unique in payments and refunds, so that a key is executed at most once. References may
// repeat, as at a real processor: a double charge is then visible as two payments with one reference. settles_to has the
// changes to come, separated by blanks; the first is due at settles_at.
const schema = `
CREATE TABLE IF NOT EXISTS requests (
	idempotency_key TEXT PRIMARY KEY,
	received        INTEGER NOT NULL CHECK (received > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS answers (
	idempotency_key TEXT PRIMARY KEY,
	fingerprint     BLOB NOT NULL,
	status          INTEGER NOT NULL,
	body            BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS payments (
	seq             INTEGER PRIMARY KEY AUTOINCREMENT,
	id              TEXT NOT NULL UNIQUE,
	idempotency_key TEXT NOT NULL UNIQUE,
	token           TEXT NOT NULL,
	status          TEXT NOT NULL CHECK (status IN ('succeeded','authorized','pending','requires_action','declined','voided')),
	amount          INTEGER NOT NULL CHECK (amount > 0),
	currency        TEXT NOT NULL CHECK (length(currency) = 3),
	captured_amount INTEGER NOT NULL CHECK (captured_amount BETWEEN 0 AND amount),
	refunded_amount INTEGER NOT NULL DEFAULT 0 CHECK (refunded_amount BETWEEN 0 AND captured_amount),
	reference       TEXT NOT NULL,
	decline_code    TEXT NOT NULL,
	decline_kind    TEXT NOT NULL,
	metadata        TEXT NOT NULL,
	hidden          INTEGER NOT NULL,
	settles_to      TEXT NOT NULL,
	settles_at      INTEGER,
	created_at      INTEGER NOT NULL,
	CHECK (captured_amount = 0 OR status = 'succeeded')
) STRICT;
CREATE INDEX IF NOT EXISTS payments_reference ON payments (reference);
CREATE INDEX IF NOT EXISTS payments_settling ON payments (settles_at) WHERE settles_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS refunds (
	seq             INTEGER PRIMARY KEY AUTOINCREMENT,
	id              TEXT NOT NULL UNIQUE,
	idempotency_key TEXT NOT NULL UNIQUE,
	token           TEXT NOT NULL,
	payment_id      TEXT NOT NULL REFERENCES payments (id),
	status          TEXT NOT NULL CHECK (status IN ('succeeded','pending','declined')),
	amount          INTEGER NOT NULL CHECK (amount > 0),
	currency        TEXT NOT NULL,
	reference       TEXT NOT NULL,
	decline_code    TEXT NOT NULL,
	metadata        TEXT NOT NULL,
	settles_to      TEXT NOT NULL,
	settles_at      INTEGER,
	created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS refunds_reference ON refunds (reference);
CREATE INDEX IF NOT EXISTS refunds_payment ON refunds (payment_id);
CREATE INDEX IF NOT EXISTS refunds_settling ON refunds (settles_at) WHERE settles_at IS NOT NULL;
`

// openStore opens the file at path, or a database in memory if path is empty. It uses a single connection, for two
// reasons: SQLite has one writer at a time, and waiting for it in Go is cheaper than SQLITE_BUSY; a database in memory
// is deleted with its last connection.
func openStore(ctx context.Context, path string) (*sql.DB, error) {
	dsn := ":memory:"
	if path != "" {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("open ledger %q: %w", path, err)
		}
		// SQLite gives the files that it creates beside it the same permissions.
		file, err := os.OpenFile(absolute, os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			err = errors.Join(file.Chmod(0o600), file.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("open ledger %q: %w", path, err)
		}
		dsn = (&url.URL{Scheme: "file", Path: filepath.ToSlash(absolute)}).String()
	}
	// synchronous NORMAL: a crash of the machine may lose the last transactions, but the ledger stays consistent.
	db, err := sql.Open("sqlite", dsn+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"+
		"&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)")
	if err != nil {
		return nil, fmt.Errorf("open ledger %q: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		err = fmt.Errorf("open ledger %q: %w: the file must be writable and must be a ledger of the simulator", path, err)
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// transact runs fn in one transaction. It makes the changes that are due first, so that nothing is seen pending for
// longer than Options.PendingFor. It ignores the cancellation of ctx: a real processor does not stop either when the
// client closes the connection.
func (s *Simulator) transact(ctx context.Context, fn func(context.Context, *sql.Tx) error) error {
	ctx = context.WithoutCancel(ctx)
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := s.makeDueChanges(ctx, tx); err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// makeDueChanges makes the changes of payments and refunds that are due.
func (s *Simulator) makeDueChanges(ctx context.Context, tx *sql.Tx) error {
	for {
		made, err := s.makeNextChanges(ctx, tx)
		if err != nil {
			return fmt.Errorf("change payments: %w", err)
		}
		if !made {
			break
		}
	}
	now := s.now().UnixNano()
	// A refund that fails returns its amount to the payment.
	if _, err := tx.ExecContext(ctx, `UPDATE payments SET refunded_amount = refunded_amount - failed.amount
		FROM (SELECT payment_id, sum(amount) AS amount FROM refunds WHERE settles_at <= ? AND settles_to = 'declined'
			GROUP BY payment_id) AS failed
		WHERE failed.payment_id = payments.id`, now); err != nil {
		return fmt.Errorf("reverse failed refunds: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE refunds SET status = settles_to, settles_at = NULL
		WHERE settles_at <= ?`, now); err != nil {
		return fmt.Errorf("change refunds: %w", err)
	}
	return nil
}

// makeNextChanges makes the next change of each payment for which one is due. It reports whether there were any.
func (s *Simulator) makeNextChanges(ctx context.Context, tx *sql.Tx) (made bool, err error) {
	type payment struct {
		id, changes string
		dueAt       int64
	}
	var due []payment
	if err := forEachRow(ctx, tx, `SELECT id, settles_to, settles_at FROM payments WHERE settles_at <= ?`,
		func(scan func(...any) error) error {
			var p payment
			err := scan(&p.id, &p.changes, &p.dueAt)
			due = append(due, p)
			return err
		}, s.now().UnixNano()); err != nil {
		return false, err
	}
	for _, p := range due {
		next, later, more := strings.Cut(p.changes, " ")
		nextAt := sql.NullInt64{Int64: p.dueAt + int64(s.pendingFor), Valid: more}
		if next == refundedElsewhere {
			_, err = tx.ExecContext(ctx, `UPDATE payments SET refunded_amount = captured_amount, settles_to = ?, settles_at = ?
				WHERE id = ?`, later, nextAt, p.id)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE payments SET status = ?1, captured_amount = iif(?1 = 'succeeded', amount, 0),
				settles_to = ?2, settles_at = ?3 WHERE id = ?4`, next, later, nextAt, p.id)
		}
		if err != nil {
			return false, err
		}
	}
	return len(due) > 0, nil
}
