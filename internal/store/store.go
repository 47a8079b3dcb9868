// Package store persists payments, refunds and their events in a database: PostgreSQL, or SQLite if one file on one
// machine is enough. In both databases, constraints and triggers enforce the same rules for every client, not only for
// this package:
//
//   - A merchant's idempotency key identifies at most one payment and at most one refund. The same is true of an id that a
//     processor assigned.
//   - Amounts are in minor units: 0 < amount, 0 <= captured <= amount, refunded + reserved <= captured.
//   - A status changes only as [payment.PaymentTransitions] and [payment.RefundTransitions] allow. The details of a final status
//     never change.
//   - The requested values (amount, currency, processor, payment method and so on) never change, and no row is ever deleted.
//   - Each change of a row appends an event. Events never change.
//   - Each change of the control of a processor appends an event, too.
//
// There are two exceptions: the shares of workers in the rate of a processor, which live as long as their worker, see [Store.RenewShares], and
// what a reconciliation works on, until it has ended, see [Store.StageRecords].
//
// Every lookup of a payment or refund needs the merchant that it belongs to, except [Store.PaymentByProcessorID],
// [Store.RefundByProcessorID], [Store.Identity], and the lists of reconciliation, such as [Store.RefundsOfProcessor]. No
// error text contains a payment method or a password.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// The errors of a Store, beside the refusals of package payment: [payment.ErrNotFound], [payment.ErrIdempotencyMismatch],
// [payment.ErrPaymentNotFound], [payment.ErrPaymentNotRefundable] and [payment.ErrRefundExceedsCaptured]. Test for them with
// [errors.Is]. None of them disappears by retrying.
var (
	// ErrIllegalTransition means that the persisted status does not allow the requested one.
	ErrIllegalTransition = errors.New("illegal transition")
	// ErrProcessorIDTaken means that another payment or refund has this id of the processor. See [Store.RecordPayment].
	ErrProcessorIDTaken = errors.New("another payment or refund has this id of the processor")
	// ErrInvalid means that a value is refused whatever is persisted, such as a negative amount.
	ErrInvalid = errors.New("invalid")
	// ErrOutdated and ErrTooNew mean that the schema of the database is not the one of this program.
	ErrOutdated = errors.New("the database is older than this program")
	ErrTooNew   = errors.New("the database is newer than this program")
	// ErrNotDurable means that the database may lose a commit that it has acknowledged.
	ErrNotDurable = errors.New("the database may lose acknowledged commits")
	// ErrPrivileged and ErrNotGranted mean that the role in PostgreSQL may do more, or less, than a worker needs. See [Grant].
	ErrPrivileged = errors.New("the database's role may do too much")
	ErrNotGranted = errors.New("the database's role may not do enough")
	// ErrInsecure means that the connection to PostgreSQL on another host would not be encrypted, or its server not verified.
	ErrInsecure = errors.New("the connection to the database would not be secure")
	// ErrExposed means that other users of the machine may read or replace the SQLite file.
	ErrExposed = errors.New("the database file is exposed to other users")
)

// Store is a database of payments and refunds. It is safe for concurrent use. Several processes may use one database.
type Store struct {
	// db has the connections for writes, and for the reads that a write needs. reads has the connections for all other reads: a
	// slow list must not keep a payment from being persisted.
	db, reads *pool
	// readTimeout limits each read on the connections of reads.
	readTimeout time.Duration
	dialect     dialect
	// writer has capacity 1 and serializes writes. It is nil if the database accepts concurrent writes.
	writer chan struct{}
	closed atomic.Bool
	// observer is called for every transition; nil if there is none.
	observer func(Transition)
}

// pool is a pool of connections to the database.
type pool struct {
	*sql.DB
	// prepared holds the frequent statements by their text. It is empty if the driver caches prepared statements itself.
	prepared map[string]*sql.Stmt
}

// readTimeout limits a read of the store, from waiting for a connection to the last row. No read needs as long: there is an index
// for each filter of a list. A read that ends later than its caller waits would only slow the database down.
const readTimeout = 10 * time.Second

