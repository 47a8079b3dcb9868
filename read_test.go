package florin

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// closingTemporal is a Temporal client with one workflow, which may close between two calls.
type closingTemporal struct {
	client.Client
	// queried are the statuses that successive queries return. Without one, a query does not find the workflow.
	queried []payment.Status
	// described is the status of the workflow itself.
	described enumspb.WorkflowExecutionStatus
	// stored is the status in the store; empty: the store does not have the payment.
	stored payment.Status
	// closedWith is the error of the run; nil: it is declined.
	closedWith error
	// queryErr is the error of each query, such as that no worker has the workflow's build. readErr is that of reading the store.
	queryErr, readErr error
	// outcome is the status that Charge gets.
	outcome payment.Status
	// closesWith is the status with which the workflow closes, and is stored, after the store was read once; empty: it does not close.
	closesWith payment.Status
}

// ExecuteActivity reads the store.
func (c *closingTemporal) ExecuteActivity(
	context.Context, client.StartActivityOptions, any, ...any,
) (client.ActivityHandle, error) {
	if c.readErr != nil {
		return nil, c.readErr
	}
	if c.stored == "" {
		return nil, temporal.NewNonRetryableApplicationError("not found", string(payment.ErrNotFound), nil)
	}
	read := storedPayment{status: c.stored}
	if c.closesWith != "" {
		c.stored, c.described = c.closesWith, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	}
	return read, nil
}

// storedPayment is the activity that reads the payment.
type storedPayment struct {
	client.ActivityHandle
	status payment.Status
}

func (s storedPayment) Get(_ context.Context, value any) error {
	*value.(*payment.Charge) = payment.Charge{Status: s.status, RefundedAmount: 500}
	return nil
}

// queryResult is the encoded result of a query.
type queryResult payment.Status

func (r queryResult) HasValue() bool { return true }

func (r queryResult) Get(value any) error {
	*value.(*payment.Charge) = payment.Charge{Status: payment.Status(r)}
	return nil
}

func (c *closingTemporal) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	if c.queryErr != nil {
		return nil, c.queryErr
	}
	if len(c.queried) == 0 {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	next := c.queried[0]
	c.queried = c.queried[1:]
	return queryResult(next), nil
}

func (c *closingTemporal) DescribeWorkflowExecution(
	context.Context, string, string,
) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: c.described},
	}, nil
}

// GetWorkflow returns the run, which closes at once.
func (c *closingTemporal) GetWorkflow(context.Context, string, string) client.WorkflowRun {
	return closedRun{err: c.closedWith}
}

type closedRun struct {
	client.WorkflowRun
	err error
}

func (r closedRun) Get(_ context.Context, value any) error {
	if r.err == nil {
		*value.(*payment.Charge) = payment.Charge{Status: payment.Declined}
	}
	return r.err
}

func TestWaitReturnsWhatTheStoreHasIfTheWorkflowIsGone(t *testing.T) {
	const terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	gone := serviceerror.NewNotFound("no such workflow")
	for name, tt := range map[string]struct {
		closedWith error
		stored     payment.Status
		want       payment.Status
		err        error
	}{
		"closed with a result":                    {want: payment.Declined},
		"after the retention period":              {closedWith: gone, stored: payment.Succeeded, want: payment.Succeeded},
		"deleted without an outcome":              {closedWith: gone, stored: payment.Unknown, want: payment.Unknown, err: ErrStopped},
		"does not exist":                          {closedWith: gone, err: ErrNotFound},
		"terminated":                              {closedWith: &temporal.TerminatedError{}, stored: payment.Pending, want: payment.Pending, err: ErrStopped},
		"terminated after the outcome was stored": {closedWith: &temporal.TerminatedError{}, stored: payment.Succeeded, want: payment.Succeeded},
		"timed out, in a namespace with a limit":  {closedWith: &temporal.TimeoutError{}, stored: payment.Authorized, want: payment.Authorized, err: ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClient(&closingTemporal{closedWith: tt.closedWith, described: terminated, stored: tt.stored}, Options{})
			got, err := c.Wait(t.Context(), "acme", "order-1")
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, got.Status)
		})
	}
}

