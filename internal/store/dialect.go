package store

// The differences between PostgreSQL and SQLite: DSNs, how a database is opened, and the classification of errors. Both use
// the same SQL, except for the migrations.

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/florinpay/florin/payment"
)

type dialect struct {
	// name is also the name of the folder with the migrations.
	name  string
	goose goose.Dialect
	// hasTable is a query that counts the visible tables with the name $1.
	hasTable string
	// forUpdate is appended to a SELECT to lock its rows. It is empty if a writing transaction locks the whole database.
	forUpdate string
	// now is an expression for the time by the clock of the database, not earlier than the statement begins.
	now       string
	isolation sql.IsolationLevel
	// list is the format of one of several lists that UNION ALL merges in order: of its SELECT, and of its ORDER BY and LIMIT. PostgreSQL
	// merges lists that have an order themselves, and sorts others. SQLite sorts lists that have one, and merges others.
	list string
	// oneWriter reports whether the database allows only one writing transaction at a time.
	oneWriter bool
	// prepares reports whether the store prepares its frequent statements, because the driver does not cache them.
	prepares bool
	// classify translates an error that the database reported; known is false for any other error.
	classify func(err error) (failed databaseError, known bool)
}

var (
	postgres = dialect{
		name: "postgres", goose: goose.DialectPostgres,
		hasTable:  `SELECT count(*) FROM pg_class WHERE oid = to_regclass($1)`,
		forUpdate: " FOR UPDATE",
		now:       "clock_timestamp()",
		// Each statement sees everything that was committed before it started. So the statement after a lock sees the changes
		// of the transaction that held the lock before.
		isolation: sql.LevelReadCommitted,
		list:      "SELECT * FROM (%s%s) AS list",
		classify:  classifyPostgres,
	}
	sqliteFile = dialect{
		name: "sqlite", goose: goose.DialectSQLite3,
		hasTable:  `SELECT count(*) FROM sqlite_master WHERE name = $1`,
		now:       "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
		isolation: sql.LevelDefault,
		list:      "%[1]s",
		oneWriter: true, prepares: true,
		classify: classifySQLite,
	}
)

// The largest number of open connections for each database.
const (
	postgresConns = 16
	sqliteConns   = 4
)

// use is what the connections of a pool are for.
type use int

const (
	writes use = iota
	reads
)

// target is the database that a DSN names.
type target struct {
	dialect
	file   string          // for SQLite only
	server *pgx.ConnConfig // for PostgreSQL only
	// anyServer reports whether the operator chose the servers to connect to with target_session_attrs.
	anyServer bool
	maxConns  int

	// What the options say.
	allowOwner, allowInsecure bool
	reread                    func() (string, error) // nil: the DSN never changes
	rereadFailed              func(error)
}

// newTarget returns the database that dsn names. It returns ErrInvalid for a DSN that it cannot parse, and ErrInsecure.
func newTarget(dsn string, options ...Option) (target, error) {
	t, err := parseDSN(dsn)
	if err != nil {
		return target{}, err
	}
	for _, option := range options {
		option(&t)
	}
	if t.server == nil || t.allowInsecure {
		return t, nil
	}
	return t, requireTLS(t.server)
}

// parseDSN returns ErrInvalid for a DSN that it cannot parse. The error quotes no part of the DSN: in a malformed one, the
// password may be anywhere.
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
		if err != nil || n < 2 || n > 1000 {
			return target{}, fmt.Errorf("%w: database: pool_max_conns: want a number from 2 to 1000", ErrInvalid)
		}
		t.maxConns = n
		query.Del("pool_max_conns")
		u.RawQuery = query.Encode()
	}
	var err error
	if t.server, err = pgx.ParseConfig(u.String()); err != nil {
		return target{}, fmt.Errorf(`%w: database: not a valid PostgreSQL DSN: want "postgres://user:password@host:5432/database?sslmode=…"; `+
			"check the port, the query parameters, and the files named by them or by the PG… environment variables", ErrInvalid)
	}
	t.anyServer = query.Has("target_session_attrs") || os.Getenv("PGTARGETSESSIONATTRS") != ""
	return t, nil
}

// conns returns the size of a pool. PostgreSQL reads with a quarter of its connections. SQLite writes with one connection only.
func (t target) conns(of use) int {
	reading := max(t.maxConns/4, 1)
	if t.oneWriter {
		reading = t.maxConns - 1
	}
	if of == reads {
		return reading
	}
	return t.maxConns - reading
}

