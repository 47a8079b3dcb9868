package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/processor/ratelimit"
)

// begun and ended are the information that the SDK gives with a permit.
type begun struct {
	worker.SlotMarkUsedInfo
	permit *worker.SlotPermit
}

func (b begun) Permit() *worker.SlotPermit { return b.permit }

type ended struct {
	worker.SlotReleaseInfo
	permit *worker.SlotPermit
}

func (e ended) Permit() *worker.SlotPermit { return e.permit }

func newTestSlots(t *testing.T, size int, limiter *ratelimit.Limiter) *callSlots {
	t.Helper()
	slots, err := newCallSlots(size, limiter)
	require.NoError(t, err)
	return slots
}

// reserve reserves slots as long as they are given out within d.
func reserve(t *testing.T, slots *callSlots, d time.Duration) (permits []*worker.SlotPermit) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		permit, err := slots.ReserveSlot(ctx, nil)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return permits
		}
		permits = append(permits, permit)
	}
}

func TestWorkerTakesOnlyTasksThatTheRateLimitIsAboutToAllow(t *testing.T) {
	for _, tt := range []struct {
		name      string
		perSecond float64
		burst     int
		maxWait   time.Duration
		size      int
		want      int
	}{
		{name: "no rate limit", maxWait: time.Second, size: 100, want: 100},
		{name: "the burst and what follows soon", perSecond: 20, burst: 10, maxWait: time.Second, size: 100, want: 12},
		{name: "calls that may not wait", perSecond: 20, burst: 10, size: 100, want: 10},
		{name: "fewer slots than tokens", perSecond: 20, burst: 10, maxWait: time.Second, size: 3, want: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slots := newTestSlots(t, tt.size, ratelimit.New(tt.perSecond, tt.burst, tt.maxWait))
				require.Len(t, reserve(t, slots, time.Millisecond), tt.want)
				require.Equal(t, tt.size, slots.MaxSlots())
			})
		})
	}
}

func TestPollThatEndsMakesRoomForAnother(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, slots *callSlots, limiter *ratelimit.Limiter, permit *worker.SlotPermit){
		"without a task": func(_ *testing.T, slots *callSlots, _ *ratelimit.Limiter, permit *worker.SlotPermit) {
			slots.ReleaseSlot(ended{permit: permit})
		},
		"with a task whose call has been made": func(t *testing.T, slots *callSlots, limiter *ratelimit.Limiter, permit *worker.SlotPermit) {
			t.Helper()
			slots.MarkSlotUsed(begun{permit: permit})
			require.NoError(t, limiter.Wait(t.Context()))
			<-time.After(time.Second)
			slots.ReleaseSlot(ended{permit: permit})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter := ratelimit.New(1, 1, time.Second)
				slots := newTestSlots(t, 100, limiter)
				for range 10 {
					permits := reserve(t, slots, time.Millisecond)
					require.Len(t, permits, 1)
					end(t, slots, limiter, permits[0])
				}
				require.Len(t, reserve(t, slots, time.Millisecond), 1)
				require.EqualValues(t, 1, slots.polls.Load())
			})
		})
	}
}

func TestReservationThatWaitsForTheRateGetsItsSlotWhenAPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := newTestSlots(t, 100, ratelimit.New(1, 1, time.Second))
		first := reserve(t, slots, time.Millisecond)
		require.Len(t, first, 1)
		began := time.Now()
		go func() {
			<-time.After(100 * time.Millisecond)
			slots.ReleaseSlot(ended{permit: first[0]})
		}()
		_, err := slots.ReserveSlot(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}

// An idle worker polls, and calls that wait for a response use no rate.
func TestTokensThatReturnMakeRoomForPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := ratelimit.New(10, 1, time.Second)
		slots := newTestSlots(t, 100, limiter)
		for range 50 {
			permit, err := slots.ReserveSlot(t.Context(), nil)
			require.NoError(t, err)
			slots.MarkSlotUsed(begun{permit: permit})
			began := time.Now()
			require.NoError(t, limiter.Wait(t.Context()))
			require.LessOrEqual(t, time.Since(began), ahead)
		}
	})
}

func TestTaskWhoseCallHasNotReachedTheLimitYetCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := newTestSlots(t, 100, ratelimit.New(1, 1, time.Second))
		first := reserve(t, slots, time.Millisecond)
		require.Len(t, first, 1)
		slots.MarkSlotUsed(begun{permit: first[0]})
		require.Empty(t, reserve(t, slots, arriving-time.Millisecond))
	})
}

func TestReservationEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := ratelimit.New(1, 1, time.Second)
		slots := newTestSlots(t, 1, limiter)
		require.Len(t, reserve(t, slots, time.Millisecond), 1)
		require.Empty(t, reserve(t, slots, 10*time.Millisecond), "it waits for the rate")
		<-time.After(time.Minute)
		require.Empty(t, reserve(t, slots, 10*time.Millisecond), "it waits for a slot")
		require.EqualValues(t, 1, slots.polls.Load())
	})
}

func TestTasksThatWaitForTheRateCountAsDemand(t *testing.T) {
	for name, tt := range map[string]struct {
		tasks bool
		want  uint64
	}{
		"the last poll has brought a task":  {tasks: true, want: 9},
		"the last poll has brought no task": {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter := ratelimit.New(0.01, 1, time.Second)
				slots := newTestSlots(t, 100, limiter)
				first := reserve(t, slots, time.Millisecond)
				require.Len(t, first, 1)
				require.NoError(t, limiter.Wait(t.Context()))
				before := limiter.Asked()
				if tt.tasks {
					slots.MarkSlotUsed(begun{permit: first[0]})
				} else {
					slots.ReleaseSlot(ended{permit: first[0]})
				}
				require.Empty(t, reserve(t, slots, time.Second+time.Millisecond))
				require.Equal(t, tt.want, limiter.Asked()-before)
			})
		})
	}
}

// Otherwise nothing would show that it needs a share, if no other worker takes the tasks of its build.
func TestWorkerWithoutAShareOfTheRateTakesOneTaskASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := ratelimit.New(10, 10, time.Second)
		limiter.Permit(ratelimit.Permit{})
		slots := newTestSlots(t, 100, limiter)
		for range 3 {
			began := time.Now()
			permit, err := slots.ReserveSlot(t.Context(), nil)
			require.NoError(t, err)
			require.InDelta(t, askAgain, time.Since(began), float64(recheckRate))
			require.Empty(t, reserve(t, slots, 2*askAgain), "one at a time")
			slots.MarkSlotUsed(begun{permit: permit})
			require.Error(t, limiter.Wait(t.Context()))
			slots.ReleaseSlot(ended{permit: permit})
		}
	})
}
