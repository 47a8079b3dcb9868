// Package workflows holds Charge and Refund: durable, deterministic, replayable. charge.go and refund.go say
// what happens to money; operation.go sends one call to a processor and finds out how it ended.
package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
)

// Register makes the workflows known under the names of the contract, so that renaming a Go function breaks
// no history.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(Charge, workflow.RegisterOptions{Name: payment.WorkflowCharge})
	r.RegisterWorkflowWithOptions(Refund, workflow.RegisterOptions{Name: payment.WorkflowRefund})
}

// OutcomeRequest is the argument of the update outcome. It may be left out.
type OutcomeRequest struct {
	// Fingerprint is that of the caller's request. Where it is not the workflow's own, the caller asks about
	// another purchase under a used key, and is refused.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// record is a payment.Charge or payment.Refund in a workflow that callers wait for.
type record[T any] struct {
	value       T
	fingerprint string
	// valid: the request was checked. Nothing of one that was not goes to where people search.
	valid bool
	// failed is set where the workflow fails: no outcome will ever exist.
	failed error
}

// serve answers the query status and the update outcome. hasOutcome says whether there is something to tell.
func (r *record[T]) serve(ctx workflow.Context, hasOutcome func() bool) error {
	if err := workflow.SetQueryHandler(ctx, payment.QueryStatus, func() (T, error) { return r.value, nil }); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateOutcome,
		func(ctx workflow.Context, _ OutcomeRequest) (T, error) {
			// Cancelling the workflow must not take the answer from a caller who waits for it.
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			err := workflow.Await(ctx, func() bool { return r.failed != nil || hasOutcome() })
			if err != nil {
				return r.value, err
			}
			return r.value, r.failed
		},
		workflow.UpdateHandlerOptions{
			Description: "Waits for the first outcome.",
			Validator: func(_ workflow.Context, req OutcomeRequest) error {
				if req.Fingerprint != "" && req.Fingerprint != r.fingerprint {
					return temporal.NewNonRetryableApplicationError(
						"this idempotency key belongs to a different request: use a new key for a new purchase",
						payment.ErrorIdempotencyMismatch, nil)
				}
				return nil
			},
		})
}

// finish lets everybody who waits have the answer before the workflow closes. A workflow that fails before
// anything was sent leaves a record that says so; one that was cancelled then did not fail: no money moved.
func (r *record[T]) finish(ctx workflow.Context, err error, s subject) (T, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err != nil && s.status() == payment.Processing {
		failure := payment.Failure{Class: payment.ClassInvalidRequest, Message: err.Error()}
		var refused *temporal.ApplicationError
		if errors.As(err, &refused) {
			failure.Message = refused.Message() // without the activity and the workflow around it
		}
		if temporal.IsCanceledError(err) {
			failure, err = payment.Failure{Class: payment.ClassNotSent, Message: "cancelled before anything was sent"}, nil
		}
		s.move(ctx, payment.Failed, &failure)
	}
	r.failed = err
	if waitErr := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); waitErr != nil {
		return r.value, waitErr
	}
	return r.value, err
}

// invalidRequest fails a workflow whose input cannot be worked on.
func invalidRequest(err error) error {
	var invalid *payment.InvalidRequestError
	if !errors.As(err, &invalid) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(invalid.Error(), payment.ErrorInvalidRequest, nil, invalid)
}

// beginOptions are those of the local activities that begin a payment: quick, and repeated until they work.
func beginOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: 5 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 100 * time.Millisecond, MaximumInterval: 30 * time.Second, BackoffCoefficient: 2,
		},
	})
}
