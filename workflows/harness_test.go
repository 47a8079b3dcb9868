package workflows

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// response is how the scripted processor responds to one call.
type response struct {
	result processor.Result
	err    error
	// absent: a lookup finds no record.
	absent bool
	// panics: the activity attempt panics, so that no response arrives.
	panics bool
}

// scriptedProcessor returns the responses that the test has listed, in order, and then the last one repeatedly. It records
// the calls that it receives. Everything above it is the production code, activities included.
type scriptedProcessor struct {
	processor.Processor
	mu       sync.Mutex
	charges  []response
	refunds  []response
	captures []response
	voids    []response
	lookups  map[payment.Operation][]response
	// named are the records under the processor's ids; those that are not listed do not respond.
	named map[string]response

	chargeCalls  []processor.ChargeCall
	refundCalls  []processor.RefundCall
	captureCalls []processor.CaptureCall
	voidCalls    []processor.VoidCall
	lookupCalls  []processor.LookupCall
}

// next returns the first of the responses, and removes it unless it is the last.
func next(responses *[]response) response {
	if len(*responses) == 0 {
		return response{err: &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Message: "not scripted"}}
	}
	r := (*responses)[0]
	if len(*responses) > 1 {
		*responses = (*responses)[1:]
	}
	if r.panics {
		panic("scripted")
	}
	return r
}

func (s *scriptedProcessor) Charge(_ context.Context, call processor.ChargeCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chargeCalls = append(s.chargeCalls, call)
	r := next(&s.charges)
	return r.result, r.err
}

func (s *scriptedProcessor) Capture(_ context.Context, call processor.CaptureCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.captureCalls = append(s.captureCalls, call)
	r := next(&s.captures)
	return r.result, r.err
}

func (s *scriptedProcessor) Void(_ context.Context, call processor.VoidCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.voidCalls = append(s.voidCalls, call)
	r := next(&s.voids)
	return r.result, r.err
}

func (s *scriptedProcessor) Refund(_ context.Context, call processor.RefundCall) (processor.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refundCalls = append(s.refundCalls, call)
	r := next(&s.refunds)
	return r.result, r.err
}

func (s *scriptedProcessor) Lookup(_ context.Context, call processor.LookupCall) (processor.Result, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if call.ID != "" {
		r, ok := s.named[call.ID]
		if !ok {
			r = lostResponse
		}
		return r.result, !r.absent && r.err == nil, r.err
	}
	s.lookupCalls = append(s.lookupCalls, call)
	responses := s.lookups[call.Operation]
	r := next(&responses)
	s.lookups[call.Operation] = responses
	return r.result, !r.absent && r.err == nil, r.err
}

// testProfile is that of the scripted processor.
var testProfile = processor.Profile{SeenBefore: func(code string) bool { return code == "duplicate_transaction" }}

var testTerms = activities.Terms{
	Processor:         "sim",
	StartToClose:      activities.Duration(30 * time.Second),
	ScheduleToClose:   activities.Duration(15 * time.Minute),
	KeyLifetime:       activities.Duration(24 * time.Hour),
	SendWithin:        activities.Duration(24 * time.Hour),
	RetryInitial:      activities.Duration(time.Second),
	RetryMax:          activities.Duration(30 * time.Second),
	RetryMultiplier:   2,
	AbsenceProofAfter: activities.Duration(2 * time.Minute),
	Resolve: activities.Poll{
		Initial: activities.Duration(2 * time.Second), Max: activities.Duration(5 * time.Minute),
		For: activities.Duration(24 * time.Hour),
	},
	AuthorizationFor: activities.Duration(7 * 24 * time.Hour),
	Pending: activities.Poll{
		Initial: activities.Duration(5 * time.Second), Max: activities.Duration(15 * time.Minute),
		For: activities.Duration(7 * 24 * time.Hour),
	},
}

// newEnvironment returns a test environment with the workflows, the real activities over p, an empty store and
// [testTerms]. It skips time while a workflow waits.
func newEnvironment(t *testing.T, p processor.Processor) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	return newEnvironmentWithTerms(t, p, testTerms)
}

// newEnvironmentWithTerms is [newEnvironment] with other terms.
func newEnvironmentWithTerms(t *testing.T, p processor.Processor, terms activities.Terms) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	return newEnvironmentWithStore(t, p, terms, storetest.New(t))
}

// newEnvironmentWithStore is [newEnvironmentWithTerms] with a store that the test has prepared, or reads afterwards.
func newEnvironmentWithStore(
	t *testing.T, p processor.Processor, terms activities.Terms, db *store.Store,
) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(10 * time.Minute)
	Register(env)
	storeActivities := &activities.Payments{Store: db, Default: "sim", Terms: map[string]activities.Terms{"sim": terms}}
	processorActivities := activities.NewProcessor(p, testProfile, retry.DefaultBackoff, 5*time.Minute, activities.Guard{})
	storeActivities.RegisterWrites(env)
	processorActivities.Register(env)
	return env
}

