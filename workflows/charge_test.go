package workflows

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Shorthands of the table below.
var (
	ambiguous500  = refused(payment.ClassUnavailable, processor.Ambiguous, true)
	lostAnswer    = refused(payment.ClassOutcomeUnknown, processor.Ambiguous, true)
	rateLimited   = refused(payment.ClassRateLimited, processor.NotExecuted, true)
	notSent       = refused(payment.ClassNotSent, processor.NotExecuted, true)
	unauthorized  = refused(payment.ClassAuthentication, processor.NotExecuted, false)
	forbidden     = refused(payment.ClassPermission, processor.NotExecuted, false)
	badRequest    = refused(payment.ClassInvalidRequest, processor.NotExecuted, false)
	stateConflict = refused(payment.ClassStateConflict, processor.Ambiguous, false)
)

func TestAChargeEndsAsTheProcessorsAnswersSay(t *testing.T) {
	wrongAmount := charged(payment.Succeeded)
	wrongAmount.result.Amount = 1350
	wrongReference := charged(payment.Succeeded)
	wrongReference.result.Reference = "another"
	tests := []struct {
		name    string
		charges []answer
		lookups []answer
		status  payment.Status
		class   payment.FailureClass
		sends   int
		looks   int
	}{
		{"success is final", []answer{charged(payment.Succeeded)}, nil, payment.Succeeded, "", 1, 0},
		{"a decline is a result", []answer{charged(payment.Declined)}, nil, payment.Declined, "", 1, 0},
		{"403 is never retried", []answer{forbidden}, nil, payment.Failed, payment.ClassPermission, 1, 0},
		{"400 is never retried", []answer{badRequest}, nil, payment.Failed, payment.ClassInvalidRequest, 1, 0},
		{"401 after the refresh is final", []answer{unauthorized}, nil, payment.Failed, payment.ClassAuthentication, 1, 0},
		{"500 is retried", []answer{ambiguous500, ambiguous500, charged(payment.Succeeded)}, nil, payment.Succeeded, "", 3, 0},
		{"429 is retried", []answer{rateLimited, charged(payment.Succeeded)}, nil, payment.Succeeded, "", 2, 0},
		{"429 then 400 needs no lookup: nothing was ever sent", []answer{rateLimited, badRequest}, nil, payment.Failed, payment.ClassInvalidRequest, 2, 0},
		{"a lost answer then a decline is a decline", []answer{lostAnswer, charged(payment.Declined)}, nil, payment.Declined, "", 2, 0},
		{"ambiguity is sticky: lost, then 401, was charged", []answer{lostAnswer, unauthorized}, []answer{charged(payment.Succeeded)}, payment.Succeeded, "", 2, 1},
		{"ambiguity is sticky: lost, then 429, then 403, was not charged", []answer{lostAnswer, rateLimited, forbidden}, []answer{absent}, payment.Failed, payment.ClassPermission, 3, 6},
		{"a state conflict is looked up at once", []answer{stateConflict}, []answer{charged(payment.Succeeded)}, payment.Succeeded, "", 1, 1},
		{"absence is no proof before the grace period", []answer{stateConflict}, []answer{absent, absent, charged(payment.Succeeded)}, payment.Succeeded, "", 1, 3},
		{"absence is proof after it", []answer{stateConflict}, []answer{absent}, payment.Failed, payment.ClassStateConflict, 1, 6},
		{"a lookup that fails is no news", []answer{stateConflict}, []answer{ambiguous500, forbidden, charged(payment.Declined)}, payment.Declined, "", 1, 3},
		{"another amount is conflicted", []answer{wrongAmount}, nil, payment.Conflicted, payment.ClassInvalidResponse, 1, 0},
		{"another amount, found by lookup, is conflicted", []answer{stateConflict}, []answer{wrongAmount}, payment.Conflicted, payment.ClassInvalidResponse, 1, 1},
		{"another reference is conflicted", []answer{wrongReference}, nil, payment.Conflicted, payment.ClassInvalidResponse, 1, 0},
		{"pending is asked for until it is decided", []answer{charged(payment.Pending)}, []answer{charged(payment.Pending), charged(payment.Succeeded)}, payment.Succeeded, "", 1, 2},
		{"a required action is asked for until it is done", []answer{charged(payment.RequiresAction)}, []answer{charged(payment.RequiresAction), charged(payment.Declined)}, payment.Declined, "", 1, 2},
		{"pending cannot vanish", []answer{charged(payment.Pending)}, []answer{absent, absent, absent, absent, absent, absent, absent, charged(payment.Succeeded)}, payment.Succeeded, "", 1, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &scripted{charges: tt.charges, lookups: map[payment.Operation][]answer{payment.OperationCharge: tt.lookups}}
			c := runCharge(t, p, chargeRequest())
			require.Equal(t, tt.status, c.Status)
			if tt.class == "" {
				require.Nil(t, c.Failure)
			} else {
				require.NotNil(t, c.Failure)
				require.Equal(t, tt.class, c.Failure.Class)
			}
			require.Len(t, p.chargeCalls, tt.sends)
			require.Len(t, p.lookupCalls, tt.looks)
			for _, call := range p.chargeCalls {
				require.Equal(t, chargeKey(), call.Key, "every send has the same idempotency key")
			}
			if tt.status == payment.Succeeded {
				require.EqualValues(t, 1250, c.CapturedAmount)
				require.Equal(t, "ch_1", c.ProcessorPaymentID)
			}
		})
	}
}

