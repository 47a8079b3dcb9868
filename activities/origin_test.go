package activities

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// inWorkflow makes the activities of env those of a workflow of this type and ID.
func inWorkflow(env *testsuite.TestActivityEnvironment, workflowType, id string) *testsuite.TestActivityEnvironment {
	return env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&scheduledBy{workflowType: workflowType, id: id}}})
}

// scheduledBy says which workflow has scheduled an activity. Without an id, it is that of the request that the activity begins.
type scheduledBy struct {
	interceptor.WorkerInterceptorBase
	workflowType, id string
}

func (s *scheduledBy) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	in := &scheduledInbound{by: s}
	in.Next = next
	return in
}

type scheduledInbound struct {
	interceptor.ActivityInboundInterceptorBase
	by *scheduledBy
}

func (in *scheduledInbound) Init(next interceptor.ActivityOutboundInterceptor) error {
	out := &scheduledOutbound{by: in.by}
	out.Next = next
	return in.Next.Init(out)
}

type scheduledOutbound struct {
	interceptor.ActivityOutboundInterceptorBase
	by *scheduledBy
}

type beginningKey struct{}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (in *scheduledInbound) ExecuteActivity(ctx context.Context, input *interceptor.ExecuteActivityInput) (any, error) {
	id := in.by.id
	for _, arg := range input.Args {
		switch req := arg.(type) {
		case payment.ChargeRequest:
			id = cmp.Or(id, payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey))
		case payment.RefundRequest:
			id = cmp.Or(id, payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey))
		}
	}
	return in.Next.ExecuteActivity(context.WithValue(ctx, beginningKey{}, id), input)
}

func (out *scheduledOutbound) GetInfo(ctx context.Context) activity.Info {
	info := out.Next.GetInfo(ctx)
	id, _ := ctx.Value(beginningKey{}).(string)
	info.WorkflowType, info.WorkflowExecution = nil, workflow.Execution{ID: id}
	if out.by.workflowType != "" {
		info.WorkflowType = &workflow.Type{Name: out.by.workflowType}
	}
	return info
}

// order1 is the charge of acme's order-1.
func order1() processor.ChargeCall {
	id := payment.PaymentID("acme", "order-1")
	return processor.ChargeCall{PaymentID: id, Key: payment.ProcessorKey(id, payment.OperationCharge, 0)}
}

// countingProcessor counts the calls that reach it.
type countingProcessor struct {
	processor.Processor
	calls int
}

func (c *countingProcessor) Charge(context.Context, processor.ChargeCall) (processor.Result, error) {
	c.calls++
	return processor.Result{Status: payment.Succeeded}, nil
}

func (c *countingProcessor) Capture(ctx context.Context, _ processor.CaptureCall) (processor.Result, error) {
	return c.Charge(ctx, processor.ChargeCall{})
}

func (c *countingProcessor) Void(ctx context.Context, _ processor.VoidCall) (processor.Result, error) {
	return c.Charge(ctx, processor.ChargeCall{})
}

func (c *countingProcessor) Refund(ctx context.Context, _ processor.RefundCall) (processor.Result, error) {
	return c.Charge(ctx, processor.ChargeCall{})
}

func (c *countingProcessor) Lookup(context.Context, processor.LookupCall) (processor.Result, bool, error) {
	c.calls++
	return processor.Result{}, false, nil
}