// execute runs a workflow under the ID with which services start it.
func execute(env *testsuite.TestWorkflowEnvironment, name string, request any) {
	var id string
	switch req := request.(type) {
	case payment.ChargeRequest:
		id = payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey)
	case payment.RefundRequest:
		id = payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey)
	case payment.RecheckRequest:
		id = payment.RecheckWorkflowID(req)
	}
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: id, TaskQueue: payment.TaskQueue})
	env.ExecuteWorkflow(name, request)
}

// storeWithPayment returns a store with the payment of [chargeRequest] in this status, of which the amount refunded was
// refunded.
func storeWithPayment(t *testing.T, status payment.Status, refunded int64) *store.Store {
	t.Helper()
	db := storetest.New(t)
	req := chargeRequest()
	c, created, err := db.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "order-1",
		Amount: req.Amount, Currency: req.Currency, Processor: "sim", PaymentMethod: req.PaymentMethod,
		CreatedAt: baseTime, UpdatedAt: baseTime,
	}, req.Fingerprint())
	require.NoError(t, err)
	require.True(t, created)
	if status == payment.Processing {
		return db
	}
	c.Status, c.ProcessorPaymentID, c.UpdatedAt = status, "ch_1", baseTime
	if status == payment.Succeeded {
		c.CapturedAmount = req.Amount
	}
	_, err = db.RecordPayment(t.Context(), c, activities.Cause{By: "test"})
	require.NoError(t, err)
	if refunded == 0 {
		return db
	}
	before := refundToReserve("before", refunded)
	before.Status = payment.Processing
	before, _, _, err = db.ReserveRefund(t.Context(), before, "fingerprint")
	require.NoError(t, err)
	before.Status, before.ProcessorRefundID = payment.Succeeded, "re_before"
	_, err = db.SettleRefund(t.Context(), before, activities.Cause{By: "test"})
	require.NoError(t, err)
	return db
}

// refundToReserve is a refund of the payment of [chargeRequest], to reserve in the store.
func refundToReserve(key string, amount int64) payment.Refund {
	return payment.Refund{
		RefundID: payment.RefundID("acme", key), PaymentID: payment.PaymentID("acme", "order-1"),
		MerchantID: "acme", IdempotencyKey: key, Amount: amount,
	}
}

// baseTime is in the past both for the clock of the SDK's test environment and for that of the machine.
var baseTime = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func chargeRequest() payment.ChargeRequest {
	return payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	}
}

// chargeKey is the idempotency key under which the charge of [chargeRequest] is sent to the processor.
func chargeKey() string {
	return payment.ProcessorKey(payment.PaymentID("acme", "order-1"), payment.OperationCharge, 0)
}

// chargeResponse is a response with the processor's record of the payment of [chargeRequest] in this status.
func chargeResponse(status payment.Status) response {
	r := processor.Result{ID: "ch_1", Status: status, Amount: 1250, Currency: "USD", Reference: chargeKey(), RequestID: "req_1"}
	if status == payment.Succeeded {
		r.CapturedAmount = 1250
	}
	if status == payment.Declined {
		r.Decline = &payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft}
	}
	return response{result: r}
}

// captureResponse is a response with the processor's record of the payment after a capture of this amount.
func captureResponse(amount int64) response {
	r := chargeResponse(payment.Succeeded)
	r.result.CapturedAmount = amount
	return r
}

func errorResponse(class payment.FailureClass, certainty processor.Certainty, retry bool) response {
	return response{err: &processor.Error{Class: class, Certainty: certainty, Retry: retry, Message: "scripted"}}
}

var notFound = response{absent: true}

func chargeLookups(responses ...response) map[payment.Operation][]response {
	return map[payment.Operation][]response{payment.OperationCharge: responses}
}

func refundLookups(responses ...response) map[payment.Operation][]response {
	return map[payment.Operation][]response{payment.OperationRefund: responses}
}

func runCharge(t *testing.T, p *scriptedProcessor, req payment.ChargeRequest) payment.Charge {
	t.Helper()
	env := newEnvironment(t, p)
	execute(env, payment.WorkflowCharge, req)
	require.True(t, env.IsWorkflowCompleted(), "the workflow did not complete")
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	return c
}

// decodeQuery decodes the result of the query status.
func decodeQuery[T any](t *testing.T, value converter.EncodedValue, err error) T {
	t.Helper()
	require.NoError(t, err)
	var out T
	require.NoError(t, value.Get(&out))
	return out
}
