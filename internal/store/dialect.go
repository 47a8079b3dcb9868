package store

// What PostgreSQL and SQLite do differently: where they are, how they are opened, what their errors mean. The SQL is
// the same, but for the migrations.

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

type dialect struct {
	// name is also the folder of its migrations.
	name  string
	goose goose.Dialect
	// hasTable counts the tables of a name that a connection sees.
	hasTable string
	// forUpdate locks the rows of a SELECT, where a transaction does not lock the whole database anyway.
	forUpdate string
	isolation sql.IsolationLevel
	// oneWriter: the database lets one transaction write at a time.
	oneWriter bool
	// prepares: a statement is worth preparing by hand, because the driver keeps none.
	prepares bool
	// classify says what an error of the driver is to a caller; known is false for one that is not the database's own.
	classify func(err error) (failed databaseError, known bool)
}

var (
	postgres = dialect{
		name: "postgres", goose: goose.DialectPostgres,
		hasTable:  `SELECT count(*) FROM pg_class WHERE oid = to_regclass($1)`,
		forUpdate: " FOR UPDATE",
		// Each statement sees what was committed before it: the one after a lock, what the lock waited for.
		isolation: sql.LevelReadCommitted,
		classify:  classifyPostgres,
	}
	sqliteFile = dialect{
		name: "sqlite", goose: goose.DialectSQLite3,
		hasTable:  `SELECT count(*) FROM sqlite_master WHERE name = $1`,
		isolation: sql.LevelDefault,
		oneWriter: true, prepares: true,
		classify: classifySQLite,
	}
)

const (
	// postgresConns is how many connections to PostgreSQL there are at most, and sqliteConns to a file: one writes, the
	// others read.
	postgresConns = 16
	sqliteConns   = 4
)

// target is a database that a DSN names.
type target struct {
	dialect
	file     string
	server   *pgx.ConnConfig
	maxConns int
}

// parseDSN quotes nothing of a DSN that it cannot read: it may have a password anywhere.
func parseDSN(dsn string) (target, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return target{}, fmt.Errorf(`%w: database: not a URL: want "postgres://user@host:5432/database" or "sqlite:///path/to/file.db"`, ErrInvalid)
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		return parsePostgres(u)
	case "sqlite":
		if u.Host != "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") == "" || strings.HasSuffix(u.Path, "/") {
			return target{}, fmt.Errorf(`%w: database: want "sqlite:///path/to/file.db": three slashes, the path of a file and no options`, ErrInvalid)
		}
		return target{dialect: sqliteFile, file: u.Path, maxConns: sqliteConns}, nil
	default:
		return target{}, fmt.Errorf(`%w: database: want "postgres://user@host:5432/database" or "sqlite:///path/to/file.db"`, ErrInvalid)
	}
}

func parsePostgres(u *url.URL) (target, error) {
	t := target{dialect: postgres, maxConns: postgresConns}
	query := u.Query()
	if text := query.Get("pool_max_conns"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return target{}, fmt.Errorf("%w: database: pool_max_conns: want a number from 1 to 1000", ErrInvalid)
		}
		t.maxConns = n
		query.Del("pool_max_conns")
		u.RawQuery = query.Encode()
	}
	var err error
	if t.server, err = pgx.ParseConfig(u.String()); err != nil {
		return target{}, fmt.Errorf(`%w: database: not a DSN that PostgreSQL understands: want "postgres://user:password@host:5432/database?sslmode=…"; `+
			"check the port, the options in the query, and the files that they and PG… in the environment name", ErrInvalid)
	}
	return t, nil
}

// exists spares a file that is not there from being made by a look at it.
func (t target) exists() error {
	if t.file == "" {
		return nil
	}
	if _, err := os.Stat(t.file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no %s yet: run: worker migrate", ErrOutdated, t.file)
	}
	return nil
}

