package e2e

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// reconcileHourly configures the reconciliation of the default processor. Its windows end now.
func reconcileHourly(c *config.Config) {
	p := c.Processors[environment.ProcessorName]
	p.Reconcile.Every, p.Reconcile.Lag = activities.Duration(time.Hour), activities.Duration(time.Millisecond)
	c.Processors[environment.ProcessorName] = p
}

// schedule returns the schedule of the default processor once the worker has made it as wanted.
func schedule(t *testing.T, env *environment.Environment, isWanted func(*client.ScheduleDescription, error) bool) client.ScheduleHandle {
	t.Helper()
	handle := env.Temporal.ScheduleClient().GetHandle(t.Context(), payment.ReconcileScheduleID(environment.ProcessorName))
	require.Eventually(t, func() bool { return isWanted(handle.Describe(t.Context())) }, 20*time.Second, 50*time.Millisecond)
	return handle
}

func isCreated(_ *client.ScheduleDescription, err error) bool { return err == nil }

func reconcile(t *testing.T, env *environment.Environment) payment.Reconciliation {
	t.Helper()
	id, err := env.Florin.Reconcile(t.Context(), environment.ProcessorName)
	require.NoError(t, err)
	r, err := env.Florin.WaitReconciliation(t.Context(), id)
	require.NoError(t, err)
	return r
}

func TestScheduledReconciliationFindsWhatWasMadeOutside(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: reconcileHourly})
	schedule(t, env, isCreated)
	paid := succeed(t, env, charge("order-1", "tok_visa"))
	succeed(t, env, charge("order-2", "tok_visa"))
	require.NoError(t, env.Simulator.Tamper(t.Context(), func(tamper *simulator.Tampering) error {
		if _, err := tamper.AddPayment(simulator.LedgerPayment{ID: "ch_outside", Status: "succeeded", Amount: 700, Currency: "USD", CapturedAmount: 700}); err != nil {
			return err
		}
		return tamper.ChangePayment(paid.ProcessorPaymentID, func(p *simulator.LedgerPayment) { p.CapturedAmount -= 50 })
	}))
	r := reconcile(t, env)
	require.True(t, r.Complete)
	require.Equal(t, int64(2), r.Counts.Findings)
	page, err := env.Florin.Divergences(t.Context(), payment.DivergenceFilter{Processor: environment.ProcessorName, Open: true})
	require.NoError(t, err)
	var found []string
	for _, d := range page.Divergences {
		found = append(found, string(d.Kind)+" "+d.PaymentID+d.ProcessorRecordID)
	}
	slices.Sort(found)
	require.Equal(t, []string{"captured " + paid.PaymentID, "missing_here ch_outside"}, found)
	runs, err := env.Florin.Reconciliations(t.Context(), payment.ReconciliationFilter{Processor: environment.ProcessorName})
	require.NoError(t, err)
	require.Equal(t, r, runs.Reconciliations[0])

	again := reconcile(t, env)
	require.Zero(t, again.Counts.Findings, "each is recorded once")
	require.NotEqual(t, r.RunID, again.RunID)
	require.Equal(t, r.WindowTo, again.WindowFrom.Add(2*time.Hour))
}

func TestPauseOfAScheduleSurvivesTheWorker(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: reconcileHourly})
	handle := schedule(t, env, isCreated)
	require.NoError(t, handle.Pause(t.Context(), client.SchedulePauseOptions{Note: "incident 4711"}))
	env.StopWorker()
	p := env.Config.Processors[environment.ProcessorName]
	p.Reconcile.Every = activities.Duration(2 * time.Hour)
	env.Config.Processors[environment.ProcessorName] = p
	require.NoError(t, env.StartWorker(t.Context()))
	schedule(t, env, func(d *client.ScheduleDescription, err error) bool {
		require.NoError(t, err)
		require.True(t, d.Schedule.State.Paused)
		require.Equal(t, "incident 4711", d.Schedule.State.Note)
		return d.Schedule.Spec.Intervals[0].Every == 2*time.Hour
	})
	succeed(t, env, charge("order-1", "tok_visa"))
	require.True(t, reconcile(t, env).Complete, "an operator may start one nevertheless")

	env.StopWorker()
	p.Reconcile.Every = 0
	env.Config.Processors[environment.ProcessorName] = p
	require.NoError(t, env.StartWorker(t.Context()))
	schedule(t, env, func(_ *client.ScheduleDescription, err error) bool {
		var missing *serviceerror.NotFound
		return errors.As(err, &missing)
	})
	require.True(t, reconcile(t, env).Complete, "also without a schedule")
}
