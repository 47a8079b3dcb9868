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

// Error responses for the tables of all tests. lostResponse is a call whose response never arrived.
var (
	ambiguous500  = errorResponse(payment.ClassUnavailable, processor.Ambiguous, true)
	lostResponse  = errorResponse(payment.ClassOutcomeUnknown, processor.Ambiguous, true)
	rateLimited   = errorResponse(payment.ClassRateLimited, processor.NotExecuted, true)
	notSent       = errorResponse(payment.ClassNotSent, processor.NotExecuted, true)
	unauthorized  = errorResponse(payment.ClassAuthentication, processor.NotExecuted, false)
	forbidden     = errorResponse(payment.ClassPermission, processor.NotExecuted, false)
	badRequest    = errorResponse(payment.ClassInvalidRequest, processor.NotExecuted, false)
	stateConflict = errorResponse(payment.ClassStateConflict, processor.Ambiguous, false)
)

// rateLimitedFor is a 429 with this Retry-After.
func rateLimitedFor(d time.Duration) response {
	return response{err: &processor.Error{
		Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, RetryAfter: d,
	}}
}

func TestChargeEndsAsTheProcessorResponds(t *testing.T) {
	t.Parallel()
	succeeded, declined := chargeResponse(payment.Succeeded), chargeResponse(payment.Declined)
	pending, requiresAction := chargeResponse(payment.Pending), chargeResponse(payment.RequiresAction)
	wrongAmount := chargeResponse(payment.Succeeded)
	wrongAmount.result.Amount = 1350
	wrongReference := chargeResponse(payment.Succeeded)
	wrongReference.result.Reference = "another"
	tests := []struct {
		name        string
		charges     []response
		lookups     []response
		status      payment.Status
		class       payment.FailureClass
		sends       int
		lookupCalls int
	}{
		{
			name:    "success is final",
			charges: []response{succeeded},
			status:  payment.Succeeded, sends: 1,
		},
		{
			name:    "a decline is a result",
			charges: []response{declined},
			status:  payment.Declined, sends: 1,
		},
		{
			name:    "403 is never retried",
			charges: []response{forbidden},
			status:  payment.Failed, class: payment.ClassPermission, sends: 1,
		},
		{
			name:    "400 is never retried",
			charges: []response{badRequest},
			status:  payment.Failed, class: payment.ClassInvalidRequest, sends: 1,
		},
		{
			name:    "401 after the API key was re-read is final",
			charges: []response{unauthorized},
			status:  payment.Failed, class: payment.ClassAuthentication, sends: 1,
		},
		{
			name:    "500 is retried",
			charges: []response{ambiguous500, ambiguous500, succeeded},
			status:  payment.Succeeded, sends: 3,
		},
		{
			name:    "429 is retried",
			charges: []response{rateLimited, succeeded},
			status:  payment.Succeeded, sends: 2,
		},
		{
			name:    "429, then 400: nothing was executed, so no lookup is needed",
			charges: []response{rateLimited, badRequest},
			status:  payment.Failed, class: payment.ClassInvalidRequest, sends: 2,
		},
		{
			name:    "a decline after a lost response is a decline",
			charges: []response{lostResponse, declined}, lookups: []response{notFound},
			status: payment.Declined, sends: 2, lookupCalls: 1,
		},
		{
			name:    "ambiguity is sticky: a lost response, then 401; the charge was executed",
			charges: []response{lostResponse, unauthorized},
			lookups: []response{succeeded},
			status:  payment.Succeeded, sends: 2, lookupCalls: 1,
		},
		{
			name:    "ambiguity is sticky: a lost response, then 429, then 403; the charge was not executed",
			charges: []response{lostResponse, rateLimited, forbidden},
			lookups: []response{notFound},
			status:  payment.Failed, class: payment.ClassPermission, sends: 3, lookupCalls: 6,
		},
		{
			name:    "a state conflict is not retried but looked up",
			charges: []response{stateConflict},
			lookups: []response{succeeded},
			status:  payment.Succeeded, sends: 1, lookupCalls: 1,
		},
		{
			name:    "absence is no proof before the grace period has passed",
			charges: []response{stateConflict},
			lookups: []response{notFound, notFound, succeeded},
			status:  payment.Succeeded, sends: 1, lookupCalls: 3,
		},
		{
			name:    "absence is proof after the grace period",
			charges: []response{stateConflict},
			lookups: []response{notFound},
			status:  payment.Failed, class: payment.ClassStateConflict, sends: 1, lookupCalls: 6,
		},
		{
			name:    "a lookup that fails changes nothing",
			charges: []response{stateConflict},
			lookups: []response{ambiguous500, forbidden, declined},
			status:  payment.Declined, sends: 1, lookupCalls: 3,
		},
		{
			name:    "another amount is a conflict",
			charges: []response{wrongAmount},
			status:  payment.Conflicted, class: payment.ClassInvalidResponse, sends: 1,
		},
		{
			name:    "another amount in a lookup is a conflict",
			charges: []response{stateConflict},
			lookups: []response{wrongAmount},
			status:  payment.Conflicted, class: payment.ClassInvalidResponse, sends: 1, lookupCalls: 1,
		},
		{
			name:    "another reference is a conflict",
			charges: []response{wrongReference},
			status:  payment.Conflicted, class: payment.ClassInvalidResponse, sends: 1,
		},
		{
			name:    "a pending charge is polled until it is decided",
			charges: []response{pending},
			lookups: []response{pending, succeeded},
			status:  payment.Succeeded, sends: 1, lookupCalls: 2,
		},
		{
			name:    "a charge that requires action is polled until it is decided",
			charges: []response{requiresAction},
			lookups: []response{requiresAction, declined},
			status:  payment.Declined, sends: 1, lookupCalls: 2,
		},
		{
			name:    "absence is never proof of a pending charge",
			charges: []response{pending},
			lookups: []response{notFound, notFound, notFound, notFound, notFound, notFound, notFound, succeeded},
			status:  payment.Succeeded, sends: 1, lookupCalls: 8,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &scriptedProcessor{charges: tt.charges, lookups: chargeLookups(tt.lookups...)}
			c := runCharge(t, p, chargeRequest())
			require.Equal(t, tt.status, c.Status)
			if tt.class == "" {
				require.Nil(t, c.Failure)
			} else {
				require.NotNil(t, c.Failure)
				require.Equal(t, tt.class, c.Failure.Class)
			}
			require.Len(t, p.chargeCalls, tt.sends)
			require.Len(t, p.lookupCalls, tt.lookupCalls)
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

func TestChargeFailsAsNotSentWhenTheProcessorWasUnreachableThroughout(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{notSent}}
	c := runCharge(t, p, chargeRequest())
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassNotSent, c.Failure.Class)
	require.Empty(t, p.lookupCalls, "nothing was sent, so there is nothing to look up")
	require.Greater(t, len(p.chargeCalls), 5, "the call is retried until the time is up")
}

func TestAttemptWithoutResponseLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		charges: []response{{panics: true}, badRequest},
		lookups: chargeLookups(chargeResponse(payment.Succeeded)),
	}
	c := runCharge(t, p, chargeRequest())
	require.Equal(t, payment.Succeeded, c.Status, "the 400 of the second attempt proves nothing about the first")
	require.Len(t, p.chargeCalls, 2)
}

