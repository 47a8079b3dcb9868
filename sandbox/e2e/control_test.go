package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// control changes the control of the default processor, and returns once the worker obeys.
func control(t *testing.T, env *environment.Environment, action payment.ControlAction, reason string) {
	t.Helper()
	state, err := env.Florin.ControlProcessor(t.Context(), payment.ControlChange{
		Processor: environment.ProcessorName, Action: action, By: "jane", Reason: reason,
	})
	require.NoError(t, err)
	require.Len(t, state.Workers, 1)
	require.Eventually(t, func() bool {
		states, err := env.Florin.Processors(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{environment.BackupName, environment.ProcessorName}, []string{states[0].Processor, states[1].Processor})
		return states[1].Control == state.Control && states[1].Workers[0].Applied
	}, 10*time.Second, 20*time.Millisecond)
}

func TestPausedProcessorGetsNoChargesButLookups(t *testing.T) {
	t.Parallel()
	processor := &scripted{post: func(_ int32, w http.ResponseWriter, key string) { _, _ = w.Write(paid(key)) }}
	server := httptest.NewServer(processor)
	t.Cleanup(server.Close)
	env := start(t, environment.Options{Tune: func(c *config.Config) {
		p := c.Processors[environment.ProcessorName]
		p.BaseURL, p.ScheduleToClose = server.URL, activities.Duration(40*time.Second) // longer than the pause, on a slow machine, too
		c.Processors[environment.ProcessorName] = p
	}})
	control(t, env, payment.ControlPause, "incident 4711")
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	_, err := env.Florin.Charge(ctx, charge("order-1", "tok_visa"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, processor.posts.Load())
	described, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", "order-1"), "")
	require.NoError(t, err)
	require.Len(t, described.GetPendingActivities(), 1)
	require.Contains(t, described.GetPendingActivities()[0].GetLastFailure().GetMessage(), "the processor is paused by jane: incident 4711")

	asked, err := env.Temporal.ExecuteActivity(t.Context(), client.StartActivityOptions{
		ID: "ask", TaskQueue: payment.ProcessorTaskQueue(environment.ProcessorName), ScheduleToCloseTimeout: 10 * time.Second,
	}, payment.ActivityAskProcessor, payment.ProcessorQuestion{MerchantID: "acme", IdempotencyKey: "order-1"})
	require.NoError(t, err)
	var record activities.LookupResult
	require.NoError(t, asked.Get(t.Context(), &record))
	require.True(t, record.Found)

	control(t, env, payment.ControlResume, "incident 4711 is over")
	c, err := env.Florin.Wait(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status)
	require.Equal(t, int32(1), processor.posts.Load())
	metric := metrics(t, env)
	require.Contains(t, metric, `florin_processor_paused{processor="simulator"} 0`)
	_, err = env.Florin.ControlProcessor(t.Context(), payment.ControlChange{Processor: "acme", Action: payment.ControlPause, By: "jane", Reason: "x"})
	require.ErrorIs(t, err, florin.ErrInvalidRequest)
	require.ErrorContains(t, err, `"acme": no worker is configured with it: want backup or simulator`)
}

func TestPauseLongerThanScheduleToCloseEndsWhatWaits(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	paid := succeed(t, env, charge("paid", "tok_visa"))
	authorize(t, env, manual("authorized", "tok_visa"))
	control(t, env, payment.ControlPause, "incident 4711")

	c, err := env.Florin.Charge(t.Context(), charge("charged", "tok_visa"))
	require.NoError(t, err)
	require.Equal(t, payment.Failed, c.Status)
	r, err := env.Florin.Refund(t.Context(), refund("refunded", paid.PaymentID, 500))
	require.NoError(t, err)
	require.Equal(t, payment.Failed, r.Status)
	_, err = env.Florin.Capture(t.Context(), "acme", "authorized", full)
	require.Error(t, err)
	a, err := env.Florin.Get(t.Context(), "acme", "authorized")
	require.NoError(t, err)
	require.Equal(t, payment.Authorized, a.Status)

	control(t, env, payment.ControlResume, "incident 4711 is over")
	a, err = env.Florin.Capture(t.Context(), "acme", "authorized", full)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, a.Status)
	again := succeed(t, env, charge("again", "tok_visa"))
	requireLedgerMatches(t, env, []payment.Charge{paid, a, again}, nil) // nothing of what waited was executed later
}
