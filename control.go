package florin

import (
	"context"
	"fmt"

	"github.com/florinpay/florin/payment"
)

// ControlProcessor pauses or resumes the calls to a processor that move money, or sets the rate of its calls, and returns the state of the
// processor. The change is recorded, and every worker obeys it within two seconds: [Client.Processors] shows which of them do already. It is
// for operators, and safe to repeat. [ErrInvalidRequest] means an invalid change or an unknown processor.
func (c *Client) ControlProcessor(ctx context.Context, change payment.ControlChange) (payment.ProcessorState, error) {
	if err := change.Validate(); err != nil {
		return payment.ProcessorState{}, err
	}
	state, err := read[payment.ProcessorState](ctx, c, "", payment.ActivityControlProcessor, change)
	return state, translate(ctx, err, fmt.Sprintf("%s %s", payment.ActivityControlProcessor, change.Processor))
}

// Processors returns the state of every processor that a worker was ever configured with, by name.
func (c *Client) Processors(ctx context.Context) ([]payment.ProcessorState, error) {
	states, err := read[payment.ProcessorStates](ctx, c, "", payment.ActivityListProcessors)
	return states.Processors, translate(ctx, err, payment.ActivityListProcessors)
}
