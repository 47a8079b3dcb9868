package activities

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/processor/batch"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// approving approves every charge, and counts them.
type approving struct {
	processor.Processor
	calls []processor.ChargeCall
	// kinds are those of the calls.
	kinds []batch.Kind
}

func (a *approving) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	a.calls, a.kinds = append(a.calls, call), append(a.kinds, batch.KindOf(ctx))
	return processor.Result{
		ID: "ch_1", Status: payment.Succeeded, Amount: call.Amount, Currency: call.Currency, CapturedAmount: call.Amount, Reference: call.Key,
	}, nil
}

var inlineTerms = Terms{
	Processor: "one", ScheduleToClose: Duration(15 * time.Minute), KeyLifetime: Duration(24 * time.Hour), SendWithin: Duration(time.Hour),
}

// newInline is newPayments with first attempts inline at the processor "one".
func newInline(t *testing.T) (*testsuite.TestActivityEnvironment, *Payments, *approving) {
	t.Helper()
	env, p := newPayments(t)
	one := &approving{}
	p.Terms["one"] = inlineTerms
	p.Inline = NewInline(map[string]FirstAttempts{"one": {
		Processor: NewProcessor(one, processor.Profile{}, retry.DefaultBackoff, 5*time.Minute, Guard{}),
	}}, 1)
	return env, p, one
}

func TestFirstAttemptIsMadeOnlyForWhatIsNew(t *testing.T) {
	env, p, one := newInline(t)
	start := Start{At: time.Now()}
	for i := range 3 {
		value, err := env.ExecuteActivity(payment.ActivityChargeInline, purchase, start)
		begun := decode[BeginResult](t, value, err)
		require.Equal(t, payment.Succeeded, begun.Charge.Status)
		require.Equal(t, i > 0, begun.Resumed)
		require.Equal(t, i == 0, begun.First.IsPersisted())
		require.Len(t, one.calls, 1, "executing the activity again sends nothing")
	}
	stored, err := p.Store.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, stored.Status)
	require.Equal(t, int64(1250), stored.CapturedAmount)
}

func TestFirstAttemptOfABatchMayWaitForOthers(t *testing.T) {
	for isBatch, kind := range map[bool]batch.Kind{false: batch.Single, true: batch.Inline} {
		env, _, one := newInline(t)
		_, err := env.ExecuteActivity(payment.ActivityChargeInline, purchase, Start{At: time.Now(), Batch: isBatch})
		require.NoError(t, err)
		require.Equal(t, []batch.Kind{kind}, one.kinds)
	}
}

func TestFirstAttemptIsLeftToTheQueue(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		start   Start
		request func(*payment.ChargeRequest)
		change  func(*Payments)
	}{
		"the run was reset":                  {start: Start{At: now, Reset: true}},
		"the workflow continues as new":      {start: Start{At: now, Continued: true}},
		"the workflow began too long ago":    {start: Start{At: now.Add(-2 * time.Hour)}},
		"send_by is too near":                {start: Start{At: now}, request: func(r *payment.ChargeRequest) { r.SendBy = now.Add(time.Second) }},
		"the processor is not hosted":        {start: Start{At: now}, request: func(r *payment.ChargeRequest) { r.Processor = "two" }},
		"the worker makes none":              {start: Start{At: now}, change: func(p *Payments) { p.Inline = nil }},
		"too many are made at the same time": {start: Start{At: now}, change: func(p *Payments) { p.Inline.slots <- struct{}{} }},
		"the processor is not ready": {start: Start{At: now}, change: func(p *Payments) {
			one := p.Inline.processors["one"]
			one.Ready = func() bool { return false }
			p.Inline.processors["one"] = one
		}},
	} {
		t.Run(name, func(t *testing.T) {
			env, p, one := newInline(t)
			req := purchase
			if tt.request != nil {
				tt.request(&req)
			}
			if tt.change != nil {
				tt.change(p)
			}
			value, err := env.ExecuteActivity(payment.ActivityChargeInline, req, tt.start)
			begun := decode[BeginResult](t, value, err)
			require.Nil(t, begun.First)
			require.Equal(t, payment.Processing, begun.Charge.Status)
			require.Empty(t, one.calls)
		})
	}
}

func TestFirstAttemptEndsBeforeItsTime(t *testing.T) {
	env, p, _ := newInline(t)
	var ended time.Time
	p.Inline.processors["one"].Processor.processor = &hanging{ended: &ended}
	req := purchase
	req.SendBy = time.Now().Add(leastToSend + 100*time.Millisecond)
	value, err := env.ExecuteActivity(payment.ActivityChargeInline, req, Start{At: time.Now()})
	begun := decode[BeginResult](t, value, err)
	require.False(t, ended.Before(req.SendBy))
	require.True(t, begun.First.Failure.Ambiguous)
	require.Equal(t, "no response in the time of a first attempt", begun.First.Failure.Message)
	require.Equal(t, payment.Processing, begun.Charge.Status)
	require.Less(t, firstAttemptTimeout+toPersist, InlineTimeout, "the response can be persisted")
	require.Less(t, InlineTimeout, 8*time.Second, "the SDK does not extend the workflow task")
}

// hanging is a processor that never responds.
type hanging struct {
	processor.Processor
	ended *time.Time
}

func (h *hanging) Charge(ctx context.Context, _ processor.ChargeCall) (processor.Result, error) {
	<-ctx.Done()
	*h.ended = time.Now()
	if _, bounded := ctx.Deadline(); bounded && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return processor.Result{}, errors.New("it was not canceled: the breaker would count it")
	}
	return processor.Result{}, &processor.Error{
		Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true, Message: "canceled", Err: ctx.Err(),
	}
}

func TestResponseCanBeReturnedIfTheStoreHangs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), InlineTimeout)
	defer cancel()
	persisting, done := whileReturnable(ctx)
	defer done()
	deadline, _ := ctx.Deadline()
	earlier, _ := persisting.Deadline()
	require.Positive(t, deadline.Sub(earlier))
	require.Less(t, deadline.Sub(earlier), toPersist)
}

// A failure whose wait is 0 is not retried.
func TestFirstAttemptThatMayBeRetriedHasAWait(t *testing.T) {
	env, p, _ := newInline(t)
	refused := failingProcessor{err: &processor.Error{
		Class: payment.ClassRateLimited, Certainty: processor.NotExecuted, Retry: true, HTTPStatus: 429,
	}}
	short := retry.Backoff{Strategy: retry.Fixed, Initial: time.Microsecond, Max: time.Microsecond}
	p.Inline = NewInline(map[string]FirstAttempts{"one": {Processor: NewProcessor(refused, processor.Profile{}, short, 5*time.Minute, Guard{})}}, 1)
	value, err := env.ExecuteActivity(payment.ActivityChargeInline, purchase, Start{At: time.Now()})
	begun := decode[BeginResult](t, value, err)
	require.Equal(t, Duration(time.Millisecond), begun.First.Failure.Wait)
}
