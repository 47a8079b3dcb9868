package ratelimit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// waited requires that Wait succeeds and returns how long it took.
func waited(t *testing.T, l *Limiter) time.Duration {
	t.Helper()
	start := time.Now()
	require.NoError(t, l.Wait(t.Context()))
	return time.Since(start)
}

// refusal requires that Wait fails after the given time and returns its error.
func refusal(ctx context.Context, t *testing.T, l *Limiter, after time.Duration) *processor.Error {
	t.Helper()
	start := time.Now()
	var e *processor.Error
	require.ErrorAs(t, l.Wait(ctx), &e)
	require.Equal(t, after, time.Since(start))
	require.Equal(t, processor.NotExecuted, e.Certainty)
	require.True(t, e.Retry)
	return e
}

func TestBurstPassesAtOnceAndLaterCallsFollowTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(10, 3, time.Minute)
		var waits []time.Duration
		for range 6 {
			waits = append(waits, waited(t, l))
		}
		require.Equal(t, []time.Duration{0, 0, 0, 100 * time.Millisecond, 100 * time.Millisecond,
			100 * time.Millisecond}, waits)
	})
}

func TestRateZeroIsUnlimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 0, 0)
		for range 1000 {
			require.Zero(t, waited(t, l))
		}
	})
}

func TestWaitBeyondTheMaxWaitIsRefusedAtOnceAndReturnsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0.1, 1, 5*time.Second)
		require.Zero(t, waited(t, l))
		for range 100 {
			e := refusal(t.Context(), t, l, 0)
			require.Equal(t, payment.ClassUnavailable, e.Class)
			require.Equal(t, 10*time.Second, e.RetryAfter)
		}
		<-time.After(10 * time.Second)
		require.Zero(t, waited(t, l), "the refused calls returned their tokens")
	})
}

func TestWaitBeyondTheDeadlineIsRefusedAtOnceAndReturnsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1, time.Minute)
		require.Zero(t, waited(t, l))
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		e := refusal(ctx, t, l, 0)
		require.Equal(t, payment.ClassNotSent, e.Class)
		require.Equal(t, time.Second, e.RetryAfter)
		require.Equal(t, time.Second, waited(t, l), "the refused call returned its token")
	})
}

func TestHoldDelaysCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 1, time.Minute)
		l.Hold(3 * time.Second)
		l.Hold(time.Second) // a shorter hold does not end a longer one
		require.Equal(t, 3*time.Second, waited(t, l))
		require.Zero(t, waited(t, l))
		l.Hold(2 * time.Minute)
		e := refusal(t.Context(), t, l, 0)
		require.Equal(t, 2*time.Minute, e.RetryAfter)
	})
}

func TestLongerHoldDelaysCallsThatAlreadyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0, 1, time.Minute)
		l.Hold(time.Second)
		time.AfterFunc(500*time.Millisecond, func() { l.Hold(10 * time.Second) })
		require.Equal(t, 10500*time.Millisecond, waited(t, l))
	})
}

func TestHoldAlsoDelaysCallsWaitingForTheRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1, time.Minute)
		require.Zero(t, waited(t, l))
		time.AfterFunc(500*time.Millisecond, func() { l.Hold(10 * time.Second) })
		require.Equal(t, 10500*time.Millisecond, waited(t, l))
	})
}

func TestMaxWaitAppliesToRateAndHoldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0.25, 1, 5*time.Second)
		require.Zero(t, waited(t, l))
		l.Hold(3 * time.Second)
		time.AfterFunc(time.Second, func() { l.Hold(4500 * time.Millisecond) })
		e := refusal(t.Context(), t, l, 3*time.Second)
		require.Equal(t, 2500*time.Millisecond, e.RetryAfter)
	})
}

func TestCancelingEndsTheWaitAtOnceAndReturnsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(0.1, 1, time.Minute)
		require.Zero(t, waited(t, l))
		cause := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		e := refusal(ctx, t, l, time.Second)
		require.ErrorIs(t, e, cause)
		require.Equal(t, payment.ClassNotSent, e.Class)
		require.Zero(t, e.RetryAfter)
		require.Equal(t, 9*time.Second, waited(t, l), "the refused call returned its token")
	})
}

func TestConcurrentCallsShareTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(100, 1, time.Minute)
		l.Hold(time.Second)
		start, done := time.Now(), make(chan error, 50)
		for range 50 {
			go func() { done <- l.Wait(t.Context()) }()
		}
		for range 50 {
			require.NoError(t, <-done)
		}
		require.Equal(t, time.Second+490*time.Millisecond, time.Since(start))
	})
}

func TestHoldIsAtMostFiveMinutes(t *testing.T) {
	l := New(0, 1, time.Second)
	l.Hold(30 * 24 * time.Hour)
	var e *processor.Error
	require.ErrorAs(t, l.Wait(t.Context()), &e)
	require.LessOrEqual(t, e.RetryAfter, 5*time.Minute)
	require.Greater(t, e.RetryAfter, 5*time.Minute-time.Minute)
}

func TestBurstZeroCountsAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(10, 0, time.Minute)
		began := time.Now()
		for range 11 {
			require.NoError(t, l.Wait(t.Context()))
		}
		require.Equal(t, time.Second, time.Since(began))
	})
}
