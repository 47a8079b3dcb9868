package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

func TestOperatorsControlAndListProcessors(t *testing.T) {
	env, p := newPayments(t)
	require.NoError(t, p.Store.RegisterProcessors(t.Context(), []string{"one", "two"}))
	renew := func(worker string, configured float64, applied int64, ended time.Duration) {
		require.NoError(t, p.Store.RenewShares(t.Context(), []string{"one"}, func(s store.ProcessorShares) (store.RateShare, []string) {
			return store.RateShare{
				Worker: worker, Configured: store.Rate{PerSecond: configured, Burst: 5}, Demand: 2, Held: store.Rate{PerSecond: 10, Burst: 2},
				Renewal: 1, AppliedRevision: applied, Since: s.Now, LeaseUntil: s.Now.Add(time.Minute - ended),
			}, nil
		}))
	}
	renew("a", 30, 1, 0)
	renew("b", 20, 0, 0)
	renew("gone", 5, 1, time.Hour)
	renew("lost", 5, 0, time.Hour)
	pause := payment.ControlChange{Processor: "one", Action: payment.ControlPause, By: "jane", Reason: "incident 4711"}
	want := payment.ProcessorState{
		Processor: "one", Control: payment.ProcessorControl{Paused: true, By: "jane", Reason: "incident 4711", Revision: 1}, ConfiguredPerSecond: 20,
		Workers: []payment.ProcessorWorker{
			{Worker: "a", PerSecond: 10, Burst: 2, Demand: 2, Applied: true}, {Worker: "b", PerSecond: 10, Burst: 2, Demand: 2},
		},
	}
	for range 2 {
		value, err := env.ExecuteActivity(p.ControlProcessor, pause)
		state := decode[payment.ProcessorState](t, value, err)
		require.Len(t, state.Lost, 1)
		require.WithinDuration(t, time.Now().Add(-59*time.Minute), state.Lost[0].LeaseEnded, 10*time.Second)
		want.Control.At, want.Lost = state.Control.At, []payment.LostWorker{{Worker: "lost", LeaseEnded: state.Lost[0].LeaseEnded}}
		require.Equal(t, want, state)
	}
	value, err := env.ExecuteActivity(p.ListProcessors)
	states := decode[payment.ProcessorStates](t, value, err).Processors
	require.Len(t, states, 2)
	require.Equal(t, want, states[0])
	require.Equal(t, "two", states[1].Processor)

	pause.Processor = "three"
	_, err = env.ExecuteActivity(p.ControlProcessor, pause)
	requireRefusal(t, err, payment.ErrInvalidRequest)
	require.ErrorContains(t, err, `processor: "three": no worker is configured with it: want one or two`)
	pause.By = ""
	_, err = env.ExecuteActivity(p.ControlProcessor, pause)
	requireRefusal(t, err, payment.ErrInvalidRequest)
	require.NoError(t, p.Store.Close())
	pause.By = "jane"
	_, err = env.ExecuteActivity(p.ControlProcessor, pause)
	requireRetried(t, err)
	_, err = env.ExecuteActivity(p.ListProcessors)
	requireRetried(t, err)
}
