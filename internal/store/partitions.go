package store

// The partitions of payment_events in PostgreSQL.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// monthsAhead is for how many months after the current one [Migrate] creates partitions. The events of later months are stored in
// the default partition.
const monthsAhead = 12

// partitionLock serializes the creation of partitions.
const partitionLock = 7_106_825_930_214_477_002

// addPartitions creates the partitions that are missing from the month of now on. It leaves out a month whose events are in another
// partition, such as the default one.
func addPartitions(ctx context.Context, db *sql.DB, now time.Time) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(partitionLock)); err != nil {
		return err
	}
	first := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	for n := range monthsAhead + 1 {
		if err := addPartition(ctx, tx, first.AddDate(0, n, 0)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// addPartition creates the partition of a month. Attaching a new table, rather than creating it as a partition, blocks no writer.
func addPartition(ctx context.Context, tx *sql.Tx, month time.Time) error {
	name := month.Format("payment_events_2006_01")
	var exists bool
	if err := tx.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`SAVEPOINT partition;
		CREATE TABLE %[1]s (LIKE payment_events INCLUDING ALL);
		CREATE TRIGGER payment_events_keep BEFORE TRUNCATE ON %[1]s FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('events are never changed or deleted');
		ALTER TABLE payment_events ATTACH PARTITION %[1]s FOR VALUES FROM ('%[2]s') TO ('%[3]s');
		RELEASE partition`, name, formatTime(month), formatTime(month.AddDate(0, 1, 0))))
	var reported *pgconn.PgError
	if errors.As(err, &reported) && (reported.Code == partitionOverlaps || reported.Code == defaultHasRows) {
		_, err = tx.ExecContext(ctx, "ROLLBACK TO partition")
	}
	return err
}

// The SQLSTATEs of a partition that another one overlaps, and of one that would take rows from the default partition.
const (
	partitionOverlaps = "42P17"
	defaultHasRows    = "23514"
)

// partitionNames returns the quoted names of all partitions.
func partitionNames(ctx context.Context, tx *sql.Tx) (names []string, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass('payment_events')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
