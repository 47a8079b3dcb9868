package ratelimit

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// sends returns how many calls that wait one after the other are let through within d.
func sends(t *testing.T, l *Limiter, d time.Duration) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for l.WaitToSend(ctx) == nil {
		n++
	}
	<-ctx.Done()
	return n
}

func TestHigherPermitBringsNoCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(10, 5, 2*time.Second)
		l.Permit(Permit{})
		l.Permit(Permit{PerSecond: 10, Burst: 2})
		require.Equal(t, 10, sends(t, l, time.Second+time.Millisecond), "a permit begins without anything saved up")
		<-time.After(time.Minute)
		l.Permit(Permit{PerSecond: 20, Burst: 10})
		require.Equal(t, 22, sends(t, l, time.Second+time.Millisecond), "only what was saved up before")
		<-time.After(time.Minute)
		l.Permit(Permit{PerSecond: 10, Burst: 1})
		require.Equal(t, 11, sends(t, l, time.Second+time.Millisecond), "a lower permit applies at once")
	})
}

func TestCallsThatWaitFollowANewPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1, time.Minute)
		var sent atomic.Int64
		for range 50 {
			go func() {
				if l.WaitToSend(t.Context()) == nil {
					sent.Add(1)
				}
			}()
		}
		<-time.After(3500 * time.Millisecond)
		require.Equal(t, int64(4), sent.Load())
		l.Permit(Permit{PerSecond: 10, Burst: 1})
		<-time.After(time.Second)
		require.InDelta(t, 14, sent.Load(), 1)
		l.Permit(Permit{PerSecond: 0.001, Burst: 1})
		<-time.After(Ahead)
		synctest.Wait() // those that the rate of before has let through
		before := sent.Load()
		<-time.After(5 * time.Second)
		require.Equal(t, before, sent.Load())
		l.Permit(Permit{PerSecond: 10, Burst: 1, Paused: &Pause{By: "jane"}})
		<-time.After(Ahead)
		synctest.Wait()
		require.Zero(t, l.waiting, "a pause refuses the calls that wait")
	})
}

func TestPauseRefusesCallsThatMoveMoney(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 1, time.Second)
		require.True(t, l.Ready())
		l.Permit(Permit{PerSecond: math.Inf(1), Burst: 1, Paused: &Pause{By: "jane", Reason: "incident\x1b[2J 4711"}})
		require.False(t, l.Ready())
		require.True(t, l.State().Paused)
		require.NoError(t, l.Wait(t.Context()), "lookups continue")
		var refused *processor.Error
		require.ErrorAs(t, l.WaitToSend(t.Context()), &refused)
		require.Equal(t, &processor.Error{
			Class: payment.ClassUnavailable, Certainty: processor.NotExecuted, Retry: true, Message: "the processor is paused by jane: incident [2J 4711",
		}, refused)
		l.Permit(Permit{PerSecond: math.Inf(1), Burst: 1})
		require.NoError(t, l.WaitToSend(t.Context()))
		require.True(t, l.Ready())
		require.Equal(t, uint64(3), l.Asked())
	})
}

func TestNothingIsSentAfterThePermitHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, permit := range map[string]Permit{
			"limited":   {PerSecond: 10, Burst: 5},
			"unlimited": {PerSecond: math.Inf(1), Burst: 5},
		} {
			l := New(0, 1, 2*time.Second)
			permit.Until = time.Now().Add(6 * time.Second)
			l.Permit(permit)
			<-time.After(5 * time.Second)
			require.NoError(t, l.WaitToSend(t.Context()), name)
			<-time.After(time.Second)
			require.False(t, l.Ready(), name)
			require.Zero(t, l.State().PerSecond, name)
			require.Zero(t, sends(t, l, 10*time.Second), name)
			require.Equal(t, payment.ClassUnavailable, refusal(t.Context(), t, l, 2*time.Second).Class, name)

			go func() { // a call that waits is sent once there is a permit
				<-time.After(time.Second)
				permit.Until = time.Now().Add(6 * time.Second)
				l.Permit(permit)
			}()
			began := time.Now()
			require.NoError(t, l.WaitToSend(t.Context()), name)
			require.GreaterOrEqual(t, time.Since(began), time.Second, name)
		}
	})
}

// A call that has its token, and sleeps until its time, is not sent if the permit has ended meanwhile, or the processor is paused.
func TestTokenIsWorthNothingWithoutAPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, next := range map[string]Permit{
			"ended":  {PerSecond: 20, Burst: 1, Until: time.Now()},
			"paused": {PerSecond: 20, Burst: 1, Paused: &Pause{By: "jane"}},
		} {
			l := New(20, 1, 2*time.Second)
			require.NoError(t, l.WaitToSend(t.Context()))
			failed := make(chan error)
			go func() { failed <- l.WaitToSend(t.Context()) }()
			<-time.After(25 * time.Millisecond)
			l.Permit(next)
			require.Error(t, <-failed, name)
		}
	})
}

// A share that is too small grows within a second or so: until then, calls wait instead of coming back much later.
func TestCallWaitsForALargerShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0.1, 1, 2*time.Second)
		require.NoError(t, l.WaitToSend(t.Context()))
		l.Permit(Permit{PerSecond: 0.1, Burst: 1, Growing: true})
		go func() {
			<-time.After(1200 * time.Millisecond)
			l.Permit(Permit{PerSecond: 20, Burst: 1})
		}()
		began := time.Now()
		require.NoError(t, l.WaitToSend(t.Context()))
		require.WithinRange(t, time.Now(), began.Add(1200*time.Millisecond), began.Add(1250*time.Millisecond+Ahead))

		l.Permit(Permit{PerSecond: 0.1, Burst: 1, Growing: true})
		require.Equal(t, payment.ClassUnavailable, refusal(t.Context(), t, l, 2*time.Second).Class)
		l.Permit(Permit{PerSecond: 0.1, Burst: 1})
		require.Equal(t, payment.ClassUnavailable, refusal(t.Context(), t, l, 0).Class)
		l.Permit(Permit{})
		require.InDelta(t, 2*time.Second, refusal(t.Context(), t, l, 0).RetryAfter, float64(time.Millisecond))
	})
}

func TestPermitEndsByEitherClock(t *testing.T) {
	until := time.Now().Add(time.Minute)
	p := Permit{Until: until}
	require.False(t, p.Ended(until.Add(-time.Second)))
	require.True(t, p.Ended(until))
	wallOnly := until.Round(0).Add(time.Second) // the wall clock after a pause in which the monotonic clock stood still
	require.True(t, p.Ended(wallOnly))
	require.False(t, Permit{}.Ended(until))
}
