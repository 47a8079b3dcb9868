package store

import (
	"io/fs"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// Payments and refunds that were open before the migration keep the time of their last transition.
func TestMigrationKeepsTheAgeOfOpenPayments(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		target, err := newTarget(dsn, asOwner)
		require.NoError(t, err)
		require.NoError(t, target.createFile())
		db, err := target.open(t.Context(), writes)
		require.NoError(t, err)
		files, err := fs.Sub(migrations, "migrations/"+target.name)
		require.NoError(t, err)
		provider, err := goose.NewProvider(target.goose, db, files, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
		require.NoError(t, err)
		_, err = provider.UpTo(t.Context(), 7)
		require.NoError(t, err)
		exec := func(statement string, args ...any) {
			_, err := db.Exec(statement, args...)
			require.NoError(t, err)
		}
		const change = ", revision = revision + 1, cause_by = 'sql', cause_evidence = '{}' WHERE "
		at := func(minute int) string {
			return "updated_at = '" + formatTime(later.Add(time.Duration(minute)*time.Minute)) + "'"
		}
		waiting, paid, answered := newCharge("order-1"), newCharge("order-2"), newCharge("order-3")
		refund := newRefund("r-1", paid, 100)
		exec(rawPayment, rawPaymentArgs(waiting)...)
		exec(rawPayment, rawPaymentArgs(paid)...)
		exec(rawPayment, rawPaymentArgs(answered)...)
		exec("UPDATE payments SET status = 'pending', "+at(1)+change+"payment_id = $1", answered.PaymentID)
		exec("UPDATE payments SET status = 'unknown', "+at(2)+change+"payment_id = $1", answered.PaymentID)
		exec("UPDATE payments SET status = 'succeeded', captured_amount = 10000, "+at(1)+change+"payment_id = $1", paid.PaymentID)
		exec(rawRefund, rawRefundArgs(refund)...)
		exec("UPDATE payments SET status = 'unknown', "+at(2)+change+"payment_id = $1", waiting.PaymentID)
		exec("UPDATE payments SET processor_request_id = 'req_1', "+at(3)+change+"payment_id = $1", waiting.PaymentID)
		exec("UPDATE refunds SET status = 'pending', "+at(4)+change+"refund_id = $1", refund.RefundID)
		exec("UPDATE refunds SET processor_refund_id = 're_1', "+at(5)+change+"refund_id = $1", refund.RefundID)
		require.NoError(t, db.Close())

		s := open(t, dsn)
		observed := observe(s)
		answered.Status, answered.UpdatedAt = payment.Failed, later.Add(3*time.Minute)
		_, err = s.RecordPayment(t.Context(), answered, byProcessor)
		require.NoError(t, err)
		require.Equal(t, payment.Unknown, observed()[0].From)
		require.False(t, observed()[0].FirstOutcome, "it was pending before")
		events, err := s.Events(t.Context(), answered.PaymentID)
		require.NoError(t, err)
		require.Len(t, events, 4)
		backlog, err := s.Backlog(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, []Backlog{
			{Processor: "rest", Status: payment.Unknown, Count: 1, Since: later.Add(2 * time.Minute)},
			{Refund: true, Processor: "rest", Status: payment.Pending, Count: 1, Since: later.Add(4 * time.Minute)},
		}, backlog)
		// The rules apply as before, to statements of any SQL client.
		_, err = s.db.Exec("UPDATE refunds SET status = 'succeeded' WHERE refund_id = $1", refund.RefundID)
		require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid)
		_, reserved := amounts(t, s, paid)
		require.Equal(t, int64(100), reserved)
		execSQL(t, s, "UPDATE refunds SET status = 'unknown', "+at(6)+change+"refund_id = $1", refund.RefundID)
		execSQL(t, s, "UPDATE payments SET status = 'pending', "+at(7)+change+"payment_id = $1", waiting.PaymentID)
		backlog, err = s.Backlog(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, []Backlog{
			{Processor: "rest", Status: payment.Pending, Count: 1, Since: later.Add(7 * time.Minute)},
			{Refund: true, Processor: "rest", Status: payment.Unknown, Count: 1, Since: later.Add(6 * time.Minute)},
		}, backlog)
		execSQL(t, s, "UPDATE refunds SET status = 'succeeded', "+at(8)+change+"refund_id = $1", refund.RefundID)
		refunded, reserved := amounts(t, s, paid)
		require.Equal(t, []int64{100, 0}, []int64{refunded, reserved})
	})
}

// Divergences from before the migration that lets them have no payment.
func TestMigrationKeepsDivergences(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, dsn string) {
		target, err := newTarget(dsn, asOwner)
		require.NoError(t, err)
		require.NoError(t, target.createFile())
		db, err := target.open(t.Context(), writes)
		require.NoError(t, err)
		files, err := fs.Sub(migrations, "migrations/"+target.name)
		require.NoError(t, err)
		provider, err := goose.NewProvider(target.goose, db, files, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
		require.NoError(t, err)
		_, err = provider.UpTo(t.Context(), 13)
		require.NoError(t, err)
		exec := func(statement string, args ...any) {
			_, err := db.Exec(statement, args...)
			require.NoError(t, err)
		}
		c := newCharge("order-1")
		exec(rawPayment, rawPaymentArgs(c)...)
		before, dispute := newDivergence(c), newDivergence(c)
		dispute.Kind, dispute.Evidence = payment.DivergenceDispute, map[string]string{}
		for _, d := range []payment.Divergence{before, dispute} {
			_, evidence, err := Cause{By: d.DetectedBy, Evidence: d.Evidence}.encode()
			require.NoError(t, err)
			exec(`INSERT INTO divergences (divergence_id, payment_id, merchant_id, kind, status_here, status_there, evidence, detected_at, detected_by,
				fingerprint) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, d.ID(), d.PaymentID, d.MerchantID, string(d.Kind), string(d.StatusHere),
				d.StatusThere, evidence, formatTime(d.DetectedAt), d.DetectedBy, d.Fingerprint())
		}
		exec("UPDATE divergences SET acknowledged_at = $1, acknowledged_by = 'jane' WHERE divergence_id = $2", formatTime(later), dispute.ID())
		require.NoError(t, db.Close())

		s := open(t, dsn)
		stored := divergences(t, s, payment.DivergenceFilter{Processor: "rest"})
		require.Len(t, stored, 2)
		open := divergences(t, s, payment.DivergenceFilter{Open: true})
		before.DivergenceID, before.Processor = before.ID(), "rest"
		require.Equal(t, []payment.Divergence{before}, open)
		created, err := s.RecordDivergence(t.Context(), newDivergence(c))
		require.NoError(t, err)
		require.False(t, created, "it is known")
		_, err = s.db.Exec("DELETE FROM divergences")
		require.Error(t, err)
		_, err = s.db.Exec("UPDATE divergences SET kind = 'amount'")
		require.Error(t, err)
	})
}