func TestAnOutageFromTheStartFailsAsNotSentWhenTimeIsUp(t *testing.T) {
	p := &scripted{charges: []answer{notSent}}
	c := runCharge(t, p, chargeRequest())
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassNotSent, c.Failure.Class)
	require.Empty(t, p.lookupCalls, "nothing ever left: there is nothing to look up")
	require.Greater(t, len(p.chargeCalls), 5, "it was tried again and again")
}

func TestAnAttemptThatEndedWithoutAWordLeavesTheOutcomeOpen(t *testing.T) {
	p := &scripted{
		charges: []answer{{panics: true}, badRequest},
		lookups: map[payment.Operation][]answer{payment.OperationCharge: {charged(payment.Succeeded)}},
	}
	c := runCharge(t, p, chargeRequest())
	require.Equal(t, payment.Succeeded, c.Status, "the 400 of the second attempt says nothing about the first")
	require.Len(t, p.chargeCalls, 2)
}

func TestALongRetryAfterBecomesATimerOfTheWorkflow(t *testing.T) {
	limited := answer{err: &processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: time.Hour}}
	p := &scripted{charges: []answer{limited, charged(payment.Succeeded)}}
	env := newEnvironment(t, p)
	var timer time.Duration
	env.SetOnTimerScheduledListener(func(_ string, d time.Duration) { timer = max(timer, d) })
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.GreaterOrEqual(t, timer, time.Hour, "Retry-After is a floor")
	require.LessOrEqual(t, timer, 75*time.Minute)
	require.Len(t, p.chargeCalls, 2)
}

func TestARetryAfterBeyondTheKeysLifetimeIsNotWaitedFor(t *testing.T) {
	limited := answer{err: &processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: 25 * time.Hour}}
	p := &scripted{charges: []answer{limited}}
	c := runCharge(t, p, chargeRequest())
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassRateLimited, c.Failure.Class)
	require.Len(t, p.chargeCalls, 1)
}

func TestWhatNobodyCanTellNeedsReconciliationAndIsAdoptedOnceKnown(t *testing.T) {
	p := &scripted{charges: []answer{stateConflict}, lookups: map[payment.Operation][]answer{payment.OperationCharge: {ambiguous500}}}
	env := newEnvironment(t, p)
	var atDeadline payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		atDeadline = queried[payment.Charge](t, value, err)
		p.lookups[payment.OperationCharge] = []answer{charged(payment.Succeeded)}
	}, 30*time.Hour)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, payment.NeedsReconciliation, atDeadline.Status)
	require.Contains(t, atDeadline.Failure.Message, chargeKey(), "an operator needs the reference")
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
	require.Nil(t, c.Failure)
}

