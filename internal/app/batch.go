package app

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

const (
	// maxBatchesAtOnce is how many batches one worker sends at the same time. Further ones wait for another worker, or for their turn.
	maxBatchesAtOnce = 20
	// batchPollers are enough for one task per batch and half a minute.
	batchPollers = 2
)

// batchWorkflows starts the lines of batches as a service with low priority would, with the worker's own Temporal client.
type batchWorkflows struct {
	temporal client.Client
	florin   *florin.Client
}

func newBatchWorkflows(t client.Client, c converter.DataConverter) *batchWorkflows {
	return &batchWorkflows{temporal: t, florin: florin.NewClient(t, florin.Options{Batch: true, DataConverter: c})}
}

// Wake implements activities.BatchWorkflows.
func (w *batchWorkflows) Wake(ctx context.Context, name string, why payment.BatchChange) error {
	_, err := w.temporal.SignalWithStartWorkflow(ctx, payment.BatchWorkflowID(name), payment.SignalBatchChanged, why, client.StartWorkflowOptions{
		TaskQueue:             payment.TaskQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, // it does nothing to a batch that has finished
		Priority:              priority.Batch(""),
		StaticSummary:         temporalweb.BatchSummary(name),
		StaticDetails:         temporalweb.BatchDetails(name),
	}, payment.WorkflowBatch, payment.BatchRequest{Name: name})
	if err != nil {
		return fmt.Errorf("starting the workflow of batch %q: %w", name, err)
	}
	return nil
}

// Charge implements activities.BatchWorkflows.
func (w *batchWorkflows) Charge(ctx context.Context, req payment.ChargeRequest) error {
	_, err := w.florin.StartCharge(ctx, req)
	return startError(err)
}

// Refund implements activities.BatchWorkflows.
func (w *batchWorkflows) Refund(ctx context.Context, req payment.RefundRequest) error {
	_, err := w.florin.StartRefund(ctx, req)
	return startError(err)
}

// startError returns a refusal for what no other start would change. Package florin has more refusals, which are repeated: the history of a closed
// workflow is no longer there, or the workflow was started for another request. That one may be refused, such as if its caller may not act for the
// merchant; if it was not, the store says whose the key is.
func startError(err error) error {
	var invalid *payment.InvalidRequestError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return payment.Refuse(payment.ErrInvalidRequest, "%v", invalid)
	default:
		return fmt.Errorf("%v", err) //nolint:errorlint // hides the refusal on purpose
	}
}

// Refusal implements activities.BatchWorkflows.
func (w *batchWorkflows) Refusal(ctx context.Context, workflowID string) (*payment.Refusal, error) {
	described, err := w.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return nil, nil
	}
	if err != nil || described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_FAILED {
		return nil, err
	}
	err = w.temporal.GetWorkflow(ctx, workflowID, described.GetWorkflowExecutionInfo().GetExecution().GetRunId()).Get(ctx, nil)
	var failed *temporal.ApplicationError
	if !errors.As(err, &failed) {
		return nil, err
	}
	code, ok := payment.ParseRefusalCode(failed.Type())
	if !ok {
		return nil, nil // it can be started again
	}
	return &payment.Refusal{Code: code, Message: failed.Message()}, nil
}

// batchOptions are those of the worker that sends the lines of batches.
func batchOptions(o worker.Options) worker.Options {
	o.DisableWorkflowWorker = true
	o.MaxConcurrentActivityExecutionSize = maxBatchesAtOnce
	o.MaxConcurrentActivityTaskPollers = batchPollers
	return o
}
