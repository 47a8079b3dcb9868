package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// newInlineEnvironment is [newEnvironmentWithStore] with a worker that makes first attempts inline. The activities of a run are appended to
// executed.
func newInlineEnvironment(t *testing.T, p processor.Processor, db *store.Store, executed *[]string) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(10 * time.Minute)
	Hosted{Default: "sim", Inline: map[string]bool{"sim": true}}.Register(env)
	calls := activities.NewProcessor(p, testProfile, retry.DefaultBackoff, 5*time.Minute, activities.Guard{})
	writes := &activities.Payments{
		Store: db, Default: "sim", Terms: map[string]activities.Terms{"sim": testTerms},
		Inline: activities.NewInline(map[string]activities.FirstAttempts{"sim": {Processor: calls}}, 1),
	}
	writes.RegisterWrites(env)
	calls.Register(env)
	note := func(info *activity.Info) { *executed = append(*executed, info.ActivityType.Name) }
	env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) { note(info) })
	env.SetOnLocalActivityStartedListener(func(info *activity.Info, _ context.Context, _ []any) { note(info) })
	return env
}

func TestClearOutcomeOfAFirstAttemptTakesOneLocalActivity(t *testing.T) {
	t.Parallel()
	pending := chargeResponse(payment.Pending)
	tests := map[string]struct {
		charges  []response
		capture  payment.Capture
		lookups  []response
		status   payment.Status
		class    payment.FailureClass
		executed []string
	}{
		"success": {
			charges: []response{chargeResponse(payment.Succeeded)}, status: payment.Succeeded, executed: []string{"ChargeInline"},
		},
		"decline": {
			charges: []response{chargeResponse(payment.Declined)}, status: payment.Declined, executed: []string{"ChargeInline"},
		},
		"pending, and found later": {
			charges: []response{pending}, lookups: []response{chargeResponse(payment.Succeeded)}, status: payment.Succeeded,
			executed: []string{"ChargeInline", "ProcessorLookup", "RecordPayment"},
		},
		"refused for good": {
			charges: []response{badRequest}, status: payment.Failed, class: payment.ClassInvalidRequest,
			executed: []string{"ChargeInline", "RecordPayment"},
		},
		"not sent: queued at once": {
			charges: []response{notSent, chargeResponse(payment.Succeeded)}, status: payment.Succeeded,
			executed: []string{"ChargeInline", "ProcessorCharge", "RecordPayment"},
		},
		"rate limited: queued after the wait": {
			charges:  []response{{err: &processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, HTTPStatus: 429, RetryAfter: time.Minute}}, chargeResponse(payment.Succeeded)},
			status:   payment.Succeeded,
			executed: []string{"ChargeInline", "ProcessorCharge", "RecordPayment"},
		},
		"no response: the series continues in the queue": {
			charges: []response{lostResponse, lostResponse, chargeResponse(payment.Succeeded)}, status: payment.Succeeded,
			executed: []string{"ChargeInline", "ProcessorCharge", "ProcessorCharge", "RecordPayment"},
		},
		"no response to the whole series: looked up": {
			charges: []response{lostResponse}, lookups: []response{chargeResponse(payment.Succeeded)}, status: payment.Succeeded,
			executed: []string{"ChargeInline", "ProcessorCharge", "ProcessorCharge", "RecordPayment", "ProcessorLookup", "RecordPayment"},
		},
		"no response, and then a decline: looked up first": {
			charges: []response{lostResponse, chargeResponse(payment.Declined)}, lookups: []response{chargeResponse(payment.Succeeded)},
			status:   payment.Succeeded,
			executed: []string{"ChargeInline", "ProcessorCharge", "RecordPayment", "ProcessorLookup", "RecordPayment"},
		},
		"no response, and then a refusal: looked up": {
			charges: []response{lostResponse, forbidden}, lookups: []response{chargeResponse(payment.Succeeded)},
			status: payment.Succeeded, executed: []string{"ChargeInline", "ProcessorCharge", "RecordPayment", "ProcessorLookup", "RecordPayment"},
		},
		"the activity panics after sending: sent again under the same key": {
			charges: []response{{panics: true}, chargeResponse(payment.Succeeded)}, status: payment.Succeeded,
			executed: []string{"ChargeInline", "ChargeInline", "BeginPayment", "ProcessorCharge", "RecordPayment"},
		},
		"another amount": {
			charges: []response{captureResponse(1250 - 1)}, status: payment.Conflicted, class: payment.ClassInvalidResponse,
			executed: []string{"ChargeInline", "RecordPayment"},
		},
		"captured, though it was only to be authorized": {
			charges: []response{chargeResponse(payment.Succeeded)}, capture: payment.CaptureManual, status: payment.Conflicted, class: payment.ClassInvalidResponse,
			executed: []string{"ChargeInline", "RecordPayment"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &scriptedProcessor{charges: tt.charges, lookups: chargeLookups(tt.lookups...)}
			db, executed := storetest.New(t), []string{}
			env := newInlineEnvironment(t, p, db, &executed)
			req := chargeRequest()
			req.Capture = tt.capture
			execute(env, payment.WorkflowCharge, req)
			require.NoError(t, env.GetWorkflowError())
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, tt.status, c.Status)
			require.Equal(t, tt.executed, executed)
			if tt.class != "" {
				require.Equal(t, tt.class, c.Failure.Class)
			}
			for _, call := range p.chargeCalls {
				require.Equal(t, chargeKey(), call.Key, "every attempt has the same key")
			}
			stored, err := db.Payment(t.Context(), "acme", "order-1")
			require.NoError(t, err)
			require.Equal(t, c, stored)
		})
	}
}

