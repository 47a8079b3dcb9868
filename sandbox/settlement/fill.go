package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/sandbox/environment"
)

// fill creates a file with Florin's tables, and the payments and refunds of c, without their events. Indexes and triggers are dropped while
// the rows are inserted.
func (c corpus) fill(ctx context.Context, path string) error {
	if _, _, err := store.Migrate(ctx, "sqlite://"+path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=foreign_keys(0)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	restore, err := dropObjects(ctx, tx)
	if err != nil {
		return err
	}
	if err := c.insert(ctx, tx); err != nil {
		return err
	}
	for _, statement := range restore {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return tx.Commit()
}

// dropObjects drops all triggers and indexes, and returns the statements that create them again.
func dropObjects(ctx context.Context, tx *sql.Tx) (restore []string, err error) {
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

// fingerprint has the length of the hash of a request.
const fingerprint = "5f2ab0e4d1c37698b3a4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80912"

func (c corpus) insert(ctx context.Context, tx *sql.Tx) error {
	prepare := func(table string, columns ...string) (*sql.Stmt, error) {
		return tx.PrepareContext(ctx, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+
			", fingerprint, revision, cause_by, cause_evidence) VALUES ("+strings.Repeat("?, ", len(columns))+"'"+fingerprint+"', 2, 'processor', '{}')")
	}
	payments, err := prepare("payments", "payment_id", "merchant_id", "idempotency_key", "status", "amount", "currency", "captured_amount",
		"processor", "processor_payment_id", "payment_method", "created_at", "updated_at")
	if err != nil {
		return err
	}
	defer payments.Close()
	refunds, err := prepare("refunds", "refund_id", "payment_id", "merchant_id", "idempotency_key", "status", "amount", "currency", "processor",
		"processor_refund_id", "created_at", "updated_at")
	if err != nil {
		return err
	}
	defer refunds.Close()
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
	for n := range c.size {
		p := c.payment(n)
		if _, err := payments.ExecContext(ctx, p.id, p.merchant, p.key, string(p.status), p.amount, p.currency, p.captured,
			environment.ProcessorName, p.processorID, "tok_visa", at(p.createdAt), at(p.createdAt)); err != nil {
			return err
		}
		for _, r := range p.refunds {
			if _, err := refunds.ExecContext(ctx, r.id, p.id, p.merchant, r.key, string(r.status), r.amount, p.currency,
				environment.ProcessorName, r.processorID, at(p.createdAt), at(p.createdAt)); err != nil {
				return err
			}
		}
	}
	return nil
}
