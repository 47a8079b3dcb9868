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
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// Get returns the current state of a payment, including what was refunded: from its workflow while that runs and answers, and from the
// store otherwise. [ErrNotFound] means that no payment has this key. [ErrStopped] is returned together with the payment as far as it is
// known. [ErrNoWorker] is returned within 5 seconds if no worker answers.
func (c *Client) Get(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return get[payment.Charge](ctx, c, payment.ChargeWorkflowID(merchantID, idempotencyKey), payment.ActivityGetPayment, merchantID, idempotencyKey)
}

// GetRefund returns the current state of a refund, as [Client.Get] does.
func (c *Client) GetRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return get[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey), payment.ActivityGetRefund, merchantID, idempotencyKey)
}

// Identity returns the merchant and the idempotency key of the payment or refund with an id, such as pay_… or ref_…, as far as the store has
// it. It is for operators: unless callers have to prove who they are, it does not check whose payment it is. [ErrNotFound] means that there is none, and [ErrNoWorker] that no worker
// answers.
func (c *Client) Identity(ctx context.Context, id string) (payment.Identity, error) {
	identity, err := read[payment.Identity](ctx, c, "", payment.ActivityGetIdentity, id)
	return identity, translate(ctx, err, fmt.Sprintf("%s %q", payment.ActivityGetIdentity, id))
}

// List returns a page of payments, newest first. [ErrInvalidRequest] means an invalid filter, and [ErrNoWorker] that no worker
// answers.
func (c *Client) List(ctx context.Context, f payment.Filter) (payment.Page, error) {
	if err := f.Validate(); err != nil {
		return payment.Page{}, err
	}
	page, err := read[payment.Page](ctx, c, f.MerchantID, payment.ActivityListPayments, f)
	return page, translate(ctx, err, payment.ActivityListPayments)
}

// ListRefunds returns a page of the refunds at a processor, newest first. If callers have to prove who they are, it is for those who may
// read what belongs to all merchants. [ErrInvalidRequest] means an invalid filter, and [ErrNoWorker] that no worker answers.
func (c *Client) ListRefunds(ctx context.Context, f payment.RefundFilter) (payment.RefundPage, error) {
	if err := f.Validate(); err != nil {
		return payment.RefundPage{}, err
	}
	page, err := read[payment.RefundPage](ctx, c, "", payment.ActivityListRefunds, f)
	return page, translate(ctx, err, payment.ActivityListRefunds)
}

// Wait returns the payment once its status is final, however long that takes: an authorized payment until it is captured, voided or
// expired. It returns the errors of [Client.Get], and [ErrOutcomePending] if ctx is done first. Later refunds are not reflected; use
// [Client.Get].
func (c *Client) Wait(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	return wait[payment.Charge](ctx, c, payment.ChargeWorkflowID(merchantID, idempotencyKey), payment.ActivityGetPayment, merchantID, idempotencyKey)
}

// WaitRefund returns the refund once its status is final, as [Client.Wait] does. A refund that fails after it succeeded is reported by
// [Client.GetRefund].
func (c *Client) WaitRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	return wait[payment.Refund](ctx, c, payment.RefundWorkflowID(merchantID, idempotencyKey), payment.ActivityGetRefund, merchantID, idempotencyKey)
}

// wait waits for the workflow. If Temporal no longer knows it, or it has stopped without a result, wait returns what the store has; if
// it was started again meanwhile, wait waits for that run.
func wait[T record](ctx context.Context, c *Client, workflowID, activity, merchantID, idempotencyKey string) (T, error) {
	for {
		value, err := result[T](ctx, c, workflowID)
		if !errors.Is(err, ErrNotFound) && !hasStopped(err) {
			return value, err
		}
		if value, err = get[T](ctx, c, workflowID, activity, merchantID, idempotencyKey); err != nil || value.Final() {
			return value, err
		}
	}
}

// hasStopped reports whether err says that a workflow was closed from outside.
func hasStopped(err error) bool {
	var terminated *temporal.TerminatedError
	var canceled *temporal.CanceledError
	var timeout *temporal.TimeoutError
	return errors.As(err, &terminated) || errors.As(err, &canceled) || errors.As(err, &timeout)
}

