package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// approving approves every charge, and counts them.
type approving struct {
	processor.Processor
	calls     []processor.ChargeCall
	deadlines []time.Time
}

func (a *approving) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	a.calls = append(a.calls, call)
	deadline, _ := ctx.Deadline()
	a.deadlines = append(a.deadlines, deadline)
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
	env, _, one := newInline(t)
	req := purchase
	req.SendBy = time.Now().Add(3 * time.Second)
	_, err := env.ExecuteActivity(payment.ActivityChargeInline, req, Start{At: time.Now()})
	require.NoError(t, err)
	require.Len(t, one.deadlines, 1)
	require.False(t, one.deadlines[0].After(req.SendBy))
	require.Less(t, firstAttemptTimeout+toPersist, InlineTimeout, "the response can be persisted")
	require.Less(t, InlineTimeout, 8*time.Second, "the SDK does not extend the workflow task")
}