func TestLongRetryAfterBecomesAWorkflowTimer(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{rateLimitedFor(time.Hour), chargeResponse(payment.Succeeded)}}
	env := newEnvironment(t, p)
	var timer time.Duration
	env.SetOnTimerScheduledListener(func(_ string, d time.Duration) { timer = max(timer, d) })
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.GreaterOrEqual(t, timer, time.Hour, "Retry-After is a minimum")
	require.LessOrEqual(t, timer, 75*time.Minute)
	require.Len(t, p.chargeCalls, 2)
}

func TestRetryAfterBeyondTheKeyLifetimeFailsTheCharge(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{rateLimitedFor(25 * time.Hour)}}
	c := runCharge(t, p, chargeRequest())
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassRateLimited, c.Failure.Class)
	require.Len(t, p.chargeCalls, 1)
}

func TestChargeThatNeedsReconciliationAdoptsTheOutcomeOnceTheProcessorReportsIt(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{stateConflict}, lookups: chargeLookups(ambiguous500)}
	env := newEnvironment(t, p)
	var afterADay payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		afterADay = decodeQuery[payment.Charge](t, value, err)
		p.lookups[payment.OperationCharge] = []response{chargeResponse(payment.Succeeded)}
	}, 30*time.Hour)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, payment.NeedsReconciliation, afterADay.Status)
	require.Contains(t, afterADay.Failure.Message, chargeKey(), "an operator needs the reference")
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
	require.Nil(t, c.Failure)
}