func TestGetReturnsErrStoppedOnlyForAClosedWorkflowWithoutAnOutcome(t *testing.T) {
	const (
		running    = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
		failed     = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
		terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	)
	noPoller := serviceerror.NewFailedPrecondition("no poller seen for task queue recently, worker may be down")
	neverStarted := temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
	storeDown := temporal.NewApplicationError("connection refused", "")
	processingTwice := []payment.Status{payment.Processing, payment.Processing}
	for name, tt := range map[string]struct {
		queried   []payment.Status
		described enumspb.WorkflowExecutionStatus
		stored    payment.Status
		queryErr  error
		readErr   error
		closes    payment.Status
		want      payment.Status
		err       error
	}{
		"final at the first query": {
			queried: []payment.Status{payment.Succeeded}, described: completed, stored: payment.Succeeded, want: payment.Succeeded,
		},
		"running": {
			queried: []payment.Status{payment.Pending}, described: running, stored: payment.Processing, want: payment.Pending,
		},
		"closed after the query": {
			queried:   []payment.Status{payment.RequiresAction, payment.Succeeded},
			described: completed, stored: payment.Succeeded, want: payment.Succeeded,
		},
		"refused before it began": {
			queried: []payment.Status{payment.Processing, payment.Failed}, described: failed, want: payment.Failed,
		},
		"terminated": {
			queried: processingTwice, described: terminated, stored: payment.Unknown, want: payment.Unknown, err: ErrStopped,
		},
		"terminated before it began": {
			queried: processingTwice, described: terminated, want: payment.Processing, err: ErrStopped,
		},
		"terminated after the outcome was stored": {
			queried: processingTwice, described: terminated, stored: payment.Succeeded, want: payment.Succeeded,
		},
		"closed, and its build is gone": {
			queryErr: context.DeadlineExceeded, described: completed, stored: payment.Succeeded, want: payment.Succeeded,
		},
		"running, and not answering": {
			queryErr: context.DeadlineExceeded, described: running, stored: payment.Pending, want: payment.Pending,
		},
		"running, not answering, and closed after the read": {
			queryErr: context.DeadlineExceeded, described: running, stored: payment.Pending, closes: payment.Succeeded, want: payment.Succeeded,
		},
		"running, without a poller": {
			queryErr: noPoller, described: running, stored: payment.Succeeded, want: payment.Succeeded,
		},
		"running, with tasks that fail": {
			queryErr: serviceerror.NewWorkflowNotReady("failed state"), described: running, stored: payment.Unknown, want: payment.Unknown,
		},
		"running, and not answering before it has begun": {
			queryErr: context.DeadlineExceeded, described: running, err: ErrOutcomePending,
		},
		"running, while the store is down": {
			queryErr: context.DeadlineExceeded, readErr: storeDown, described: running, err: ErrOutcomePending,
		},
		"running, without a worker": {queryErr: noPoller, readErr: neverStarted, described: running, err: ErrNoWorker},
		"completed, without a worker": {
			queried: []payment.Status{payment.Succeeded}, readErr: neverStarted, described: completed, err: ErrNoWorker,
		},
		"completed, while the store is down": {readErr: storeDown, described: completed, err: storeDown},
		"after the retention period": {
			described: completed, stored: payment.Succeeded, want: payment.Succeeded,
		},
		"after the retention period, without an outcome": {
			described: completed, stored: payment.Unknown, want: payment.Unknown, err: ErrStopped,
		},
		"does not exist": {described: completed, err: ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClient(&closingTemporal{queried: tt.queried, queryErr: tt.queryErr, readErr: tt.readErr, described: tt.described, stored: tt.stored, closesWith: tt.closes}, Options{})
			got, err := c.Get(t.Context(), "acme", "order-1")
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, got.Status)
			if err == nil && got.Status.Final() && tt.stored != "" {
				require.EqualValues(t, 500, got.RefundedAmount, "only the store has the refunded amount")
			}
		})
	}
}

// UpdateWithStartWorkflow charges.
func (c *closingTemporal) UpdateWithStartWorkflow(
	context.Context, client.UpdateWithStartWorkflowOptions,
) (client.WorkflowUpdateHandle, error) {
	return chargeOutcome{status: c.outcome}, nil
}

func (c *closingTemporal) NewWithStartWorkflowOperation(
	client.StartWorkflowOptions, any, ...any,
) client.WithStartWorkflowOperation {
	return nil
}

// chargeOutcome is the update that charges.
type chargeOutcome struct {
	client.WorkflowUpdateHandle
	status payment.Status
}

func (o chargeOutcome) Get(_ context.Context, value any) error {
	*value.(*payment.Charge) = payment.Charge{Status: o.status}
	return nil
}

// What is known of a pending payment is not lost because no worker is there to tell whether it has progressed.
func TestChargeReturnsAPendingPaymentIfTheWorkersStopThen(t *testing.T) {
	c := NewClient(&closingTemporal{
		outcome: payment.Pending, described: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		queryErr: context.DeadlineExceeded, readErr: temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil),
	}, Options{})
	got, err := c.Charge(t.Context(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	})
	require.ErrorIs(t, err, ErrNoWorker, "the first outcome may be outdated")
	require.Equal(t, payment.Pending, got.Status)
}
