package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

const merchant = "acme"

// recordingReason is the reason that Temporal records for what a scenario does to a workflow or task queue.
const recordingReason = "a recording"

// recording is one execution of a scenario. The history of the workflow's last run is saved.
type recording struct {
	env *environment.Environment
	// key is the idempotency key of the payment or refund that is recorded. It is unique: no other scenario uses it.
	key string
	// ownProcessor sends the charge to the processor that is named like the scenario.
	ownProcessor bool
	// inline makes the first attempt inline.
	inline bool
	// workflowID is the workflow whose history is saved. It is set when the workflow is started.
	workflowID string
}

// request returns a request to charge 12.50 USD. All its data is invented.
func (r *recording) request(token string) payment.ChargeRequest {
	req := payment.ChargeRequest{
		MerchantID: merchant, IdempotencyKey: r.key, Amount: 1250, Currency: "USD", PaymentMethod: token,
		CustomerID: "customer-1", Description: "two pizzas", Metadata: map[string]string{"order": r.key},
	}
	if r.ownProcessor {
		req.Processor = r.key
	} else if r.inline {
		req.Processor = inlinePrefix + environment.ProcessorName
	}
	return req
}

// backup is the name of the processor at which payments expire within seconds.
func (r *recording) backup() string {
	if r.inline {
		return inlinePrefix + environment.BackupName
	}
	return environment.BackupName
}

// authorization returns a request to authorize 12.50 USD.
func (r *recording) authorization(token string) payment.ChargeRequest {
	req := r.request(token)
	req.Capture = payment.CaptureManual
	return req
}

// charge makes the charge. The payment must have the status want then.
func (r *recording) charge(ctx context.Context, req payment.ChargeRequest, want payment.Status) error {
	r.workflowID = payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey)
	c, err := r.env.Florin.Charge(ctx, req)
	if err != nil {
		return err
	}
	return expect(c.Status, want)
}

// paidCharge makes the payment that a scenario refunds. Its workflow is not recorded.
func (r *recording) paidCharge(ctx context.Context, token string) (payment.Charge, error) {
	req := r.request(token)
	req.IdempotencyKey += "-paid"
	c, err := r.env.Florin.Charge(ctx, req)
	if err != nil {
		return c, err
	}
	return c, expect(c.Status, payment.Succeeded)
}

// refund refunds an amount of a payment; 0 refunds the remaining amount. The refund must have the status want then.
func (r *recording) refund(ctx context.Context, paymentID string, amount int64, want payment.Status) error {
	refund, err := r.env.Florin.Refund(ctx, r.refundRequest(paymentID, amount))
	if err != nil {
		return err
	}
	return expect(refund.Status, want)
}

// refundRequest returns the request of the refund that is recorded.
func (r *recording) refundRequest(paymentID string, amount int64) payment.RefundRequest {
	r.workflowID = payment.RefundWorkflowID(merchant, r.key)
	req := payment.RefundRequest{MerchantID: merchant, IdempotencyKey: r.key, PaymentID: paymentID, Reason: "cold pizza"}
	if amount > 0 {
		req.Amount, req.Currency = &amount, "USD"
	}
	return req
}

// expect returns an error unless the status is the wanted one.
func expect(got, want payment.Status) error {
	if got != want {
		return fmt.Errorf("status %s: want %s", got, want)
	}
	return nil
}

// waitForOutcome waits for the outcome of the charge.
func (r *recording) waitForOutcome(ctx context.Context) (payment.Charge, error) {
	return r.env.Florin.Wait(ctx, merchant, r.key)
}

// waitForStatus waits until the payment has a status.
func (r *recording) waitForStatus(ctx context.Context, want payment.Status) error {
	return poll(ctx, func() (bool, error) {
		c, err := r.env.Florin.Get(ctx, merchant, r.key)
		return c.Status == want, err
	})
}

// waitForRefundStatus waits until the refund has a status.
func (r *recording) waitForRefundStatus(ctx context.Context, want payment.Status) error {
	return poll(ctx, func() (bool, error) {
		refund, err := r.env.Florin.GetRefund(ctx, merchant, r.key)
		return refund.Status == want, err
	})
}

// waitForEvent waits until the history contains an event of a type.
func (r *recording) waitForEvent(ctx context.Context, wanted enumspb.EventType) error {
	return poll(ctx, func() (bool, error) {
		h, err := r.history(ctx)
		return slices.ContainsFunc(h.GetEvents(), func(e *historypb.HistoryEvent) bool { return e.GetEventType() == wanted }), err
	})
}

// poll calls done every 50 ms, until it returns true or an error.
func poll(ctx context.Context, done func() (bool, error)) error {
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
	}
}

// start starts a workflow without the checks of package florin, and waits until it is closed. limit is its run
// timeout; 0 sets none.
func (r *recording) start(ctx context.Context, workflow string, req any, limit time.Duration) error {
	run, err := r.env.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: r.workflowID, TaskQueue: payment.TaskQueue, WorkflowRunTimeout: limit,
	}, workflow, req)
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}

// terminate terminates the workflow.
func (r *recording) terminate(ctx context.Context) error {
	return r.env.Temporal.TerminateWorkflow(ctx, r.workflowID, "", recordingReason)
}

// history reads the history of the workflow's last run.
func (r *recording) history(ctx context.Context) (*historypb.History, error) {
	return histories.Fetch(ctx, r.env.Temporal, r.workflowID, "")
}

// reset resets the workflow to the first workflow task that completed after an event of the type.
func (r *recording) reset(ctx context.Context, after enumspb.EventType) error {
	var task int64
	err := poll(ctx, func() (bool, error) {
		h, err := r.history(ctx)
		found := false
		for _, e := range h.GetEvents() {
			found = found || e.GetEventType() == after
			if found && e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
				task = e.GetEventId()
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return err
	}
	_, err = r.env.Temporal.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: r.workflowID},
		WorkflowTaskFinishEventId: task, RequestId: r.key, Reason: recordingReason,
	})
	return err
}