func TestInvalidRequestFailsTheWorkflowAndSendsNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*payment.ChargeRequest){
		"amount":         func(r *payment.ChargeRequest) { r.Amount = 0 },
		"payment_method": func(r *payment.ChargeRequest) { r.PaymentMethod = "4242424242424242" },
		"processor":      func(r *payment.ChargeRequest) { r.Processor = "nowhere" },
	}
	for field, invalidate := range tests {
		t.Run(field, func(t *testing.T) {
			req := chargeRequest()
			invalidate(&req)
			p := &scriptedProcessor{}
			env := newEnvironment(t, p)
			execute(env, payment.WorkflowCharge, req)
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

// updateCallbacks records how an update ended: it implements the callbacks of the test environment.
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

func TestUpdateOutcomeWaitsForTheFirstOutcome(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		charges: []response{chargeResponse(payment.Pending)},
		lookups: chargeLookups(chargeResponse(payment.Pending), chargeResponse(payment.Succeeded)),
	}
	env := newEnvironment(t, p)
	var same, withoutFingerprint, other updateCallbacks
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(payment.UpdateOutcome, "same", &same, payment.OutcomeRequest{Fingerprint: chargeRequest().Fingerprint()})
		env.UpdateWorkflow(payment.UpdateOutcome, "without fingerprint", &withoutFingerprint)
		env.UpdateWorkflow(payment.UpdateOutcome, "other", &other, payment.OutcomeRequest{Fingerprint: "of another request"})
	}, 0)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())

	for _, u := range []updateCallbacks{same, withoutFingerprint} {
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

func TestUpdateOutcomeOfAnInvalidRequestFailsLikeTheWorkflow(t *testing.T) {
	t.Parallel()
	req := chargeRequest()
	req.Processor = "nowhere"
	env := newEnvironment(t, &scriptedProcessor{})
	var u updateCallbacks
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateOutcome, "", &u) }, 0)
	execute(env, payment.WorkflowCharge, req)
	require.Error(t, env.GetWorkflowError())
	require.ErrorContains(t, u.err, "processor")
}

func TestCancelingDuringALongWaitBeforeAnythingWasExecutedFailsAsNotSent(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{rateLimitedFor(time.Hour)}}
	env := newEnvironment(t, p)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Minute)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassNotSent, c.Failure.Class)
	require.Len(t, p.chargeCalls, 1)
}

func TestCancelingAfterALostResponseResolvesTheOutcomeFirst(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{
		charges: []response{lostResponse},
		lookups: chargeLookups(notFound, notFound, chargeResponse(payment.Succeeded)),
	}
	env := newEnvironment(t, p)
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Second)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
}

func TestTermsAreReadableInTheHistoryAndSurviveARoundTrip(t *testing.T) {
	t.Parallel()
	encoded, err := converter.GetDefaultDataConverter().ToPayload(testTerms)
	require.NoError(t, err)
	require.Contains(t, string(encoded.GetData()), `"schedule_to_close":"15m0s"`, "operators read histories")
	var decoded activities.Terms
	require.NoError(t, converter.GetDefaultDataConverter().FromPayload(encoded, &decoded))
	require.Equal(t, testTerms, decoded)
}

func TestIllegalTransitionPanics(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() { mustBeLegal(payment.PaymentTransitions, payment.Succeeded, payment.Failed) })
	require.NotPanics(t, func() { mustBeLegal(payment.PaymentTransitions, payment.Unknown, payment.Failed) })
}
