package store

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// partitionsOf returns the partitions of payment_events that have rows, with the number of rows.
func partitionsOf(t *testing.T, s *Store) []string {
	t.Helper()
	return queryLines(t, s.db, "SELECT tableoid::regclass::text, count(*) FROM payment_events GROUP BY 1 ORDER BY 1")
}

// openDatabase returns a connection pool of the owner of the tables.
func openDatabase(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	target, err := newTarget(dsn, asOwner)
	require.NoError(t, err)
	db, err := target.open(t.Context(), writes)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// begunAt stores a payment whose first event is at a time.
func begunAt(t *testing.T, s *Store, key string, at time.Time) payment.Charge {
	t.Helper()
	c := newCharge(key)
	c.CreatedAt, c.UpdatedAt = at, at
	return begin(t, s, c)
}

func TestEventsAreStoredByMonth(t *testing.T) {
	dsn := postgresDSN(t)
	s, db := open(t, dsn), openDatabase(t, dsn)
	now := time.Date(2041, 11, 30, 23, 59, 59, 0, time.UTC)
	require.NoError(t, addPartitions(t.Context(), db, now))
	begunAt(t, s, "order-1", now)
	begunAt(t, s, "order-2", now.Add(time.Second))
	begunAt(t, s, "order-3", now.AddDate(0, 12, 1)) // December 2042 has none
	begunAt(t, s, "order-4", morning)               // before the first one
	require.Equal(t, []string{
		"payment_events_2041_11 1", "payment_events_2041_12 1", "payment_events_before 1", "payment_events_default 1",
	}, partitionsOf(t, s))

	// A year later: the month whose events are in the default partition keeps it, and the others get theirs.
	require.NoError(t, addPartitions(t.Context(), db, now.AddDate(1, 0, 0)))
	begunAt(t, s, "order-5", now.AddDate(0, 12, 2))
	begunAt(t, s, "order-6", now.AddDate(0, 13, 2))
	require.Contains(t, partitionsOf(t, s), "payment_events_default 2")
	require.Contains(t, partitionsOf(t, s), "payment_events_2043_01 1")
	for _, key := range []string{"order-1", "order-2", "order-3", "order-4", "order-5", "order-6"} {
		events, err := s.Events(t.Context(), payment.PaymentID("acme", key))
		require.NoError(t, err)
		require.Len(t, events, 1, key)
	}
	requireConsistent(t, s)

	tx, err := s.reads.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("PREPARE planned AS " + selectEvents)
	require.NoError(t, err)
	plan := strings.Join(queryLines(t, tx, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE planned ('"+payment.PaymentID("acme", "order-2")+"')"), "\n")
	require.Regexp(t, `payment_events_2041_11 .*never executed`, plan, "it began later")
	require.NotRegexp(t, "Seq Scan on payment_events", plan)
}

func TestPartitionsAreAddedOnceByConcurrentMigrations(t *testing.T) {
	dsn := postgresDSN(t)
	s, db := open(t, dsn), openDatabase(t, dsn)
	now := time.Date(2041, 11, 30, 23, 59, 59, 0, time.UTC)
	runConcurrently(4, func(int) { require.NoError(t, addPartitions(t.Context(), db, now)) })
	require.Equal(t, []string{"13"}, queryLines(t, s.db, `SELECT count(*) FROM pg_inherits
		WHERE inhparent = 'payment_events'::regclass AND inhrelid::regclass::text ~ '_204[12]_'`))
}

// Who reaches a partition directly must not change it either.
func TestEventsInPartitionsAreNeverChanged(t *testing.T) {
	dsn := postgresDSN(t)
	s, db := open(t, dsn), openDatabase(t, dsn)
	now := time.Date(2041, 11, 15, 0, 0, 0, 0, time.UTC)
	require.NoError(t, addPartitions(t.Context(), db, now))
	c := begunAt(t, s, "order-1", now)
	begunAt(t, s, "order-2", morning)
	begunAt(t, s, "order-3", now.AddDate(10, 0, 0))
	refused := map[string]string{}
	for _, partition := range []string{"payment_events", "payment_events_2041_11", "payment_events_before", "payment_events_default"} {
		refused["event changed in "+partition] = "UPDATE " + partition + " SET cause_by = 'other'"
		refused["events deleted in "+partition] = "DELETE FROM " + partition
		refused["truncate "+partition] = "TRUNCATE " + partition
	}
	const columns = " (subject_id, revision, at, to_status, amount, cause_by, evidence) VALUES ('"
	refused["event that did not happen"] = "INSERT INTO payment_events_2041_11" + columns + c.PaymentID + "', 2, '" + formatTime(now) + "', 'processing', 0, 'sql', '{}')"
	refused["event repeated in another month"] = "INSERT INTO payment_events" + columns + c.PaymentID + "', 1, '" + formatTime(now.AddDate(0, 1, 0)) + "', 'processing', 0, 'sql', '{}')"
	requireRefused(t, s, refused)
}

func TestWorkerReachesPartitionsThroughTheirTableOnly(t *testing.T) {
	r := newRoles(t)
	role, dsn := r.create(t, "_worker", "")
	r.exec(t, "GRANT ALL ON ALL TABLES IN SCHEMA florin TO "+quote(role)) // as it was granted on the table that is the first partition now
	require.NoError(t, Grant(t.Context(), r.dsn, role))
	s, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	begunAt(t, s, "order-1", time.Now())
	begunAt(t, s, "order-2", morning)
	for _, partition := range []string{time.Now().UTC().Format("payment_events_2006_01"), "payment_events_before", "payment_events_default"} {
		for _, statement := range []string{"SELECT FROM ", "DELETE FROM ", "TRUNCATE ", "DROP TABLE ", "ALTER TABLE payment_events DETACH PARTITION "} {
			_, err := s.db.ExecContext(t.Context(), statement+partition)
			require.ErrorContains(t, err, "42501", statement+partition)
		}
	}
}

// Months that are detached, as docs/data.md describes it, are missing in the history of a payment, and nowhere else.
func TestDetachedMonthsAreMissingInTheHistoryOnly(t *testing.T) {
	dsn := postgresDSN(t)
	s, db := open(t, dsn), openDatabase(t, dsn)
	now := time.Date(2041, 11, 15, 0, 0, 0, 0, time.UTC)
	require.NoError(t, addPartitions(t.Context(), db, now))
	observed := observe(s)
	c := begunAt(t, s, "order-1", now)
	c.Status, c.UpdatedAt = payment.Authorized, now.Add(time.Hour)
	c, err := s.RecordPayment(t.Context(), c, byProcessor)
	require.NoError(t, err)
	execSQL(t, s, "ALTER TABLE payment_events DETACH PARTITION payment_events_2041_11")

	c.Status, c.UpdatedAt = payment.Unknown, now.AddDate(0, 1, 0)
	_, err = s.RecordPayment(t.Context(), c, byProcessor)
	require.NoError(t, err)
	c.Status, c.UpdatedAt = payment.Authorized, now.AddDate(0, 1, 1)
	c, err = s.RecordPayment(t.Context(), c, byProcessor)
	require.NoError(t, err)
	transitions := observed()
	last := transitions[len(transitions)-1]
	require.Equal(t, payment.Unknown, last.From)
	require.False(t, last.FirstOutcome, "authorized was the first one, in the detached month")
	events, err := s.Events(t.Context(), c.PaymentID)
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, payment.Authorized, events[0].From)
}
