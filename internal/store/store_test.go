package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// databases are what the tests run on. dsn returns the DSN of an empty database for the test alone.
var databases = []struct {
	name string
	dsn  func(tb testing.TB) string
}{
	{name: "sqlite", dsn: sqliteDSN},
	{name: "postgres", dsn: postgresDSN},
}

func sqliteDSN(tb testing.TB) string {
	tb.Helper()
	return "sqlite://" + filepath.Join(tb.TempDir(), "florin.db")
}

// onEachDatabase runs a test on both databases, each of them empty.
func onEachDatabase(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			t.Parallel()
			test(t, database.dsn(t))
		})
	}
}

// onEachStore runs a test with a store on both databases.
func onEachStore(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	onEachDatabase(t, func(t *testing.T, dsn string) { test(t, open(t, dsn)) })
}

// asOwner is for tests that write statements of their own, which a worker's role could not execute. permissions_test.go has the tests
// of that role.
var asOwner = AllowOwner(true)

// migratedFile is the content of a migrated database of SQLite. With the race detector, a migration takes most of a second.
var migratedFile = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "florin-store-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "florin.db")
	if _, _, err := Migrate(context.Background(), "sqlite://"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// open migrates and opens a database; one of SQLite that does not exist begins as a copy of a migrated one. It closes the store when the test ends.
func open(tb testing.TB, dsn string) *Store {
	tb.Helper()
	if path, isFile := strings.CutPrefix(dsn, "sqlite://"); isFile {
		content, err := migratedFile()
		require.NoError(tb, err)
		if file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_, err = file.Write(content)
			require.NoError(tb, errors.Join(err, file.Close()))
		}
	}
	_, _, err := Migrate(tb.Context(), dsn)
	require.NoError(tb, err)
	s, err := Open(tb.Context(), dsn, asOwner)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

var (
	morning = time.Date(2026, 1, 15, 9, 30, 0, 123_456_000, time.UTC)
	later   = morning.Add(1500 * time.Microsecond)

	byProcessor = Cause{By: "processor", Evidence: map[string]string{"request_id": "req_1"}}
)

const fingerprint = "5f2ab0e4d1c37698b3a4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80912"

// newCharge returns a payment as a workflow begins it.
func newCharge(key string) payment.Charge {
	return payment.Charge{
		PaymentID: payment.PaymentID("acme", key), MerchantID: "acme", IdempotencyKey: key, Status: payment.Processing,
		Amount: 10_000, Currency: "EUR", Processor: "rest", PaymentMethod: "tok_vaulted", CreatedAt: morning, UpdatedAt: morning,
	}
}

func newRefund(key string, of payment.Charge, amount int64) payment.Refund {
	return payment.Refund{
		RefundID: payment.RefundID(of.MerchantID, key), PaymentID: of.PaymentID, MerchantID: of.MerchantID, IdempotencyKey: key,
		Status: payment.Processing, Amount: amount, CreatedAt: later, UpdatedAt: later,
	}
}

func begin(tb testing.TB, s *Store, c payment.Charge) payment.Charge {
	tb.Helper()
	stored, created, err := s.BeginPayment(tb.Context(), c, fingerprint)
	require.NoError(tb, err)
	require.True(tb, created)
	return stored
}

// succeeded returns c as it is after its processor charged the full amount.
func succeeded(c payment.Charge) payment.Charge {
	c.Status, c.CapturedAmount, c.UpdatedAt = payment.Succeeded, c.Amount, later
	c.ProcessorPaymentID, c.ProcessorRequestID = "ch_"+c.IdempotencyKey, "req_1"
	return c
}

// paid stores a payment that succeeded.
func paid(tb testing.TB, s *Store, key string) payment.Charge {
	tb.Helper()
	c, err := s.RecordPayment(tb.Context(), succeeded(begin(tb, s, newCharge(key))), byProcessor)
	require.NoError(tb, err)
	return c
}

func reserve(tb testing.TB, s *Store, r payment.Refund) payment.Refund {
	tb.Helper()
	stored, _, created, err := s.ReserveRefund(tb.Context(), r, fingerprint)
	require.NoError(tb, err)
	require.True(tb, created)
	return stored
}

func settle(tb testing.TB, s *Store, r payment.Refund, status payment.Status) payment.Refund {
	tb.Helper()
	r.Status = status
	stored, err := s.SettleRefund(tb.Context(), r, byProcessor)
	require.NoError(tb, err)
	return stored
}

// amounts returns the refunded and the reserved amount of a payment. No exported method returns the latter.
func amounts(tb testing.TB, s *Store, c payment.Charge) (refundedAmount, reservedAmount int64) {
	tb.Helper()
	row, err := s.read().payment(tb.Context(), selectPaymentByID, c.MerchantID, c.PaymentID)
	require.NoError(tb, err)
	return row.RefundedAmount, row.reserved
}

// runConcurrently runs fn n times at the same time, and returns when all calls have returned.
func runConcurrently(n int, fn func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	all.Wait()
}

func TestOpenRefusesAnotherSchemaVersion(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		_, err := Open(t.Context(), dsn, asOwner)
		require.ErrorIs(t, err, ErrOutdated)
		require.ErrorContains(t, err, "run: worker migrate")
		require.False(t, Temporary(err))

		s := open(t, dsn)
		execSQL(t, s, "INSERT INTO florin_migrations (version_id, is_applied) VALUES (99, TRUE)")
		_, err = Open(t.Context(), dsn, asOwner)
		require.ErrorIs(t, err, ErrTooNew)
		require.ErrorContains(t, err, "has version 99, this program knows 15")
		_, _, err = Migrate(t.Context(), dsn)
		require.ErrorIs(t, err, ErrTooNew)

		execSQL(t, s, "DELETE FROM florin_migrations WHERE version_id > 0")
		_, err = Open(t.Context(), dsn, asOwner)
		require.ErrorIs(t, err, ErrOutdated)
		require.ErrorContains(t, err, "has version 0, this program needs 15: run: worker migrate")
	})
}

