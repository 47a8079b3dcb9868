package florin

// How a payment or refund is read: from its workflow while that is at work on it, and from the store otherwise.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// get is what the workflow says now, if it is at work, and what the store has otherwise.
func get[T record](ctx context.Context, c *Client, workflowID, activity string, args ...any) (T, error) {
	value, err := current[T](ctx, c, workflowID)
	if err == nil && !statusOf(value).Final() {
		return value, nil
	}
	if err != nil && !errors.Is(err, ErrStopped) && !errors.Is(err, ErrNotFound) {
		return value, err
	}
	stored, readErr := read[T](ctx, c, activity, args...)
	var refused *temporal.ApplicationError
	switch {
	case readErr == nil && statusOf(stored).Final():
		return stored, nil
	case readErr == nil:
		// It has begun: somebody has to be at work on it.
		return stored, atWork(ctx, c, workflowID)
	case errors.As(readErr, &refused) && refused.Type() == payment.ErrorNotFound:
		return value, err // refused before it began
	default:
		return value, translate(ctx, readErr, workflowID)
	}
}

// atWork is ErrStopped where no workflow is at work.
func atWork(ctx context.Context, c *Client, workflowID string) error {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &gone), err == nil && described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return fmt.Errorf("workflow %s: %w", workflowID, ErrStopped)
	default:
		return translate(ctx, err, workflowID)
	}
}

// readTimeout bounds how long a worker is waited for that reads the store.
const readTimeout = 30 * time.Second

// read has a worker read the store: no service needs the database.
func read[T any](ctx context.Context, c *Client, activity string, args ...any) (value T, err error) {
	handle, err := c.temporal.ExecuteActivity(ctx, client.StartActivityOptions{
		ID: activity + "/" + uuid.NewString(), TaskQueue: payment.TaskQueue, ScheduleToCloseTimeout: readTimeout,
	}, activity, args...)
	if err == nil {
		err = handle.Get(ctx, &value)
	}
	return value, err
}

// current is what the workflow says now. Where that is not the last word, somebody has to be at work on it.
func current[T record](ctx context.Context, c *Client, workflowID string) (T, error) {
	value, err := query[T](ctx, c, workflowID)
	if err != nil || statusOf(value).Final() {
		return value, translate(ctx, err, workflowID)
	}
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil || described.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return value, translate(ctx, err, workflowID)
	}
	// It has closed, perhaps since it was asked. What it says from now on is what it ended with.
	value, err = query[T](ctx, c, workflowID)
	if err == nil && !statusOf(value).Final() {
		return value, fmt.Errorf("workflow %s: %w", workflowID, ErrStopped)
	}
	return value, translate(ctx, err, workflowID)
}

func query[T record](ctx context.Context, c *Client, workflowID string) (T, error) {
	var value T
	answer, err := c.temporal.QueryWorkflow(ctx, workflowID, "", payment.QueryStatus)
	if err == nil {
		err = answer.Get(&value)
	}
	return value, err
}

// record is what a workflow tells of.
type record interface {
	payment.Charge | payment.Refund
}

func statusOf[T record](value T) payment.Status {
	switch v := any(value).(type) {
	case payment.Charge:
		return v.Status
	case payment.Refund:
		return v.Status
	default:
		return ""
	}
}

func result[T any](ctx context.Context, c *Client, workflowID string) (T, error) {
	var value T
	err := c.temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, &value)
	return value, translate(ctx, err, workflowID)
}
