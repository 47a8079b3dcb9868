package e2e

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// The charges wait while no worker runs. Then a worker makes one call at a time.
func TestWaitingChargesAreExecutedByPriorityAndInTurnsOfTheirMerchants(t *testing.T) {
	const flood = 30
	for name, tt := range map[string]struct {
		floodBatch bool
		merchant   string // of the last charge
	}{
		"of another merchant":                           {merchant: "other"},
		"of the same merchant, which otherwise batches": {merchant: "flood", floodBatch: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := start(t, environment.Options{Tune: func(c *config.Config) {
				p := c.Processors[environment.ProcessorName]
				p.MaxConcurrentCalls, p.ScheduleToClose = 1, activities.Duration(time.Minute)
				c.Processors[environment.ProcessorName] = p
				c.Worker.MaxConcurrentWorkflowTasks = 2
			}})
			env.StopWorker()
			flooding := florin.NewClient(env.Temporal, florin.Options{Batch: tt.floodBatch})
			for i := range flood {
				req := charge(fmt.Sprintf("flood-%d", i), "tok_visa")
				req.MerchantID = "flood"
				_, err := flooding.StartCharge(t.Context(), req)
				require.NoError(t, err)
			}
			last := charge("last", "tok_visa")
			last.MerchantID = tt.merchant
			_, err := env.Florin.StartCharge(t.Context(), last)
			require.NoError(t, err)
			requireWaiting(t, env, flood+1)

			require.NoError(t, env.StartWorker(t.Context()))
			_, err = env.Florin.Wait(t.Context(), tt.merchant, "last")
			require.NoError(t, err)
			for i := range flood {
				_, err = env.Florin.Wait(t.Context(), "flood", fmt.Sprintf("flood-%d", i))
				require.NoError(t, err)
			}
			ledger, err := env.Simulator.Ledger(t.Context())
			require.NoError(t, err)
			require.Len(t, ledger.Payments, flood+1)
			reference := payment.ProcessorKey(payment.PaymentID(last.MerchantID, last.IdempotencyKey), payment.OperationCharge, 0)
			before := slices.IndexFunc(ledger.Payments, func(p simulator.LedgerPayment) bool { return p.Reference == reference })
			require.Less(t, before, flood/3, "a worker has a few tasks at once")
		})
	}
}

// requireWaiting requires that a number of workflow tasks waits.
func requireWaiting(t *testing.T, env *environment.Environment, n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		described, err := env.Temporal.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{
			Namespace: "default", TaskQueue: &taskqueuepb.TaskQueue{Name: payment.TaskQueue}, TaskQueueType: enumspb.TASK_QUEUE_TYPE_WORKFLOW,
			ReportStats: true,
		})
		require.NoError(t, err)
		return described.GetStats().GetApproximateBacklogCount() >= n
	}, time.Minute, 20*time.Millisecond)
}

func TestStartHasThePriorityOfItsClient(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for batch, level := range map[bool]int32{false: 3, true: 4} {
		req := charge(fmt.Sprintf("batch-%t", batch), "tok_visa")
		client := florin.NewClient(env.Temporal, florin.Options{Batch: batch})
		_, err := client.Charge(t.Context(), req)
		require.NoError(t, err)
		events := env.Temporal.GetWorkflowHistory(t.Context(), payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey), "", false,
			enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		first, err := events.Next()
		require.NoError(t, err)
		started := first.GetWorkflowExecutionStartedEventAttributes().GetPriority()
		require.True(t, proto.Equal(&commonpb.Priority{PriorityKey: level, FairnessKey: req.MerchantID}, started), started)
	}
}

func TestConfiguredWeightsAreSetOnTheServer(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for _, weights := range []map[string]float64{{"acme": 5, "bolt": 0.5}, {"acme": 2}} {
		env.Config.Fairness.Weights = weights
		require.NoError(t, app.SetWeights(t.Context(), env.Temporal.WorkflowService(), "default", env.Config))
		require.Eventually(t, func() bool { // the server takes a moment to show them
			described, err := env.Temporal.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{
				Namespace: "default", TaskQueue: &taskqueuepb.TaskQueue{Name: payment.ProcessorTaskQueue(environment.ProcessorName)},
				TaskQueueType: enumspb.TASK_QUEUE_TYPE_ACTIVITY, ReportConfig: true,
			})
			require.NoError(t, err)
			set := map[string]float64{}
			for merchant, weight := range described.GetConfig().GetFairnessWeightOverrides() {
				set[merchant] = float64(weight)
			}
			return maps.Equal(weights, set)
		}, 30*time.Second, 20*time.Millisecond)
	}
}
