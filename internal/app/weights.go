package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
)

// SetWeights gives the merchants their configured weights in the task queues of the worker, and removes the others. Without configured
// weights, it does nothing. It is safe to repeat, and may be called by several workers at once. An error names the task queue; a worker can
// run without the weights.
func SetWeights(ctx context.Context, temporal workflowservice.WorkflowServiceClient, namespace string, c config.Config) error {
	if len(c.Fairness.Weights) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	weights := make(map[string]float32, len(c.Fairness.Weights))
	for merchant, weight := range c.Fairness.Weights {
		weights[merchant] = float32(weight)
	}
	set := func(queue string, kind enumspb.TaskQueueType) error {
		if err := setWeights(ctx, temporal, namespace, queue, kind, weights); err != nil {
			return fmt.Errorf("setting fairness.weights of task queue %q: %w", queue, err)
		}
		return nil
	}
	if err := set(payment.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW); err != nil {
		return err
	}
	queues := []string{payment.ReadTaskQueue}
	for _, name := range slices.Sorted(maps.Keys(c.Processors)) {
		queues = append(queues, payment.ProcessorTaskQueue(name))
	}
	for _, queue := range queues {
		if err := set(queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY); err != nil {
			return err
		}
	}
	return nil
}

// setWeights sets the weights of one task queue, if they are others.
func setWeights(
	ctx context.Context, temporal workflowservice.WorkflowServiceClient, namespace, queue string, kind enumspb.TaskQueueType, weights map[string]float32,
) error {
	described, err := temporal.DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: queue}, TaskQueueType: kind, ReportConfig: true,
	})
	if err != nil {
		return err
	}
	current := described.GetConfig().GetFairnessWeightOverrides()
	if maps.Equal(current, weights) {
		return nil
	}
	update := &workflowservice.UpdateTaskQueueConfigRequest{
		Namespace: namespace, Identity: "florin", TaskQueue: queue, TaskQueueType: kind, SetFairnessWeightOverrides: weights,
	}
	for merchant := range current {
		if _, kept := weights[merchant]; !kept {
			update.UnsetFairnessWeightOverrides = append(update.UnsetFairnessWeightOverrides, merchant)
		}
	}
	_, err = temporal.UpdateTaskQueueConfig(ctx, update)
	return err
}