func (t target) open(ctx context.Context, of use) (*sql.DB, error) {
	var db *sql.DB
	if t.server != nil {
		db = sql.OpenDB(stdlib.GetConnector(*t.session(of),
			stdlib.OptionBeforeConnect(t.beforeConnect(of)), stdlib.OptionAfterConnect(t.postgresSession(of))))
		// Connections spread over the servers again after a failover, and those with an old password end.
		db.SetConnMaxLifetime(time.Hour)
	} else {
		var err error
		if db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", Path: t.file}).String()+sqliteOptions); err != nil {
			return nil, err
		}
	}
	db.SetMaxOpenConns(t.conns(of))
	db.SetMaxIdleConns(t.conns(of))
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// sqliteOptions are the connection options of SQLite:
//
//   - _txlock=immediate: a transaction takes the write lock when it begins, so it never fails halfway for lack of the lock.
//   - busy_timeout(250): short, because a done context does not interrupt SQLite's waiting; see write, which repeats it.
//   - synchronous(FULL): one fsync of the write-ahead log for each commit, which is worth its cost. With NORMAL, a power loss
//     may undo the latest commits. The file would stay consistent, but an acknowledged charge or the reservation of a refund
//     would be missing, and the operation could run a second time.
const sqliteOptions = "?mode=rw&_txlock=immediate&_pragma=busy_timeout(250)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"

// session returns the configuration of the connections of a pool. The server must be the primary: reads from a standby may be
// outdated. A connection for writes that turns out to be read-only is closed, since it would stay so until the pool replaces it.
func (t target) session(of use) *pgx.ConnConfig {
	c := t.server.Copy()
	switch {
	case t.anyServer:
	case of == writes:
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	default:
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	keep := c.OnPgError
	c.OnPgError = func(conn *pgconn.PgConn, reported *pgconn.PgError) bool {
		return keep(conn, reported) && reported.Code != readOnlyTransaction
	}
	return c
}

// beforeConnect returns a function that replaces the configuration of a new connection by that of the current DSN. If there is no
// valid one at the moment, it is the last one.
func (t target) beforeConnect(of use) func(context.Context, *pgx.ConnConfig) error {
	var latest atomic.Pointer[pgx.ConnConfig]
	return func(_ context.Context, c *pgx.ConnConfig) error {
		if t.reread == nil {
			return nil
		}
		if current, err := t.readAgain(); err != nil {
			t.rereadFailed(err)
		} else {
			latest.Store(current.session(of))
		}
		if current := latest.Load(); current != nil {
			*c = *current
		}
		return nil
	}
}

// readAgain returns the database that the current DSN names.
func (t target) readAgain() (target, error) {
	dsn, err := t.reread()
	if err != nil {
		return target{}, err
	}
	current, err := newTarget(dsn, AllowInsecure(t.allowInsecure))
	if err == nil && current.server == nil {
		err = fmt.Errorf(`%w: database: want "postgres://user@host:5432/database": the store is in PostgreSQL`, ErrInvalid)
	}
	return current, err
}

// planning makes PostgreSQL read lists in the order of their index, whatever it believes about the number of rows: it believes too little
// of a merchant who is new or has most of the payments, and would read and sort all of them. The plan is made once, so it does not depend
// on the arguments either. Without jit = off, it would compile a plan that needs what is off, such as a sort of divergent payments, because
// its cost seems to be immense.
const planning = "SET plan_cache_mode = force_generic_plan; SET enable_sort = off; SET enable_seqscan = off; SET jit = off"

// postgresSession returns a function that prepares a new connection. It limits how long PostgreSQL works on a read, and how long it
// keeps the locks of a worker whose machine failed without closing its connections. It requires that commits are durable, and that
// the role may not do too much.
func (t target) postgresSession(of use) func(context.Context, *pgx.Conn) error {
	limits := "SET idle_in_transaction_session_timeout = '30s'"
	if of == reads {
		limits += fmt.Sprintf("; SET statement_timeout = %d; ", readTimeout.Milliseconds()) + planning
	}
	return func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, limits)
		if err == nil && of == writes {
			err = requireDurableCommits(ctx, conn)
		}
		if err == nil && !t.allowOwner {
			err = refusePrivileged(ctx, conn)
		}
		if err != nil {
			return errors.Join(err, conn.Close(ctx)) // the driver does not close it
		}
		return nil
	}
}

// requireDurableCommits returns ErrNotDurable if PostgreSQL acknowledges commits before they are on disk: after a crash, an
// acknowledged charge or the reservation of a refund would be missing, and the operation could run a second time. It fixes the
// setting for the connection, so that a later change of the server's configuration does not apply to it.
func requireDurableCommits(ctx context.Context, conn *pgx.Conn) error {
	var setting string
	err := conn.QueryRow(ctx, "SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false)").Scan(&setting)
	if err == nil && setting == "off" {
		err = fmt.Errorf("%w: synchronous_commit is off: add synchronous_commit=on to the query parameters of the database's URL, "+
			"or turn it on for the role: ALTER ROLE … SET synchronous_commit = on", ErrNotDurable)
	}
	return err
}