// get reads the workflow if it is running, and the store otherwise: a closed workflow could only be queried while its build still runs.
// It reads the store, too, if the running workflow does not answer. If the store does not have it, the workflow was refused or
// terminated before it began.
func get[T record](ctx context.Context, c *Client, workflowID, activity, merchantID, idempotencyKey string) (T, error) {
	running, err := isRunning(ctx, c, workflowID)
	if err != nil {
		var none T
		return none, translate(ctx, err, workflowID)
	}
	var unanswered error
	if running {
		value, err := query[T](ctx, c, workflowID)
		if err == nil && !value.Final() {
			return value, nil
		}
		if err != nil && !isUnanswered(ctx, err) {
			return value, translate(ctx, err, workflowID)
		}
		unanswered = err
	}
	startWithin := readStartTimeout
	if unanswered != nil { // the query has waited for a worker, too
		startWithin -= queryTimeout
	}
	read := func() (T, error) {
		return readWithin[T](ctx, c, startWithin, merchantID, activity, merchantID, idempotencyKey)
	}
	stored, err := read()
	code, refused := refusalCode(err)
	switch {
	case err == nil && stored.Final():
		return stored, nil
	case err == nil:
		err = requireRunning(ctx, c, workflowID)
		if !running || !errors.Is(err, ErrStopped) {
			return stored, err
		}
		// It has closed since the first look. From now on, the store has what it closed with.
		if last, readErr := read(); readErr == nil && last.Final() {
			return last, nil
		}
		return stored, err
	case unanswered != nil && !errors.Is(err, ErrNoWorker):
		return stored, fmt.Errorf("workflow %s: %w: %w: %w", workflowID, ErrOutcomePending, unanswered, err)
	case refused && code == payment.ErrNotFound:
		return current[T](ctx, c, workflowID)
	default:
		return stored, translate(ctx, err, workflowID)
	}
}

// isUnanswered reports whether err says that a query was not answered, although the caller still waits: no worker polls, or it is
// busy with the workflow, or the workflow's tasks fail.
func isUnanswered(ctx context.Context, err error) bool {
	var noPoller *serviceerror.FailedPrecondition
	var notReady *serviceerror.WorkflowNotReady
	return ctx.Err() == nil && (contextError(ctx, err) != nil || errors.As(err, &noPoller) || errors.As(err, &notReady))
}

// isRunning reports whether the workflow runs. One that Temporal does not know, or no longer, does not.
func isRunning(ctx context.Context, c *Client, workflowID string) (bool, error) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return false, nil
	}
	return described.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, err
}

// requireRunning returns ErrStopped if the workflow, whose payment has begun and has no final status, is not running.
func requireRunning(ctx context.Context, c *Client, workflowID string) error {
	running, err := isRunning(ctx, c, workflowID)
	if err == nil && !running {
		return fmt.Errorf("workflow %s: %w", workflowID, ErrStopped)
	}
	return translate(ctx, err, workflowID)
}

// A worker with a free slot starts a read at once, so that after readStartTimeout none is there: with queryTimeout, that is known within
// five seconds. readTimeout bounds the whole read, with the repetitions while the store is down.
const (
	readStartTimeout = 4500 * time.Millisecond
	readTimeout      = 10 * time.Second
)

// read runs an activity of the store on a worker, so that callers need no database access. The error is a refusal, ErrNoWorker, or
// names the store. merchantID is that of the caller, for its priority; empty: an operator reads.
func read[T any](ctx context.Context, c *Client, merchantID, activity string, args ...any) (value T, err error) {
	return readWithin[T](ctx, c, readStartTimeout, merchantID, activity, args...)
}

// readWithin is read for a worker that starts it within the given time.
func readWithin[T any](ctx context.Context, c *Client, start time.Duration, merchantID, activity string, args ...any) (value T, err error) {
	handle, err := c.temporal.ExecuteActivity(ctx, client.StartActivityOptions{
		ID: activity + "/" + uuid.NewString(), TaskQueue: payment.ReadTaskQueue,
		ScheduleToStartTimeout: start, ScheduleToCloseTimeout: readTimeout, Priority: c.priority(merchantID),
	}, activity, args...)
	if err == nil {
		err = handle.Get(ctx, &value)
	}
	return value, readError(err)
}

// readError names what is missing if a read activity fails: a worker, or the worker's store.
func readError(err error) error {
	var timeout *temporal.TimeoutError
	var application *temporal.ApplicationError
	_, refused := refusalCode(err)
	switch {
	case errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START:
		return fmt.Errorf("%w %q", ErrNoWorker, payment.ReadTaskQueue)
	case err != nil && isUndecodable(err):
		return withLikelyCause(err)
	case !refused && (errors.As(err, &application) || timeout != nil):
		return fmt.Errorf("a worker cannot read the store: %w", err)
	default:
		return err
	}
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

// queryTimeout bounds a query. The SDK allows half of it for one call, so that a lost call can be repeated.
const queryTimeout = 3 * time.Second

func query[T record](ctx context.Context, c *Client, workflowID string) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
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