func TestProcessorIsCalledOnlyForTheWorkflowOfItsPaymentOrRefund(t *testing.T) {
	const charge, refund = "charge/acme/order-1", "refund/acme/order-1"
	id, refundID := payment.PaymentID("acme", "order-1"), payment.RefundID("acme", "order-1")
	key := func(operation payment.Operation, sequence int) string {
		return payment.ProcessorKey(id, operation, sequence)
	}
	capture := func(sequence, of int) processor.CaptureCall {
		return processor.CaptureCall{PaymentID: id, Sequence: sequence, Key: key(payment.OperationCapture, of)}
	}
	refundCall := processor.RefundCall{RefundID: refundID, Key: payment.ProcessorKey(refundID, payment.OperationRefund, 0)}
	lookup := processor.LookupCall{Operation: payment.OperationCharge, Reference: key(payment.OperationCharge, 0)}
	refundLookup := processor.LookupCall{Operation: payment.OperationRefund, Reference: payment.ProcessorKey(refundID, payment.OperationRefund, 0)}

	for name, tt := range map[string]struct {
		workflowType, workflowID string
		activity                 string
		call                     any
		sent                     bool
	}{
		"charge":                             {"Charge", charge, "ProcessorCharge", order1(), true},
		"charge without a workflow":          {"", "", "ProcessorCharge", order1(), false},
		"charge of another type of workflow": {"Order", charge, "ProcessorCharge", order1(), false},
		"charge of a refund":                 {"Refund", refund, "ProcessorCharge", order1(), false},
		"charge of a recheck":                {"Recheck", "recheck/" + charge, "ProcessorCharge", order1(), false},
		"charge of another payment":          {"Charge", "charge/acme/order-2", "ProcessorCharge", order1(), false},
		"charge of another merchant":         {"Charge", "charge/evil/order-1", "ProcessorCharge", order1(), false},
		"charge under another ID":            {"Charge", "order-1", "ProcessorCharge", order1(), false},
		"charge under another key":           {"Charge", charge, "ProcessorCharge", processor.ChargeCall{PaymentID: id, Key: "again"}, false},

		"capture":                          {"Charge", charge, "ProcessorCapture", capture(0, 0), true},
		"third capture":                    {"Charge", charge, "ProcessorCapture", capture(2, 2), true},
		"capture under the key of another": {"Charge", charge, "ProcessorCapture", capture(2, 1), false},
		"capture without a workflow":       {"", "", "ProcessorCapture", capture(0, 0), false},

		"void": {
			"Charge", charge, "ProcessorVoid", processor.VoidCall{PaymentID: id, Key: key(payment.OperationVoid, 0)}, true,
		},
		"void under the key of the capture": {
			"Charge", charge, "ProcessorVoid", processor.VoidCall{PaymentID: id, Key: key(payment.OperationCapture, 0)}, false,
		},

		"refund":                        {"Refund", refund, "ProcessorRefund", refundCall, true},
		"refund without a workflow":     {"", "", "ProcessorRefund", refundCall, false},
		"refund of a charge's workflow": {"Charge", charge, "ProcessorRefund", refundCall, false},
		"refund of another refund":      {"Refund", "refund/acme/order-2", "ProcessorRefund", refundCall, false},

		"lookup":                               {"Charge", charge, "ProcessorLookup", lookup, true},
		"lookup of a refund":                   {"Refund", refund, "ProcessorLookup", refundLookup, true},
		"lookup of a recheck":                  {"Recheck", "recheck/" + charge, "ProcessorLookup", lookup, true},
		"lookup of a recheck of a refund":      {"Recheck", "recheck/" + refund, "ProcessorLookup", refundLookup, true},
		"lookup without a workflow":            {"", "", "ProcessorLookup", lookup, false},
		"lookup of another payment":            {"Charge", "charge/acme/order-2", "ProcessorLookup", lookup, false},
		"lookup of another type of workflow":   {"Order", charge, "ProcessorLookup", lookup, false},
		"lookup of a refund, from its payment": {"Charge", charge, "ProcessorLookup", refundLookup, false},
	} {
		t.Run(name, func(t *testing.T) {
			at := &countingProcessor{}
			var refused []string
			p := NewProcessor(at, processor.Profile{}, retry.DefaultBackoff, 5*time.Minute, Guard{Refused: func(operation, reason string) {
				refused = append(refused, operation+" "+reason)
			}})
			var suite testsuite.WorkflowTestSuite
			env := inWorkflow(suite.NewTestActivityEnvironment(), tt.workflowType, tt.workflowID)
			p.Register(env)
			_, err := env.ExecuteActivity(tt.activity, tt.call)
			if tt.sent {
				require.NoError(t, err)
				require.Equal(t, 1, at.calls)
				require.Empty(t, refused)
				return
			}
			require.Zero(t, at.calls)
			requireRefusal(t, err, payment.RefusalCode(payment.ClassPermission))
			require.False(t, FailureOf(err).Ambiguous, "nothing was sent")
			require.Equal(t, []string{tt.activity + " foreign"}, refused)
		})
	}
}