// translate returns an error with the text and the class that a caller needs, and without values that the driver may have
// quoted. action describes the call; it becomes the beginning of the text.
func (d dialect) translate(err error, action string) error {
	if err == nil {
		return nil
	}
	var failed *databaseError
	switch {
	case errors.As(err, &failed):
		return &databaseError{text: action + ": " + failed.text, is: failed.is, temporary: failed.temporary}
	case isSentinel(err):
		return fmt.Errorf("%s: %w", action, err)
	}
	if failed, known := d.classify(err); known {
		failed.text = action + ": " + failed.text
		return &failed
	}
	// The database did not report it: the connection failed, or the context ended.
	return &databaseError{text: action + ": " + safeText(err), is: contextError(err), temporary: true}
}

// isSentinel reports whether err is one of this package's errors or a refusal.
func isSentinel(err error) bool {
	var refusal payment.RefusalCode
	if errors.As(err, &refusal) {
		return true
	}
	for _, known := range []error{
		ErrIllegalTransition, ErrProcessorIDTaken, ErrInvalid, ErrOutdated, ErrTooNew, ErrNotDurable,
		ErrPrivileged, ErrNotGranted, ErrInsecure, ErrExposed,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// contextError returns the error of the context in err's tree, and nil if there is none.
func contextError(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// safeText returns a text for an error that the database did not report. It gives only the type of an unknown error: drivers
// may quote arguments.
func safeText(err error) string {
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect): // its text never contains the password
		return connect.Error()
	case contextError(err) != nil:
		return contextError(err).Error()
	case errors.As(err, &network):
		return network.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return "lost the connection to the database"
	default:
		for inner := err; inner != nil; inner = errors.Unwrap(inner) {
			err = inner
		}
		return fmt.Sprintf("the database driver failed (%T)", err)
	}
}

// readOnlyTransaction is the SQLSTATE of a write on a connection that is read-only, such as one to a standby during a failover.
const readOnlyTransaction = "25006"

// temporarySQLStates are the prefixes of SQLSTATEs after which a retry may succeed: PostgreSQL's documentation, appendix A.
var temporarySQLStates = []string{
	"08",    // connection exception
	"40",    // transaction rollback: serialization failure, deadlock
	"53",    // insufficient resources: connections, disk, memory
	"57P",   // shutting down, starting up, session terminated
	"57014", // query canceled, by a statement timeout or an operator
	"55P03", // lock not available
	"25P0",  // idle-in-transaction timeout, and statements in the aborted transaction
	readOnlyTransaction,
	"58", // system error outside PostgreSQL, such as a disk error
}

func classifyPostgres(err error) (databaseError, bool) {
	var reported *pgconn.PgError
	if !errors.As(err, &reported) {
		return databaseError{}, false
	}
	// Unlike Detail, Message contains no values of text columns.
	failed := databaseError{text: fmt.Sprintf("%s (SQLSTATE %s)", reported.Message, reported.Code)}
	switch {
	case reported.ConstraintName == "payments_one_per_processor_id", reported.ConstraintName == "refunds_one_per_processor_id":
		failed.is = ErrProcessorIDTaken
	case strings.HasPrefix(reported.Code, "22"), strings.HasPrefix(reported.Code, "23"), strings.HasPrefix(reported.Code, "FL"):
		failed.is = ErrInvalid
	}
	for _, state := range temporarySQLStates {
		failed.temporary = failed.temporary || strings.HasPrefix(reported.Code, state)
	}
	return failed, true
}

// isReadOnly reports whether PostgreSQL refused a write because the connection is read-only.
func isReadOnly(err error) bool {
	var reported *pgconn.PgError
	return errors.As(err, &reported) && reported.Code == readOnlyTransaction
}

// isBusy reports whether a SQLite statement failed because another process locks the file. The statement had no effect.
func isBusy(err error) bool {
	var reported *sqlite.Error
	return errors.As(err, &reported) && reported.Code()&0xff == sqlite3.SQLITE_BUSY
}

func classifySQLite(err error) (databaseError, bool) {
	var reported *sqlite.Error
	if !errors.As(err, &reported) {
		return databaseError{}, false
	}
	failed := databaseError{text: reported.Error()}
	switch reported.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		failed.is = ErrInvalid
		_, columns, _ := strings.Cut(failed.text, "UNIQUE constraint failed")
		if strings.Contains(columns, ".processor_payment_id") || strings.Contains(columns, ".processor_refund_id") {
			failed.is = ErrProcessorIDTaken
		}
	case sqlite3.SQLITE_INTERRUPT: // the context ended: translate handles it
		return databaseError{}, false
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA, // interference by other processes
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN: // disk, memory or file descriptors
		failed.temporary = true
	}
	return failed, true
}
