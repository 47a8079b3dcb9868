package store

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// roles creates roles for a test, and drops them when it ends.
type roles struct {
	dsn    string // of the superuser, who owns the tables
	schema string
	owner  *sql.DB
}

// newRoles returns the roles of a test in which the superuser owns the tables.
func newRoles(t *testing.T) roles {
	t.Helper()
	r := emptyRoles(t)
	_, _, err := Migrate(t.Context(), r.dsn)
	require.NoError(t, err)
	return r
}

// emptyRoles is like newRoles, without tables.
func emptyRoles(t *testing.T) roles {
	t.Helper()
	r := roles{dsn: postgresDSN(t)}
	u, err := url.Parse(r.dsn)
	require.NoError(t, err)
	r.schema = u.Query().Get("search_path")
	r.owner, err = sql.Open("pgx", r.dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.owner.Close()) })
	return r
}

// create creates a role whose name ends with the suffix, and returns the name and the DSN of its connections.
func (r roles) create(t *testing.T, suffix, attributes string) (name, dsn string) {
	t.Helper()
	name = r.schema + suffix
	r.exec(t, "CREATE ROLE "+quote(name)+" LOGIN "+attributes)
	t.Cleanup(func() { r.exec(t, "DROP OWNED BY "+quote(name)+"; DROP ROLE "+quote(name)) })
	u, err := url.Parse(r.dsn)
	require.NoError(t, err)
	u.User = url.User(name)
	return name, u.String()
}

func (r roles) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := r.owner.Exec(strings.ReplaceAll(statement, "SCHEMA florin", "SCHEMA "+r.schema))
	require.NoError(t, err)
}

// worker creates a role with the privileges of a worker.
func (r roles) worker(t *testing.T, suffix string) (name, dsn string) {
	t.Helper()
	name, dsn = r.create(t, suffix, "")
	require.NoError(t, Grant(t.Context(), r.dsn, name))
	return name, dsn
}

// privileges returns all privileges that a role has on the tables, their columns and the schema, except those of PUBLIC.
func (r roles) privileges(t *testing.T, role string) []string {
	t.Helper()
	return queryLines(t, r.owner, `SELECT privilege_type || ' ON ' || table_name FROM information_schema.role_table_grants WHERE grantee = $1
		UNION ALL SELECT privilege_type || ' (' || column_name || ') ON ' || table_name FROM information_schema.role_column_grants
			WHERE grantee = $1 AND (table_name, privilege_type) NOT IN
				(SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = $1)
		UNION ALL SELECT privilege_type || ' ON SCHEMA ' FROM pg_namespace, aclexplode(nspacl) WHERE nspname = $2 AND grantee = $1::regrole
		ORDER BY 1`, role, r.schema)
}

// sqlOfDocs returns the SQL block of docs/data.md.
func sqlOfDocs(t *testing.T) (erase string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/data.md")
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(block[1], "erased") {
			return block[1]
		}
	}
	require.Fail(t, "docs/data.md does not show how to erase a payment method")
	return ""
}

