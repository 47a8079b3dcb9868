package florin

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// priorityRecorder is a Temporal client that records with which priority something is started, and starts nothing.
type priorityRecorder struct {
	client.Client
	started []temporal.Priority
}

var errNotStarted = errors.New("not started")

func (r *priorityRecorder) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	r.started = append(r.started, o.Priority)
	return nil, errNotStarted
}

func (r *priorityRecorder) NewWithStartWorkflowOperation(o client.StartWorkflowOptions, _ any, _ ...any) client.WithStartWorkflowOperation {
	r.started = append(r.started, o.Priority)
	return nil
}

func (r *priorityRecorder) UpdateWithStartWorkflow(context.Context, client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return nil, errNotStarted
}

func (r *priorityRecorder) ExecuteActivity(_ context.Context, o client.StartActivityOptions, _ any, _ ...any) (client.ActivityHandle, error) {
	r.started = append(r.started, o.Priority)
	return nil, errNotStarted
}

func (r *priorityRecorder) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, serviceerror.NewNotFound("no such workflow")
}

func TestEverythingThatIsStartedHasTheMerchantAsItsFairnessKey(t *testing.T) {
	charge := payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
	refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: payment.PaymentID("acme", "order-1")}
	long := strings.Repeat("m", 65)
	for name, tt := range map[string]struct {
		start func(ctx context.Context, c *Client) error
		key   string
	}{
		"Charge":      {key: "acme", start: func(ctx context.Context, c *Client) error { _, err := c.Charge(ctx, charge); return err }},
		"StartCharge": {key: "acme", start: func(ctx context.Context, c *Client) error { _, err := c.StartCharge(ctx, charge); return err }},
		"Refund":      {key: "acme", start: func(ctx context.Context, c *Client) error { _, err := c.Refund(ctx, refund); return err }},
		"StartRefund": {key: "acme", start: func(ctx context.Context, c *Client) error { _, err := c.StartRefund(ctx, refund); return err }},
		"Get":         {key: "acme", start: func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, "acme", "order-1"); return err }},
		"GetRefund":   {key: "acme", start: func(ctx context.Context, c *Client) error { _, err := c.GetRefund(ctx, "acme", "order-1"); return err }},
		"List": {key: "acme", start: func(ctx context.Context, c *Client) error {
			_, err := c.List(ctx, payment.Filter{MerchantID: "acme"})
			return err
		}},
		"List of all merchants": {start: func(ctx context.Context, c *Client) error { _, err := c.List(ctx, payment.Filter{}); return err }},
		"Get with a merchant ID that is longer than Temporal's keys": {key: long[:64], start: func(ctx context.Context, c *Client) error {
			_, err := c.Get(ctx, long, "order-1")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for batch, level := range map[bool]int{false: 3, true: 4} {
				recorder := &priorityRecorder{}
				require.ErrorIs(t, tt.start(t.Context(), NewClient(recorder, Options{Batch: batch})), errNotStarted)
				require.Equal(t, []temporal.Priority{{PriorityKey: level, FairnessKey: tt.key}}, recorder.started)
			}
		})
	}
}
