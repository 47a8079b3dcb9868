package florin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/payment"
)

// Get returns the current state of a payment, including what was refunded: from its workflow while that is running, and from the store
// otherwise. [ErrNotFound] means that no payment has this key. [ErrStopped] is returned together with the payment as far as it is
// known.
func (c *Client) Get(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return get[payment.Charge](ctx, c, payment.ChargeWorkflowID(merchantID, idempotencyKey), payment.ActivityGetPayment, merchantID, idempotencyKey)
}

// GetRefund returns the current state of a refund, as [Client.Get] does.
func (c *Client) GetRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return get[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey), payment.ActivityGetRefund, merchantID, idempotencyKey)
}

// List returns a page of payments, newest first. [ErrInvalidRequest] means an invalid cursor or an unknown status.
func (c *Client) List(ctx context.Context, f payment.Filter) (payment.Page, error) {
	page, err := read[payment.Page](ctx, c, payment.ActivityListPayments, f)
	return page, translate(ctx, err, payment.ActivityListPayments)
}

// Wait returns the payment once its status is final, however long that takes: an authorized payment until it is captured, voided or
// expired. Later refunds are not reflected; use [Client.Get].
func (c *Client) Wait(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return result[payment.Charge](ctx, c, payment.ChargeWorkflowID(merchantID, idempotencyKey))
}

// WaitRefund returns the refund once its status is final.
func (c *Client) WaitRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return result[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey))
}

// get reads the workflow if it is running, and the store otherwise.
func get[T record](ctx context.Context, c *Client, workflowID, activity string, args ...any) (T, error) {
	value, err := current[T](ctx, c, workflowID)
	if err == nil && !value.Final() {
		return value, nil
	}
	if err != nil && !errors.Is(err, ErrStopped) && !errors.Is(err, ErrNotFound) {
		return value, err
	}
	stored, readErr := read[T](ctx, c, activity, args...)
	code, refused := refusalCode(readErr)
	switch {
	case readErr == nil && stored.Final():
		return stored, nil
	case readErr == nil:
		return stored, requireRunning(ctx, c, workflowID)
	case refused && code == payment.ErrNotFound:
		return value, err // refused before it began
	default:
		return value, translate(ctx, readErr, workflowID)
	}
}

// requireRunning returns ErrStopped if the workflow, whose payment has begun and has no final status, is not running.
func requireRunning(ctx context.Context, c *Client, workflowID string) error {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound), err == nil && described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return fmt.Errorf("workflow %s: %w", workflowID, ErrStopped)
	default:
		return translate(ctx, err, workflowID)
	}
}

// readTimeout bounds how long read waits for a worker.
const readTimeout = 30 * time.Second

// read runs a read activity on a worker, so that callers need no database access.
func read[T any](ctx context.Context, c *Client, activity string, args ...any) (value T, err error) {
	handle, err := c.temporal.ExecuteActivity(ctx, client.StartActivityOptions{
		ID: activity + "/" + uuid.NewString(), TaskQueue: payment.TaskQueue, ScheduleToCloseTimeout: readTimeout,
	}, activity, args...)
	if err == nil {
		err = handle.Get(ctx, &value)
	}
	return value, err
}

// current queries the workflow. It returns ErrStopped together with the value if that is not final and the workflow has closed.
func current[T record](ctx context.Context, c *Client, workflowID string) (T, error) {
	value, err := query[T](ctx, c, workflowID)
	if err != nil || value.Final() {
		return value, translate(ctx, err, workflowID)
	}
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil || described.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return value, translate(ctx, err, workflowID)
	}
	// It may have closed after the query. From now on, a query returns what it closed with.
	value, err = query[T](ctx, c, workflowID)
	if err == nil && !value.Final() {
		return value, fmt.Errorf("workflow %s: %w", workflowID, ErrStopped)
	}
	return value, translate(ctx, err, workflowID)
}

func query[T record](ctx context.Context, c *Client, workflowID string) (T, error) {
	var value T
	response, err := c.temporal.QueryWorkflow(ctx, workflowID, "", payment.QueryStatus)
	if err == nil {
		err = response.Get(&value)
	}
	return value, err
}

// result waits until the workflow has closed and returns its result.
func result[T record](ctx context.Context, c *Client, workflowID string) (T, error) {
	var value T
	err := c.temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, &value)
	return value, translate(ctx, err, workflowID)
}
