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
	// queryErr is the error of each query, such as that no worker has the workflow's build.
	queryErr error
}

// ExecuteActivity reads the store.
func (c *closingTemporal) ExecuteActivity(
	context.Context, client.StartActivityOptions, any, ...any,
) (client.ActivityHandle, error) {
	if c.stored == "" {
		return nil, temporal.NewNonRetryableApplicationError("not found", string(payment.ErrNotFound), nil)
	}
	return storedPayment{status: c.stored}, nil
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
	processingTwice := []payment.Status{payment.Processing, payment.Processing}
	for name, tt := range map[string]struct {
		queried   []payment.Status
		described enumspb.WorkflowExecutionStatus
		stored    payment.Status
		queryErr  error
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
		"after the retention period": {
			described: completed, stored: payment.Succeeded, want: payment.Succeeded,
		},
		"after the retention period, without an outcome": {
			described: completed, stored: payment.Unknown, want: payment.Unknown, err: ErrStopped,
		},
		"does not exist": {described: completed, err: ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClient(&closingTemporal{queried: tt.queried, queryErr: tt.queryErr, described: tt.described, stored: tt.stored}, Options{})
			got, err := c.Get(t.Context(), "acme", "order-1")
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, got.Status)
			if err == nil && got.Status.Final() && tt.stored != "" {
				require.EqualValues(t, 500, got.RefundedAmount, "only the store has the refunded amount")
			}
		})
	}
}
