package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/payment"
)

// Begin holds the activities that need no processor. They run on the queue payments, as local activities.
type Begin struct {
	// Default is the processor of a request that names none.
	Default string
	// Processors are the terms of every configured processor, by its name.
	Processors map[string]Terms
}

// Register makes the activities known under the names of the contract.
func (b *Begin) Register(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(b.BeginPayment, activity.RegisterOptions{Name: payment.ActivityBeginPayment})
	r.RegisterActivityWithOptions(b.ReserveRefund, activity.RegisterOptions{Name: payment.ActivityReserveRefund})
}

// BeginPayment chooses the processor of a charge and freezes its terms. A processor that is not configured
// is an InvalidRequest, and so is a workflow that was reset; originalRunID is the workflow's. Safe to repeat.
func (b *Begin) BeginPayment(ctx context.Context, req payment.ChargeRequest, originalRunID string) (Terms, error) {
	if err := refuseReset(ctx, originalRunID); err != nil {
		return Terms{}, err
	}
	name := req.Processor
	if name == "" {
		name = b.Default
	}
	terms, ok := b.Processors[name]
	if !ok {
		err := &payment.InvalidRequestError{Fields: []payment.FieldError{{
			Field:   "processor",
			Problem: fmt.Sprintf("%q is not configured: want %s", name, strings.Join(slices.Sorted(maps.Keys(b.Processors)), " or ")),
		}}}
		return Terms{}, temporal.NewNonRetryableApplicationError(err.Error(), payment.ErrorInvalidRequest, nil)
	}
	return terms, nil
}

// ReserveRefund says where the payment of a refund may be found: the terms of every processor, the default
// one first. Safe to repeat.
func (b *Begin) ReserveRefund(ctx context.Context, _ payment.RefundRequest, originalRunID string) ([]Terms, error) {
	if err := refuseReset(ctx, originalRunID); err != nil {
		return nil, err
	}
	candidates := []Terms{b.Processors[b.Default]}
	for _, name := range slices.Sorted(maps.Keys(b.Processors)) {
		if name != b.Default {
			candidates = append(candidates, b.Processors[name])
		}
	}
	return candidates, nil
}

// refuseReset stops a workflow that was reset to before it began: with other terms, or after the processor has
// forgotten the key, it would move the money again. It is an activity's business because the kept part of the
// history must replay as it was.
func refuseReset(ctx context.Context, originalRunID string) error {
	// The SDK's test environment names no original run.
	if run := activity.GetInfo(ctx).WorkflowExecution.RunID; originalRunID != "" && originalRunID != run {
		return temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("run %s is a reset of run %s: a payment is not begun twice; what became of it, the processor knows", run, originalRunID),
			payment.ErrorInvalidRequest, nil)
	}
	return nil
}
