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
