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

// charges are the scenarios of charges that are neither authorized only nor interrupted.
var charges = []scenario{
	chargeEnds("charge-succeeded", "succeeds at the first attempt", "tok_visa", payment.Succeeded),
	{
		name: "charge-succeeded-asynchronously", about: "the caller does not wait for the outcome",
		run: func(ctx context.Context, r *recording) error {
			r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
			if _, err := r.env.Florin.StartCharge(ctx, r.request("tok_visa")); err != nil {
				return err
			}
			c, err := r.waitForOutcome(ctx)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
	chargeEnds("charge-declined", "402: a soft decline", "tok_insufficient_funds", payment.Declined),
	chargeEnds("charge-declined-in-success", "200 with status declined", "tok_declined_200", payment.Declined),
	chargeEnds("charge-failed-400", "400: not retried", "tok_400", payment.Failed),
	chargeEnds("charge-failed-401", "401 twice; the worker re-reads the API key in between",
		"tok_401_always", payment.Failed),
	withOwnProcessor(chargeEnds("charge-failed-429", "429 until the time for retries is over: the charge was not executed",
		"tok_429_always", payment.Failed)),
	chargeEnds("charge-retried", "503 once: Temporal retries the activity", "tok_503_then_ok", payment.Succeeded),
	withOwnProcessor(chargeEnds("charge-waited-long", "429 with a long Retry-After: the workflow waits on a durable timer",
		"tok_429_long", payment.Succeeded)),
	chargeEnds("charge-lost-found", "500 to every attempt, but the charge was executed: a lookup finds it",
		"tok_500_after_charge", payment.Succeeded),
	chargeEnds("charge-lost-found-late", "unknown outcome; the first two lookups find nothing, a later one finds the charge",
		"tok_lookup_late", payment.Succeeded),
	chargeEnds("charge-lost-never-arrived", "500 to every attempt: absence proves that the charge was not executed",
		"tok_500_always", payment.Failed),
	withOwnProcessor(neverStarted("charge-never-taken",
		"no worker starts the charge in time, and the first lookup finds nothing: the charge was not executed")),
	chargeEnds("charge-timeout-then-401", "a timeout, then 401: the 401 does not prove that the first attempt was not executed",
		"tok_timeout_then_401", payment.Succeeded),
	chargeEnds("charge-conflicted-amount", "the processor charged another amount", "tok_wrong_amount", payment.Conflicted),
	chargeEnds("charge-conflicted-reference", "the processor has the charge under another reference",
		"tok_wrong_reference", payment.Conflicted),
	{
		name:  "charge-needs-reconciliation",
		about: "the outcome is still unknown after the time for lookups; the workflow keeps polling",
		run: func(ctx context.Context, r *recording) error {
			return r.charge(ctx, r.request("tok_lost"), payment.NeedsReconciliation)
		},
	},
	{
		name: "charge-resolved", about: "an operator resolves the unknown outcome",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.request("tok_lost"), payment.NeedsReconciliation); err != nil {
				return err
			}
			resolution := payment.Resolution{
				Status: payment.Succeeded, Evidence: "in the dashboard, ticket 4711", By: "jane", WithoutProcessorID: true,
			}
			c, err := r.env.Florin.Resolve(ctx, merchant, r.key, resolution)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
	chargeEndsLater("charge-pending-declined", "pending, polled until it is declined",
		"tok_pending_declined", payment.Pending, payment.Declined),
	chargeEndsLater("charge-requires-action", "3-D Secure: the customer completes the authentication",
		"tok_requires_action", payment.RequiresAction, payment.Succeeded),
	{
		name: "charge-pending-event", about: "pending; a processor event makes the workflow look the charge up at once",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.request("tok_pending"), payment.Pending); err != nil {
				return err
			}
			for {
				err := r.env.Temporal.SignalWorkflow(ctx, r.workflowID, "", payment.SignalProcessorEvent, nil)
				var closed *serviceerror.NotFound
				if errors.As(err, &closed) {
					return nil
				}
				if err = errors.Join(err, pause(ctx, 400*time.Millisecond)); err != nil {
					return err
				}
			}
		},
	},
	{
		name: "charge-mismatch", about: "another request under the same key is refused while the payment is pending",
		run: func(ctx context.Context, r *recording) error {
			req := r.request("tok_pending")
			if err := r.charge(ctx, req, payment.Pending); err != nil {
				return err
			}
			req.Amount++
			if _, err := r.env.Florin.Charge(ctx, req); !errors.Is(err, florin.ErrIdempotencyMismatch) {
				return fmt.Errorf("charge with another amount: got %w, want %w", err, florin.ErrIdempotencyMismatch)
			}
			c, err := r.waitForOutcome(ctx)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
	{
		name: "charge-invalid-request", about: "the workflow fails: the request is invalid",
		run: func(ctx context.Context, r *recording) error {
			req := r.request("tok_visa")
			req.Amount, req.Currency = -1, "usd"
			return r.startFails(ctx, payment.WorkflowCharge, payment.ChargeWorkflowID(merchant, r.key), req)
		},
	},
	{
		name: "charge-processor-not-configured", about: "the workflow fails: the processor is not configured",
		run: func(ctx context.Context, r *recording) error {
			req := r.request("tok_visa")
			req.Processor = "nowhere"
			return r.startFails(ctx, payment.WorkflowCharge, payment.ChargeWorkflowID(merchant, r.key), req)
		},
	},
}

// neverStarted is a charge whose task queue is paused until its schedule-to-close timeout.
func neverStarted(name, about string) scenario {
	return scenario{name: name, about: about, run: func(ctx context.Context, r *recording) error {
		if err := r.setRateLimit(ctx, &taskqueuepb.RateLimit{RequestsPerSecond: 0}); err != nil {
			return err
		}
		r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
		if _, err := r.env.Florin.StartCharge(ctx, r.request("tok_visa")); err != nil {
			return err
		}
		if err := r.waitForStatus(ctx, payment.Unknown); err != nil {
			return err
		}
		if err := r.setRateLimit(ctx, nil); err != nil {
			return err
		}
		c, err := r.waitForOutcome(ctx)
		return errors.Join(err, expect(c.Status, payment.Failed))
	}}
}

// setRateLimit limits the task queue of the scenario's own processor. nil removes the limit.
func (r *recording) setRateLimit(ctx context.Context, rate *taskqueuepb.RateLimit) error {
	return r.setQueueRateLimit(ctx, payment.ProcessorTaskQueue(r.key), rate)
}

func (r *recording) setQueueRateLimit(ctx context.Context, queue string, rate *taskqueuepb.RateLimit) error {
	_, err := r.env.Temporal.WorkflowService().UpdateTaskQueueConfig(ctx, &workflowservice.UpdateTaskQueueConfigRequest{
		Namespace: client.DefaultNamespace,
		TaskQueue: queue, TaskQueueType: enumspb.TASK_QUEUE_TYPE_ACTIVITY,
		UpdateQueueRateLimit: &workflowservice.UpdateTaskQueueConfigRequest_RateLimitUpdate{RateLimit: rate, Reason: recordingReason},
	})
	return err
}

// startFails starts a workflow that must fail.
func (r *recording) startFails(ctx context.Context, workflow, workflowID string, req any) error {
	r.workflowID = workflowID
	if err := r.start(ctx, workflow, req, 0); err == nil || ctx.Err() != nil {
		return fmt.Errorf("workflow %s did not fail: %w", workflowID, ctx.Err())
	}
	return nil
}

// pause waits, or returns ctx's error if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