// Option changes what [Open], [Migrate] and [Grant] accept of a database, and how they connect to it.
type Option func(*target)

// AllowOwner accepts a PostgreSQL role that may do more than a worker needs: without it, Open returns ErrPrivileged.
func AllowOwner(allow bool) Option { return func(t *target) { t.allowOwner = allow } }

// AllowInsecure accepts connections to PostgreSQL on another host that are not encrypted, or whose server is not verified: without
// it, they fail with ErrInsecure.
func AllowInsecure(allow bool) Option { return func(t *target) { t.allowInsecure = allow } }

// Reread has a Store call dsn for every new connection to PostgreSQL, so that a new password, host or certificate applies without a
// restart. A connection lives for an hour at most. If dsn fails, or what it returns is refused, the last DSN stays in use and failed
// is called with the error, which contains no password. Both functions must be safe for concurrent use. The number of connections
// stays as it was.
func Reread(dsn func() (string, error), failed func(error)) Option {
	return func(t *target) { t.reread, t.rereadFailed = dsn, failed }
}

// Open connects to the database at dsn: "postgres://user@host:5432/database" or "sqlite:///path/to/file.db".
// The query parameter pool_max_conns limits the connections to PostgreSQL; the default is 16. A quarter of them is for reads.
//
// Open returns ErrOutdated if the schema is older than this program needs, ErrTooNew if it is newer than this program
// knows, ErrNotDurable if synchronous_commit is off, ErrPrivileged if the role may do more than a worker needs, such as alter the
// tables, ErrNotGranted if it may do less, ErrInsecure if the server is on another host and TLS does not verify it, ErrExposed if other
// users may replace the SQLite file, and ErrInvalid if dsn cannot be parsed. It also fails if the database does not accept writes. No
// error contains the password of dsn. Open removes the permissions of other users from a SQLite file.
//
// Unless dsn or the environment sets target_session_attrs, connections to a PostgreSQL server that is a standby are refused, and those
// for writes also if they are read-only. With several hosts, the next one is tried.
func Open(ctx context.Context, dsn string, options ...Option) (*Store, error) {
	target, err := newTarget(dsn, options...)
	if err != nil {
		return nil, err
	}
	if err := target.requireFile(); err != nil {
		return nil, err
	}
	s := &Store{readTimeout: readTimeout, dialect: target.dialect}
	if s.dialect.oneWriter {
		s.writer = make(chan struct{}, 1)
	}
	if err := s.start(ctx, target); err != nil {
		return nil, errors.Join(target.translate(err, "open"), s.Close())
	}
	return s, nil
}

// start connects, checks the version of the schema and prepares the frequent statements.
func (s *Store) start(ctx context.Context, t target) error {
	db, err := t.open(ctx, writes)
	if err != nil {
		return err
	}
	s.db = &pool{DB: db, prepared: map[string]*sql.Stmt{}}
	if t.server != nil {
		if err := requireGrants(ctx, db); err != nil {
			return err
		}
	}
	if err := s.dialect.checkVersion(ctx, db); err != nil {
		return err
	}
	if err := s.CheckWrite(ctx); err != nil {
		return err
	}
	if db, err = t.open(ctx, reads); err != nil {
		return err
	}
	s.reads = &pool{DB: db, prepared: map[string]*sql.Stmt{}}
	if !s.dialect.prepares {
		return nil
	}
	selects := []string{selectPaymentByKey, selectPaymentByID, selectRefundByKey, selectRefundByID}
	return errors.Join(s.db.prepare(ctx, append(selects, insertPayment, updatePayment, insertRefund, updateRefund)),
		s.reads.prepare(ctx, selects))
}

func (p *pool) prepare(ctx context.Context, statements []string) error {
	for _, statement := range statements {
		prepared, err := p.PrepareContext(ctx, statement) //nolint:sqlclosecheck // closed by close
		if err != nil {
			return err
		}
		p.prepared[statement] = prepared
	}
	return nil
}

