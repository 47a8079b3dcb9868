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

// recording is a scenario while it runs. The last run of the workflow is what is saved.
type recording struct {
	env *environment.Environment
	// key is the idempotency key of the scenario's own payment or refund, and unique.
	key        string
	alone      bool
	workflowID string
}

// request is a charge of 12.50 USD. Whoever pays is as real as the tokens.
func (r *recording) request(token string) payment.ChargeRequest {
	req := payment.ChargeRequest{
		MerchantID: merchant, IdempotencyKey: r.key, Amount: 1250, Currency: "USD", PaymentMethod: token,
		CustomerID: "customer-1", Description: "two pizzas", Metadata: map[string]string{"order": r.key},
	}
	if r.alone {
		req.Processor = r.key
	}
	return req
}

func (r *recording) held(token string) payment.ChargeRequest {
	req := r.request(token)
	req.Capture = payment.CaptureManual
	return req
}

// charge makes the payment, which has to stand like this then.
func (r *recording) charge(ctx context.Context, req payment.ChargeRequest, want payment.Status) error {
	r.workflowID = payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey)
	c, err := r.env.Florin.Charge(ctx, req)
	if err != nil {
		return err
	}
	return expect(c.Status, want)
}

// paid makes another payment, for a refund of it.
func (r *recording) paid(ctx context.Context, token string) (payment.Charge, error) {
	req := r.request(token)
	req.IdempotencyKey += "-paid"
	c, err := r.env.Florin.Charge(ctx, req)
	if err != nil {
		return c, err
	}
	return c, expect(c.Status, payment.Succeeded)
}

// refund gives back so much of a payment; 0 is all of it.
func (r *recording) refund(ctx context.Context, paymentID string, amount int64, want payment.Status) error {
	refund, err := r.env.Florin.Refund(ctx, r.refundRequest(paymentID, amount))
	if err != nil {
		return err
	}
	return expect(refund.Status, want)
}

func (r *recording) refundRequest(paymentID string, amount int64) payment.RefundRequest {
	r.workflowID = payment.RefundWorkflowID(merchant, r.key)
	req := payment.RefundRequest{MerchantID: merchant, IdempotencyKey: r.key, PaymentID: paymentID, Reason: "cold pizza"}
	if amount > 0 {
		req.Amount, req.Currency = &amount, "USD"
	}
	return req
}

func expect(got, want payment.Status) error {
	if got != want {
		return fmt.Errorf("it is %s: want %s", got, want)
	}
	return nil
}

// reaches waits until the payment stands like this.
func (r *recording) reaches(ctx context.Context, want payment.Status) error {
	return until(ctx, func() (bool, error) {
		c, err := r.env.Florin.Get(ctx, merchant, r.key)
		return c.Status == want, err
	})
}

// refundReaches is reaches for refunds.
func (r *recording) refundReaches(ctx context.Context, want payment.Status) error {
	return until(ctx, func() (bool, error) {
		refund, err := r.env.Florin.GetRefund(ctx, merchant, r.key)
		return refund.Status == want, err
	})
}

// happens waits for an event of the type.
func (r *recording) happens(ctx context.Context, wanted enumspb.EventType) error {
	return until(ctx, func() (bool, error) {
		h, err := r.history(ctx)
		return slices.ContainsFunc(h.GetEvents(), func(e *historypb.HistoryEvent) bool { return e.GetEventType() == wanted }), err
	})
}

func until(ctx context.Context, done func() (bool, error)) error {
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

// start starts a workflow as it is, past what package florin checks, and waits for its end.
func (r *recording) start(ctx context.Context, workflow string, req any, limit time.Duration) error {
	run, err := r.env.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: r.workflowID, TaskQueue: payment.TaskQueue, WorkflowRunTimeout: limit,
	}, workflow, req)
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}

func (r *recording) terminate(ctx context.Context) error {
	return r.env.Temporal.TerminateWorkflow(ctx, r.workflowID, "", "a recording")
}

// history reads what the scenario is about.
func (r *recording) history(ctx context.Context) (*historypb.History, error) {
	return histories.Fetch(ctx, r.env.Temporal, r.workflowID, "")
}

// reset begins a new run in the workflow task after the first event of the type.
func (r *recording) reset(ctx context.Context, after enumspb.EventType) error {
	var task int64
	err := until(ctx, func() (bool, error) {
		h, err := r.history(ctx)
		passed := false
		for _, e := range h.GetEvents() {
			passed = passed || e.GetEventType() == after
			if passed && e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
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
		WorkflowTaskFinishEventId: task, RequestId: r.key, Reason: "a recording",
	})
	return err
}
