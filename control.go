package florin

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// ControlProcessor pauses or resumes the calls to a processor that move money, or sets the rate of its calls, and returns the state of the
// processor. The change is recorded, and every worker obeys it within two seconds: [Client.Processors] shows which of them do already. It is
// for operators, and safe to repeat. [ErrInvalidRequest] means an invalid change or an unknown processor.
func (c *Client) ControlProcessor(ctx context.Context, change payment.ControlChange) (payment.ProcessorState, error) {
	if err := change.Validate(); err != nil {
		return payment.ProcessorState{}, err
	}
	state, err := decide[payment.ProcessorState](ctx, c, payment.ActivityControlProcessor, change)
	return state, translate(ctx, err, fmt.Sprintf("%s %s", payment.ActivityControlProcessor, change.Processor))
}

// Processors returns the state of every processor that a worker was ever configured with, by name.
func (c *Client) Processors(ctx context.Context) ([]payment.ProcessorState, error) {
	states, err := decide[payment.ProcessorStates](ctx, c, payment.ActivityListProcessors)
	return states.Processors, translate(ctx, err, payment.ActivityListProcessors)
}

// decideTimeout bounds one attempt of decide.
const decideTimeout = 2 * time.Second

// decide is read for what takes milliseconds and has to work while a worker is frozen: if that one has taken the task, another gets it soon.
func decide[T any](ctx context.Context, c *Client, activity string, args ...any) (value T, err error) {
	handle, err := c.temporal.ExecuteActivity(ctx, client.StartActivityOptions{
		ID: activity + "/" + uuid.NewString(), TaskQueue: payment.ReadTaskQueue,
		ScheduleToStartTimeout: readStartTimeout, StartToCloseTimeout: decideTimeout, ScheduleToCloseTimeout: readTimeout,
		Priority:    c.priority(""),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 50 * time.Millisecond, BackoffCoefficient: 1},
	}, activity, args...)
	if err == nil {
		err = handle.Get(ctx, &value)
	}
	return value, readError(err)
}
