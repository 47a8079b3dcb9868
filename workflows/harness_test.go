package workflows

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// answer is what the scripted processor says to one call.
type answer struct {
	result processor.Result
	err    error
	absent bool // of a lookup: no record
	panics bool // the attempt ends without a word
}

// scripted is a processor that says what the test wrote down, the last answer for ever, and remembers what it
// was asked. Everything above it, activities included, is the real thing.
type scripted struct {
	processor.Processor
	mu      sync.Mutex
	charges []answer
	refunds []answer
	// captures and voids are the orders of a payment.
	captures []answer
	voids    []answer
	lookups  map[payment.Operation][]answer

	chargeCalls  []processor.ChargeCall
	refundCalls  []processor.RefundCall
	captureCalls []processor.CaptureCall
	voidCalls    []processor.VoidCall
	lookupCalls  []processor.LookupCall
}

func next(answers *[]answer) answer {
	if len(*answers) == 0 {
		return answer{err: &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Message: "not scripted"}}
	}
	a := (*answers)[0]
	if len(*answers) > 1 {
		*answers = (*answers)[1:]
	}
	if a.panics {
		panic("scripted")
	}
	return a
}

func (s *scripted) Charge(_ context.Context, call processor.ChargeCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chargeCalls = append(s.chargeCalls, call)
	a := next(&s.charges)
	return a.result, a.err
}

func (s *scripted) Capture(_ context.Context, call processor.CaptureCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.captureCalls = append(s.captureCalls, call)
	a := next(&s.captures)
	return a.result, a.err
}

func (s *scripted) Void(_ context.Context, call processor.VoidCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.voidCalls = append(s.voidCalls, call)
	a := next(&s.voids)
	return a.result, a.err
}

func (s *scripted) Refund(_ context.Context, call processor.RefundCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refundCalls = append(s.refundCalls, call)
	a := next(&s.refunds)
	return a.result, a.err
}

func (s *scripted) Lookup(_ context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookupCalls = append(s.lookupCalls, call)
	answers := s.lookups[call.Operation]
	a := next(&answers)
	s.lookups[call.Operation] = answers
	return a.result, !a.absent && a.err == nil, a.err
}

var testTerms = activities.Terms{
	Processor:         "sim",
	StartToClose:      activities.Duration(30 * time.Second),
	ScheduleToClose:   activities.Duration(15 * time.Minute),
	KeyLifetime:       activities.Duration(24 * time.Hour),
	RetryInitial:      activities.Duration(time.Second),
	RetryMax:          activities.Duration(30 * time.Second),
	RetryMultiplier:   2,
	AbsenceProofAfter: activities.Duration(2 * time.Minute),
	Resolve:           activities.Poll{Initial: activities.Duration(2 * time.Second), Max: activities.Duration(5 * time.Minute), For: activities.Duration(24 * time.Hour)},
	AuthorizationFor:  activities.Duration(7 * 24 * time.Hour),
	Pending:           activities.Poll{Initial: activities.Duration(5 * time.Second), Max: activities.Duration(15 * time.Minute), For: activities.Duration(7 * 24 * time.Hour)},
}

// newEnvironment runs the workflows with time skipping and the real activities over p.
func newEnvironment(t *testing.T, p processor.Processor) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	return newEnvironmentOn(t, p, testTerms)
}

// newEnvironmentOn is newEnvironment on terms of the test's own.
func newEnvironmentOn(t *testing.T, p processor.Processor, terms activities.Terms) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	return newEnvironmentOver(t, p, terms, newStore(t))
}

// newEnvironmentOver is newEnvironmentOn with a store that has something in it.
func newEnvironmentOver(t *testing.T, p processor.Processor, terms activities.Terms, books *store.Store) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	Register(env)
	keeping := &activities.Payments{Store: books, Default: "sim", Processors: map[string]activities.Terms{"sim": terms}}
	calls := activities.NewProcessor(p, retry.DefaultBackoff, 5*time.Minute)
	keeping.Register(env)
	calls.Register(env)
	return env
}

// newStore is a store of its own for each test.
func newStore(t *testing.T) *store.Store {
	t.Helper()
	dsn := "sqlite://" + filepath.Join(t.TempDir(), "florin.db")
	_, _, err := store.Migrate(t.Context(), dsn)
	require.NoError(t, err)
	s, err := store.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// stored is a store that has the payment of chargeRequest with this status, of which so much went back before.
func stored(t *testing.T, status payment.Status, refunded int64) *store.Store {
	t.Helper()
	books := newStore(t)
	req := chargeRequest()
	c, created, err := books.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "order-1", Amount: req.Amount, Currency: req.Currency,
		Processor: "sim", PaymentMethod: req.PaymentMethod, CreatedAt: long, UpdatedAt: long,
	}, req.Fingerprint())
	require.NoError(t, err)
	require.True(t, created)
	if status == payment.Processing {
		return books
	}
	c.Status, c.ProcessorPaymentID, c.UpdatedAt = status, "ch_1", long
	if status == payment.Succeeded {
		c.CapturedAmount = req.Amount
	}
	_, err = books.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
	require.NoError(t, err)
	if refunded == 0 {
		return books
	}
	before := payment.Refund{
		RefundID: payment.RefundID("acme", "before"), PaymentID: c.PaymentID, MerchantID: "acme", IdempotencyKey: "before", Amount: refunded, Status: payment.Processing,
	}
	before, _, _, err = books.ReserveRefund(t.Context(), before, "fingerprint")
	require.NoError(t, err)
	before.Status, before.ProcessorRefundID = payment.Succeeded, "re_before"
	_, err = books.SettleRefund(t.Context(), before, activities.Cause{By: "test"})
	require.NoError(t, err)
	return books
}

// long is a moment in the past, by the clock of the SDK's test environment and by ours.
var long = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func chargeRequest() payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
}

func chargeKey() string {
	return payment.ProcessorKey(payment.PaymentID("acme", "order-1"), payment.OperationCharge, 0)
}

// charged is what the processor has once the charge of chargeRequest went through.
func charged(status payment.Status) answer {
	r := processor.Result{ID: "ch_1", Status: status, Amount: 1250, Currency: "USD", Reference: chargeKey(), RequestID: "req_1"}
	if status == payment.Succeeded {
		r.CapturedAmount = 1250
	}
	if status == payment.Declined {
		r.Decline = &payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft}
	}
	return answer{result: r}
}

func refused(class payment.FailureClass, certainty processor.Certainty, retry bool) answer {
	return answer{err: &processor.Error{Class: class, Certainty: certainty, Retry: retry, Message: "scripted"}}
}

var absent = answer{absent: true}

// captured is what the processor has once so much was captured of what it holds.
func captured(amount int64) answer {
	a := charged(payment.Succeeded)
	a.result.CapturedAmount = amount
	return a
}

func runCharge(t *testing.T, p *scripted, req payment.ChargeRequest) payment.Charge {
	t.Helper()
	env := newEnvironment(t, p)
	env.ExecuteWorkflow(payment.WorkflowCharge, req)
	require.True(t, env.IsWorkflowCompleted(), "the charge never ended")
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	return c
}

// queried is the answer of the query status.
func queried[T any](t *testing.T, value converter.EncodedValue, err error) T {
	t.Helper()
	require.NoError(t, err)
	var out T
	require.NoError(t, value.Get(&out))
	return out
}
