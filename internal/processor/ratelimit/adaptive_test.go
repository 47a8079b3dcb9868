package ratelimit

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// accept lets calls be accepted for d, perSecond of them, without their waiting for the limiter.
func accept(l *Limiter, perSecond int, d time.Duration) {
	for range int(d.Seconds() * float64(perSecond)) {
		<-time.After(time.Second / time.Duration(perSecond))
		l.Accepted()
	}
}

func TestLoneRefusalCutsTheRateAndHoldsNothing(t *testing.T) {
	for _, tc := range []struct {
		name       string
		perSecond  float64
		traffic    int
		retryAfter time.Duration
		low, high  float64
	}{
		{name: "no configured rate", traffic: 50, retryAfter: time.Second, low: 47, high: 51},
		{name: "a configured rate", perSecond: 60, traffic: 50, retryAfter: time.Second, low: 47, high: 51},
		{name: "few calls", traffic: 2, low: 1, high: 3},
		{name: "a Retry-After of a month", traffic: 50, retryAfter: 30 * 24 * time.Hour, low: 47, high: 51},
		{name: "without Retry-After", traffic: 50, low: 47, high: 51},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(tc.perSecond, 10, time.Minute)
				accept(l, tc.traffic, 3*time.Second)
				require.Zero(t, l.State().CutTo)
				l.Refused(tc.retryAfter)
				cut := l.State()
				require.Zero(t, cut.Held)
				require.GreaterOrEqual(t, cut.CutTo, tc.low)
				require.LessOrEqual(t, cut.CutTo, tc.high)
				require.Zero(t, waited(t, l))

				accept(l, tc.traffic, calm/2)
				require.Greater(t, l.State().CutTo, cut.CutTo, "the rate recovers")
				accept(l, tc.traffic, calm)
				require.Zero(t, l.State().CutTo, "the refusal is forgotten")
			})
		})
	}
}

func TestCutIsInProportionToTheShareOfRefusedCalls(t *testing.T) {
	for _, tc := range []struct {
		name       string
		eachRefuse int // one call of so many is refused
		rises      bool
	}{
		{name: "one in forty", eachRefuse: 40, rises: true},
		{name: "one in ten", eachRefuse: 10},
		{name: "one in three", eachRefuse: 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// At all rates alike.
			for _, perSecond := range []int{50, 500, 5000} {
				synctest.Test(t, func(t *testing.T) {
					var a adaptive
					limit := 2 * float64(perSecond)
					for i := range 7 * perSecond {
						<-time.After(time.Second / time.Duration(perSecond))
						if i >= 2*perSecond && i%tc.eachRefuse == 0 {
							a.refused(time.Now(), limit)
						} else {
							a.accepted(time.Now(), limit, true)
						}
					}
					require.Equal(t, tc.rises, a.rate > float64(perSecond), "%.1f of %d", a.rate, perSecond)
				})
			}
		})
	}
}

func TestRateRecoversAdditivelyWhileCallsAreAccepted(t *testing.T) {
	const hundred, limit = 100.0, 1000.0
	for _, tc := range []struct {
		name     string
		after    time.Duration // between the calls that are accepted
		accepted int
		rate     float64
		want     float64
	}{
		{name: "a second of calls", after: 10 * time.Millisecond, accepted: 100, rate: 50, want: 60},
		{name: "two seconds of calls", after: 10 * time.Millisecond, accepted: 200, rate: 50, want: 69},
		{name: "two seconds of calls from a low rate", after: 10 * time.Millisecond, accepted: 200, rate: 1, want: 19},
		{name: "a call after a pause", after: time.Minute, accepted: 1, rate: 50, want: 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := time.Now()
			a := adaptive{rate: tc.rate, average: hundred, raisedAt: now}
			for range tc.accepted {
				now = now.Add(tc.after)
				a.accepted(now, limit, true)
			}
			require.InDelta(t, tc.want, a.rate, 2)
		})
	}
}

func TestRateThatDelaysNoCallDoesNotRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 10, time.Minute)
		accept(l, 50, 3*time.Second)
		for range 10 {
			l.Refused(0)
			accept(l, 50, calm/2)
		}
		require.LessOrEqual(t, l.State().CutTo, 50*headroom*1.1)
	})
}

func TestRateIsNeverAboveTheConfiguredOne(t *testing.T) {
	for _, perSecond := range []float64{0.5, 10} { // 0.5 is below the rate to which refusals cut
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(7, 7))
			l := New(perSecond, 1, time.Minute)
			began, calls := time.Now(), 0
			for time.Since(began) < 5*time.Minute {
				require.NoError(t, l.Wait(t.Context()))
				calls++
				if random.Float64() < 0.02 {
					l.Refused(time.Second)
				} else {
					l.Accepted()
				}
				require.LessOrEqual(t, l.State().CutTo, perSecond)
			}
			require.LessOrEqual(t, float64(calls-1), perSecond*time.Since(began).Seconds())
		})
	}
}

func TestCallsRefusedInARowHoldAllCalls(t *testing.T) {
	const month = 30 * 24 * time.Hour
	for _, tc := range []struct {
		name       string
		retryAfter time.Duration
		holds      []time.Duration // after the third refusal and each further one
	}{
		{name: "without Retry-After", holds: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
			16 * time.Second, 30 * time.Second, 30 * time.Second}},
		{name: "short", retryAfter: 3 * time.Second, holds: []time.Duration{3 * time.Second, 3 * time.Second, 4 * time.Second, 8 * time.Second}},
		{name: "long", retryAfter: time.Minute, holds: []time.Duration{time.Minute, time.Minute}},
		{name: "a month", retryAfter: month, holds: []time.Duration{maxHold, maxHold}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(0, 10, time.Hour)
				for range 2 { // a call that is accepted begins everything again
					l.Refused(tc.retryAfter)
					<-time.After(rowTime)
					l.Refused(tc.retryAfter)
					require.Zero(t, l.State().Held)
					for _, hold := range tc.holds {
						l.Refused(tc.retryAfter)
						require.Equal(t, hold, l.State().Held)
						<-time.After(hold)
					}
					l.Accepted()
					require.Zero(t, l.State().Held)
				}
			})
		})
	}
}

