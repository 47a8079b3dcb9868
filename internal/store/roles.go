package store

// The roles in PostgreSQL. One role owns the tables and migrates them. Another one, with the privileges below, is the worker's: it
// can neither change the rules that the database enforces nor what happened.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// grants are the privileges of a worker: what its statements need, and the triggers, which run with its privileges. A test
// compares the tables with those of the schema.
var grants = []struct {
	table string
	// privileges apply to all columns.
	privileges []string
	// update are the columns that it may update.
	update []string
}{
	{table: versionTable, privileges: []string{"SELECT"}},
	{table: "transitions", privileges: []string{"SELECT"}},
	{table: "payments", privileges: []string{"SELECT", "INSERT"}, update: []string{
		"status", "captured_amount", "processor_payment_id", "processor_request_id", "decline",
		"failure", "modification", "modifications", "updated_at", "status_since", "previous_status", "had_outcome", "revision", "cause_by", "cause_evidence",
	}},
	{table: "refunds", privileges: []string{"SELECT", "INSERT"}, update: []string{
		"status", "processor_refund_id", "decline", "failure", "updated_at", "status_since", "previous_status", "had_outcome",
		"revision", "cause_by", "cause_evidence",
	}},
	{table: "payment_events", privileges: []string{"SELECT", "INSERT"}},
	{table: "divergences", privileges: []string{"SELECT", "INSERT"}, update: []string{"acknowledged_at", "acknowledged_by", "acknowledged_reason"}},
	{table: "heartbeat", privileges: []string{"SELECT"}, update: []string{"at"}},
	{table: "processor_controls", privileges: []string{"SELECT", "INSERT"}, update: []string{"paused", "rate", "changed_by", "reason", "revision", "at"}},
	{table: "processor_control_events", privileges: []string{"SELECT", "INSERT"}},
	{table: "batches", privileges: []string{"SELECT", "INSERT"}, update: []string{
		"state", "per_second", "in_flight", "changed_by", "reason", "changed_at", "revision", "received", "last_line", "started", "succeeded",
		"authorized", "declined", "failed", "conflicted", "refused", "started_at", "progressed_at", "attended_at", "swept_at", "finished_at",
	}},
	{table: "batch_events", privileges: []string{"SELECT", "INSERT"}},
	{table: "batch_merchants", privileges: []string{"SELECT", "INSERT"}},
	{table: "batch_lines", privileges: []string{"SELECT", "INSERT"}, update: []string{"request", "status", "refusal"}},
	{table: "rate_shares", privileges: []string{"SELECT", "INSERT", "DELETE"}, update: []string{
		"configured_rate", "configured_burst", "demand", "rate", "burst", "renewals", "applied_revision", "since", "lease_until",
	}},
	{table: "reconciliation_runs", privileges: []string{"SELECT", "INSERT"}, update: []string{
		"ended_at", "complete", "reason", "pages", "listed", "compared", "checked", "hurried", "findings",
	}},
	{table: "reconciliation_records", privileges: []string{"SELECT", "INSERT", "DELETE"}, update: []string{
		"reference", "created_at", "matched", "record",
	}},
	{table: "reconciliation_checks", privileges: []string{"SELECT", "INSERT", "DELETE"}, update: []string{"round", "doubts", "done"}},
}

// grantLock serializes calls of Grant: PostgreSQL refuses concurrent changes of a table's privileges.
const grantLock = 7_106_825_930_214_477_001

// Grant gives a role of PostgreSQL exactly the privileges that a worker needs on the tables of the database at dsn, and revokes all
// others that the role itself has on them. It needs a role that owns the tables, as [Migrate] does, and has to be repeated after each
// migration: a later table has privileges of its own. It changes all privileges at once, is safe to repeat, and safe to run in several
// processes at the same time.
//
// Grant returns ErrInvalid if there is no such role, if it may do more than a worker needs, or if the database is SQLite, which has
// no roles. It returns ErrNotGranted if its own role may not grant the privileges.
func Grant(ctx context.Context, dsn, role string, options ...Option) error {
	t, err := newTarget(dsn, options...)
	if err != nil {
		return err
	}
	t.allowOwner = true
	if t.server == nil {
		return fmt.Errorf("grant to role %q: %w: SQLite has no roles", role, ErrInvalid)
	}
	return t.translate(t.grant(ctx, role), fmt.Sprintf("grant to role %q", role))
}

func (t target) grant(ctx context.Context, role string) (err error) {
	db, err := t.open(ctx, writes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(grantLock)); err != nil {
		return err
	}
	if err := checkGrantee(ctx, tx, role); err != nil {
		return err
	}
	var schema string
	if err := tx.QueryRowContext(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
		return err
	}
	partitions, err := partitionNames(ctx, tx)
	if err != nil {
		return err
	}
	for _, statement := range grantStatements(schema, role, partitions) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	// Without the right to grant a privilege, PostgreSQL only warns.
	missing, err := missingGrants(ctx, tx, role)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: this role may not grant %s: run it with the role that owns the schema and the tables",
			ErrNotGranted, strings.Join(missing, ", "))
	}
	return tx.Commit()
}

// checkGrantee returns ErrInvalid if there is no such role, or if it may do more than a worker needs: its own privileges must not be
// revoked from an owner.
func checkGrantee(ctx context.Context, tx *sql.Tx, role string) error {
	quoted := quote(role)
	var exists bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil {
		return err
	}
	// PostgreSQL takes public for all roles, even if it is quoted, and no role can have this name.
	if !exists {
		return fmt.Errorf("%w: there is no such role: create it with: CREATE ROLE %s LOGIN PASSWORD '…'", ErrInvalid, quoted)
	}
	reason, err := privilegeOf(role, func(query string, args ...any) scanner { return tx.QueryRowContext(ctx, query, args...) })
	if err == nil && reason != "" {
		err = fmt.Errorf("%w: the role %s: create another one for the workers: CREATE ROLE florin_worker LOGIN PASSWORD '…'", ErrInvalid, reason)
	}
	return err
}

