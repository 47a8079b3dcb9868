package florin

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

// request is the input of a workflow.
type request interface {
	payment.ChargeRequest | payment.RefundRequest
	Fingerprint() string
}

// record is the result of a workflow.
type record interface {
	payment.Charge | payment.Refund
	Final() bool
}

// launch is how a workflow is started.
type launch struct {
	options  client.StartWorkflowOptions
	workflow string
}

func (c *Client) chargeStart(req payment.ChargeRequest) launch {
	l := newLaunch(payment.WorkflowCharge, payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey), temporalweb.ChargeAttributes(req))
	l.options.Priority = c.priority(req.MerchantID)
	l.options.StaticSummary, l.options.StaticDetails = temporalweb.ChargeSummary(req), temporalweb.ChargeDetails(req)
	return l
}

func (c *Client) refundStart(req payment.RefundRequest) launch {
	l := newLaunch(payment.WorkflowRefund, payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey), temporalweb.RefundAttributes(req))
	l.options.Priority = c.priority(req.MerchantID)
	l.options.StaticSummary, l.options.StaticDetails = temporalweb.RefundSummary(req), temporalweb.RefundDetails(req)
	return l
}

// newLaunch allows a workflow to run again only if it failed or was terminated: the store has the payment, and the processor has its
// idempotency key, so the next run continues it.
func newLaunch(workflow, id string, attributes []temporal.SearchAttributeUpdate) launch {
	return launch{workflow: workflow, options: client.StartWorkflowOptions{
		ID:                    id,
		TaskQueue:             payment.TaskQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		TypedSearchAttributes: temporal.NewSearchAttributes(append(attributes, temporalweb.StatusAttribute(payment.Processing))...),
	}}
}

// outcome starts the workflow, or joins the running one, and waits for its first outcome. The fingerprint of the request is the
// update ID: Temporal returns the result of a known update without calling the workflow, so under a constant ID a different
// request with the same key would get the outcome of the first.
func outcome[T record, R request](ctx context.Context, c *Client, l launch, req R) (T, error) {
	began := time.Now()
	value, err := updateWithStart[T](ctx, c, l, req, req.Fingerprint())
	if errors.Is(err, ErrNotAuthorized) {
		// The proof may have expired while no worker ran. The start counts as of its time, the update as of now: it is signed again.
		value, err = updateWithStart[T](ctx, c, l, req, req.Fingerprint())
	}
	if err == nil && value.Final() {
		return value, nil
	}
	if terminated := terminatedBefore(ctx, c, l.options.ID, began); terminated != "" {
		// Temporal deduplicates updates by ID, so the closed run's result would be returned forever: use a new ID.
		return updateWithStart[T](ctx, c, l, req, req.Fingerprint()+"/after/"+terminated)
	}
	return value, err
}

// terminatedBefore returns the ID of the workflow's run if it began before the call and has closed without an outcome.
func terminatedBefore(ctx context.Context, c *Client, workflowID string, call time.Time) (runID string) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return ""
	}
	switch info := described.GetWorkflowExecutionInfo(); info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		// Allow one second of clock skew: at worst, a run that was terminated right after its start is reported once.
		if info.GetStartTime().AsTime().Before(call.Add(-time.Second)) {
			return info.GetExecution().GetRunId()
		}
	default:
	}
	return ""
}

// updateWithStart sends the update outcome once, under the given ID.
func updateWithStart[T record, R request](ctx context.Context, c *Client, l launch, req R, updateID string) (T, error) {
	var value T
	l.options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	ctx = caller.WithStart(ctx, l.workflow, l.options.ID, req)
	err := untilTheNextRun(ctx, func() error {
		handle, err := c.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
			StartWorkflowOperation: c.temporal.NewWithStartWorkflowOperation(l.options, l.workflow, req),
			UpdateOptions: client.UpdateWorkflowOptions{
				UpdateID:     updateID,
				WorkflowID:   l.options.ID,
				UpdateName:   payment.UpdateOutcome,
				WaitForStage: client.WorkflowUpdateStageCompleted,
				Args:         []any{payment.OutcomeRequest{Fingerprint: req.Fingerprint()}},
			},
		})
		if err == nil {
			err = handle.Get(ctx, &value)
		}
		return err
	})
	var exists *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &exists) {
		// The workflow is closed and has no update of this ID: it was started without waiting, or with a different request.
		if err := checkSameRequest(ctx, c, l.options.ID, req); err != nil {
			return value, err
		}
		return result[T](ctx, c, l.options.ID)
	}
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		// It was started, and closed before it could respond, for example because it was terminated.
		return value, fmt.Errorf("workflow %s: %w", l.options.ID, ErrStopped)
	}
	return value, translate(ctx, err, l.options.ID)
}

// start starts the workflow. A workflow that exists already must have been started with the same request.
func start[R request](ctx context.Context, c *Client, l launch, id string, req R) (Run, error) {
	run := Run{ID: id, WorkflowID: l.options.ID}
	l.options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	l.options.WorkflowExecutionErrorWhenAlreadyStarted = true
	l.options.EnableEagerStart = true // by a worker in this process that uses the same client, if there is one
	started, err := c.temporal.ExecuteWorkflow(ctx, l.options, l.workflow, req)
	var exists *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &exists) {
		run.RunID = exists.RunId
		return run, checkSameRequest(ctx, c, l.options.ID, req)
	}
	if err != nil {
		return Run{}, translate(ctx, err, l.options.ID)
	}
	run.RunID = started.GetRunID()
	return run, nil
}

// checkSameRequest compares the request with the one in the history of the workflow.
func checkSameRequest[R request](ctx context.Context, c *Client, workflowID string, req R) error {
	events := c.temporal.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := events.Next()
	if err != nil {
		return translate(ctx, err, workflowID)
	}
	var stored R
	if err := c.converter.FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &stored); err != nil {
		return fmt.Errorf("reading the request of workflow %s: %w", workflowID, withLikelyCause(err))
	}
	if stored.Fingerprint() != req.Fingerprint() {
		return fmt.Errorf("workflow %s: %w", workflowID, ErrIdempotencyMismatch)
	}
	return nil
}
