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

// restTimeout is how long everything may take to come to rest once nothing is killed any more.
const restTimeout = 2 * time.Minute

// unrest is a workflow that has not come to rest yet.
type unrest struct {
	of         *purchase
	workflowID string
	// refund is the key of the refund that it is, empty for a charge.
	refund string
	why    string
}

// settle waits until every workflow has ended, or waits for what never comes. What has not come to rest is a violation.
func (s *system) settle(ctx context.Context, purchases []*purchase) (stuck []violation) {
	books, err := store.Open(ctx, s.storeDSN)
	if err != nil {
		return []violation{about(nil, "the store cannot be read: %v", err)}
	}
	defer books.Close()
	var left []unrest
	for _, p := range purchases {
		left = append(left, unrest{of: p, workflowID: payment.ChargeWorkflowID(merchant, p.key())})
		for _, r := range p.refunds {
			if len(r.answers.told)+len(r.answers.unanswered) > 0 {
				left = append(left, unrest{of: p, workflowID: payment.RefundWorkflowID(merchant, r.request.IdempotencyKey), refund: r.request.IdempotencyKey})
			}
		}
	}
	for deadline := time.Now().Add(restTimeout); len(left) > 0 && time.Now().Before(deadline) && ctx.Err() == nil; {
		var still []unrest
		ledger, err := s.readLedger(ctx)
		if err != nil {
			return []violation{about(nil, "the ledger cannot be read: %v", err)}
		}
		executed := executed(ledger)
		for _, one := range left {
			if one.why = s.unrestOf(ctx, books, executed, one); one.why != "" {
				still = append(still, one)
			}
		}
		left = still
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	for _, one := range left {
		stuck = append(stuck, about(one.of, "workflow %s did not come to rest: %s", one.workflowID, one.why))
	}
	return stuck
}

// unrestOf says why a workflow is not at rest, empty where it is. executed counts the keys in the ledger.
func (s *system) unrestOf(ctx context.Context, books *store.Store, executed map[string]int, of unrest) string {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, of.workflowID, "")
	var missing *serviceerror.NotFound
	switch {
	case errors.As(err, &missing) && of.refund != "":
		return "" // refused by the client itself
	case err != nil:
		return err.Error()
	case d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return ""
	}
	status, err := statusOf(ctx, books, of)
	if err != nil {
		return err.Error()
	}
	if status == payment.NeedsReconciliation {
		// As the processor would, once it has news.
		_ = s.temporal.SignalWorkflow(ctx, of.workflowID, "", payment.SignalProcessorEvent, nil) // it may have ended
	}
	waits := d.GetPendingWorkflowTask() == nil && len(d.GetPendingActivities()) == 0
	lost := of.of.lost(executed) || of.refund != "" && of.of.refundsLost()
	held := of.refund == "" && of.of.charge.Capture == payment.CaptureManual && of.of.charge.Processor != fleeting
	if waits && (status == payment.NeedsReconciliation && lost || status == payment.Authorized && held) {
		return ""
	}
	return fmt.Sprintf("it runs, and is %s in the store; %s", status, atWorkOn(d))
}

func statusOf(ctx context.Context, books *store.Store, of unrest) (payment.Status, error) {
	if of.refund != "" {
		r, err := books.Refund(ctx, merchant, of.refund)
		return r.Status, err
	}
	c, err := books.Payment(ctx, merchant, of.of.key())
	return c.Status, err
}

// atWorkOn says what a workflow waits for, and how that went.
func atWorkOn(d *workflowservice.DescribeWorkflowExecutionResponse) string {
	var text []string
	if task := d.GetPendingWorkflowTask(); task != nil {
		text = append(text, fmt.Sprintf("workflow task %s, attempt %d", task.GetState(), task.GetAttempt()))
	}
	for _, a := range d.GetPendingActivities() {
		text = append(text, fmt.Sprintf("%s %s, attempt %d: %s", a.GetActivityType().GetName(), a.GetState(), a.GetAttempt(), a.GetLastFailure().GetMessage()))
	}
	if len(text) == 0 {
		return "it waits for a timer"
	}
	return strings.Join(text, "; ")
}
