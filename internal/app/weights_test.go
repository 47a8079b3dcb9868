package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"github.com/florinpay/florin/internal/config"
)

// weightedQueues is a Temporal server that only has the weights of task queues.
type weightedQueues struct {
	workflowservice.WorkflowServiceClient
	weights map[string]map[string]float32 // by task queue and its type
	updates int
	err     error
}

func (w *weightedQueues) DescribeTaskQueue(
	_ context.Context, r *workflowservice.DescribeTaskQueueRequest, _ ...grpc.CallOption,
) (*workflowservice.DescribeTaskQueueResponse, error) {
	return &workflowservice.DescribeTaskQueueResponse{Config: &taskqueuepb.TaskQueueConfig{
		FairnessWeightOverrides: maps.Clone(w.weights[r.GetTaskQueue().GetName()+" "+r.GetTaskQueueType().String()]),
	}}, nil
}

func (w *weightedQueues) UpdateTaskQueueConfig(
	_ context.Context, r *workflowservice.UpdateTaskQueueConfigRequest, _ ...grpc.CallOption,
) (*workflowservice.UpdateTaskQueueConfigResponse, error) {
	if w.err != nil {
		return nil, w.err
	}
	w.updates++
	queue := r.GetTaskQueue() + " " + r.GetTaskQueueType().String()
	if w.weights[queue] == nil {
		w.weights[queue] = map[string]float32{}
	}
	for _, merchant := range r.GetUnsetFairnessWeightOverrides() {
		delete(w.weights[queue], merchant)
	}
	maps.Copy(w.weights[queue], r.GetSetFairnessWeightOverrides())
	return &workflowservice.UpdateTaskQueueConfigResponse{}, nil
}

func weighted(weights map[string]float64) config.Config {
	return config.Config{Fairness: config.Fairness{Weights: weights}, Processors: map[string]config.Processor{"acme": {}, "backup": {}}}
}

func TestWeightsAreSetInAllTaskQueuesAndThoseThatAreNotConfiguredAreRemoved(t *testing.T) {
	temporal := &weightedQueues{weights: map[string]map[string]float32{"payments Workflow": {"gone": 7, "big": 2}}}
	require.NoError(t, SetWeights(t.Context(), temporal, "default", weighted(map[string]float64{"big": 5, "small": 0.5})))
	require.Equal(t, []string{"payments Workflow", "payments-read Activity", "processor-acme Activity", "processor-backup Activity"},
		slices.Sorted(maps.Keys(temporal.weights)))
	for queue, weights := range temporal.weights {
		require.Equal(t, map[string]float32{"big": 5, "small": 0.5}, weights, queue)
	}
	require.Equal(t, 4, temporal.updates)

	require.NoError(t, SetWeights(t.Context(), temporal, "default", weighted(map[string]float64{"big": 5, "small": 0.5})))
	require.Equal(t, 4, temporal.updates, "nothing has changed")
}

func TestWithoutWeightsThoseOfTheServerStay(t *testing.T) {
	temporal := &weightedQueues{weights: map[string]map[string]float32{"payments Workflow": {"big": 2}}}
	require.NoError(t, SetWeights(t.Context(), temporal, "default", weighted(nil)))
	require.Equal(t, map[string]map[string]float32{"payments Workflow": {"big": 2}}, temporal.weights)
}

func TestErrorOfSettingWeightsNamesTheTaskQueue(t *testing.T) {
	temporal := &weightedQueues{err: errors.New("permission denied")}
	err := SetWeights(t.Context(), temporal, "default", weighted(map[string]float64{"big": 5}))
	require.EqualError(t, err, `setting fairness.weights of task queue "payments": permission denied`)
}
