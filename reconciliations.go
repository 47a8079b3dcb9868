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

	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

// Reconciliations returns a page of reconciliations, the latest first. [ErrInvalidRequest] means an invalid filter.
func (c *Client) Reconciliations(ctx context.Context, f payment.ReconciliationFilter) (payment.ReconciliationPage, error) {
	if err := f.Validate(); err != nil {
		return payment.ReconciliationPage{}, err
	}
	page, err := read[payment.ReconciliationPage](ctx, c, "", payment.ActivityListReconciliations, f)
	return page, translate(ctx, err, payment.ActivityListReconciliations)
}

// scheduleStartsWithin is how long Temporal may take to start what a schedule was triggered for.
const scheduleStartsWithin = 15 * time.Second

// Reconcile starts a reconciliation of a processor now, and returns the ID of its workflow. If one is running, it is that one. It triggers
// the schedule of the processor if there is one, whether or not it is paused.
func (c *Client) Reconcile(ctx context.Context, processor string) (workflowID string, err error) {
	request := payment.ReconcileRequest{Processor: processor}
	if err := (payment.ReconciliationFilter{Processor: processor}).Validate(); err != nil || processor == "" {
		return "", errors.Join(err, &payment.InvalidRequestError{Fields: []payment.FieldError{{Field: "processor", Problem: "want the name of a processor"}}})
	}
	schedule := c.temporal.ScheduleClient().GetHandle(ctx, payment.ReconcileScheduleID(processor))
	before, err := schedule.Describe(ctx)
	var missing *serviceerror.NotFound
	switch {
	case errors.As(err, &missing):
		run, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: payment.ReconcileScheduleID(processor) + "/manual", TaskQueue: payment.TaskQueue,
			WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
			TypedSearchAttributes:    temporal.NewSearchAttributes(temporalweb.ReconcileAttributes(request)...),
			StaticSummary:            temporalweb.ReconcileSummary(request), StaticDetails: temporalweb.ReconcileDetails(request),
			Priority: priority.Background(""),
		}, payment.WorkflowReconcile, request)
		if err != nil {
			return "", translate(ctx, err, payment.ReconcileScheduleID(processor))
		}
		return run.GetID(), nil
	case err != nil:
		return "", translate(ctx, err, payment.ReconcileScheduleID(processor))
	case len(before.Info.RunningWorkflows) > 0:
		return before.Info.RunningWorkflows[0].WorkflowID, nil
	}
	err = schedule.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP})
	if err != nil {
		return "", translate(ctx, err, payment.ReconcileScheduleID(processor))
	}
	id, err := startedBy(ctx, schedule, before.Info.NumActions)
	return id, translate(ctx, err, payment.ReconcileScheduleID(processor))
}

// startedBy returns the ID of the workflow that a schedule has started after a number of others.
func startedBy(ctx context.Context, schedule client.ScheduleHandle, others int) (workflowID string, err error) {
	limited, cancel := context.WithTimeout(ctx, scheduleStartsWithin)
	defer cancel()
	for {
		now, err := schedule.Describe(limited)
		if err != nil {
			return "", err
		}
		if n := len(now.Info.RecentActions); now.Info.NumActions > others && n > 0 && now.Info.RecentActions[n-1].StartWorkflowResult != nil {
			return now.Info.RecentActions[n-1].StartWorkflowResult.WorkflowID, nil
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", fmt.Errorf("the schedule has started nothing within %s", scheduleStartsWithin)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Reconciliation returns the state of the reconciliation with this workflow ID, with its progress. It needs a worker.
func (c *Client) Reconciliation(ctx context.Context, workflowID string) (r payment.Reconciliation, err error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	response, err := c.temporal.QueryWorkflow(limited, workflowID, "", payment.QueryStatus)
	if err == nil {
		err = response.Get(&r)
	}
	return r, translate(ctx, err, workflowID)
}

// WaitReconciliation waits until the reconciliation with this workflow ID has ended. It returns an error if it is not complete.
func (c *Client) WaitReconciliation(ctx context.Context, workflowID string) (r payment.Reconciliation, err error) {
	err = c.temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, &r)
	return r, translate(ctx, err, workflowID)
}
