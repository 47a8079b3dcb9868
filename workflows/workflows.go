// Package workflows holds Charge and Refund: durable, deterministic, replayable. charge.go and refund.go say
// what happens to money; operation.go sends one call to a processor and finds out how it ended.
package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
)

// Register makes the workflows known under the names of the contract, so that renaming a Go function breaks
// no history.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(Charge, workflow.RegisterOptions{Name: payment.WorkflowCharge})
	r.RegisterWorkflowWithOptions(Refund, workflow.RegisterOptions{Name: payment.WorkflowRefund})
}

// record is a payment.Charge or payment.Refund in a workflow that callers wait for.
type record[T any] struct {
	value       T
	fingerprint string
	// valid: the request was checked. Nothing of one that was not goes to where people search.
	valid bool
	// told: the store has the value as it is. Nobody hears of an outcome before.
	told bool
	word word
	// failed is set where the workflow fails: no outcome will ever exist.
	failed error
}

// serve answers the query status and the update outcome. hasOutcome says whether there is something to tell.
func (r *record[T]) serve(ctx workflow.Context, hasOutcome func() bool) error {
	if err := workflow.SetQueryHandler(ctx, payment.QueryStatus, func() (T, error) { return r.value, nil }); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateOutcome,
		func(ctx workflow.Context, _ payment.OutcomeRequest) (T, error) {
			// Cancelling the workflow must not take the answer from a caller who waits for it.
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			err := workflow.Await(ctx, func() bool { return r.failed != nil || r.told && hasOutcome() })
			if err != nil {
				return r.value, err
			}
			return r.value, r.failed
		},
		workflow.UpdateHandlerOptions{
			Description: "Waits for the first outcome.",
			Validator: func(_ workflow.Context, req payment.OutcomeRequest) error {
				if req.Fingerprint != "" && req.Fingerprint != r.fingerprint {
					return applicationError(&payment.Refusal{Code: payment.ErrIdempotencyMismatch, Message: payment.ErrIdempotencyMismatch.Error()})
				}
				return nil
			},
		})
}

// cancelledInTime is why a payment failed that was cancelled before it was sent. The workflow did not: no money moved.
var cancelledInTime = payment.Failure{Class: payment.ClassNotSent, Message: "cancelled before anything was sent"}

// finish lets everybody who waits have the answer before the workflow closes. A workflow that fails before
// anything was sent leaves a record that says so.
func (r *record[T]) finish(ctx workflow.Context, err error, s subject) (T, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err != nil && s.status() == payment.Processing {
		failure := payment.Failure{Class: payment.ClassInvalidRequest, Message: err.Error()}
		var refused *temporal.ApplicationError
		if errors.As(err, &refused) {
			failure.Message = refused.Message() // without the activity and the workflow around it
		}
		s.move(ctx, payment.Failed, &failure)
		r.told = true // there is nothing in the store
	}
	r.failed = err
	// Of no use any more, and not unhandled: the SDK would warn of it.
	drain(workflow.GetSignalChannel(ctx, payment.SignalProcessorEvent))
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
	return temporal.NewNonRetryableApplicationError(invalid.Error(), string(payment.ErrInvalidRequest), nil, invalid)
}

// invalidField refuses one field of an input.
func invalidField(field, format string, args ...any) error {
	return invalidRequest(&payment.InvalidRequestError{Fields: []payment.FieldError{{Field: field, Problem: fmt.Sprintf(format, args...)}}})
}

// storeOptions are those of the local activities that keep the store: quick, and repeated for as long as one may take.
func storeOptions(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		Summary:             summary,
		StartToCloseTimeout: 5 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 100 * time.Millisecond, MaximumInterval: 30 * time.Second, BackoffCoefficient: 2,
		},
	})
}

// inStore asks the store, in a context that nothing cancels: what it has done, somebody has to know. Only a refusal is an
// error. While the store is down the workflow task fails, says so, and is tried again: the payment waits, unharmed.
func inStore(ctx workflow.Context, activity string, request, answer any) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	err := workflow.ExecuteLocalActivity(storeOptions(ctx, "begin"), activity, request).Get(ctx, answer)
	var refused *temporal.ApplicationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.NonRetryable():
		return refused // without the activity around it: people read what the workflow failed with
	default:
		panic(fmt.Sprintf("%s: %v", activity, err))
	}
}

// moved is the one line that a change of status leaves in the log, but for replays.
func moved(ctx workflow.Context, what, id string, from, to payment.Status, failure *payment.Failure) {
	logger, fields := workflow.GetLogger(ctx), []any{what + "_id", id, "from", from, "status", to}
	if failure != nil {
		fields = append(fields, "failure_class", failure.Class, "failure", failure.Message)
	}
	switch to {
	case payment.NeedsReconciliation, payment.Conflicted:
		logger.Error(what+" needs a human", fields...)
	case payment.Unknown:
		logger.Warn(what+" moved", fields...)
	default:
		logger.Info(what+" moved", fields...)
	}
}

// wasReset holds in a run that began with a part of another one's history: what that one sent after it is not known here.
func wasReset(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	// The SDK's test environment names no original run.
	return info.OriginalRunID != "" && info.OriginalRunID != info.WorkflowExecution.RunID
}

// store records what has moved. What the store refuses for good is a bug, or another program's doing: the workflow task
// fails and is tried again, so that the payment waits, unharmed, until somebody looks.
func (r *record[T]) store(ctx workflow.Context, activity string, status payment.Status, cause activities.Cause) error {
	if r.told {
		return nil
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var stored T
	err := workflow.ExecuteLocalActivity(storeOptions(ctx, "record: "+string(status)), activity, r.value, cause).Get(ctx, &stored)
	var refused *temporal.ApplicationError
	switch {
	case err == nil:
		r.value, r.told = stored, true
		return nil
	case errors.As(err, &refused) && refused.Type() == activities.ErrorProcessorIDTaken:
		return err
	default:
		panic(fmt.Sprintf("%s: %v", activity, err))
	}
}
