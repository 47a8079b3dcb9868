package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// pendingTimeout is how long the workflows may take to finish once nothing is killed any more.
const pendingTimeout = 2 * time.Minute

// pendingWorkflow is a workflow that has not finished yet.
type pendingWorkflow struct {
	purchase   *purchase
	workflowID string
	// refund is the idempotency key of the workflow's refund. It is empty for a charge.
	refund string
	// reason describes why the workflow is pending.
	reason string
}

// awaitWorkflows waits until each workflow is closed, or waits for something that does not happen in this run: a resolution
// or a modification. It returns a violation for each workflow that is still pending after pendingTimeout.
func (s *system) awaitWorkflows(ctx context.Context, purchases []*purchase) (stuck []violation) {
	opened, err := store.Open(ctx, s.storeDSN)
	if err != nil {
		return []violation{violationOf(nil, "the store cannot be read: %v", err)}
	}
	defer opened.Close()
	var pending []pendingWorkflow
	for _, p := range purchases {
		pending = append(pending, pendingWorkflow{purchase: p, workflowID: payment.ChargeWorkflowID(merchant, p.key())})
		for _, r := range p.refunds {
			if len(r.results.all)+len(r.results.unanswered) > 0 {
				pending = append(pending, pendingWorkflow{
					purchase: p, workflowID: payment.RefundWorkflowID(merchant, r.request.IdempotencyKey), refund: r.request.IdempotencyKey,
				})
			}
		}
	}
	for deadline := time.Now().Add(pendingTimeout); len(pending) > 0 && time.Now().Before(deadline) && ctx.Err() == nil; {
		var still []pendingWorkflow
		ledger, err := s.readLedger(ctx)
		if err != nil {
			return []violation{violationOf(nil, "the ledger cannot be read: %v", err)}
		}
		executed := executed(ledger)
		for _, w := range pending {
			if w.reason = s.pendingReason(ctx, opened, executed, w); w.reason != "" {
				still = append(still, w)
			}
		}
		pending = still
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	for _, w := range pending {
		stuck = append(stuck, violationOf(w.purchase, "workflow %s did not finish: %s", w.workflowID, w.reason))
	}
	return stuck
}

// pendingReason describes why a workflow is pending. It returns "" if it is not. executed counts the idempotency keys in the
// ledger.
func (s *system) pendingReason(ctx context.Context, opened *store.Store, executed map[string]int, w pendingWorkflow) string {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, w.workflowID, "")
	var missing *serviceerror.NotFound
	switch {
	case errors.As(err, &missing) && w.refund != "":
		return "" // The client refused the refund without starting a workflow.
	case err != nil:
		return err.Error()
	case d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return ""
	}
	status, err := storedStatus(ctx, opened, w)
	if err != nil {
		return err.Error()
	}
	if status == payment.NeedsReconciliation {
		// A webhook of the processor would send this signal: the workflow then looks the operation up again. An error is
		// ignored: the workflow may have closed meanwhile.
		_ = s.temporal.SignalWorkflow(ctx, w.workflowID, "", payment.SignalProcessorEvent, nil)
	}
	idle := d.GetPendingWorkflowTask() == nil && len(d.GetPendingActivities()) == 0
	neverKnown := w.purchase.outcomeNeverKnown(executed) || w.refund != "" && w.purchase.refundOutcomesNeverKnown()
	authorized := w.refund == "" && w.purchase.charge.Capture == payment.CaptureManual && w.purchase.charge.Processor != shortHold
	if idle && (status == payment.NeedsReconciliation && neverKnown || status == payment.Authorized && authorized) {
		return ""
	}
	return fmt.Sprintf("it is running, and %s in the store; %s", status, pendingTasks(d))
}

func storedStatus(ctx context.Context, opened *store.Store, w pendingWorkflow) (payment.Status, error) {
	if w.refund != "" {
		r, err := opened.Refund(ctx, merchant, w.refund)
		return r.Status, err
	}
	c, err := opened.Payment(ctx, merchant, w.purchase.key())
	return c.Status, err
}

// pendingTasks describes the pending workflow task and activities of a workflow, with their attempts and last failures.
func pendingTasks(d *workflowservice.DescribeWorkflowExecutionResponse) string {
	var text []string
	if task := d.GetPendingWorkflowTask(); task != nil {
		text = append(text, fmt.Sprintf("workflow task %s, attempt %d", task.GetState(), task.GetAttempt()))
	}
	for _, a := range d.GetPendingActivities() {
		text = append(text, fmt.Sprintf("%s %s, attempt %d: %s",
			a.GetActivityType().GetName(), a.GetState(), a.GetAttempt(), a.GetLastFailure().GetMessage()))
	}
	if len(text) == 0 {
		return "it waits for a timer"
	}
	return strings.Join(text, "; ")
}
