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

// closing is a Temporal whose workflow says one status after the other, and is in the given state when described.
type closing struct {
	client.Client
	says  []payment.Status
	state enumspb.WorkflowExecutionStatus
	// stored is what the store has; empty is nothing.
	stored payment.Status
}

// ExecuteActivity reads the store.
func (c *closing) ExecuteActivity(context.Context, client.StartActivityOptions, any, ...any) (client.ActivityHandle, error) {
	if c.stored == "" {
		return nil, temporal.NewNonRetryableApplicationError("not there", string(payment.ErrNotFound), nil)
	}
	return reading{stored: c.stored}, nil
}

type reading struct {
	client.ActivityHandle
	stored payment.Status
}

func (r reading) Get(_ context.Context, value any) error {
	*value.(*payment.Charge) = payment.Charge{Status: r.stored, RefundedAmount: 500}
	return nil
}

type said payment.Status

func (s said) HasValue() bool { return true }

func (s said) Get(value any) error {
	*value.(*payment.Charge) = payment.Charge{Status: payment.Status(s)}
	return nil
}

func (c *closing) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	if len(c.says) == 0 {
		return nil, serviceerror.NewNotFound("forgotten")
	}
	next := c.says[0]
	c.says = c.says[1:]
	return said(next), nil
}

func (c *closing) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: c.state},
	}, nil
}

func TestGetTellsAPaymentThatJustEndedFromOneThatWasStopped(t *testing.T) {
	const (
		running    = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
		terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	)
	for name, tt := range map[string]struct {
		says  []payment.Status
		state enumspb.WorkflowExecutionStatus
		// stored is what the store has; empty is nothing.
		stored payment.Status
		want   payment.Status
		err    error
	}{
		"final at once":                    {[]payment.Status{payment.Succeeded}, completed, payment.Succeeded, payment.Succeeded, nil},
		"at work":                          {[]payment.Status{payment.Pending}, running, payment.Processing, payment.Pending, nil},
		"ended between query and describe": {[]payment.Status{payment.RequiresAction, payment.Succeeded}, completed, payment.Succeeded, payment.Succeeded, nil},
		"refused before it began":          {[]payment.Status{payment.Processing, payment.Failed}, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, "", payment.Failed, nil},
		"terminated":                       {[]payment.Status{payment.Processing, payment.Processing}, terminated, payment.Unknown, payment.Unknown, ErrStopped},
		"terminated before it began":       {[]payment.Status{payment.Processing, payment.Processing}, terminated, "", payment.Processing, ErrStopped},
		"terminated once it was recorded":  {[]payment.Status{payment.Processing, payment.Processing}, terminated, payment.Succeeded, payment.Succeeded, nil},
		"forgotten":                        {nil, completed, payment.Succeeded, payment.Succeeded, nil},
		"forgotten while it was at work":   {nil, completed, payment.Unknown, payment.Unknown, ErrStopped},
		"never heard of":                   {nil, completed, "", "", ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClient(&closing{says: tt.says, state: tt.state, stored: tt.stored}, Options{})
			got, err := c.Get(t.Context(), "acme", "order-1")
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, got.Status)
			if err == nil && got.Status.Final() && tt.stored != "" {
				require.EqualValues(t, 500, got.RefundedAmount, "what the store knows")
			}
		})
	}
}