// closeIdle closes the connections that are not in use; p may be nil.
func (p *pool) closeIdle() {
	if p != nil {
		p.SetMaxIdleConns(-1)
		p.SetMaxIdleConns(p.Stats().MaxOpenConnections)
	}
}

// close closes a pool; it may be nil.
func (p *pool) close() error {
	if p == nil {
		return nil
	}
	var errs []error
	for _, prepared := range p.prepared {
		errs = append(errs, prepared.Close())
	}
	return errors.Join(append(errs, p.Close())...)
}

// Close waits for running statements and closes the connections. Later calls fail with a [Temporary] error: the process
// is shutting down, and a retry reaches another process.
func (s *Store) Close() error {
	s.closed.Store(true)
	return errors.Join(s.db.close(), s.reads.close())
}

// querier runs statements on a pool: in the transaction tx, or, if tx is nil, each in a transaction of its own. If timeout is not 0,
// it limits each of them.
type querier struct {
	s       *Store
	pool    *pool
	tx      *sql.Tx
	timeout time.Duration
}

// queryOne runs a statement and scans its row. It returns sql.ErrNoRows if there is none. It reads past the row until the
// end of the result: a failed commit of a writing statement is reported only there.
func (q querier) queryOne(ctx context.Context, query string, args []any, dest ...any) error {
	found := false
	err := q.queryEach(ctx, query, args, func(row scanner) error {
		if found {
			return errors.New("more than one row")
		}
		found = true
		return row.Scan(dest...)
	})
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// queryEach runs a statement and calls scan for every row.
func (q querier) queryEach(ctx context.Context, query string, args []any, scan func(row scanner) error) error {
	if q.timeout == 0 {
		return q.scanEach(ctx, query, args, scan)
	}
	limited, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	err := q.scanEach(limited, query, args, scan)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return &databaseError{text: fmt.Sprintf("the read takes longer than %s", q.timeout), is: context.DeadlineExceeded, temporary: true}
	}
	return err
}

