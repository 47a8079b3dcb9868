package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/store"
)

// fillSQLite creates a file with Florin's tables, the payments of c and their events, and returns its DSN. Indexes and triggers are dropped
// while the rows are inserted.
func fillSQLite(ctx context.Context, path string, c corpus) (dsn string, err error) {
	dsn = "sqlite://" + path
	if _, _, err := store.Migrate(ctx, dsn); err != nil {
		return "", err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=foreign_keys(0)")
	if err != nil {
		return "", err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback()
	restore, err := dropSQLiteObjects(ctx, tx)
	if err != nil {
		return "", err
	}
	asText := func(t time.Time) any { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
	if err := insertRows(ctx, tx, "payments", paymentColumns, c.size, func(n int) []any { return c.row(n).payment(asText) }); err != nil {
		return "", err
	}
	if err := insertRows(ctx, tx, "payment_events", eventColumns, 2*c.size, func(n int) []any { return c.row(n/2).event(1+n%2, asText) }); err != nil {
		return "", err
	}
	for _, statement := range restore {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
	}
	return dsn, tx.Commit()
}

// dropSQLiteObjects drops all triggers and indexes, and returns the statements that create them again.
func dropSQLiteObjects(ctx context.Context, tx *sql.Tx) (restore []string, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT 'DROP ' || type || ' ' || name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var drop []string
	for rows.Next() {
		var dropOne, create string
		if err := rows.Scan(&dropOne, &create); err != nil {
			return nil, err
		}
		drop, restore = append(drop, dropOne), append(restore, create)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, statement := range drop {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return restore, nil
}

func insertRows(ctx context.Context, tx *sql.Tx, table string, columns []string, n int, row func(n int) []any) error {
	statement := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Repeat("?, ", len(columns)-1) + "?)" //nolint:gosec // our own tables and columns
	insert, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer insert.Close()
	for i := range n {
		if _, err := insert.ExecContext(ctx, row(i)...); err != nil {
			return err
		}
	}
	return nil
}
