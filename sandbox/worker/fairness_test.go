package worker

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/florinpay/florin/payment"
)

func TestWorkerSetsTheConfiguredWeights(t *testing.T) {
	path := writeConfig(t, shared)
	config, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(config, "fairness: {weights: {acme: 5}}\n"...), 0o600))
	startProcess(t, command(t, shared, "worker", "--config", path))
	require.Eventually(t, func() bool {
		described, err := shared.Temporal.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{
			Namespace: "default", TaskQueue: &taskqueuepb.TaskQueue{Name: payment.TaskQueue}, TaskQueueType: enumspb.TASK_QUEUE_TYPE_WORKFLOW,
			ReportConfig: true,
		})
		require.NoError(t, err)
		return described.GetConfig().GetFairnessWeightOverrides()["acme"] == 5
	}, 30*time.Second, 20*time.Millisecond)
}

func TestBatchFlagStartsWithThePriorityOfABatch(t *testing.T) {
	startWorker(t, shared)
	require.Zero(t, starter(t, shared, chargeFlags("batch", "tok_visa", "--batch")...).code)
	require.Zero(t, starter(t, shared, "refund", "--merchant", "acme", "--key", "batch", "--charge-key", "batch", "--batch").code)
	for _, workflowID := range []string{payment.ChargeWorkflowID("acme", "batch"), payment.RefundWorkflowID("acme", "batch")} {
		events := shared.Temporal.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		first, err := events.Next()
		require.NoError(t, err)
		require.EqualValues(t, 4, first.GetWorkflowExecutionStartedEventAttributes().GetPriority().GetPriorityKey(), workflowID)
	}
}
