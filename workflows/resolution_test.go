package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

var byJane = payment.Resolution{Status: payment.Succeeded, Evidence: "ch_1 in the dashboard", By: "jane"}

// lost is a charge whose answer is lost, and whose lookups bring none.
func lost() *scripted {
	return &scripted{charges: []answer{stateConflict}, lookups: map[payment.Operation][]answer{payment.OperationCharge: {lostAnswer}}}
}

func resolveAfter(env *testsuite.TestWorkflowEnvironment, d time.Duration, id string, r payment.Resolution) *updateCallbacks {
	told := &updateCallbacks{}
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateResolve, id, told, r) }, d)
	return told
}

func TestAnOperatorsWordSettlesWhatTheProcessorCannot(t *testing.T) {
	for name, tt := range map[string]struct {
		after    time.Duration
		status   payment.Status
		captured int64
	}{
		"while it is unknown":               {time.Minute, payment.Succeeded, 1250},
		"while a human is asked":            {72 * time.Hour, payment.Failed, 0},
		"a decline":                         {72 * time.Hour, payment.Declined, 0},
		"voided in the processor's own way": {72 * time.Hour, payment.Voided, 0},
	} {
		t.Run(name, func(t *testing.T) {
			books := newStore(t)
			env := newEnvironmentOver(t, lost(), testTerms, books)
			said := byJane
			said.Status = tt.status
			told := resolveAfter(env, tt.after, "1", said)
			env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			require.NoError(t, told.err)
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, c, told.value)
			require.Equal(t, []any{tt.status, tt.captured}, []any{c.Status, c.CapturedAmount})
			require.Equal(t, tt.status == payment.Declined, c.Decline != nil)
			events, err := books.Events(t.Context(), c.PaymentID)
			require.NoError(t, err)
			require.Equal(t, activities.Cause{By: "operator:jane", Evidence: map[string]string{"evidence": said.Evidence}}, events[len(events)-1].Cause)
		})
	}
}

func TestARefundThatIsResolvedAsFailedFreesItsAmount(t *testing.T) {
	books := stored(t, payment.Succeeded, 250)
	env := newEnvironmentOver(t, &scripted{refunds: []answer{stateConflict}, lookups: map[payment.Operation][]answer{payment.OperationRefund: {lostAnswer}}}, testTerms, books)
	said := byJane
	said.Status = payment.Failed
	told := resolveAfter(env, time.Hour, "1", said)
	env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, told.err)
	_, _, created, err := books.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID("acme", "all"), PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "all", Amount: 1000,
	}, "fingerprint")
	require.NoError(t, err)
	require.True(t, created)
}

func TestAWordThatCannotBeTakenIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		resolution payment.Resolution
		kind       payment.RefusalCode
	}{
		"pending":     {byJane, payment.ErrNotResolvable},
		"no evidence": {payment.Resolution{Status: payment.Failed, By: "jane"}, payment.ErrInvalidRequest},
		"nobody":      {payment.Resolution{Status: payment.Failed, Evidence: "x"}, payment.ErrInvalidRequest},
		"no end":      {payment.Resolution{Status: payment.Pending, Evidence: "x", By: "jane"}, payment.ErrInvalidRequest},
		"a card":      {payment.Resolution{Status: payment.Failed, Evidence: "4111111111111111", By: "jane"}, payment.ErrInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnvironment(t, &scripted{charges: []answer{charged(payment.Pending)}, lookups: map[payment.Operation][]answer{
				payment.OperationCharge: {charged(payment.Pending), charged(payment.Pending), charged(payment.Succeeded)}}})
			told := resolveAfter(env, 10*time.Second, "1", tt.resolution)
			env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			var application *temporal.ApplicationError
			require.ErrorAs(t, told.err, &application)
			require.EqualValues(t, tt.kind, application.Type())
			require.False(t, told.accepted)
		})
	}
}

func TestTheProcessorThatSpeaksFirstIsBelieved(t *testing.T) {
	env := newEnvironment(t, lost())
	env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
		Return(activities.LookupResult{Found: true, Result: charged(payment.Declined).result}, nil).After(time.Minute)
	told := resolveAfter(env, 30*time.Second, "1", byJane)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Declined, c.Status)
	require.ErrorContains(t, told.err, "it is declined: the processor has responded meanwhile, or the operation was sent again")
}

func TestTheProcessorsNewsAreAReasonToAskAtOnce(t *testing.T) {
	p := &scripted{charges: []answer{charged(payment.Pending)}, lookups: map[payment.Operation][]answer{payment.OperationCharge: {charged(payment.Succeeded)}}}
	env := newEnvironment(t, p)
	began := env.Now()
	env.RegisterDelayedCallback(func() {
		for range 3 {
			env.SignalWorkflow(payment.SignalProcessorEvent, map[string]string{"status": "declined"})
		}
	}, time.Second)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status, "what the event says is not believed")
	require.Len(t, p.lookupCalls, 1)
	require.Equal(t, time.Second, env.Now().Sub(began), "5 s without the event")
}

func TestAResolutionFitsWhatItIsOf(t *testing.T) {
	more, refunds := byJane, byJane
	more.CapturedAmount, refunds.CapturedAmount = 1251, 1
	for name, tt := range map[string]struct {
		start   any
		said    payment.Resolution
		problem string
	}{
		"more than was asked for":           {chargeRequest(), more, "captured_amount: 1251 exceeds the payment's amount of 1250"},
		"a payment that was to be held":     {manual(), byJane, "captured_amount: is missing"},
		"a refund that is said to be taken": {refundRequest(500), refunds, "captured_amount: a refund captures nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			p := lost()
			p.refunds, p.lookups[payment.OperationRefund] = []answer{stateConflict}, []answer{lostAnswer}
			workflow, books := payment.WorkflowCharge, newStore(t)
			if _, ok := tt.start.(payment.RefundRequest); ok {
				workflow, books = payment.WorkflowRefund, stored(t, payment.Succeeded, 0)
			}
			env := newEnvironmentOver(t, p, testTerms, books)
			told := resolveAfter(env, time.Hour, "1", tt.said)
			env.SetWorkflowRunTimeout(2 * time.Hour)
			env.ExecuteWorkflow(workflow, tt.start)
			told.refused(t, payment.ErrInvalidRequest, tt.problem)
		})
	}
}

func TestAnOperatorMayNameWhatTheProcessorHas(t *testing.T) {
	books := newStore(t)
	env := newEnvironmentOver(t, lost(), testTerms, books)
	said := byJane
	said.ProcessorID = "ch_7"
	resolveAfter(env, time.Hour, "1", said)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	c, err := books.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, "ch_7", c.ProcessorPaymentID)
}
