package main

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"

	"github.com/florinpay/florin/payment"
)

// reconciliations are the scenarios of the workflow that compares a processor with the store. Each has a processor of its own, so that it
// compares only its own payment.
var reconciliations = []scenario{
	withOwnProcessor(scenario{
		name: "reconcile-agrees", about: "a reconciliation of a processor and a store that agree",
		run: func(ctx context.Context, r *recording) error {
			if _, err := r.paidCharge(ctx, "tok_visa"); err != nil {
				return err
			}
			return r.reconcile(ctx)
		},
	}),
	withOwnProcessor(scenario{
		name: "reconcile-finds", about: "a reconciliation that finds a refund of the dashboard",
		run: func(ctx context.Context, r *recording) error {
			c, err := r.paidCharge(ctx, "tok_visa")
			if err != nil {
				return err
			}
			if err := r.refundInDashboard(ctx, c); err != nil {
				return err
			}
			return r.reconcile(ctx)
		},
	}),
	withOwnProcessor(scenario{
		name: "reconcile-canceled", about: "a reconciliation that is canceled while no worker takes its first part",
		run: func(ctx context.Context, r *recording) error {
			none := &taskqueuepb.RateLimit{RequestsPerSecond: 0}
			if err := r.setQueueRateLimit(ctx, payment.ReconcileTaskQueue(r.key), none); err != nil {
				return err
			}
			id, err := r.env.Florin.Reconcile(ctx, r.key)
			if err != nil {
				return err
			}
			r.workflowID = id
			if err := r.waitForEvent(ctx, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED); err != nil {
				return err
			}
			if err := r.env.Temporal.CancelWorkflow(ctx, id, ""); err != nil {
				return err
			}
			if _, err = r.env.Florin.WaitReconciliation(ctx, id); err == nil {
				return errors.New("the reconciliation was not canceled")
			}
			return nil
		},
	}),
}

// reconcile reconciles the scenario's own processor, and waits for the end.
func (r *recording) reconcile(ctx context.Context) error {
	id, err := r.env.Florin.Reconcile(ctx, r.key)
	if err != nil {
		return err
	}
	r.workflowID = id
	_, err = r.env.Florin.WaitReconciliation(ctx, id)
	return err
}