// A workflow of the right type and ID, and the right keys, could still name another payment of the processor's.
func TestCallIsComparedWithWhatIsStored(t *testing.T) {
	_, payments := newPayments(t)
	db := payments.Store
	id, refundID := payment.PaymentID("acme", "order-1"), payment.RefundID("acme", "refund-1")
	c, _, err := db.BeginPayment(t.Context(), payment.Charge{
		PaymentID: id, MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", Processor: "one", PaymentMethod: "tok_visa",
	}, "fingerprint")
	require.NoError(t, err)
	c.Status, c.ProcessorPaymentID, c.CapturedAmount = payment.Succeeded, "ch_1", 1250
	_, err = db.RecordPayment(t.Context(), c, Cause{By: "test"})
	require.NoError(t, err)
	_, _, _, err = db.ReserveRefund(t.Context(), payment.Refund{
		RefundID: refundID, PaymentID: id, MerchantID: "acme", IdempotencyKey: "refund-1", Amount: 500, Currency: "USD",
	}, "fingerprint")
	require.NoError(t, err)

	charge := order1()
	charge.Amount, charge.Currency, charge.PaymentMethod = 1250, "USD", "tok_visa"
	more := charge
	more.Amount = 125000
	capture := processor.CaptureCall{PaymentID: id, Key: payment.ProcessorKey(id, payment.OperationCapture, 0), ProcessorPaymentID: "ch_1"}
	void := processor.VoidCall{PaymentID: id, Key: payment.ProcessorKey(id, payment.OperationVoid, 0), ProcessorPaymentID: "ch_1"}
	refund := processor.RefundCall{
		RefundID: refundID, Key: payment.ProcessorKey(refundID, payment.OperationRefund, 0), ProcessorPaymentID: "ch_1", Amount: 500, Currency: "USD",
	}
	otherCapture, otherVoid, otherRefund, moreRefunded := capture, void, refund, refund
	otherCapture.ProcessorPaymentID, otherVoid.ProcessorPaymentID, otherRefund.ProcessorPaymentID = "ch_2", "ch_2", "ch_2"
	moreRefunded.Amount = 1250
	never := order1()
	never.PaymentID = payment.PaymentID("acme", "never")
	never.Key = payment.ProcessorKey(never.PaymentID, payment.OperationCharge, 0)

	for name, tt := range map[string]struct {
		workflowType, workflowID, activity string
		call                               any
		sent                               bool
	}{
		"charge":                       {"Charge", "charge/acme/order-1", "ProcessorCharge", charge, true},
		"charge of more":               {"Charge", "charge/acme/order-1", "ProcessorCharge", more, false},
		"charge that never began":      {"Charge", "charge/acme/never", "ProcessorCharge", never, false},
		"capture":                      {"Charge", "charge/acme/order-1", "ProcessorCapture", capture, true},
		"capture of another payment":   {"Charge", "charge/acme/order-1", "ProcessorCapture", otherCapture, false},
		"void":                         {"Charge", "charge/acme/order-1", "ProcessorVoid", void, true},
		"void of another payment":      {"Charge", "charge/acme/order-1", "ProcessorVoid", otherVoid, false},
		"refund":                       {"Refund", "refund/acme/refund-1", "ProcessorRefund", refund, true},
		"refund of another payment":    {"Refund", "refund/acme/refund-1", "ProcessorRefund", otherRefund, false},
		"refund of more than reserved": {"Refund", "refund/acme/refund-1", "ProcessorRefund", moreRefunded, false},
	} {
		t.Run(name, func(t *testing.T) {
			at := &countingProcessor{}
			p := NewProcessor(at, processor.Profile{}, retry.DefaultBackoff, 5*time.Minute, Guard{Store: db, Processor: "one", Authorizer: &authorize.Authorizer{}})
			var suite testsuite.WorkflowTestSuite
			env := inWorkflow(suite.NewTestActivityEnvironment(), tt.workflowType, tt.workflowID)
			p.Register(env)
			_, err := env.ExecuteActivity(tt.activity, tt.call)
			if tt.sent {
				require.NoError(t, err)
				require.Equal(t, 1, at.calls)
				return
			}
			require.Zero(t, at.calls)
			requireRefusal(t, err, payment.RefusalCode(payment.ClassPermission))
		})
	}

	require.NoError(t, db.Close())
	at := &countingProcessor{}
	p := NewProcessor(at, processor.Profile{}, retry.DefaultBackoff, 5*time.Minute, Guard{Store: db})
	var suite testsuite.WorkflowTestSuite
	env := inWorkflow(suite.NewTestActivityEnvironment(), "Charge", "charge/acme/order-1")
	p.Register(env)
	_, err = env.ExecuteActivity(payment.ActivityProcessorCapture, capture)
	requireRetried(t, err)
	require.False(t, FailureOf(err).Ambiguous)
	require.Zero(t, at.calls)
}
