package main

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/payment"
)

var interrupted = []scenario{
	alone(scenario{name: "charge-cancelled-before-sent", shows: "cancelled while it waits to send again: no money has moved", run: func(ctx context.Context, r *recording) error {
		if err := r.waitsToSend(ctx); err != nil {
			return err
		}
		c, err := cancel(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Failed))
	}}),
	alone(scenario{name: "charge-terminated", shows: "terminated while it waits to send again", run: func(ctx context.Context, r *recording) error {
		if err := r.waitsToSend(ctx); err != nil {
			return err
		}
		return r.terminate(ctx)
	}}),
	alone(scenario{name: "charge-resumed", shows: "started again after it was terminated", run: func(ctx context.Context, r *recording) error {
		if err := r.waitsToSend(ctx); err != nil {
			return err
		}
		if err := r.terminate(ctx); err != nil {
			return err
		}
		return r.charge(ctx, r.request("tok_429_long"), payment.Succeeded)
	}}),
	{name: "held-resumed", shows: "started again after it was terminated, and then captured", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.held("tok_visa"), payment.Authorized); err != nil {
			return err
		}
		if err := r.terminate(ctx); err != nil {
			return err
		}
		if err := r.startAgain(ctx, r.held("tok_visa")); err != nil {
			return err
		}
		c, err := capture(0)(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
	{name: "charge-mismatch-after-terminate", shows: "fails: the key is known to belong to another request", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.held("tok_visa"), payment.Authorized); err != nil {
			return err
		}
		if err := r.terminate(ctx); err != nil {
			return err
		}
		other := r.held("tok_visa")
		other.Amount++
		return r.fails(ctx, payment.WorkflowCharge, r.workflowID, other)
	}},
	{name: "held-timed-out", shows: "the run had a time limit of Temporal's", run: func(ctx context.Context, r *recording) error {
		r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
		if err := r.start(ctx, payment.WorkflowCharge, r.held("tok_visa"), 3*time.Second); err == nil {
			return errors.New("it did not time out")
		}
		return nil
	}},
	{name: "charge-reset-at-the-start", shows: "reset before anything was begun: the store knows how it ended", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.request("tok_visa"), payment.Succeeded); err != nil {
			return err
		}
		if err := r.reset(ctx, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED); err != nil {
			return err
		}
		c, err := patiently(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
	{name: "held-reset", shows: "reset where the answer of the charge has come, and then captured", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.held("tok_visa"), payment.Authorized); err != nil {
			return err
		}
		if err := r.reset(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED); err != nil {
			return err
		}
		if err := r.reaches(ctx, payment.Authorized); err != nil {
			return err
		}
		c, err := capture(0)(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
	{name: "charge-reset-after-a-timer", shows: "reset after it had waited for the processor's decision", run: func(ctx context.Context, r *recording) error {
		if err := r.charge(ctx, r.request("tok_pending"), payment.Pending); err != nil {
			return err
		}
		if err := r.reset(ctx, enumspb.EVENT_TYPE_TIMER_FIRED); err != nil {
			return err
		}
		c, err := patiently(ctx, r)
		return errors.Join(err, expect(c.Status, payment.Succeeded))
	}},
}

// waitsToSend starts a charge and returns once it waits on a timer to send again.
func (r *recording) waitsToSend(ctx context.Context) error {
	r.workflowID = payment.ChargeWorkflowID(merchant, r.key)
	if _, err := r.env.Florin.StartCharge(ctx, r.request("tok_429_long")); err != nil {
		return err
	}
	return r.happens(ctx, enumspb.EVENT_TYPE_TIMER_STARTED)
}

// startAgain starts a charge that was terminated, and returns once it stands where it stood.
func (r *recording) startAgain(ctx context.Context, req payment.ChargeRequest) error {
	if _, err := r.env.Florin.StartCharge(ctx, req); err != nil {
		return err
	}
	return r.reaches(ctx, payment.Authorized)
}
