package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/store"
)

// startPostgres starts a server whose data is in a new directory in dir. stop deletes it.
func startPostgres(ctx context.Context, dir string) (cluster *postgrestest.Cluster, stop func() error, err error) {
	if dir, err = os.MkdirTemp(dir, "florin-growth-"); err != nil {
		return nil, nil, err
	}
	stop = func() error { return errors.Join(cluster.Stop(), os.RemoveAll(dir)) }
	if cluster, err = postgrestest.Start(ctx, dir); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	err = cluster.Stop()
	if err == nil {
		err = cluster.StartAgain(ctx, "fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=1GB",
			"shared_buffers=8GB", "maintenance_work_mem=512MB", "max_locks_per_transaction=256")
	}
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return cluster, stop, nil
}

// newDatabase creates a database with Florin's tables, and returns its DSN.
func newDatabase(ctx context.Context, cluster *postgrestest.Cluster, name string) (dsn string, err error) {
	conn, err := pgx.Connect(ctx, cluster.DSN())
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	u, err := url.Parse(cluster.DSN())
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	_, _, err = store.Migrate(ctx, u.String())
	return u.String(), err
}

// fillPostgres copies the payments of c and their events into the tables, which are empty. Constraints and indexes are dropped for that
// time, and triggers are off.
func fillPostgres(ctx context.Context, out io.Writer, dsn string, c corpus) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	restore, err := dropIndexes(ctx, conn)
	if err != nil {
		return err
	}
	began := time.Now()
	asTime := func(t time.Time) any { return t }
	events := make(chan error, 1)
	go func() {
		events <- copyRows(ctx, dsn, "payment_events", eventColumns, 2*c.size, func(n int) []any { return c.row(n/2).event(1+n%2, asTime) })
	}()
	err = copyRows(ctx, dsn, "payments", paymentColumns, c.size, func(n int) []any { return c.row(n).payment(asTime) })
	if err := errors.Join(err, <-events); err != nil {
		return err
	}
	copied := time.Now()
	for _, statement := range append(restore, "VACUUM ANALYZE payments, payment_events", "CHECKPOINT",
		// What reads by ID or by key use is in memory, as in a database that has served for a while: the number of rows is measured, not the disk.
		"CREATE EXTENSION pg_prewarm",
		"SELECT pg_prewarm(r) FROM unnest('{payments, payments_pkey, payments_one_per_key}'::regclass[]) r") {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	_, err = fmt.Fprintf(out, "PostgreSQL: copied %d payments in %.0f s, and created their indexes in %.0f s\n",
		c.size, copied.Sub(began).Seconds(), time.Since(copied).Seconds())
	return err
}

// dropIndexes drops all indexes of the large tables and the constraints that need them, and returns the statements that create them again.
func dropIndexes(ctx context.Context, conn *pgx.Conn) (restore []string, err error) {
	for _, query := range []string{
		`SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE contype IN ('p', 'u', 'f') AND conparentid = 0
			AND (conrelid IN ('payments'::regclass, 'payment_events'::regclass) OR confrelid = 'payments'::regclass)
		ORDER BY contype = 'f' DESC`,
		`SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'payments'::regclass`,
	} {
		rows, err := conn.Query(ctx, query)
		if err != nil {
			return nil, err
		}
		statements, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Drop, Create string }])
		if err != nil {
			return nil, err
		}
		for _, s := range statements {
			if _, err := conn.Exec(ctx, s.Drop); err != nil {
				return nil, err
			}
			restore = append([]string{s.Create}, restore...)
		}
	}
	return restore, nil
}

// copyRows copies n rows into a table. It empties the table in the same transaction, so that PostgreSQL need not log the rows.
func copyRows(ctx context.Context, dsn, table string, columns []string, n int, row func(n int) []any) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SET session_replication_role = replica"); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "TRUNCATE "+table+" CASCADE"); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
		return err
	})
}

// reportDisk prints the sizes of the tables and indexes, and what autovacuum has done and has left. It ends with a vacuum of payments.
func reportDisk(ctx context.Context, out io.Writer, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := printQuery(ctx, out, conn, `SELECT relname AS "table or index", pg_size_pretty(pg_relation_size(oid)) AS size,
			pg_size_pretty(pg_relation_size(oid) / greatest((SELECT reltuples FROM pg_class WHERE oid = 'payments'::regclass), 1)::numeric) AS "per payment"
		FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = current_schema()::regnamespace AND pg_relation_size(oid) > 1 << 20
		ORDER BY relkind DESC, pg_relation_size(oid) DESC`); err != nil {
		return err
	}
	if err := printQuery(ctx, out, conn, `SELECT relname AS table, n_live_tup AS live, n_dead_tup AS dead, autovacuum_count AS autovacuums,
			coalesce(last_autovacuum::text, 'never') AS "last autovacuum"
		FROM pg_stat_user_tables WHERE relname IN ('payments', 'payment_events_before')`); err != nil {
		return err
	}
	began := time.Now()
	if _, err := conn.Exec(ctx, "VACUUM payments"); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "VACUUM payments: %.1f s\n", time.Since(began).Seconds())
	return err
}

func printQuery(ctx context.Context, out io.Writer, conn *pgx.Conn, query string) error {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var names []string
	for _, field := range rows.FieldDescriptions() {
		names = append(names, field.Name)
	}
	fmt.Fprintln(table, strings.Join(names, "\t"))
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		var cells []string
		for _, value := range values {
			cells = append(cells, fmt.Sprint(value))
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return errors.Join(rows.Err(), table.Flush())
}
