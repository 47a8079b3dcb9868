package activities

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// keeping has the activities over an empty store, and processors "one", the default, and "two".
func keeping(t *testing.T) (*testsuite.TestActivityEnvironment, *Payments) {
	t.Helper()
	dsn := "sqlite://" + filepath.Join(t.TempDir(), "florin.db")
	_, _, err := store.Migrate(t.Context(), dsn)
	require.NoError(t, err)
	books, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { books.Close() })
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	p := &Payments{Store: books, Default: "one", Processors: map[string]Terms{"one": {Processor: "one"}, "two": {Processor: "two"}}}
	p.Register(env)
	return env, p
}

func got[T any](t *testing.T, value converter.EncodedValue, err error) (out T) {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, value.Get(&out))
	return out
}

// requireFinal checks an error that is not tried again.
func requireFinal(t *testing.T, err error, code payment.RefusalCode) {
	t.Helper()
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.True(t, application.NonRetryable())
	require.Equal(t, string(code), application.Type())
}

var purchase = payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}

func TestBeginPaymentChoosesAProcessorThatThereIs(t *testing.T) {
	env, _ := keeping(t)
	for asked, want := range map[string]string{"": "one", "two": "two"} {
		req := purchase
		req.Processor, req.IdempotencyKey = asked, "order-"+asked
		value, err := env.ExecuteActivity(payment.ActivityBeginPayment, req)
		begun := got[BeginResult](t, value, err)
		require.Equal(t, []any{want, want, false}, []any{begun.Terms.Processor, begun.Charge.Processor, begun.Resumed})
		require.Equal(t, payment.Processing, begun.Charge.Status)
	}
	req := purchase
	req.Processor = "three"
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, req)
	requireFinal(t, err, payment.ErrInvalidRequest)
	require.ErrorContains(t, err, "one or two")
}

func TestAPaymentBeginsOnceAndGoesOnWithTheProcessorItHas(t *testing.T) {
	env, p := keeping(t)
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase)
	require.NoError(t, err)
	p.Default = "two"
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase)
	begun := got[BeginResult](t, value, err)
	require.True(t, begun.Resumed)
	require.Equal(t, "one", begun.Terms.Processor)

	other := purchase
	other.Amount++
	_, err = env.ExecuteActivity(payment.ActivityBeginPayment, other)
	requireFinal(t, err, payment.ErrIdempotencyMismatch)

	// Nobody could find out about it: that is waited for, and said.
	delete(p.Processors, "one")
	_, err = env.ExecuteActivity(payment.ActivityBeginPayment, purchase)
	require.ErrorContains(t, err, `processor "one" of this payment is no longer configured`)
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.False(t, application.NonRetryable())
}

func TestARefundIsReservedAtItsPaymentsProcessor(t *testing.T) {
	env, _ := keeping(t)
	req := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: payment.PaymentID("acme", "order-1")}
	_, err := env.ExecuteActivity(payment.ActivityReserveRefund, req)
	requireFinal(t, err, payment.ErrPaymentNotFound)

	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase)
	charge := got[BeginResult](t, value, err).Charge
	_, err = env.ExecuteActivity(payment.ActivityReserveRefund, req)
	requireFinal(t, err, payment.ErrPaymentNotRefundable)

	charge.Status, charge.CapturedAmount, charge.ProcessorPaymentID = payment.Succeeded, 1250, "ch_1"
	value, err = env.ExecuteActivity(payment.ActivityRecordPayment, charge, Cause{By: "processor"})
	require.Equal(t, payment.Succeeded, got[payment.Charge](t, value, err).Status)

	value, err = env.ExecuteActivity(payment.ActivityReserveRefund, req)
	reserved := got[ReserveResult](t, value, err)
	require.Equal(t, []any{"one", int64(1250), "ch_1", false}, []any{reserved.Terms.Processor, reserved.Refund.Amount, reserved.Of.ProcessorPaymentID, reserved.Resumed})
	value, err = env.ExecuteActivity(payment.ActivityReserveRefund, req)
	require.True(t, got[ReserveResult](t, value, err).Resumed)

	reserved.Refund.Status, reserved.Refund.ProcessorRefundID = payment.Succeeded, "re_1"
	value, err = env.ExecuteActivity(payment.ActivitySettleRefund, reserved.Refund, Cause{By: "processor"})
	require.Equal(t, payment.Succeeded, got[payment.Refund](t, value, err).Status)
	another := req
	another.IdempotencyKey = "refund-2"
	_, err = env.ExecuteActivity(payment.ActivityReserveRefund, another)
	requireFinal(t, err, payment.ErrRefundExceedsCaptured)
}

func TestAStoreThatIsDownIsWaitedFor(t *testing.T) {
	env, p := keeping(t)
	require.NoError(t, p.Store.Close())
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase)
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.False(t, application.NonRetryable())
}

func TestTheStoreIsReadForServices(t *testing.T) {
	env, _ := keeping(t)
	_, err := env.ExecuteActivity(payment.ActivityGetPayment, "acme", "order-1")
	requireFinal(t, err, payment.ErrNotFound)
	_, err = env.ExecuteActivity(payment.ActivityGetRefund, "acme", "refund-1")
	requireFinal(t, err, payment.ErrNotFound)

	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase)
	begun := got[BeginResult](t, value, err).Charge
	value, err = env.ExecuteActivity(payment.ActivityGetPayment, "acme", "order-1")
	require.Equal(t, begun, got[payment.Charge](t, value, err))
	value, err = env.ExecuteActivity(payment.ActivityListPayments, payment.Filter{MerchantID: "acme"})
	require.Equal(t, []payment.Charge{begun}, got[payment.Page](t, value, err).Payments)
	_, err = env.ExecuteActivity(payment.ActivityListPayments, payment.Filter{Cursor: "nonsense"})
	requireFinal(t, err, payment.ErrInvalidRequest)
}

func TestAPaymentOfAProcessorThatIsGoneIsStillKnown(t *testing.T) {
	env, p := keeping(t)
	req := purchase
	req.Processor = "two"
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, req)
	charge := got[BeginResult](t, value, err).Charge
	charge.Status, charge.CapturedAmount = payment.Succeeded, 1250
	_, err = env.ExecuteActivity(payment.ActivityRecordPayment, charge, Cause{By: "processor"})
	require.NoError(t, err)
	delete(p.Processors, "two")
	value, err = env.ExecuteActivity(payment.ActivityBeginPayment, req)
	require.Equal(t, payment.Succeeded, got[BeginResult](t, value, err).Charge.Status)
}
