package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// signalsEnvironment is a test environment whose workers require proofs.
type signalsEnvironment struct {
	*testsuite.TestWorkflowEnvironment
	began time.Time
	// lookups are the times of the lookups after the start, refused those of the lookups that were prompted by refused signals.
	lookups, refused []time.Duration
}

// newSignalsEnvironment returns an environment in which a prompt is permitted if one of its signals has arrived at this time after the
// start, or later. The processor has the payment as pending, and at the end as succeeded.
func newSignalsEnvironment(t *testing.T, permittedFrom, end time.Duration) *signalsEnvironment {
	t.Helper()
	p := &scriptedProcessor{charges: []response{chargeResponse(payment.Pending)}}
	e := &signalsEnvironment{TestWorkflowEnvironment: newEnvironment(t, p)}
	e.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{authorize.NewWorkerInterceptor(nil)}})
	e.began = e.Now()
	lookup := func(ctx context.Context, _ processor.LookupCall) (activities.LookupResult, error) {
		after := e.Now().Sub(e.began).Round(time.Second)
		if prompt := authorize.PromptOf(ctx); prompt != nil {
			last := prompt.Signals[len(prompt.Signals)-1]
			if last.At.Sub(e.began) < permittedFrom {
				e.refused = append(e.refused, after)
				return activities.LookupResult{NotAsked: true}, nil
			}
		}
		e.lookups = append(e.lookups, after)
		status := payment.Pending
		if after >= end {
			status = payment.Succeeded
		}
		return activities.LookupResult{Found: true, Result: chargeResponse(status).result}, nil
	}
	e.RegisterActivityWithOptions(lookup, activity.RegisterOptions{
		Name: payment.ActivityProcessorLookup, DisableAlreadyRegisteredCheck: true,
	})
	return e
}

// signalAt sends a signal at each of the times after the start. Each registers the next: the environment has room for few.
func (e *signalsEnvironment) signalAt(times ...time.Duration) {
	if len(times) == 0 {
		return
	}
	e.RegisterDelayedCallback(func() {
		e.SignalWorkflow(payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "evt"})
		e.signalAt(times[1:]...)
	}, times[0]-e.Now().Sub(e.began))
}

func (e *signalsEnvironment) run(t *testing.T) {
	t.Helper()
	execute(e.TestWorkflowEnvironment, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, e.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, e.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
}

// every returns times at this distance.
func every(d time.Duration, n int) (times []time.Duration) {
	for i := range n {
		times = append(times, time.Duration(i+1)*d)
	}
	return times
}

func TestSignalThatIsNotPermittedDoesNotChangeWhenThePaymentIsLookedUp(t *testing.T) {
	t.Parallel()
	const never, end = 1000 * time.Hour, 10 * time.Minute
	undisturbed := newSignalsEnvironment(t, never, end)
	undisturbed.run(t)
	for name, times := range map[string][]time.Duration{
		"one":                   {7 * time.Second},
		"a flood":               every(250*time.Millisecond, 2400),
		"when a lookup is due":  undisturbed.lookups,
		"slower than the pause": every(11*time.Second, 50),
	} {
		t.Run(name, func(t *testing.T) {
			e := newSignalsEnvironment(t, never, end)
			e.signalAt(times...)
			e.run(t)
			require.Equal(t, undisturbed.lookups, e.lookups)
		})
	}
}

func TestRefusedSignalsDoNotDelayAPermittedOne(t *testing.T) {
	t.Parallel()
	const permitted = 2 * time.Minute
	e := newSignalsEnvironment(t, permitted-500*time.Millisecond, permitted)
	e.signalAt(every(time.Second, 120)...)
	e.run(t)
	require.Greater(t, len(e.refused), 20)
	require.LessOrEqual(t, e.lookups[len(e.lookups)-1]-permitted, time.Duration(testTerms.Resolve.Initial))
}

// A pause is longer than a proof is valid: it counts when the signal has arrived.
func TestRecheckIsPromptedBySignalsAsOfTheirArrival(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{lookups: chargeLookups(chargeResponse(payment.Succeeded))}
	env := newEnvironmentWithStore(t, p, testTerms, storeWithPayment(t, payment.Succeeded, 0))
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{authorize.NewWorkerInterceptor(nil)}})
	began := env.Now()
	var arrived []time.Duration
	begin := func(ctx context.Context, _ payment.RecheckRequest) (activities.RecheckTarget, error) {
		for _, s := range authorize.PromptOf(ctx).Signals {
			arrived = append(arrived, s.At.Sub(began).Round(time.Second))
		}
		call := processor.LookupCall{
			Operation: payment.OperationCharge, Reference: payment.ProcessorKey(payment.PaymentID("acme", "order-1"), payment.OperationCharge, 0),
		}
		return activities.RecheckTarget{Status: payment.Succeeded, Terms: testTerms, Call: call}, nil
	}
	env.RegisterActivityWithOptions(begin, activity.RegisterOptions{Name: payment.ActivityBeginRecheck, DisableAlreadyRegisteredCheck: true})
	for _, after := range []time.Duration{time.Second, 20 * time.Second} {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(payment.SignalProcessorEvent, payment.ProcessorEvent{ID: "evt"}) }, after)
	}
	execute(env, payment.WorkflowRecheck, recheckCharge)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{time.Second, 20 * time.Second}, arrived)
}