// create makes an empty file that only this user may read; SQLite gives its other files the same permissions.
func (t target) create() error {
	if t.file == "" {
		return nil
	}
	f, err := os.OpenFile(t.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (t target) open(ctx context.Context) (*sql.DB, error) {
	var db *sql.DB
	if t.server != nil {
		db = sql.OpenDB(stdlib.GetConnector(*t.server, stdlib.OptionAfterConnect(postgresSession)))
		db.SetConnMaxLifetime(time.Hour) // so that connections spread again after a failover
	} else {
		var err error
		if db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", Path: t.file}).String()+sqliteOptions); err != nil {
			return nil, err
		}
	}
	db.SetMaxOpenConns(t.maxConns)
	db.SetMaxIdleConns(t.maxConns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// sqliteOptions: writers say BEGIN IMMEDIATE, so that none has to start again halfway. synchronous FULL is one fsync of
// the log for each commit, and what it costs is worth it: with NORMAL, a power loss may take back the commits of the
// last moments. The file would stay consistent, but a charge that a caller was told of, or a refund's reservation, would
// be gone, and could be made a second time. busy_timeout is short because nothing interrupts it: see write.
const sqliteOptions = "?mode=rw&_txlock=immediate&_pragma=busy_timeout(250)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"

// postgresSession bounds how long the locks of a worker last whose machine died without a word.
func postgresSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SET idle_in_transaction_session_timeout = '30s'")
	return err
}

// translate keeps of an error what a caller may know. what says what was asked.
func (d dialect) translate(what string, err error) error {
	if err == nil {
		return nil
	}
	var failed *databaseError
	switch known := sentinel(err); {
	case errors.As(err, &failed):
		return &databaseError{text: what + ": " + failed.text, is: failed.is, temporary: failed.temporary}
	case known:
		return fmt.Errorf("%s: %w", what, err)
	}
	if failed, known := d.classify(err); known {
		failed.text = what + ": " + failed.text
		return &failed
	}
	// The connection broke, or time was up.
	return &databaseError{text: what + ": " + describe(err), is: ended(err), temporary: true}
}

// sentinel reports whether an error is one of this package's own.
func sentinel(err error) bool {
	for _, known := range []error{ErrNotFound, ErrMismatch, ErrIllegalTransition, ErrProcessorIDTaken, ErrPaymentNotFound,
		ErrNotRefundable, ErrExceedsCaptured, ErrCurrency, ErrInvalid, ErrOutdated, ErrTooNew} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// ended keeps the context's errors for errors.Is.
func ended(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// describe words an error that is not the database's own. An unknown one is only named: drivers quote arguments.
func describe(err error) string {
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect): // pgconn leaves the password out
		return connect.Error()
	case ended(err) != nil:
		return ended(err).Error()
	case errors.As(err, &network):
		return network.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return "the connection to the database broke"
	default:
		for inner := err; inner != nil; inner = errors.Unwrap(inner) {
			err = inner
		}
		return fmt.Sprintf("the database driver failed (%T)", err)
	}
}

// temporarySQLStates are the SQLSTATEs and classes of those that go away: PostgreSQL's documentation, appendix A.
var temporarySQLStates = []string{
	"08",    // connection exception
	"40",    // transaction rollback: serialization failure, deadlock
	"53",    // insufficient resources: connections, disk, memory
	"57P",   // shutting down, starting up, the session was ended
	"57014", // query canceled, by a statement timeout or an operator
	"55P03", // lock not available
	"25P0",  // idle in transaction for too long, and what follows
	"25006", // read-only: a standby, during a failover
	"58",    // system error outside of PostgreSQL, such as the disk
}

func classifyPostgres(err error) (databaseError, bool) {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return databaseError{}, false
	}
	// Message names no values of text columns, unlike Detail.
	failed := databaseError{text: fmt.Sprintf("%s (SQLSTATE %s)", answer.Message, answer.Code)}
	switch {
	case answer.ConstraintName == "payments_one_per_processor_id", answer.ConstraintName == "refunds_one_per_processor_id":
		failed.is = ErrProcessorIDTaken
	case strings.HasPrefix(answer.Code, "22"), strings.HasPrefix(answer.Code, "23"), strings.HasPrefix(answer.Code, "FL"):
		failed.is = ErrInvalid
	}
	for _, state := range temporarySQLStates {
		failed.temporary = failed.temporary || strings.HasPrefix(answer.Code, state)
	}
	return failed, true
}

// busy reports whether another process is writing to the file of SQLite; then nothing was done.
func busy(err error) bool {
	var answer *sqlite.Error
	return errors.As(err, &answer) && answer.Code()&0xff == sqlite3.SQLITE_BUSY
}

func classifySQLite(err error) (databaseError, bool) {
	var answer *sqlite.Error
	if !errors.As(err, &answer) {
		return databaseError{}, false
	}
	failed := databaseError{text: answer.Error()}
	switch answer.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		failed.is = ErrInvalid
		if _, unique, _ := strings.Cut(failed.text, "UNIQUE constraint failed"); strings.Contains(unique, ".processor_payment_id") || strings.Contains(unique, ".processor_refund_id") {
			failed.is = ErrProcessorIDTaken
		}
	case sqlite3.SQLITE_INTERRUPT: // the context ended
		return databaseError{}, false
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA, // other processes
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN: // the machine
		failed.temporary = true
	}
	return failed, true
}
