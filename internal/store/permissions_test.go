package store

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// sqlOfDocs returns the SQL blocks of docs/data.md.
func sqlOfDocs(t *testing.T) (erase, grant string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/data.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 2)
	return blocks[0][1], blocks[1][1]
}

func TestDocumentedPermissionsAreEnoughForAWorker(t *testing.T) {
	dsn := postgresDSN(t)
	_, _, err := Migrate(t.Context(), dsn)
	require.NoError(t, err)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	schema := u.Query().Get("search_path")
	role := schema + "_worker"
	owner, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := owner.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
		require.NoError(t, err)
		require.NoError(t, owner.Close())
	})
	erase, grant := sqlOfDocs(t)
	_, err = owner.Exec("CREATE ROLE " + role + " LOGIN; " +
		strings.NewReplacer("SCHEMA public", "SCHEMA "+schema, "florin_worker", role).Replace(grant))
	require.NoError(t, err)
	u.User = url.User(role)
	s, err := Open(t.Context(), u.String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	charge := begin(t, s, newCharge("order-1"))
	charge, err = s.RecordPayment(t.Context(), succeeded(charge), byProcessor)
	require.NoError(t, err)
	refund, _, _, err := s.ReserveRefund(t.Context(), newRefund("refund-1", charge, 500), fingerprint)
	require.NoError(t, err)
	refund.Status, refund.ProcessorRefundID = payment.Succeeded, "re_1"
	_, err = s.SettleRefund(t.Context(), refund, byProcessor)
	require.NoError(t, err)
	page, err := s.Payments(t.Context(), Filter{MerchantID: "acme"})
	require.NoError(t, err)
	require.Len(t, page.Payments, 1)
	_, err = s.Backlog(t.Context())
	require.NoError(t, err)
	events, err := s.Events(t.Context(), charge.PaymentID)
	require.NoError(t, err)
	require.Len(t, events, 2)
	recordDivergence(t, s, newDivergence(charge))
	require.Len(t, divergences(t, s, payment.DivergenceFilter{Open: true}), 1)
	_, err = s.OpenDivergences(t.Context())
	require.NoError(t, err)
	_, err = s.AcknowledgeDivergence(t.Context(), newDivergence(charge).ID(), "jane")
	require.NoError(t, err)
	for _, forbidden := range []string{
		"DELETE FROM payments", "TRUNCATE payment_events", "UPDATE payment_events SET amount = 0",
		"DELETE FROM divergences", "UPDATE divergences SET evidence = '{}'",
		"ALTER TABLE payments DISABLE TRIGGER USER", "INSERT INTO transitions VALUES ('payment', 'failed', 'succeeded')",
	} {
		_, err := s.db.ExecContext(t.Context(), forbidden)
		require.ErrorContains(t, err, "42501", forbidden) // insufficient_privilege
	}

	// The documented way to erase a payment method.
	_, err = owner.Exec(fmt.Sprintf(strings.ReplaceAll(erase, "pay_…", "%s"), charge.PaymentID))
	require.NoError(t, err)
	erased, err := s.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, "erased", erased.PaymentMethod)
	_, created, err := s.BeginPayment(t.Context(), newCharge("order-1"), fingerprint)
	require.NoError(t, err)
	require.False(t, created, "the key still belongs to the payment")
	_, err = owner.Exec("UPDATE payments SET payment_method = 'changed'")
	require.ErrorContains(t, err, "never changes", "the trigger is on again")
}