func TestOpenCreatesNoFile(t *testing.T) {
	dsn := sqliteDSN(t)
	_, err := Open(t.Context(), dsn, asOwner)
	require.ErrorIs(t, err, ErrOutdated)
	require.NoFileExists(t, strings.TrimPrefix(dsn, "sqlite://"))
}

func TestMigrateIsSafeToRepeat(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		for _, want := range []int64{0, 15, 15} {
			from, to, err := Migrate(t.Context(), dsn)
			require.NoError(t, err)
			require.Equal(t, want, from)
			require.Equal(t, int64(15), to)
		}
	})
}

func TestConcurrentMigrationsSucceed(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		errs := make([]error, 8)
		runConcurrently(len(errs), func(i int) { _, _, errs[i] = Migrate(t.Context(), dsn) })
		for _, err := range errs {
			require.NoError(t, err)
		}
		paid(t, open(t, dsn), "order-1")
	})
}

func TestMigrateDoesNotRetryPermanentErrors(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		execSQL(t, s, "DELETE FROM florin_migrations WHERE version_id > 0")
		began := time.Now()
		_, _, err := Migrate(t.Context(), dsn)
		require.ErrorContains(t, err, "already exists")
		require.Less(t, time.Since(began), 3*time.Second)
	})
}

func TestInvalidDSNsAreRefusedWithoutQuotingThePassword(t *testing.T) {
	const secret = "hunter2"
	for _, dsn := range []string{
		"", "/var/lib/florin.db", "florin.db", "mysql://u:hunter2@h/db", "sqlite://florin.db", "sqlite://", "sqlite:///", "sqlite:///dir/",
		"sqlite:///x.db?mode=memory", "sqlite://u:hunter2@/x.db",
		"postgres://u:hunter2@h:port/db", "postgres://u:hunter2%@h/db", "postgres://u:hun ter2hunter2@h/db\x00", "postgres://u:hunter2@[::1/db",
		"postgres://u:hunter2@h/db?sslmode=hunter2", "postgres://u@h/db?password=hunter2&connect_timeout=soon", "postgres://u:hunter2@h/db?pool_max_conns=0", "postgres://u:hunter2@h/db?pool_max_conns=1",
		"postgres://u:hunter2@h/db?pool_max_conns=hunter2", "postgres://u:hunter2@h/db?sslmode=verify-full&sslrootcert=/no/hunter2",
	} {
		for what, open := range map[string]func() error{
			"open":    func() error { _, err := Open(t.Context(), dsn, asOwner); return err },
			"migrate": func() error { _, _, err := Migrate(t.Context(), dsn); return err },
		} {
			err := open()
			require.ErrorIs(t, err, ErrInvalid, "%s %s", what, dsn)
			require.False(t, Temporary(err))
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secret)
		}
	}
}

