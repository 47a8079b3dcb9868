package florin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/google/uuid"

	"github.com/florinpay/florin/payment"
)

// Capture takes the authorized amount of a payment, or a part of it, and releases the rest. It waits for the outcome. A nil error
// means that the payment is captured as requested, now or by an earlier call.
//
// The other endings are errors. [*NotExecutedError] carries the payment and means that provably nothing was captured, such as
// after a decline: capture again if that makes sense. [ErrNotCapturable] means that the payment is not authorized or that
// another modification is in flight, [ErrCaptureExceedsAuthorized] that less is authorized. [ErrOutcomePending] means that the
// outcome is not known yet, also if ctx is done first: the capture continues; call Capture again or use [Client.Get].
// [ErrConflicted] means that the processor did something else.
func (c *Client) Capture(ctx context.Context, merchantID, idempotencyKey string, req payment.CaptureRequest) (payment.Charge, error) {
	if err := req.Validate(); err != nil {
		return payment.Charge{}, err
	}
	return c.modify(ctx, merchantID, idempotencyKey, modification{
		operation: payment.OperationCapture, update: payment.UpdateCapture, args: []any{req}, content: captureContent(req), refusal: ErrNotCapturable,
		done: func(charge payment.Charge) bool { return charge.Captured(req) },
	})
}

// Void releases the authorized amount of a payment, or cancels a payment that is pending or requires an action, if the processor
// supports that. Its errors are those of [Client.Capture], with [ErrNotVoidable] for a payment that cannot be voided, such as one
// that was captured: refund it instead.
func (c *Client) Void(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return c.modify(ctx, merchantID, idempotencyKey, modification{
		operation: payment.OperationVoid, update: payment.UpdateVoid, refusal: ErrNotVoidable,
		done: func(charge payment.Charge) bool { return charge.Status == payment.Voided },
	})
}

// modification is a capture or a void.
type modification struct {
	operation payment.Operation
	update    string
	args      []any
	// content distinguishes captures of different amounts.
	content string
	// refusal is returned if the payment has ended otherwise.
	refusal error
	// done reports whether the payment is as requested.
	done func(payment.Charge) bool
}

// captureContent identifies what a capture asks for.
func captureContent(req payment.CaptureRequest) string {
	if req.Amount == nil {
		return "all " + req.Currency
	}
	return fmt.Sprintf("%d %s", *req.Amount, req.Currency)
}

func (c *Client) modify(ctx context.Context, merchantID, idempotencyKey string, m modification) (payment.Charge, error) {
	workflowID := payment.ChargeWorkflowID(merchantID, idempotencyKey)
	charge, err := update[payment.Charge](ctx, c, workflowID, client.UpdateWorkflowOptions{
		UpdateID: c.modificationID(ctx, workflowID, m), UpdateName: m.update, Args: m.args,
	})
	if errors.Is(err, errClosed) {
		charge, err = c.Get(ctx, merchantID, idempotencyKey)
		if err == nil && !m.done(charge) {
			err = fmt.Errorf("workflow %s: %w: it is %s", workflowID, m.refusal, charge.Status)
		}
		return charge, err
	}
	if errors.Is(err, payment.ErrTooManyUpdates) { // others wait for the one in flight
		return charge, fmt.Errorf("%w: %w", ErrOutcomePending, err)
	}
	if err == nil {
		err = m.outcome(workflowID, charge)
	}
	return charge, err
}

// modificationID is the update ID of a capture or void: repeated calls join the first one. Temporal allows only ten updates in flight, so
// that repeats would otherwise keep an operator's resolution out. The number of modifications that have ended distinguishes a later
// request for the same. If the workflow does not answer, the ID is empty, and Temporal's client chooses one.
func (c *Client) modificationID(ctx context.Context, workflowID string, m modification) string {
	current, err := query[payment.Charge](ctx, c, workflowID)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s/%d/%s", m.operation, current.Modifications, m.content)
}