// grantStatements returns the statements that give role its privileges on the tables, which are in schema. It has none on their
// partitions, which it reaches through the tables only.
func grantStatements(schema, role string, partitions []string) []string {
	schema, role = quote(schema), quote(role)
	statements := []string{
		"REVOKE CREATE ON SCHEMA " + schema + " FROM " + role,
		"GRANT USAGE ON SCHEMA " + schema + " TO " + role,
	}
	for _, g := range grants {
		privileges := strings.Join(g.privileges, ", ")
		if len(g.update) > 0 {
			privileges += ", UPDATE (" + strings.Join(g.update, ", ") + ")"
		}
		statements = append(statements, "REVOKE ALL ON "+g.table+" FROM "+role, "GRANT "+privileges+" ON "+g.table+" TO "+role)
	}
	for _, partition := range partitions {
		statements = append(statements, "REVOKE ALL ON "+partition+" FROM "+role)
	}
	return statements
}

func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

// missingGrants returns the privileges that role lacks on existing tables and columns, such as "UPDATE (status) ON payments". An empty
// role is the current one. Tables and columns that are missing are what the version of the schema is for.
func missingGrants(ctx context.Context, db rowsQuerier, role string) (missing []string, err error) {
	var tables, columns, privileges []string
	need := func(table, column, privilege string) {
		tables, columns, privileges = append(tables, table), append(columns, column), append(privileges, privilege)
	}
	for _, g := range grants {
		for _, privilege := range g.privileges {
			need(g.table, "", privilege)
		}
		for _, column := range g.update {
			need(g.table, column, "UPDATE")
		}
	}
	rows, err := db.QueryContext(ctx, `WITH role AS (SELECT coalesce(nullif($1, ''), current_user)::name AS name)
		SELECT 'USAGE ON SCHEMA ' || current_schema() FROM role WHERE NOT has_schema_privilege(name, current_schema(), 'USAGE')
		UNION ALL
		SELECT privilege || CASE column_name WHEN '' THEN '' ELSE ' (' || column_name || ')' END || ' ON ' || table_name
		FROM role, unnest($2::text[], $3::text[], $4::text[]) AS needed (table_name, column_name, privilege)
		WHERE NOT CASE column_name WHEN '' THEN has_table_privilege(name, to_regclass(table_name), privilege)
			ELSE (SELECT has_column_privilege(name, attrelid, attnum, privilege) FROM pg_attribute
				WHERE attrelid = to_regclass(table_name) AND attname = column_name) END`, role, tables, columns, privileges)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var privilege string
		if err := rows.Scan(&privilege); err != nil {
			return nil, err
		}
		missing = append(missing, privilege)
	}
	return missing, rows.Err()
}

// rowsQuerier is a *sql.DB or a *sql.Tx.
type rowsQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// requireGrants returns ErrNotGranted if the current role lacks a privilege, such as on a table that a later migration has created.
func requireGrants(ctx context.Context, db *sql.DB) error {
	missing, err := missingGrants(ctx, db, "")
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w: it lacks %s: run, with the role that owns the tables: worker migrate --grant-to ROLE",
			ErrNotGranted, strings.Join(missing, ", "))
	}
	return err
}

// privilegeOf returns what makes a role privileged, and "" if nothing does. An empty role is the one of the session, from which
// SET ROLE does not change. A role is as privileged as each role that it can become. BYPASSRLS does not count: no table has row
// level security.
func privilegeOf(role string, query func(query string, args ...any) scanner) (reason string, err error) {
	err = query(`WITH role AS (SELECT coalesce(nullif($1, ''), session_user)::name AS name)
		SELECT CASE
			WHEN EXISTS (SELECT FROM pg_roles WHERE rolsuper AND pg_has_role(name, oid, 'MEMBER')) THEN 'is a superuser'
			WHEN EXISTS (SELECT FROM pg_roles WHERE rolcreaterole AND pg_has_role(name, oid, 'MEMBER')) THEN 'may create roles'
			WHEN EXISTS (SELECT FROM unnest($2::text[]) AS t (table_name) JOIN pg_class ON pg_class.oid = to_regclass(table_name)
				WHERE pg_has_role(name, relowner, 'MEMBER')) THEN 'owns the tables'
			WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = current_schema() AND pg_has_role(name, nspowner, 'MEMBER')) THEN 'owns the schema'
			WHEN EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND pg_has_role(name, datdba, 'MEMBER')) THEN 'owns the database'
			ELSE '' END FROM role`, role, grantedTables()).Scan(&reason)
	return reason, err
}

func grantedTables() []string {
	tables := make([]string, len(grants))
	for i, g := range grants {
		tables[i] = g.table
	}
	return tables
}

// refusePrivileged returns ErrPrivileged if the role of a session may do more than a worker needs, such as to alter or drop the
// tables, or to become a role that may.
func refusePrivileged(ctx context.Context, conn *pgx.Conn) error {
	reason, err := privilegeOf("", func(query string, args ...any) scanner { return conn.QueryRow(ctx, query, args...) })
	if err == nil && reason != "" {
		err = fmt.Errorf("%w: it %s: use a role of the worker's own in the database's URL: CREATE ROLE florin_worker LOGIN PASSWORD '…', "+
			"then: worker migrate --grant-to florin_worker; or set allow_owner: true in store", ErrPrivileged, reason)
	}
	return err
}
