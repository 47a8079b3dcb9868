package activities

import (
	"context"
	"math/rand/v2"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Processor holds the calls to one processor. They run on that processor's own queue. Each makes one call
// and never retries by itself: that is the policy's, with the delay that the error carries.
type Processor struct {
	processor processor.Processor
	backoff   retry.Backoff
	// longestRetry is the longest wait that is left to the retry policy. A longer one becomes a timer of the
	// workflow, which people can see and which holds no attempt.
	longestRetry time.Duration
	random       func() float64
}

// NewProcessor makes the activities of one processor.
func NewProcessor(p processor.Processor, backoff retry.Backoff, longestRetry time.Duration) *Processor {
	return &Processor{processor: p, backoff: backoff, longestRetry: longestRetry, random: rand.Float64}
}

// Register makes the activities known under the names of the contract.
func (p *Processor) Register(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(p.ProcessorCharge, activity.RegisterOptions{Name: payment.ActivityProcessorCharge})
	r.RegisterActivityWithOptions(p.ProcessorCapture, activity.RegisterOptions{Name: payment.ActivityProcessorCapture})
	r.RegisterActivityWithOptions(p.ProcessorVoid, activity.RegisterOptions{Name: payment.ActivityProcessorVoid})
	r.RegisterActivityWithOptions(p.ProcessorRefund, activity.RegisterOptions{Name: payment.ActivityProcessorRefund})
	r.RegisterActivityWithOptions(p.ProcessorLookup, activity.RegisterOptions{Name: payment.ActivityProcessorLookup})
}

// ProcessorCharge charges once. A decline is a result; every error carries a CallFailure. Safe to repeat
// with the same call: the key is part of it.
func (p *Processor) ProcessorCharge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	return once(ctx, p, p.processor.Charge, call)
}

// ProcessorCapture takes once what a payment holds, as ProcessorCharge charges.
func (p *Processor) ProcessorCapture(ctx context.Context, call processor.CaptureCall) (processor.Result, error) {
	return once(ctx, p, p.processor.Capture, call)
}

// ProcessorVoid lets go once of what a payment holds, as ProcessorCharge charges.
func (p *Processor) ProcessorVoid(ctx context.Context, call processor.VoidCall) (processor.Result, error) {
	return once(ctx, p, p.processor.Void, call)
}

// ProcessorRefund refunds once, as ProcessorCharge charges.
func (p *Processor) ProcessorRefund(ctx context.Context, call processor.RefundCall) (processor.Result, error) {
	return once(ctx, p, p.processor.Refund, call)
}

// once makes a call that moves money, as the attempt that it is.
func once[C any](ctx context.Context, p *Processor, send func(context.Context, C) (processor.Result, error), call C) (processor.Result, error) {
	earlier := openEarlier(ctx)
	result, err := send(retry.WithAttempt(ctx, int(activity.GetInfo(ctx).Attempt)), call)
	if err != nil {
		return processor.Result{}, p.applicationError(ctx, err, earlier)
	}
	return result, nil
}

// Found is the answer of a lookup.
type Found struct {
	Found  bool             `json:"found"`
	Result processor.Result `json:"result,omitzero"`
}

// ProcessorLookup asks what became of an operation. It moves no money.
func (p *Processor) ProcessorLookup(ctx context.Context, call processor.LookupCall) (Found, error) {
	result, found, err := p.processor.Lookup(ctx, call)
	if err != nil {
		return Found{}, p.applicationError(ctx, err, false)
	}
	return Found{Found: found, Result: result}, nil
}

// attempts is what an attempt leaves behind for the next one, as heartbeat details: Temporal itself passes
// only the last error on to the workflow, and a 503 says nothing about the time-out before it.
type attempts struct {
	Through int32 `json:"through"`
	Open    bool  `json:"open"`
}

// openEarlier reports whether an earlier attempt of this activity may have moved money: one did not know, or
// one ended without a word. It does not trust the attempt number alone: resetting an activity, in Temporal Web or
// by the command line, makes it 1 again.
func openEarlier(ctx context.Context) bool {
	info := activity.GetInfo(ctx)
	if !activity.HasHeartbeatDetails(ctx) {
		return info.Attempt > 1 || info.StartedTime.Sub(info.ScheduledTime) >= info.StartToCloseTimeout
	}
	var before attempts
	if activity.GetHeartbeatDetails(ctx, &before) != nil {
		return true
	}
	// Until this attempt says otherwise: it may end without a word, and the next may bear its number.
	activity.RecordHeartbeat(ctx, attempts{Through: info.Attempt, Open: true})
	return before.Open || before.Through != info.Attempt-1
}