// outcome returns nil if the payment is as requested, and otherwise the error that describes what is known.
func (m modification) outcome(workflowID string, charge payment.Charge) error {
	switch {
	case m.done(charge):
		return nil
	case charge.Status == payment.Expired && m.operation == payment.OperationVoid:
		return nil // the payment reached its deadline, and Florin voided it at the same time
	case charge.Status == payment.Unknown, charge.Status == payment.NeedsReconciliation,
		m.operation == payment.OperationCapture && (charge.Status == payment.Pending || charge.Status == payment.RequiresAction):
		return fmt.Errorf("workflow %s: %w: the payment is %s", workflowID, ErrOutcomePending, charge.Status)
	case charge.Status == payment.Conflicted:
		return fmt.Errorf("workflow %s: %w", workflowID, ErrConflicted)
	default:
		return &NotExecutedError{Operation: m.operation, Payment: charge}
	}
}

// Resolve records an operator's decision on a payment whose outcome is unknown or needs reconciliation. Recording the same resolution
// twice has no further effect. [ErrNotResolvable] means that there is nothing to resolve, that an operation is in flight, or that
// the processor has responded meanwhile.
func (c *Client) Resolve(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Charge, error) {
	if err := r.Validate(payment.ResolvedPaymentStatuses); err != nil {
		return payment.Charge{}, err
	}
	workflowID := payment.ChargeWorkflowID(merchantID, idempotencyKey)
	charge, err := resolve[payment.Charge](ctx, c, workflowID, r)
	if err != nil || charge.Final() {
		return charge, err
	}
	current, err := query[payment.Charge](ctx, c, workflowID)
	if err == nil && (current.Status == payment.Unknown || current.Status == payment.NeedsReconciliation) {
		return current, fmt.Errorf("workflow %s: %w: the same resolution was recorded before, about an earlier capture or void: "+
			"look again, and give other evidence", workflowID, ErrNotResolvable)
	}
	return charge, nil
}

// ResolveRefund is [Client.Resolve] for refunds.
func (c *Client) ResolveRefund(ctx context.Context, merchantID, idempotencyKey string, r payment.Resolution) (payment.Refund, error) {
	if err := r.Validate(payment.ResolvedRefundStatuses); err != nil {
		return payment.Refund{}, err
	}
	return resolve[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey), r)
}

// resolve sends a resolution. Its update ID is its content, so that it is recorded once. Temporal returns the result of a known update ID
// again: if that is a refusal, whose reason may be past, resolve sends it under another ID.
func resolve[T record](ctx context.Context, c *Client, workflowID string, r payment.Resolution) (T, error) {
	send := func(updateID string) (T, error) {
		return update[T](ctx, c, workflowID, client.UpdateWorkflowOptions{UpdateID: updateID, UpdateName: payment.UpdateResolve, Args: []any{r}})
	}
	value, err := send(r.Fingerprint())
	if errors.Is(err, ErrNotResolvable) {
		value, err = send(r.Fingerprint() + "/" + uuid.NewString())
	}
	if !errors.Is(err, errClosed) {
		return value, err
	}
	if _, missing := c.temporal.DescribeWorkflowExecution(ctx, workflowID, ""); missing != nil {
		return value, translate(ctx, missing, workflowID)
	}
	return value, fmt.Errorf("workflow %s: %w: the workflow is no longer running", workflowID, ErrNotResolvable)
}

// untilTheNextRun sends an update, and sends it again while it ends because the workflow continues in a new run.
func untilTheNextRun(ctx context.Context, send func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := send()
		var application *temporal.ApplicationError
		if !errors.As(err, &application) || application.Type() != payment.ErrorContinued {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errClosed means that no running workflow can receive an update.
var errClosed = errors.New("the workflow is not running")

// update sends an update to the workflow and waits for its result.
func update[T record](ctx context.Context, c *Client, workflowID string, o client.UpdateWorkflowOptions) (value T, err error) {
	o.WorkflowID, o.WaitForStage = workflowID, client.WorkflowUpdateStageCompleted
	err = untilTheNextRun(ctx, func() error {
		handle, err := c.temporal.UpdateWorkflow(ctx, o)
		if err == nil {
			err = handle.Get(ctx, &value)
		}
		return err
	})
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return value, errClosed
	}
	return value, translate(ctx, err, workflowID)
}