func TestGrantedPrivilegesAreEnoughForAWorkerAndNotMore(t *testing.T) {
	r := newRoles(t)
	_, dsn := r.worker(t, "_worker")
	s, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	charge := begin(t, s, newCharge("order-1"))
	charge, err = s.RecordPayment(t.Context(), succeeded(charge), byProcessor)
	require.NoError(t, err)
	authorized := begin(t, s, newCharge("order-2"))
	authorized.Status = payment.Authorized
	authorized, err = s.RecordPayment(t.Context(), authorized, byProcessor)
	require.NoError(t, err)
	authorized.Status, authorized.Decline = payment.Declined, &payment.Decline{Code: "lost_card", Kind: payment.DeclineHard}
	_, err = s.RecordPayment(t.Context(), authorized, byProcessor)
	require.NoError(t, err)
	refund, _, _, err := s.ReserveRefund(t.Context(), newRefund("refund-1", charge, 500), fingerprint)
	require.NoError(t, err)
	refund.Status, refund.ProcessorRefundID = payment.Succeeded, "re_1"
	_, err = s.SettleRefund(t.Context(), refund, byProcessor)
	require.NoError(t, err)
	page, err := s.Payments(t.Context(), Filter{MerchantID: "acme"})
	require.NoError(t, err)
	require.Len(t, page.Payments, 2)
	_, err = s.Backlog(t.Context())
	require.NoError(t, err)
	events, err := s.Events(t.Context(), charge.PaymentID)
	require.NoError(t, err)
	require.Len(t, events, 2)
	recordDivergence(t, s, newDivergence(charge))
	require.Len(t, divergences(t, s, payment.DivergenceFilter{Open: true}), 1)
	_, err = s.OpenDivergences(t.Context())
	require.NoError(t, err)
	_, err = s.AcknowledgeDivergence(t.Context(), newDivergence(charge).ID(), "jane", "because")
	require.NoError(t, err)
	register(t, s, "acme")
	control(t, s, pause)
	require.NoError(t, s.RenewShares(t.Context(), []string{"acme"}, func(p ProcessorShares) (RateShare, []string) {
		return share("one", 1, 5, p.Now), []string{"two"}
	}))
	require.NoError(t, s.ReleaseShares(t.Context(), "one"))
	for _, forbidden := range []string{
		"DELETE FROM processor_controls", "UPDATE processor_controls SET processor = 'other'", "DELETE FROM processor_control_events",
		"UPDATE processor_control_events SET changed_by = 'other'", "UPDATE rate_shares SET worker = 'other'", "TRUNCATE rate_shares",
		"DELETE FROM payments", "DELETE FROM refunds", "DELETE FROM payment_events", "DELETE FROM divergences", "DELETE FROM heartbeat",
		"TRUNCATE payment_events", "UPDATE payment_events SET amount = 0", "UPDATE divergences SET evidence = '{}'",
		"UPDATE payments SET refunded_amount = 0", "UPDATE payments SET reserved_amount = 0, revision = revision + 1",
		"UPDATE payments SET amount = 1", "UPDATE payments SET payment_method = 'tok_other'", "UPDATE payments SET idempotency_key = 'other'",
		"UPDATE refunds SET amount = 1", "UPDATE heartbeat SET id = 1", "INSERT INTO heartbeat VALUES (2, now())",
		"INSERT INTO transitions VALUES ('payment', 'failed', 'succeeded')", "UPDATE florin_migrations SET version_id = 1",
		"CREATE TABLE other (n int)", "CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE TRIGGER other BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION florin_refuse('no')",
		"ALTER TABLE payments DISABLE TRIGGER USER", "DROP TABLE payments", "DROP INDEX payments_list",
		"CREATE OR REPLACE FUNCTION payments_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
	} {
		_, err := s.db.ExecContext(t.Context(), forbidden)
		require.ErrorContains(t, err, "42501", forbidden) // insufficient_privilege
	}

	// The documented way to erase a payment method.
	_, err = r.owner.Exec(fmt.Sprintf(strings.ReplaceAll(sqlOfDocs(t), "pay_…", "%s"), charge.PaymentID))
	require.NoError(t, err)
	erased, err := s.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, "erased", erased.PaymentMethod)
	_, created, err := s.BeginPayment(t.Context(), newCharge("order-1"), fingerprint)
	require.NoError(t, err)
	require.False(t, created, "the key still belongs to the payment")
	_, err = r.owner.Exec("UPDATE payments SET payment_method = 'changed'")
	require.ErrorContains(t, err, "never changes", "the trigger is on again")
}

// A role may create temporary tables, functions and triggers, unless the database's owner has revoked that.
func TestWorkerCannotDeceiveTheRulesWithTemporaryObjects(t *testing.T) {
	r := newRoles(t)
	_, dsn := r.worker(t, "_worker")
	s, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	failed := begin(t, s, newCharge("order-1"))
	failed.Status = payment.Failed
	failed, err = s.RecordPayment(t.Context(), failed, byProcessor)
	require.NoError(t, err)
	c := paid(t, s, "order-2")
	reserve(t, s, newRefund("r-1", c, 6_000))

	conn, err := s.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	exec := func(statement string, args ...any) error {
		_, err := conn.ExecContext(t.Context(), statement, args...)
		return err
	}
	require.NoError(t, exec("CREATE TEMPORARY TABLE transitions AS SELECT 'payment' AS kind, 'failed' AS from_status, 'succeeded' AS to_status"))
	err = exec("UPDATE "+r.schema+".payments SET status = 'succeeded', revision = revision + 1 WHERE payment_id = $1", failed.PaymentID)
	require.ErrorContains(t, err, "illegal transition")

	require.NoError(t, exec("CREATE TEMPORARY TABLE payments AS SELECT * FROM "+r.schema+".payments"))
	require.NoError(t, exec("UPDATE pg_temp.payments SET reserved_amount = 0"))
	more := newRefund("r-2", c, 6_000)
	err = exec(strings.Replace(rawRefund, "INTO refunds", "INTO "+r.schema+".refunds", 1), rawRefundArgs(more)...)
	require.ErrorContains(t, err, "payments_refunds_within_captured")

	require.NoError(t, exec("CREATE TEMPORARY TABLE refunds AS SELECT * FROM "+r.schema+".refunds"))
	err = exec("CREATE TRIGGER count AFTER INSERT OR UPDATE ON pg_temp.refunds FOR EACH ROW EXECUTE FUNCTION " + r.schema + ".refunds_count()")
	require.ErrorContains(t, err, "42501")

	_, reserved := amounts(t, s, c)
	require.Equal(t, int64(6_000), reserved)
}

