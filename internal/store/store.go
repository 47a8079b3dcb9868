// Package store keeps payments, refunds and their history in a database: PostgreSQL, or SQLite where one file on
// one machine is enough. Both know the same rules, and enforce them without the help of this code:
//
//   - one payment, and one refund, for a merchant's idempotency key; one for a processor's id;
//   - money is counted in minor units: 0 < amount, 0 <= captured <= amount, refunded + reserved <= captured;
//   - a status moves only as payment.PaymentTransitions and payment.RefundTransitions say, and what is final stays;
//   - what was asked for never changes, and nothing is ever deleted;
//   - each change leaves an event, which is never changed either.
//
// Payments are found by what a caller knows of them, always together with the merchant they belong to. No error
// has a payment method or a password in its text.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// What a caller may ask for with errors.Is. None of them goes away by trying again.
var (
	// ErrNotFound: there is no such payment or refund, or it belongs to another merchant.
	ErrNotFound = errors.New("not found")
	// ErrMismatch: the idempotency key was used before, for another request.
	ErrMismatch = errors.New("the idempotency key belongs to another request")
	// ErrIllegalTransition: the status that is stored does not lead to the one that is recorded.
	ErrIllegalTransition = errors.New("illegal transition")
	// ErrProcessorIDTaken: another payment or refund has this id of the processor. See RecordPayment.
	ErrProcessorIDTaken = errors.New("the processor's id belongs to another one")
	// ErrPaymentNotFound: the merchant has no such payment to refund.
	ErrPaymentNotFound = errors.New("payment not found")
	// ErrNotRefundable: the payment did not succeed.
	ErrNotRefundable = errors.New("the payment is not refundable")
	// ErrExceedsCaptured: less is left to refund than was asked for.
	ErrExceedsCaptured = errors.New("the refund exceeds what is left of the payment")
	// ErrCurrency: the refund names another currency than the payment's.
	ErrCurrency = errors.New("the refund is in another currency than its payment")
	// ErrInvalid: a value that is refused whatever is stored, such as a negative amount.
	ErrInvalid = errors.New("invalid")
	// ErrOutdated and ErrTooNew: the schema of the database is not the one that this program knows.
	ErrOutdated = errors.New("the database is older than this program")
	ErrTooNew   = errors.New("the database is newer than this program")
)

// Store is a database of payments and refunds. It is safe for concurrent use, also by several processes.
type Store struct {
	db      *sql.DB
	dialect dialect
	// prepared are the frequent statements, where the driver does not keep them prepared by itself.
	prepared map[string]*sql.Stmt
	// writer is taken by who writes, where there can be only one; nil where there can be many.
	writer chan struct{}
	closed atomic.Bool
	// changed hears of every change; nil where nobody listens.
	changed func(Change)
}