func (q querier) scanEach(ctx context.Context, query string, args []any, scan func(row scanner) error) error {
	rows, err := q.query(ctx, query, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exec runs a statement without a result.
func (q querier) exec(ctx context.Context, query string, args ...any) error {
	return q.queryEach(ctx, query, args, func(scanner) error { return nil })
}

type scanner interface{ Scan(dest ...any) error }

//nolint:sqlclosecheck // the caller, scanEach, closes the rows
func (q querier) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	prepared := q.pool.prepared[query]
	switch {
	case q.tx != nil && prepared != nil:
		return q.tx.StmtContext(ctx, prepared).QueryContext(ctx, args...)
	case q.tx != nil:
		return q.tx.QueryContext(ctx, query, args...)
	case prepared != nil:
		return prepared.QueryContext(ctx, args...)
	default:
		return q.pool.QueryContext(ctx, query, args...)
	}
}

// read returns a querier for reads that no write depends on.
func (s *Store) read() querier { return querier{s: s, pool: s.reads, timeout: s.readTimeout} }

// onWriter returns a querier on the connections for writes: for writes, and for the reads that a write depends on.
func (s *Store) onWriter() querier { return querier{s: s, pool: s.db} }

// CheckWrite returns an error if the database does not accept writes, because it is down, read-only or full, or because it waits for
// a standby that does not answer. It writes one row.
func (s *Store) CheckWrite(ctx context.Context) error {
	err := s.write(ctx, func(q querier) error {
		return q.exec(ctx, "UPDATE heartbeat SET at = $1 WHERE id = 1", formatTime(time.Now()))
	})
	return s.wrap(err, "check that the database accepts writes")
}

// CheckRead returns an error if the database does not answer reads on the connections for reads. It reads one row.
func (s *Store) CheckRead(ctx context.Context) error {
	var at time.Time
	err := s.read().queryOne(ctx, "SELECT at FROM heartbeat WHERE id = 1", nil, storedTime{&at})
	return s.wrap(err, "check that the database answers reads")
}

// write runs fn with a querier for writes. If the database turns out to be read-only, write closes the idle connections: they
// probably lead to the same server, which is no longer the primary.
func (s *Store) write(ctx context.Context, fn func(q querier) error) error {
	err := s.serialize(ctx, fn)
	if isReadOnly(err) {
		s.db.closeIdle()
		s.reads.closeIdle()
	}
	return err
}

// serialize runs fn once no other goroutine of this process writes, if the database allows only one writer. Waiting for the
// channel is cheaper and fairer than SQLite's polling, and it stops when ctx is done, which SQLite's polling does not.
// Polling remains necessary for writers in other processes, for up to maxBusy.
func (s *Store) serialize(ctx context.Context, fn func(q querier) error) error {
	if s.writer == nil {
		return fn(s.onWriter())
	}
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for began := time.Now(); ; {
		err := fn(s.onWriter())
		if !isBusy(err) || ctx.Err() != nil || time.Since(began) > maxBusy {
			return err
		}
	}
}

// maxBusy is how long a writer retries while other processes lock the file.
const maxBusy = 10 * time.Second

// transact runs fn in one transaction.
func (s *Store) transact(ctx context.Context, fn func(q querier) error) error {
	return s.write(ctx, func(querier) error {
		tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.isolation})
		if err != nil {
			return err
		}
		defer tx.Rollback() // no effect after Commit
		if err := fn(querier{s: s, pool: s.db, tx: tx}); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// wrap translates an error at the boundary of the package: every exported method of Store returns its errors through it.
// format and args describe the call, such as "begin payment %q".
func (s *Store) wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() {
		return &databaseError{text: fmt.Sprintf(format, args...) + ": the store is closed", temporary: true}
	}
	return s.dialect.translate(err, fmt.Sprintf(format, args...))
}

// databaseError replaces an error of the driver. It has what a caller needs in order to react, and no values of a row.
type databaseError struct {
	text string
	// is is what Unwrap returns: an error of this package or of the context; nil if neither applies.
	is        error
	temporary bool
}

func (e *databaseError) Error() string { return e.text }
func (e *databaseError) Unwrap() error { return e.is }

// Temporary reports whether the same call may succeed later: the database is down, restarting, busy or full, a deadlock
// was resolved by rolling back, or the context ended. After such an error the change may or may not have been committed;
// repeating the call is safe for every method. Temporary is false for nil, for requests that the store refuses, and for
// errors that a retry cannot fix.
func Temporary(err error) bool {
	var failed *databaseError
	if errors.As(err, &failed) {
		return failed.temporary
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// maxConcurrentChanges limits how often a call starts again because a concurrent call changed the row first.
const maxConcurrentChanges = 10

var errConcurrentChanges = &databaseError{text: "concurrent calls keep changing it", temporary: true}

// timeLayout has a fixed width: SQLite stores times as text, and so their order as text is their order in time.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// formatTime returns t as both databases store it: in UTC, cut to microseconds, which is PostgreSQL's resolution.
func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// orNow returns t, or the current time if t is zero.
func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// storedTime scans a time: PostgreSQL's driver returns a time.Time, SQLite's a string. NULL becomes the zero time.
type storedTime struct{ to *time.Time }

// Scan implements sql.Scanner.
func (s storedTime) Scan(from any) error {
	switch from := from.(type) {
	case nil:
		*s.to = time.Time{}
		return nil
	case time.Time:
		*s.to = from.UTC()
		return nil
	case string:
		t, err := time.Parse(timeLayout, from)
		*s.to = t
		return err
	default:
		return fmt.Errorf("cannot scan %T into a time", from)
	}
}

// nullable stores an empty string as NULL, so that UNIQUE does not compare it.
func nullable(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// optional scans a text column that may be NULL; NULL becomes the empty string.
type optional struct{ to *string }

// Scan implements sql.Scanner.
func (o optional) Scan(from any) error {
	var text sql.NullString
	err := text.Scan(from)
	*o.to = text.String
	return err
}