func TestFirstAttemptOfARefundTakesOneLocalActivity(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refunds  []response
		lookups  []response
		status   payment.Status
		executed []string
	}{
		"success": {
			refunds: []response{refundResponse(payment.Succeeded, 500)}, status: payment.Succeeded, executed: []string{"RefundInline"},
		},
		"decline": {
			refunds: []response{refundResponse(payment.Declined, 500)}, status: payment.Declined, executed: []string{"RefundInline"},
		},
		"no response": {
			refunds: []response{lostResponse, refundResponse(payment.Succeeded, 500)}, status: payment.Succeeded,
			executed: []string{"RefundInline", "ProcessorRefund", "SettleRefund"},
		},
		"the activity panics after sending": {
			refunds: []response{{panics: true}, refundResponse(payment.Declined, 500)}, lookups: []response{refundResponse(payment.Succeeded, 500)},
			status: payment.Succeeded, executed: []string{"RefundInline", "RefundInline", "ReserveRefund", "ProcessorRefund", "SettleRefund", "ProcessorLookup", "SettleRefund"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &scriptedProcessor{refunds: tt.refunds, lookups: refundLookups(tt.lookups...)}
			db, executed := storeWithPayment(t, payment.Succeeded, 0), []string{}
			env := newInlineEnvironment(t, p, db, &executed)
			req := refundRequest(500)
			execute(env, payment.WorkflowRefund, req)
			require.NoError(t, env.GetWorkflowError())
			var r payment.Refund
			require.NoError(t, env.GetWorkflowResult(&r))
			require.Equal(t, tt.status, r.Status)
			require.Equal(t, tt.executed, executed)
			stored, err := db.Refund(t.Context(), "acme", req.IdempotencyKey)
			require.NoError(t, err)
			require.Equal(t, r, stored)
		})
	}
}

// What must not be sent is not sent by the first attempt either.
func TestFirstAttemptIsNotMadeTooLate(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testsuite.TestWorkflowEnvironment, *payment.ChargeRequest){
		"its time has ended": func(env *testsuite.TestWorkflowEnvironment, req *payment.ChargeRequest) {
			req.SendBy = time.Now().Add(-time.Second)
		},
		"it is canceled before it begins": func(env *testsuite.TestWorkflowEnvironment, _ *payment.ChargeRequest) {
			env.RegisterDelayedCallback(env.CancelWorkflow, 0)
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			p := &scriptedProcessor{charges: []response{chargeResponse(payment.Succeeded)}}
			executed := []string{}
			env := newInlineEnvironment(t, p, storetest.New(t), &executed)
			req := chargeRequest()
			prepare(env, &req)
			execute(env, payment.WorkflowCharge, req)
			require.NoError(t, env.GetWorkflowError())
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, payment.Failed, c.Status)
			require.Equal(t, payment.ClassNotSent, c.Failure.Class)
			require.Empty(t, p.chargeCalls)
		})
	}
}