// Open connects to the database that dsn names: "postgres://user@host:5432/database" or "sqlite:///path/to/file.db".
// pool_max_conns in the query bounds the connections to PostgreSQL; 16 unless said otherwise.
//
// A schema that is not the one of this program is ErrOutdated or ErrTooNew. Errors name no password.
func Open(ctx context.Context, dsn string) (*Store, error) {
	target, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if err := target.exists(); err != nil {
		return nil, err
	}
	db, err := target.open(ctx)
	if err != nil {
		return nil, target.translate("open", err)
	}
	s := &Store{db: db, dialect: target.dialect, prepared: map[string]*sql.Stmt{}}
	if s.dialect.oneWriter {
		s.writer = make(chan struct{}, 1)
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(target.translate("open", err), s.Close())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	if err := s.dialect.checkVersion(ctx, s.db); err != nil {
		return err
	}
	if !s.dialect.prepares {
		return nil
	}
	for _, query := range []string{
		insertPayment, updatePayment, selectPaymentByKey, selectPaymentByID,
		insertRefund, updateRefund, selectRefundByKey, selectRefundByID,
	} {
		prepared, err := s.db.PrepareContext(ctx, query) //nolint:sqlclosecheck // closed by Close
		if err != nil {
			return err
		}
		s.prepared[query] = prepared
	}
	return nil
}

// Close waits for what is being asked for and closes the connections. What is asked for afterwards is refused with a
// Temporary error: the process ends, and another one will be asked again.
func (s *Store) Close() error {
	s.closed.Store(true)
	var errs []error
	for _, prepared := range s.prepared {
		errs = append(errs, prepared.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}

// querier is a transaction, or the database, which makes a transaction of each statement.
type querier struct {
	s  *Store
	tx *sql.Tx
}

// one runs a statement and scans its row. No row is sql.ErrNoRows. It reads to the very end, because only there a
// statement that writes tells whether it was committed.
func (q querier) one(ctx context.Context, query string, args []any, dest ...any) error {
	rows, err := q.query(ctx, query, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	if rows.Next() {
		return errors.New("more than one row")
	}
	return rows.Err()
}

// each calls scan for every row.
func (q querier) each(ctx context.Context, query string, args []any, scan func(row scanner) error) error {
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

type scanner interface{ Scan(dest ...any) error }

//nolint:sqlclosecheck // its callers, above, do
func (q querier) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	prepared := q.s.prepared[query]
	switch {
	case q.tx != nil && prepared != nil:
		return q.tx.StmtContext(ctx, prepared).QueryContext(ctx, args...)
	case q.tx != nil:
		return q.tx.QueryContext(ctx, query, args...)
	case prepared != nil:
		return prepared.QueryContext(ctx, args...)
	default:
		return q.s.db.QueryContext(ctx, query, args...)
	}
}

func (s *Store) read() querier { return querier{s: s} }

// write runs fn when it is this caller's turn to write. Waiting here is cheaper and fairer than SQLite's polling, which
// is left for other processes; and it ends when the context does, which SQLite's does not.
func (s *Store) write(ctx context.Context, fn func(q querier) error) error {
	if s.writer == nil {
		return fn(querier{s: s})
	}
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for began := time.Now(); ; {
		err := fn(querier{s: s})
		if !busy(err) || ctx.Err() != nil || time.Since(began) > maxBusy {
			return err
		}
	}
}

// maxBusy is how long a writer waits for other processes to finish with the file.
const maxBusy = 10 * time.Second

// transact runs fn in one transaction.
func (s *Store) transact(ctx context.Context, fn func(q querier) error) error {
	return s.write(ctx, func(querier) error {
		tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.isolation})
		if err != nil {
			return err
		}
		defer tx.Rollback() // after Commit it does nothing
		if err := fn(querier{s: s, tx: tx}); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// fail is the one way that errors leave the package: what says how the store was asked, and what of.
func (s *Store) fail(err error, what string, args ...any) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() {
		return &databaseError{text: fmt.Sprintf(what, args...) + ": the store is closed", temporary: true}
	}
	return s.dialect.translate(fmt.Sprintf(what, args...), err)
}

// databaseError is what is left of a driver's error: enough to know what to do, and nothing of a row.
type databaseError struct {
	text      string
	is        error
	temporary bool
}

func (e *databaseError) Error() string { return e.text }
func (e *databaseError) Unwrap() error { return e.is }

// Temporary reports whether the same call may succeed later: the database is down, restarting, busy or full, a
// deadlock was broken up, the time was too short. Whether it was done, such an error does not say, but every method
// may be repeated. It is false for what will never work, for what the store refused, and for no error.
func Temporary(err error) bool {
	var failed *databaseError
	if errors.As(err, &failed) {
		return failed.temporary
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// maxRaces bounds how often a call starts again because another one was faster.
const maxRaces = 10

// errRaced is for the unlikely: others kept changing the row.
var errRaced = &databaseError{text: "others keep changing it at the same time", temporary: true}

// timeLayout has a fixed width: SQLite keeps times as text, and they sort as times do.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// moment is how both databases take a time: in UTC, to the microsecond, which is what PostgreSQL keeps.
func moment(t time.Time) string { return t.UTC().Format(timeLayout) }

// orNow fills in a time that the caller left out.
func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// storedTime scans a time from what a driver makes of it.
type storedTime struct{ to *time.Time }

// Scan implements sql.Scanner.
func (s storedTime) Scan(from any) error {
	switch from := from.(type) {
	case time.Time:
		*s.to = from.UTC()
		return nil
	case string:
		t, err := time.Parse(timeLayout, from)
		*s.to = t
		return err
	default:
		return fmt.Errorf("a time of type %T", from)
	}
}

// nullable stores an empty string as NULL, so that UNIQUE does not compare it.
func nullable(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// optional scans a text that may be NULL.
type optional struct{ to *string }

// Scan implements sql.Scanner.
func (o optional) Scan(from any) error {
	var text sql.NullString
	err := text.Scan(from)
	*o.to = text.String
	return err
}