// Each function of a trigger has a search path of its own, whichever migration created or replaced it.
func TestTriggersFindTheTablesWhateverTheSearchPathIs(t *testing.T) {
	r := newRoles(t)
	require.Empty(t, queryLines(t, r.owner, `SELECT proname FROM pg_proc WHERE pronamespace = $1::regnamespace
		AND (proconfig IS NULL OR NOT 'search_path=' || $1 || ', pg_temp' = ANY (proconfig))`, r.schema))
	require.NotEmpty(t, queryLines(t, r.owner, "SELECT proname FROM pg_proc WHERE pronamespace = $1::regnamespace", r.schema))
}

func TestGrantReplacesOtherPrivilegesAndIsSafeToRepeat(t *testing.T) {
	r := newRoles(t)
	fresh, _ := r.worker(t, "_fresh")
	want := r.privileges(t, fresh)
	require.Contains(t, want, "UPDATE (status) ON payments")
	require.Contains(t, want, "USAGE ON SCHEMA ")

	// A role as docs/data.md once described it, and more.
	old, dsn := r.create(t, "_old", "")
	r.exec(t, "GRANT ALL ON ALL TABLES IN SCHEMA florin TO "+quote(old)+"; GRANT ALL ON SCHEMA florin TO "+quote(old))
	runConcurrently(4, func(int) { require.NoError(t, Grant(t.Context(), r.dsn, old)) })
	require.Equal(t, want, r.privileges(t, old))
	s, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Equal(t, want, r.privileges(t, fresh), "other roles keep theirs")
}

// A table of a later migration needs an entry in grants, unless only the owner of the tables uses it.
func TestGrantsNameEveryTable(t *testing.T) {
	r := newRoles(t)
	tables := queryLines(t, r.owner, `SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p')
		AND NOT relispartition ORDER BY 1`, r.schema)
	require.Equal(t, tables, slices.Sorted(slices.Values(grantedTables())))
}

func TestGrantRefusesARoleThatIsNotAWorkers(t *testing.T) {
	r := newRoles(t)
	owner := queryLines(t, r.owner, "SELECT current_user")[0]
	member, _ := r.create(t, "_member", "")
	r.exec(t, "GRANT "+quote(owner)+" TO "+quote(member))
	creator, _ := r.create(t, "_creator", "CREATEROLE")
	schemaOwner, _ := r.create(t, "_schema", "")
	r.exec(t, "ALTER SCHEMA florin OWNER TO "+quote(schemaOwner))
	t.Cleanup(func() { r.exec(t, "ALTER SCHEMA florin OWNER TO "+quote(owner)) })
	for _, tt := range []struct{ name, role, want string }{
		{name: "none", role: "", want: "there is no such role"},
		{name: "unknown", role: "nobody", want: `there is no such role: create it with: CREATE ROLE "nobody" LOGIN PASSWORD '…'`},
		{name: "every role", role: "public", want: "there is no such role"},
		{name: "a statement", role: `x"; DROP TABLE payments; --`, want: `CREATE ROLE "x""; DROP TABLE payments; --" LOGIN`},
		{name: "superuser", role: owner, want: "the role is a superuser"},
		{name: "member of the owner", role: member, want: "the role is a superuser"},
		{name: "may create roles", role: creator, want: "the role may create roles"},
		{name: "owner of the schema", role: schemaOwner, want: "the role owns the schema"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Grant(t.Context(), r.dsn, tt.role)
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, tt.want)
			require.False(t, Temporary(err))
		})
	}
	require.ErrorContains(t, Grant(t.Context(), sqliteDSN(t), "florin_worker"), "SQLite has no roles")
}

