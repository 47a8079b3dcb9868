package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/payment"
)

// interrupted are the scenarios of workflows that an operator cancels, terminates or resets, or that time out.
var interrupted = []scenario{
	withOwnProcessor(scenario{
		name: "charge-canceled-before-sent", about: "canceled while it waits to repeat the charge: no money has moved",
		run: func(ctx context.Context, r *recording) error {
			if err := r.startDelayedCharge(ctx); err != nil {
				return err
			}
			c, err := cancel(ctx, r)
			return errors.Join(err, expect(c.Status, payment.Failed))
		},
	}),
	withOwnProcessor(scenario{
		name: "charge-terminated", about: "terminated while it waits to repeat the charge",
		run: func(ctx context.Context, r *recording) error {
			if err := r.startDelayedCharge(ctx); err != nil {
				return err
			}
			return r.terminate(ctx)
		},
	}),
	withOwnProcessor(scenario{
		name: "charge-resumed", about: "started again after a termination",
		run: func(ctx context.Context, r *recording) error {
			if err := r.startDelayedCharge(ctx); err != nil {
				return err
			}
			if err := r.terminate(ctx); err != nil {
				return err
			}
			return r.charge(ctx, r.request("tok_429_long"), payment.Succeeded)
		},
	}),
	{
		name: "held-resumed", about: "started again after a termination, then captured",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.authorization("tok_visa"), payment.Authorized); err != nil {
				return err
			}
			if err := r.terminate(ctx); err != nil {
				return err
			}
			if err := r.resume(ctx, r.authorization("tok_visa")); err != nil {
				return err
			}
			c, err := capture(0)(ctx, r)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
	{
		name:  "charge-mismatch-after-terminate",
		about: "the workflow fails: after a termination, the store has another request under the same key",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.authorization("tok_visa"), payment.Authorized); err != nil {
				return err
			}
			if err := r.terminate(ctx); err != nil {
				return err
			}
			other := r.authorization("tok_visa")
			other.Amount++
			return r.startFails(ctx, payment.WorkflowCharge, r.workflowID, other)
		},
	},
	{
		name: "held-timed-out", about: "the run reaches its workflow run timeout",
		run: func(ctx context.Context, r *recording) error {
			r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
			if err := r.start(ctx, payment.WorkflowCharge, r.authorization("tok_visa"), 3*time.Second); err == nil {
				return fmt.Errorf("workflow %s did not time out", r.workflowID)
			}
			return nil
		},
	},
	{
		name: "charge-reset-at-the-start", about: "reset before the first activity: the store has the outcome",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.request("tok_visa"), payment.Succeeded); err != nil {
				return err
			}
			if err := r.reset(ctx, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED); err != nil {
				return err
			}
			c, err := r.waitForOutcome(ctx)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
	{
		name: "held-reset", about: "reset after the charge activity completed, then captured",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.authorization("tok_visa"), payment.Authorized); err != nil {
				return err
			}
			if err := r.reset(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED); err != nil {
				return err
			}
			if err := r.waitForStatus(ctx, payment.Authorized); err != nil {
				return err
			}
			c, err := capture(0)(ctx, r)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
	{
		name: "charge-reset-after-a-timer", about: "reset after it waited for the processor's decision",
		run: func(ctx context.Context, r *recording) error {
			if err := r.charge(ctx, r.request("tok_pending"), payment.Pending); err != nil {
				return err
			}
			if err := r.reset(ctx, enumspb.EVENT_TYPE_TIMER_FIRED); err != nil {
				return err
			}
			c, err := r.waitForOutcome(ctx)
			return errors.Join(err, expect(c.Status, payment.Succeeded))
		},
	},
}

// startDelayedCharge starts a charge, and returns once its workflow waits on a timer to repeat it.
func (r *recording) startDelayedCharge(ctx context.Context) error {
	r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
	if _, err := r.env.Florin.StartCharge(ctx, r.request("tok_429_long")); err != nil {
		return err
	}
	return r.waitForEvent(ctx, enumspb.EVENT_TYPE_TIMER_STARTED)
}

// resume starts a terminated authorization again, and returns once the payment is authorized.
func (r *recording) resume(ctx context.Context, req payment.ChargeRequest) error {
	if _, err := r.env.Florin.StartCharge(ctx, req); err != nil {
		return err
	}
	return r.waitForStatus(ctx, payment.Authorized)
}