func TestABadRequestFailsTheWorkflowAndSendsNothing(t *testing.T) {
	tests := map[string]func(*payment.ChargeRequest){
		"amount":         func(r *payment.ChargeRequest) { r.Amount = 0 },
		"payment_method": func(r *payment.ChargeRequest) { r.PaymentMethod = "4242424242424242" },
		"processor":      func(r *payment.ChargeRequest) { r.Processor = "nowhere" },
	}
	for field, spoil := range tests {
		t.Run(field, func(t *testing.T) {
			req := chargeRequest()
			spoil(&req)
			p := &scripted{}
			env := newEnvironment(t, p)
			env.ExecuteWorkflow(payment.WorkflowCharge, req)
			var application *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &application)
			require.EqualValues(t, payment.ErrInvalidRequest, application.Type())
			require.True(t, application.NonRetryable())
			require.Contains(t, application.Error(), field)
			require.NotContains(t, application.Error(), "4242424242424242")
			require.Empty(t, p.chargeCalls)
		})
	}
}

// updateCallbacks collect what an update says.
type updateCallbacks struct {
	accepted bool
	err      error
	value    any
}

func (u *updateCallbacks) Accept()          { u.accepted = true }
func (u *updateCallbacks) Reject(err error) { u.err = err }
func (u *updateCallbacks) Complete(value any, err error) {
	u.value, u.err = value, errors.Join(u.err, err)
}

func TestTheOutcomeUpdateWaitsForTheFirstOutcome(t *testing.T) {
	p := &scripted{charges: []answer{charged(payment.Pending)}, lookups: map[payment.Operation][]answer{
		payment.OperationCharge: {charged(payment.Pending), charged(payment.Succeeded)}}}
	env := newEnvironment(t, p)
	var same, bare, other updateCallbacks
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(payment.UpdateOutcome, "same", &same, payment.OutcomeRequest{Fingerprint: chargeRequest().Fingerprint()})
		env.UpdateWorkflow(payment.UpdateOutcome, "bare", &bare)
		env.UpdateWorkflow(payment.UpdateOutcome, "other", &other, payment.OutcomeRequest{Fingerprint: "of another request"})
	}, 0)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())

	for _, u := range []updateCallbacks{same, bare} {
		require.NoError(t, u.err)
		c, ok := u.value.(payment.Charge)
		require.True(t, ok)
		require.Equal(t, payment.Pending, c.Status)
	}
	require.False(t, other.accepted)
	var application *temporal.ApplicationError
	require.ErrorAs(t, other.err, &application)
	require.EqualValues(t, payment.ErrIdempotencyMismatch, application.Type())
}

func TestTheOutcomeUpdateOfABadRequestFailsLikeTheWorkflow(t *testing.T) {
	req := chargeRequest()
	req.Processor = "nowhere"
	env := newEnvironment(t, &scripted{})
	var u updateCallbacks
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateOutcome, "", &u) }, 0)
	env.ExecuteWorkflow(payment.WorkflowCharge, req)
	require.Error(t, env.GetWorkflowError())
	require.ErrorContains(t, u.err, "processor")
}

func TestCancellingDuringALongWaitBeforeAnythingWasSentFailsAsNotSent(t *testing.T) {
	limited := answer{err: &processor.Error{Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: time.Hour}}
	p := &scripted{charges: []answer{limited}}
	env := newEnvironment(t, p)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassNotSent, c.Failure.Class)
	require.Len(t, p.chargeCalls, 1)
}

func TestCancellingAfterALostAnswerFindsOutTheTruthFirst(t *testing.T) {
	p := &scripted{charges: []answer{lostAnswer}, lookups: map[payment.Operation][]answer{
		payment.OperationCharge: {absent, absent, charged(payment.Succeeded)}}}
	env := newEnvironment(t, p)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Second)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
}

func TestTheHistoryFreezesTheTerms(t *testing.T) {
	encoded, err := converter.GetDefaultDataConverter().ToPayload(testTerms)
	require.NoError(t, err)
	require.Contains(t, string(encoded.GetData()), `"schedule_to_close":"15m0s"`, "people read histories")
	var decoded activities.Terms
	require.NoError(t, converter.GetDefaultDataConverter().FromPayload(encoded, &decoded))
	require.Equal(t, testTerms, decoded)
}

func TestIllegalMovesStopThePayment(t *testing.T) {
	require.Panics(t, func() { mustBeLegal(payment.PaymentTransitions, payment.Succeeded, payment.Failed) })
	require.NotPanics(t, func() { mustBeLegal(payment.PaymentTransitions, payment.Unknown, payment.Failed) })
}