func TestGrantAcceptsANameThatNeedsQuotes(t *testing.T) {
	r := newRoles(t)
	_, dsn := r.worker(t, `_Florin's "worker"; --`)
	s, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestGrantByARoleThatMayNotGrantIsRefused(t *testing.T) {
	r := newRoles(t)
	_, worker := r.worker(t, "_worker")
	other, _ := r.create(t, "_other", "")
	err := Grant(t.Context(), worker, other)
	require.Error(t, err)
	require.False(t, Temporary(err))
	require.Empty(t, r.privileges(t, other), "nothing was granted")
}

// An owner of the tables that owns neither the schema nor the database.
func TestGrantNeedsTheUseOfTheSchemaFromItsOwner(t *testing.T) {
	r := emptyRoles(t)
	owner, dsn := r.create(t, "_owner", "")
	r.exec(t, "GRANT USAGE, CREATE ON SCHEMA florin TO "+quote(owner))
	_, _, err := Migrate(t.Context(), dsn)
	require.NoError(t, err)
	worker, workerDSN := r.create(t, "_worker", "")

	err = Grant(t.Context(), dsn, worker)
	require.ErrorIs(t, err, ErrNotGranted)
	require.ErrorContains(t, err, "this role may not grant USAGE ON SCHEMA "+r.schema+": run it with the role that owns the schema and the tables")
	require.Empty(t, r.privileges(t, worker), "nothing was granted")
	r.exec(t, "GRANT USAGE ON SCHEMA florin TO "+quote(worker))
	require.NoError(t, Grant(t.Context(), dsn, worker))
	s, err := Open(t.Context(), workerDSN)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = Open(t.Context(), dsn)
	require.ErrorContains(t, err, "it owns the tables")
}

func TestWorkerRefusesARoleThatMayDoTooMuch(t *testing.T) {
	r := newRoles(t)
	superuser := queryLines(t, r.owner, "SELECT current_user")[0]
	tableOwner, tableOwnerDSN := r.worker(t, "_tables")
	r.exec(t, "ALTER TABLE heartbeat OWNER TO "+quote(tableOwner))
	t.Cleanup(func() { r.exec(t, "ALTER TABLE heartbeat OWNER TO "+quote(superuser)) })
	member, memberDSN := r.worker(t, "_member")
	r.exec(t, "GRANT "+quote(tableOwner)+" TO "+quote(member))
	// NOINHERIT: it has no privileges of the owner before SET ROLE.
	latent, latentDSN := r.create(t, "_latent", "NOINHERIT")
	require.NoError(t, Grant(t.Context(), r.dsn, latent))
	r.exec(t, "GRANT "+quote(tableOwner)+" TO "+quote(latent))
	_, creatorDSN := r.create(t, "_creator", "CREATEROLE")
	schemaOwner, schemaOwnerDSN := r.worker(t, "_schema")
	r.exec(t, "ALTER SCHEMA florin OWNER TO "+quote(schemaOwner))
	t.Cleanup(func() { r.exec(t, "ALTER SCHEMA florin OWNER TO "+quote(superuser)) })
	for _, tt := range []struct{ name, dsn, want string }{
		{name: "superuser", dsn: r.dsn, want: "it is a superuser"},
		{name: "superuser that has become a worker", dsn: withParameter(t, r.dsn, "role", member), want: "it is a superuser"},
		{name: "owner of a table", dsn: tableOwnerDSN, want: "it owns the tables"},
		{name: "member of the owner", dsn: memberDSN, want: "it owns the tables"},
		{name: "member that can become the owner", dsn: latentDSN, want: "it owns the tables"},
		{name: "may create roles", dsn: creatorDSN, want: "it may create roles"},
		{name: "owner of the schema", dsn: schemaOwnerDSN, want: "it owns the schema"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.dsn)
			require.ErrorIs(t, err, ErrPrivileged)
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "worker migrate --grant-to florin_worker; or set allow_owner: true in store")
			require.False(t, Temporary(err))
		})
	}
	s, err := Open(t.Context(), r.dsn, AllowOwner(true))
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestWorkerRefusesARoleThatLacksPrivileges(t *testing.T) {
	r := newRoles(t)
	role, dsn := r.worker(t, "_worker")
	for _, lost := range []string{"UPDATE (acknowledged_by) ON divergences", "SELECT ON florin_migrations", "INSERT ON payment_events"} {
		r.exec(t, "REVOKE "+lost+" FROM "+quote(role))
		_, err := Open(t.Context(), dsn)
		require.ErrorIs(t, err, ErrNotGranted)
		require.ErrorContains(t, err, lost)
		require.ErrorContains(t, err, "worker migrate --grant-to ROLE")
		require.False(t, Temporary(err))
		require.NoError(t, Grant(t.Context(), r.dsn, role))
	}
	s, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