func TestUnreachableDatabaseIsATemporaryError(t *testing.T) {
	dsn := "postgres://florin:hunter2@127.0.0.1:1/florin?connect_timeout=1&password=hunter2"
	_, err := Open(t.Context(), dsn, asOwner)
	require.True(t, Temporary(err))
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), "hunter2")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	onEachStore(t, func(t *testing.T, s *Store) {
		_, _, err := s.BeginPayment(ctx, newCharge("order-1"), fingerprint)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, Temporary(err))
	})
}

func TestCallToAClosedStoreIsATemporaryError(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		_, _, err := Migrate(t.Context(), dsn)
		require.NoError(t, err)
		s, err := Open(t.Context(), dsn, asOwner)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, _, err = s.BeginPayment(t.Context(), newCharge("order-1"), fingerprint)
		require.True(t, Temporary(err), err)
		require.ErrorContains(t, err, "the store is closed")
	})
}

func TestSentinelErrorsAreNotTemporary(t *testing.T) {
	require.False(t, Temporary(nil))
	for _, err := range []error{payment.ErrNotFound, payment.ErrIdempotencyMismatch, ErrIllegalTransition, ErrProcessorIDTaken, payment.ErrPaymentNotFound, payment.ErrPaymentNotRefundable,
		payment.ErrRefundExceedsCaptured, payment.ErrInvalidRequest, ErrInvalid, ErrOutdated, ErrTooNew, ErrNotDurable} {
		require.False(t, Temporary(err))
		require.False(t, Temporary(fmt.Errorf("wrapped: %w", err)))
	}
}

// A transaction holds the lock of the payment for longer than the caller waits.
func TestLockedPaymentIsATemporaryError(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		tx, err := s.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("UPDATE payments SET refunded_amount = refunded_amount WHERE payment_id = $1", c.PaymentID)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, _, _, err = s.ReserveRefund(ctx, newRefund("r-1", c, 100), fingerprint)
		require.True(t, Temporary(err), err)
		require.Less(t, time.Since(began), 3*time.Second, "the deadline of the context applies")
		require.NoError(t, tx.Rollback())
		reserve(t, s, newRefund("r-1", c, 100))
	})
}

