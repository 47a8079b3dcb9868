package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
)

func TestOldPaymentsAreLookedUpInTheBackground(t *testing.T) {
	t.Parallel()
	const canceledAfter = 5 * time.Hour
	inherited, background := temporal.Priority{}, temporal.Priority{PriorityKey: 5}
	for name, tt := range map[string]struct {
		processor *scriptedProcessor
		// old is the priority of the lookups from one hour on.
		old temporal.Priority
	}{
		"a pending payment": {
			processor: &scriptedProcessor{
				charges: []response{chargeResponse(payment.Pending)}, lookups: chargeLookups(chargeResponse(payment.Pending)),
				voids: []response{chargeResponse(payment.Voided)},
			},
			old: background,
		},
		"an unknown outcome": {
			processor: &scriptedProcessor{charges: []response{stateConflict}, lookups: chargeLookups(lostResponse)},
			old:       inherited,
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnvironment(t, tt.processor)
			var late int
			env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&activityListener{
				onActivity: func(ctx workflow.Context, name string) {
					age := workflow.Now(ctx).Sub(workflow.GetInfo(ctx).WorkflowStartTime)
					want := inherited
					switch {
					case age >= canceledAfter:
						return
					case name == payment.ActivityProcessorLookup && age >= time.Hour:
						want = tt.old
						late++
					}
					require.Equal(t, want, workflow.GetActivityOptions(ctx).Priority, "%s after %s", name, age)
				},
			}}})
			env.RegisterDelayedCallback(env.CancelWorkflow, canceledAfter)
			execute(env, payment.WorkflowCharge, chargeRequest())
			require.Positive(t, late)
		})
	}
}

// activityListener is called for each activity that a workflow executes.
type activityListener struct {
	interceptor.WorkerInterceptorBase
	onActivity func(ctx workflow.Context, name string)
}

func (l *activityListener) InterceptWorkflow(
	_ workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	return &listenerInbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, listener: l}
}

type listenerInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	listener *activityListener
}

func (in *listenerInbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return in.Next.Init(&listenerOutbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: out}, listener: in.listener})
}

type listenerOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	listener *activityListener
}

func (out *listenerOutbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	out.listener.onActivity(ctx, name)
	return out.Next.ExecuteActivity(ctx, name, args...)
}
