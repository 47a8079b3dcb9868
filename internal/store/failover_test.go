package store

import (
	"database/sql"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/postgrestest"
)

// ownServer starts a PostgreSQL server for the test alone, whose settings it may change, and returns it with a connection of the
// superuser, to which these settings do not apply.
func ownServer(t *testing.T) (*postgrestest.Cluster, *sql.DB) {
	t.Helper()
	cluster := postgrestest.ForTest(t)
	admin, err := sql.Open("pgx", cluster.DSN())
	require.NoError(t, err)
	admin.SetMaxOpenConns(1)
	_, err = admin.Exec("SET default_transaction_read_only = off")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, admin.Close()) })
	return cluster, admin
}

// alterSystem changes a setting of the server, also for the open connections.
func alterSystem(t *testing.T, admin *sql.DB, setting string) {
	t.Helper()
	_, err := admin.Exec("ALTER SYSTEM " + setting)
	require.NoError(t, err)
	_, err = admin.Exec("SELECT pg_reload_conf()")
	require.NoError(t, err)
}

func withParameter(t *testing.T, dsn, name, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// A connection that was opened while the server was read-only stays so when the failover has ended.
func TestConnectionsThatBecameReadOnlyAreReplaced(t *testing.T) {
	s := open(t, postgresDSN(t))
	var readOnly []*sql.Conn
	for range s.db.Stats().MaxOpenConnections {
		c, err := s.db.Conn(t.Context())
		require.NoError(t, err)
		_, err = c.ExecContext(t.Context(), "SET default_transaction_read_only = on")
		require.NoError(t, err)
		readOnly = append(readOnly, c)
	}
	for _, c := range readOnly {
		require.NoError(t, c.Close())
	}
	_, _, err := s.BeginPayment(t.Context(), newCharge("order-1"), fingerprint)
	require.ErrorContains(t, err, "25006")
	require.True(t, Temporary(err))
	runConcurrently(30, func(i int) {
		_, _, err := s.BeginPayment(t.Context(), newCharge(fmt.Sprintf("order-%d", i)), fingerprint)
		require.NoError(t, err, "one failure replaces all connections")
	})
}

func TestReadOnlyServerFailsTheCheckAndWritesButNotReads(t *testing.T) {
	cluster, admin := ownServer(t)
	s := open(t, cluster.DSN())
	c := paid(t, s, "order-1")
	require.NoError(t, s.CheckWrite(t.Context()))

	alterSystem(t, admin, "SET default_transaction_read_only = on")
	require.Eventually(t, func() bool { return s.CheckWrite(t.Context()) != nil }, 10*time.Second, time.Millisecond)
	for range 20 { // more than there are connections
		err := s.CheckWrite(t.Context())
		require.Error(t, err)
		require.True(t, Temporary(err), err)
		_, _, err = s.BeginPayment(t.Context(), newCharge("order-2"), fingerprint)
		require.True(t, Temporary(err), err)
	}
	s.reads.closeIdle()
	stored, err := s.PaymentByID(t.Context(), "acme", c.PaymentID)
	require.NoError(t, err, "also on a new connection")
	require.Equal(t, c, stored)
	_, err = Open(t.Context(), cluster.DSN(), asOwner)
	require.ErrorContains(t, err, "read only connection")
	require.True(t, Temporary(err))

	alterSystem(t, admin, "RESET default_transaction_read_only")
	require.Eventually(t, func() bool { return s.CheckWrite(t.Context()) == nil }, 10*time.Second, time.Millisecond)
	begin(t, s, newCharge("order-2"))
}

func TestWritesGoToTheServerThatAcceptsThem(t *testing.T) {
	first, firstAdmin := ownServer(t)
	second, _ := ownServer(t)
	for _, dsn := range []string{first.DSN(), second.DSN()} {
		_, _, err := Migrate(t.Context(), dsn)
		require.NoError(t, err)
	}
	hosts, err := url.Parse(first.DSN())
	require.NoError(t, err)
	other, err := url.Parse(second.DSN())
	require.NoError(t, err)
	both := withParameter(t, first.DSN(), "host", hosts.Query().Get("host")+","+other.Query().Get("host"))
	_, err = firstAdmin.Exec("ALTER DATABASE postgres SET default_transaction_read_only = on")
	require.NoError(t, err)

	s, err := Open(t.Context(), both, asOwner)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	c := begin(t, s, newCharge("order-1"))
	onSecond := open(t, second.DSN())
	_, err = onSecond.PaymentByID(t.Context(), "acme", c.PaymentID)
	require.NoError(t, err)

	_, err = Open(t.Context(), withParameter(t, both, "target_session_attrs", "any"), asOwner)
	require.ErrorContains(t, err, "25006", "an explicit setting applies")
}

func TestDatabaseWithoutDurableCommitsIsRefused(t *testing.T) {
	cluster, admin := ownServer(t)
	dsn := cluster.DSN()
	s := open(t, dsn)
	alterSystem(t, admin, "SET synchronous_commit = off")
	require.Eventually(t, func() bool { return queryLines(t, admin, "SHOW synchronous_commit")[0] == "off" }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"on"}, queryLines(t, s.db, "SHOW synchronous_commit"), "the change does not apply to open connections")

	_, err := Open(t.Context(), dsn, asOwner)
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, "add synchronous_commit=on to the query parameters")
	require.False(t, Temporary(err))
	s.db.closeIdle()
	_, _, err = s.BeginPayment(t.Context(), newCharge("order-1"), fingerprint)
	require.ErrorIs(t, err, ErrNotDurable)
	require.NotErrorIs(t, err, ErrInvalid, "the payment is not to blame")

	for _, setting := range []string{"on", "local", "remote_apply"} {
		durable, err := Open(t.Context(), withParameter(t, dsn, "synchronous_commit", setting), asOwner)
		require.NoError(t, err, setting)
		require.Equal(t, []string{setting}, queryLines(t, durable.db, "SHOW synchronous_commit"))
		require.NoError(t, durable.Close())
	}
}

func TestReadOnlySQLiteConnectionFailsTheCheckButNotReads(t *testing.T) {
	s := open(t, sqliteDSN(t))
	require.NoError(t, s.CheckWrite(t.Context()))
	execSQL(t, s, "PRAGMA query_only = on")
	require.Error(t, s.CheckWrite(t.Context()))
	_, err := s.Backlog(t.Context())
	require.NoError(t, err)
}
