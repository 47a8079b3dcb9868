package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

var charges = []scenario{
	ends("charge-succeeded", "all is well", "tok_visa", payment.Succeeded),
	{name: "charge-succeeded-asynchronously", shows: "nobody waits for the outcome", run: func(ctx context.Context, r *recording) error {
		r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
		if _, err := r.env.Florin.StartCharge(ctx, r.request("tok_visa")); err != nil {
			return err
		}
		c, err := r.env.Florin.Wait(ctx, merchant, r.key)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
	ends("charge-declined", "402, soft decline", "tok_insufficient_funds", payment.Declined),
	ends("charge-declined-in-success", "200 with status declined", "tok_declined_200", payment.Declined),
	ends("charge-failed-400", "400: never retried", "tok_400", payment.Failed),
	ends("charge-failed-401", "401 twice, with the key read anew in between", "tok_401_always", payment.Failed),
	alone(ends("charge-failed-429", "429 until no time is left: nothing was sent", "tok_429_always", payment.Failed)),
	ends("charge-retried", "503 once: Temporal retries", "tok_503_then_ok", payment.Succeeded),
	alone(ends("charge-waited-long", "429 with a long Retry-After: a durable timer", "tok_429_long", payment.Succeeded)),
	ends("charge-lost-found", "500 always, but the money has moved: a lookup finds it", "tok_500_after_charge", payment.Succeeded),
	ends("charge-lost-found-late", "the first two lookups find nothing", "tok_lookup_late", payment.Succeeded),
	ends("charge-lost-never-arrived", "500 always: absence proves that no money has moved", "tok_500_always", payment.Failed),
	alone(neverTaken("charge-never-taken", "nobody takes the call in its time, and the first lookup finds nothing: no money has moved")),
	alone(neverTaken("charge-never-taken-before-the-gate", "nobody takes the call in its time; recorded by code to which absence alone proved nothing")),
	ends("charge-timeout-then-401", "a 401 proves nothing about the time-out before it", "tok_timeout_then_401", payment.Succeeded),
	ends("charge-conflicted-amount", "the processor took another amount", "tok_wrong_amount", payment.Conflicted),
	ends("charge-conflicted-reference", "the processor booked it under another reference", "tok_wrong_reference", payment.Conflicted),
	{name: "charge-needs-reconciliation", shows: "nobody could tell in time; it still asks", run: func(ctx context.Context, r *recording) error {
		return r.charge(ctx, r.request("tok_lost"), payment.NeedsReconciliation)
	}},
	{name: "charge-resolved", shows: "an operator says how it ended", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.request("tok_lost"), payment.NeedsReconciliation); err != nil {
			return err
		}
		said := payment.Resolution{Status: payment.Succeeded, Evidence: "in the dashboard, ticket 4711", By: "jane"}
		c, err := r.env.Florin.Resolve(ctx, merchant, r.key, said)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
	waits("charge-pending-declined", "pending, asked for until it is declined", "tok_pending_declined", payment.Pending, payment.Declined),
	waits("charge-requires-action", "3-D Secure, which the customer passes", "tok_requires_action", payment.RequiresAction, payment.Succeeded),
	{name: "charge-pending-event", shows: "pending; news of the processor are a reason to ask at once", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.request("tok_pending"), payment.Pending); err != nil {
			return err
		}
		for {
			err := r.env.Temporal.SignalWorkflow(ctx, r.workflowID, "", payment.SignalProcessorEvent, nil)
			var ended *serviceerror.NotFound
			if errors.As(err, &ended) {
				return nil
			}
			if err = errors.Join(err, pause(ctx, 400*time.Millisecond)); err != nil {
				return err
			}
		}
	}},
	{name: "charge-mismatch", shows: "another request under the same key is refused while the payment is pending", run: func(ctx context.Context, r *recording) error {
		req := r.request("tok_pending")
		if err := r.charge(ctx, req, payment.Pending); err != nil {
			return err
		}
		req.Amount++
		if _, err := r.env.Florin.Charge(ctx, req); !errors.Is(err, florin.ErrIdempotencyMismatch) {
			return fmt.Errorf("want a mismatch: %w", err)
		}
		c, err := r.env.Florin.Wait(ctx, merchant, r.key)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
	{name: "charge-invalid-request", shows: "fails: the input is none that can be worked on", run: func(ctx context.Context, r *recording) error {
		req := r.request("tok_visa")
		req.Amount, req.Currency = -1, "usd"
		return r.fails(ctx, payment.WorkflowCharge, payment.ChargeWorkflowID(merchant, r.key), req)
	}},
	{name: "charge-processor-not-configured", shows: "fails: the processor is not one of ours", run: func(ctx context.Context, r *recording) error {
		req := r.request("tok_visa")
		req.Processor = "nowhere"
		return r.fails(ctx, payment.WorkflowCharge, payment.ChargeWorkflowID(merchant, r.key), req)
	}},
}

// neverTaken is a charge whose processor is paused until its time is up.
func neverTaken(name, shows string) scenario {
	return scenario{name: name, shows: shows, run: func(ctx context.Context, r *recording) error {
		if err := r.limit(ctx, &taskqueuepb.RateLimit{RequestsPerSecond: 0}); err != nil {
			return err
		}
		r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
		if _, err := r.env.Florin.StartCharge(ctx, r.request("tok_visa")); err != nil {
			return err
		}
		if err := r.reaches(ctx, payment.Unknown); err != nil {
			return err
		}
		if err := r.limit(ctx, nil); err != nil {
			return err
		}
		c, err := r.env.Florin.Wait(ctx, merchant, r.key)
		return errors.Join(err, expect(c.Status, payment.Failed))
	}}
}

// limit is the rate of calls to the scenario's own processor; nil is any.
func (r *recording) limit(ctx context.Context, rate *taskqueuepb.RateLimit) error {
	_, err := r.env.Temporal.WorkflowService().UpdateTaskQueueConfig(ctx, &workflowservice.UpdateTaskQueueConfigRequest{
		Namespace: client.DefaultNamespace, TaskQueue: payment.ProcessorTaskQueue(r.key), TaskQueueType: enumspb.TASK_QUEUE_TYPE_ACTIVITY,
		UpdateQueueRateLimit: &workflowservice.UpdateTaskQueueConfigRequest_RateLimitUpdate{RateLimit: rate, Reason: "a recording"},
	})
	return err
}

// fails starts a workflow that has to fail.
func (r *recording) fails(ctx context.Context, workflow, workflowID string, req any) error {
	r.workflowID = workflowID
	if err := r.start(ctx, workflow, req, 0); err == nil || ctx.Err() != nil {
		return fmt.Errorf("it did not fail: %w", ctx.Err())
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