// The connection is terminated while its statement waits for a lock. The statement must have no effect.
func TestTerminatedConnectionIsATemporaryError(t *testing.T) {
	s := open(t, postgresDSN(t))
	c := paid(t, s, "order-1")
	tx, err := s.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("SELECT 1 FROM payments WHERE payment_id = $1 FOR UPDATE", c.PaymentID)
	require.NoError(t, err)
	failed := make(chan error)
	go func() {
		_, _, _, err := s.ReserveRefund(t.Context(), newRefund("r-1", c, 100), fingerprint)
		failed <- err
	}()
	require.Eventually(t, func() bool {
		var terminated int
		err := s.db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(pid))`, backend(t, tx)).Scan(&terminated)
		return err == nil && terminated > 0
	}, 10*time.Second, 10*time.Millisecond)
	err = <-failed
	require.True(t, Temporary(err), err)
	require.NoError(t, tx.Rollback())
	reserve(t, s, newRefund("r-1", c, 100))
	requireConsistent(t, s)
}

func backend(t *testing.T, tx *sql.Tx) (pid int) {
	t.Helper()
	require.NoError(t, tx.QueryRow("SELECT pg_backend_pid()").Scan(&pid))
	return pid
}

func TestSQLStatesAreClassifiedAsTemporary(t *testing.T) {
	for code, temporary := range map[string]bool{
		"08006": true, "40001": true, "40P01": true, "53300": true, "53100": true, "55P03": true, "57014": true, "57P01": true, "57P02": true,
		"57P03": true, "58030": true, "25006": true, "25P03": true,
		"23505": false, "23514": false, "22021": false, "42P01": false, "42501": false, "28P01": false, "3D000": false, "FL001": false, "0A000": false,
	} {
		err := postgres.translate(&pgconn.PgError{Code: code, Message: "m", Detail: "Failing row contains (tok_vaulted)"}, "x")
		require.Equal(t, temporary, Temporary(err), code)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "tok_")
	}
	for _, err := range []error{io.ErrUnexpectedEOF, driver.ErrBadConn, &net.OpError{Op: "read", Err: syscall.ECONNRESET}} {
		require.True(t, Temporary(postgres.translate(err, "x")))
	}
}

// The text of a driver's error may quote arguments of the statement.
func TestUnknownErrorsGiveOnlyTheirType(t *testing.T) {
	err := postgres.translate(fmt.Errorf("encode: %w", errors.New("unable to encode tok_vaulted")), "begin payment")
	require.EqualError(t, err, "begin payment: the database driver failed (*errors.errorString)")
}

// For SQLite, several stores on one file are the same as several processes.
func TestSeveralProcessesCanShareAFile(t *testing.T) {
	dsn := sqliteDSN(t)
	stores := []*Store{open(t, dsn), open(t, dsn), open(t, dsn)}
	errs := make([]error, 60)
	runConcurrently(len(errs), func(i int) {
		s := stores[i%len(stores)]
		c, _, err := s.BeginPayment(t.Context(), newCharge(fmt.Sprintf("order-%d", i/2)), fingerprint)
		if err == nil {
			c, err = s.RecordPayment(t.Context(), succeeded(c), byProcessor)
		}
		if err == nil {
			_, _, _, err = s.ReserveRefund(t.Context(), newRefund(c.IdempotencyKey, c, 100), fingerprint)
		}
		errs[i] = err
	})
	require.NoError(t, errors.Join(errs...))
	requireConsistent(t, stores[0])
}

func TestFilesAreReadableByTheirUserOnly(t *testing.T) {
	dsn := sqliteDSN(t)
	paid(t, open(t, dsn), "order-1")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(strings.TrimPrefix(dsn, "sqlite://") + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
	}
}

func TestSQLiteWritesCommitsToDisk(t *testing.T) {
	s := open(t, sqliteDSN(t))
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		var got string
		require.NoError(t, s.db.QueryRow("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}

func TestCloseKeepsEveryAcknowledgedChange(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		for round := range 5 {
			closing, err := Open(t.Context(), dsn, asOwner)
			require.NoError(t, err)
			var all sync.WaitGroup
			acknowledged := make([][]string, 4)
			for worker := range acknowledged {
				all.Go(func() {
					for i := 0; ; i++ {
						key := fmt.Sprintf("order-%d-%d-%d", round, worker, i)
						c, _, err := closing.BeginPayment(context.Background(), newCharge(key), fingerprint)
						if err == nil {
							c, err = closing.RecordPayment(context.Background(), succeeded(c), byProcessor)
						}
						if err == nil {
							_, _, _, err = closing.ReserveRefund(context.Background(), newRefund(key, c, 100), fingerprint)
						}
						if err != nil {
							return
						}
						acknowledged[worker] = append(acknowledged[worker], key)
					}
				})
			}
			<-time.After(30 * time.Millisecond)
			require.NoError(t, closing.Close())
			all.Wait()
			for _, keys := range acknowledged {
				for _, key := range keys {
					_, err := s.Refund(t.Context(), "acme", key)
					require.NoError(t, err, "acknowledged, but missing")
				}
			}
		}
		requireConsistent(t, s)
	})
}

// requireConsistent checks that every row has its complete events, and that every sum matches the refunds.
func requireConsistent(t *testing.T, s *Store) {
	t.Helper()
	for what, query := range map[string]string{
		"payments without their last event": `SELECT count(*) FROM payments WHERE NOT EXISTS (
			SELECT 1 FROM payment_events WHERE subject_id = payment_id AND payment_events.revision = payments.revision AND to_status = status)`,
		"refunds without their last event": `SELECT count(*) FROM refunds WHERE NOT EXISTS (
			SELECT 1 FROM payment_events WHERE subject_id = refund_id AND payment_events.revision = refunds.revision AND to_status = status)`,
		"events that do not follow from the event before": `SELECT count(*) FROM payment_events e WHERE revision > 1 AND NOT EXISTS (
			SELECT 1 FROM payment_events p WHERE p.subject_id = e.subject_id AND p.revision = e.revision - 1 AND p.to_status = e.from_status)`,
		"payments with another time of their last transition than their events": `SELECT count(*) FROM payments WHERE status_since <> (
			SELECT max(at) FROM payment_events WHERE subject_id = payment_id AND from_status <> to_status)
			OR status <> 'processing' AND status_since IS NULL`,
		"refunds with another time of their last transition than their events": `SELECT count(*) FROM refunds WHERE status_since <> (
			SELECT max(at) FROM payment_events WHERE subject_id = refund_id AND from_status <> to_status)
			OR status <> 'processing' AND status_since IS NULL`,
		"wrong sums": `SELECT count(*) FROM payments WHERE
			refunded_amount <> (SELECT coalesce(sum(amount), 0) FROM refunds WHERE refunds.payment_id = payments.payment_id AND status = 'succeeded')
			OR reserved_amount <> (SELECT coalesce(sum(amount), 0) FROM refunds WHERE refunds.payment_id = payments.payment_id
				AND status IN ('processing', 'pending', 'unknown', 'needs_reconciliation'))`,
	} {
		var n int
		require.NoError(t, s.db.QueryRow(query).Scan(&n))
		require.Zero(t, n, what)
	}
}

// queryLines returns the rows of a query as text, with the columns separated by spaces.
func queryLines(tb testing.TB, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string, args ...any) []string {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query, args...)
	require.NoError(tb, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(tb, err)
	var all []string
	for rows.Next() {
		row := make([]sql.NullString, len(columns))
		fields := make([]any, len(columns))
		for i := range row {
			fields[i] = &row[i]
		}
		require.NoError(tb, rows.Scan(fields...))
		var line []string
		for _, field := range row {
			line = append(line, field.String)
		}
		all = append(all, strings.Join(line, " "))
	}
	require.NoError(tb, rows.Err())
	return all
}

// execSQL runs raw SQL that must succeed.
func execSQL(tb testing.TB, s *Store, query string, args ...any) sql.Result {
	tb.Helper()
	result, err := s.db.Exec(query, args...)
	require.NoError(tb, err)
	return result
}

// rowsRead executes a statement in PostgreSQL and returns how many rows of a table it has read, including its triggers.
func rowsRead(t *testing.T, tx *sql.Tx, table, statement string, args ...any) int {
	t.Helper()
	count := func() (rows int) {
		require.NoError(t, tx.QueryRow("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = to_regclass($1)", table).Scan(&rows))
		return rows
	}
	before := count()
	_, err := tx.Exec(statement, args...)
	require.NoError(t, err)
	return count() - before
}