func TestCallsRefusedAtTheSameTimeAreNoSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 10, time.Minute)
		accept(l, 100, 3*time.Second)
		for range 50 {
			l.Refused(time.Minute)
		}
		require.Zero(t, l.State().Held, "a processor that counts in seconds accepts calls in the next one")
	})
}

// The calls in flight when a hold begins are refused as well.
func TestHoldDoesNotGrowByCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 10, time.Minute)
		l.Refused(0)
		<-time.After(rowTime)
		for range 50 {
			l.Refused(0)
		}
		require.Equal(t, minPause, l.State().Held)
	})
}

func TestHeldCallsAreNotAllSentAtOnceAfterSeveralRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 10, time.Hour)
		accept(l, 20, 3*time.Second)
		for range 30 {
			<-time.After(100 * time.Millisecond)
			l.Refused(time.Second)
		}
		held := l.State().Held
		require.Positive(t, held)
		sent := make(chan error, 40)
		for range 40 {
			go func() { sent <- l.Wait(t.Context()) }()
		}
		<-time.After(held + 500*time.Millisecond)
		require.Len(t, sent, 1)
		l.Accepted()
		for range 40 {
			require.NoError(t, <-sent)
		}
	})
}

func TestRefusalsInARowAreNotForgottenByTimeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 10, time.Minute)
		for range several {
			l.Refused(0)
			<-time.After(time.Second)
		}
		<-time.After(time.Hour)
		require.Positive(t, l.State().CutTo)
		l.Accepted()
		<-time.After(calm - time.Second)
		require.Positive(t, l.State().CutTo)
		<-time.After(time.Second)
		require.Zero(t, l.State().CutTo)
	})
}

func TestMeter(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []time.Duration
		at     time.Duration
		want   float64
	}{
		{name: "none", at: time.Second, want: 0},
		{name: "the first", events: []time.Duration{0}, at: 0, want: 10},
		{name: "in the first second", events: []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond},
			at: 500 * time.Millisecond, want: 6},
		{name: "in two seconds", events: []time.Duration{0, 100 * time.Millisecond, 1200 * time.Millisecond}, at: 1500 * time.Millisecond, want: 2},
		{name: "a second ago", events: []time.Duration{0, 0}, at: 1900 * time.Millisecond, want: 0.2},
		{name: "long ago", events: []time.Duration{0, 0}, at: time.Minute, want: 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			began := time.Now()
			var m meter
			for _, at := range tc.events {
				m.add(began.Add(at))
			}
			require.InDelta(t, tc.want, m.perSecond(began.Add(tc.at)), 1e-6)
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	l := New(1e6, 10, time.Millisecond)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				_ = l.Wait(t.Context())
				switch (n + i) % 5 {
				case 0:
					l.Refused(time.Microsecond)
				case 1:
					l.Pace(Quota{Remaining: 1000, Reset: time.Second})
				case 2:
					_ = l.State()
				default:
					l.Accepted()
				}
			}
		})
	}
	all.Wait()
	require.Zero(t, l.waiting)
	require.Empty(t, l.turn)
}

func TestCallsTakeTheirTokensInOrderAndFollowARateThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(10, 1, time.Minute)
		began := time.Now()
		sent := make(chan int, 20)
		for i := range 20 {
			go func() {
				<-time.After(time.Duration(i) * time.Microsecond)
				_ = l.Wait(t.Context())
				sent <- i
			}()
		}
		<-time.After(450 * time.Millisecond)
		require.Len(t, sent, 5)
		l.Pace(Quota{Remaining: 10, Reset: 10 * time.Second})
		<-time.After(5 * time.Second)
		require.LessOrEqual(t, len(sent), 5+1+5, "one a second, and one that had its token already")
		for i := range 20 {
			require.Equal(t, i, <-sent)
		}
		require.Greater(t, time.Since(began), 9*time.Second)
	})
}

func TestCallIsRefusedAtOnceIfThoseBeforeItTakeTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1, 3500*time.Millisecond)
		require.Zero(t, waited(t, l))
		for range 3 {
			go func() { _ = l.Wait(t.Context()) }()
		}
		synctest.Wait()
		require.Equal(t, 4*time.Second, refusal(t.Context(), t, l, 0).RetryAfter)
	})
}

func TestCallsThatWaitFollowARateThatRises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 1, time.Minute)
		l.Pace(Quota{Remaining: 1, Reset: 10 * time.Second})
		require.Zero(t, waited(t, l))
		time.AfterFunc(time.Second, func() { l.Pace(Quota{Remaining: 100, Reset: time.Second}) })
		require.LessOrEqual(t, waited(t, l), time.Second+Ahead)
	})
}

func TestRateOfAlmostZeroRefusesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1e-300, 1, time.Minute)
		require.Zero(t, waited(t, l))
		for range 3 {
			e := refusal(t.Context(), t, l, 0)
			require.Equal(t, maxRetryAfter, e.RetryAfter)
		}
	})
}

func TestCanceledCallLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1, time.Minute)
		require.Zero(t, waited(t, l))
		ctx, cancel := context.WithCancel(t.Context())
		for range 10 {
			go func() { _ = l.Wait(ctx) }()
		}
		<-time.After(100 * time.Millisecond)
		cancel()
		synctest.Wait()
		require.Equal(t, 900*time.Millisecond, waited(t, l))
	})
}