// A payment that waits continues from its first attempt as from any other.
func TestPaymentAuthorizedByItsFirstAttemptIsCaptured(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{chargeResponse(payment.Authorized)}, captures: []response{captureResponse(1000)}}
	executed := []string{}
	env := newInlineEnvironment(t, p, storetest.New(t), &executed)
	env.RegisterDelayedCallback(func() {
		amount := int64(1000)
		env.UpdateWorkflowNoRejection(payment.UpdateCapture, "capture", t, payment.CaptureRequest{Amount: &amount})
	}, time.Hour)
	req := chargeRequest()
	req.Capture = payment.CaptureManual
	execute(env, payment.WorkflowCharge, req)
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
	require.Equal(t, int64(1000), c.CapturedAmount)
	require.Equal(t, []string{"ChargeInline", "RecordPayment", "ProcessorCapture", "RecordPayment"}, executed)
}

// The response is not lost if the store does not accept it: the workflow decides what it means.
func TestFirstAttemptWithTheProcessorsIDOfAnotherPaymentIsAConflict(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{chargeResponse(payment.Succeeded)}}
	db, executed := storetest.New(t), []string{}
	other, _, err := db.BeginPayment(t.Context(), payment.Charge{
		PaymentID: payment.PaymentID("acme", "other"), MerchantID: "acme", IdempotencyKey: "other", Amount: 1250, Currency: "USD",
		Processor: "sim", PaymentMethod: "tok_visa", CreatedAt: baseTime, UpdatedAt: baseTime,
	}, "fingerprint")
	require.NoError(t, err)
	other.Status, other.CapturedAmount, other.ProcessorPaymentID = payment.Succeeded, 1250, "ch_1"
	_, err = db.RecordPayment(t.Context(), other, activities.Cause{By: "test"})
	require.NoError(t, err)
	env := newInlineEnvironment(t, p, db, &executed)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Conflicted, c.Status)
	require.Equal(t, []string{"ChargeInline", "RecordPayment", "RecordPayment"}, executed)
}

// A run that was terminated may still wait for the response to its first attempt, and persist it.
func TestRunWaitsForTheFirstAttemptOfAnEarlierOne(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{chargeResponse(payment.Succeeded)}}
	db, executed := storeWithPayment(t, payment.Processing, 0), []string{}
	env := newInlineEnvironment(t, p, db, &executed)
	env.SetStartTime(baseTime)
	env.RegisterDelayedCallback(func() {
		c, err := db.Payment(t.Context(), "acme", "order-1")
		require.NoError(t, err)
		c.Status, c.Decline = payment.Declined, &payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft}
		_, err = db.RecordPayment(t.Context(), c, activities.Cause{By: "earlier run"})
		require.NoError(t, err)
	}, activities.InlineTimeout)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Declined, c.Status)
	require.Empty(t, p.chargeCalls, "it was declined, and is not sent again")
}

// The store loses the row while the run waits: what an earlier execution may have sent is not forgotten with it.
func TestRowThatIsLostDuringTheWaitLeavesTheOutcomeOpen(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{forbidden}, lookups: chargeLookups(chargeResponse(payment.Succeeded))}
	db, executed := storeWithPayment(t, payment.Processing, 0), []string{}
	env := newInlineEnvironment(t, p, db, &executed)
	env.SetStartTime(baseTime)
	c, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	env.OnActivity(payment.ActivityBeginPayment, mock.Anything, mock.Anything, mock.Anything).
		Return(activities.BeginResult{Terms: testTerms, Charge: c}, nil)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status, "a 403 proves nothing about an earlier send")
}

func TestSummariesNameTheFirstAttempt(t *testing.T) {
	t.Parallel()
	five := int64(500)
	inline, mixed := Hosted{Default: "sim", Inline: map[string]bool{"sim": true}}, Hosted{Default: "sim", Inline: map[string]bool{"sim": true, "slow": false}}
	refund := payment.RefundRequest{Amount: &five, Currency: "USD"}
	charge := chargeRequest()
	slow := charge
	slow.Processor = "slow"
	for name, tt := range map[string]struct{ got, want string }{
		"charge":                    {inline.firstCharge(charge), "charge 12.50 USD via sim, first attempt"},
		"charge that is queued":     {mixed.firstCharge(slow), "begin"},
		"charge, unknown worker":    {Hosted{}.firstCharge(charge), "begin"},
		"refund":                    {inline.firstRefund(refund), "refund 5.00 USD, first attempt"},
		"refund of what is left":    {inline.firstRefund(payment.RefundRequest{}), "refund, first attempt"},
		"refund that may be queued": {mixed.firstRefund(refund), "begin"},
		"refund, unknown worker":    {Hosted{}.firstRefund(refund), "begin"},
	} {
		require.Equal(t, tt.want, tt.got, name)
	}
}
