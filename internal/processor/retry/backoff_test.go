package retry

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// always returns a random source that yields x.
func always(x float64) func() float64 { return func() float64 { return x } }

func TestDelays(t *testing.T) {
	exponential := DefaultBackoff
	fixed := Backoff{Strategy: Fixed, Initial: 2 * time.Second, Max: 30 * time.Second, Jitter: 0.25}
	linear := Backoff{Strategy: Linear, Initial: 2 * time.Second, Max: 10 * time.Second, Jitter: 0.25}
	without, full := exponential, exponential
	without.Jitter, full.Jitter = 0, 1
	const s, ms = time.Second, time.Millisecond
	for _, tc := range []struct {
		name    string
		backoff Backoff
		attempt int
		// The delays for the random numbers 0, 0.5 and 0.999999.
		lowest, middle, highest time.Duration
	}{
		{name: "exponential", backoff: exponential, lowest: 750 * ms, middle: 1 * s, highest: 1250 * ms},
		{name: "exponential", backoff: exponential, attempt: -5, lowest: 750 * ms, middle: 1 * s, highest: 1250 * ms},
		{name: "exponential", backoff: exponential, attempt: 1, lowest: 750 * ms, middle: 1 * s, highest: 1250 * ms},
		{name: "exponential", backoff: exponential, attempt: 2, lowest: 1500 * ms, middle: 2 * s, highest: 2500 * ms},
		{name: "exponential", backoff: exponential, attempt: 3, lowest: 3 * s, middle: 4 * s, highest: 5 * s},
		{name: "exponential", backoff: exponential, attempt: 5, lowest: 12 * s, middle: 16 * s, highest: 20 * s},
		{name: "exponential", backoff: exponential, attempt: 6, lowest: 22500 * ms, middle: 26250 * ms,
			highest: 30 * s}, // evenly distributed below the maximum
		{name: "exponential", backoff: exponential, attempt: 100, lowest: 22500 * ms, middle: 26250 * ms, highest: 30 * s},
		{name: "exponential", backoff: exponential, attempt: 1 << 31, lowest: 22500 * ms, middle: 26250 * ms,
			highest: 30 * s},
		{name: "exponential", backoff: exponential, attempt: math.MaxInt, lowest: 22500 * ms, middle: 26250 * ms,
			highest: 30 * s},
		{name: "without jitter", backoff: without, attempt: 1, lowest: 1 * s, middle: 1 * s, highest: 1 * s},
		{name: "without jitter", backoff: without, attempt: 3, lowest: 4 * s, middle: 4 * s, highest: 4 * s},
		{name: "without jitter", backoff: without, attempt: 6, lowest: 30 * s, middle: 30 * s, highest: 30 * s},
		{name: "full jitter", backoff: full, attempt: 3, lowest: 0, middle: 4 * s, highest: 8 * s},
		{name: "fixed", backoff: fixed, attempt: 1, lowest: 1500 * ms, middle: 2 * s, highest: 2500 * ms},
		{name: "fixed", backoff: fixed, attempt: 1 << 31, lowest: 1500 * ms, middle: 2 * s, highest: 2500 * ms},
		{name: "linear", backoff: linear, attempt: 1, lowest: 1500 * ms, middle: 2 * s, highest: 2500 * ms},
		{name: "linear", backoff: linear, attempt: 3, lowest: 4500 * ms, middle: 6 * s, highest: 7500 * ms},
		{name: "linear", backoff: linear, attempt: 4, lowest: 6 * s, middle: 8 * s, highest: 10 * s},
		{name: "linear", backoff: linear, attempt: 5, lowest: 7500 * ms, middle: 8750 * ms, highest: 10 * s},
		{name: "linear", backoff: linear, attempt: 1 << 31, lowest: 7500 * ms, middle: 8750 * ms, highest: 10 * s},
	} {
		require.NoError(t, tc.backoff.Validate())
		require.Equal(t, tc.lowest, tc.backoff.Delay(tc.attempt, 0, always(0)), "%s %d", tc.name, tc.attempt)
		require.Equal(t, tc.middle, tc.backoff.Delay(tc.attempt, 0, always(0.5)), "%s %d", tc.name, tc.attempt)
		require.InDelta(t, tc.highest, tc.backoff.Delay(tc.attempt, 0, always(0.999999)), float64(ms), "%s %d", tc.name,
			tc.attempt)
	}
}

func TestRetryAfterIsTheMinimumDelay(t *testing.T) {
	const s, month = time.Second, 30 * 24 * time.Hour
	for _, tc := range []struct {
		attempt         int
		retryAfter      time.Duration
		lowest, highest time.Duration
	}{
		{attempt: 1, retryAfter: 500 * time.Millisecond, lowest: 750 * time.Millisecond,
			highest: 1250 * time.Millisecond}, // below the delay of the strategy
		{attempt: 1, retryAfter: s, lowest: s, highest: 1250 * time.Millisecond},
		{attempt: 1, retryAfter: 10 * s, lowest: 10 * s, highest: 12500 * time.Millisecond},
		{attempt: 6, retryAfter: 29 * s, lowest: 29 * s, highest: 36250 * time.Millisecond},
		{attempt: 6, retryAfter: 5 * time.Minute, lowest: 5 * time.Minute, highest: 375 * s},
		{attempt: 1 << 31, retryAfter: month, lowest: month, highest: month * 5 / 4},
	} {
		require.Equal(t, tc.lowest, DefaultBackoff.Delay(tc.attempt, tc.retryAfter, always(0)))
		require.InDelta(t, tc.highest, DefaultBackoff.Delay(tc.attempt, tc.retryAfter, always(0.999999)),
			float64(month)*1e-6)
	}
}

func TestRetryAfterWithoutJitterIsTheDelay(t *testing.T) {
	b := DefaultBackoff
	b.Jitter = 0
	for _, random := range []float64{0, 0.5, 0.999999} {
		require.Equal(t, 10*time.Second, b.Delay(1, 10*time.Second, always(random)))
		require.Equal(t, time.Second, b.Delay(1, time.Second/2, always(random)))
	}
}

func TestDelaysStayWithinTheirLimits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := Backoff{
			Strategy: []Strategy{Exponential, Fixed, Linear}[random.IntN(3)],
			Initial:  1 + time.Duration(random.Int64N(int64(time.Minute))), Multiplier: 1 + 9*random.Float64(), Jitter: 0.25,
		}
		b.Max = b.Initial + time.Duration(random.Int64N(int64(time.Hour)))
		require.NoError(t, b.Validate())
		attempt := int(random.Int64() >> random.IntN(63))
		delay := b.Delay(attempt, 0, random.Float64)
		require.LessOrEqual(t, delay, b.Max)
		require.Greater(t, delay, b.Initial*74/100-1, "%+v attempt %d", b, attempt)
		after := time.Duration(random.Int64N(int64(24 * time.Hour)))
		require.GreaterOrEqual(t, b.Delay(attempt, after, random.Float64), after)
	}
}

func TestDelaysAreSpreadBelowTheMaximum(t *testing.T) {
	const samples, buckets = 20_000, 20
	random := rand.New(rand.NewPCG(3, 4))
	low := float64(DefaultBackoff.Max) * (1 - DefaultBackoff.Jitter)
	width := (float64(DefaultBackoff.Max) - low) / buckets
	var counts [buckets]int
	for range samples {
		counts[min(int((float64(DefaultBackoff.Delay(20, 0, random.Float64))-low)/width), buckets-1)]++
	}
	for i, n := range counts {
		require.InEpsilon(t, samples/buckets, n, 0.15, "bucket %d of %v", i, counts)
	}
}

func TestInvalidBackoffIsRefused(t *testing.T) {
	for _, tc := range []struct {
		change func(*Backoff)
		want   string
	}{
		{change: func(b *Backoff) { b.Strategy = "" }, want: `strategy "": want exponential, fixed or linear`},
		{change: func(b *Backoff) { b.Strategy = "random" }, want: `strategy "random"`},
		{change: func(b *Backoff) { b.Initial = 0 }, want: "initial 0s: must be above 0"},
		{change: func(b *Backoff) { b.Initial = -1 }, want: "initial -1ns"},
		{change: func(b *Backoff) { b.Max = b.Initial - 1 }, want: "must be at least initial, 1s"},
		{change: func(b *Backoff) { b.Multiplier = 1 }, want: "multiplier 1: must be above 1"},
		{change: func(b *Backoff) { b.Multiplier = 0.5 }, want: "multiplier 0.5"},
		{change: func(b *Backoff) { b.Multiplier = math.NaN() }, want: "multiplier NaN"},
		{change: func(b *Backoff) { b.Jitter = -0.1 }, want: "jitter -0.1: must be from 0 to 1"},
		{change: func(b *Backoff) { b.Jitter = 1.1 }, want: "jitter 1.1"},
		{change: func(b *Backoff) { b.Jitter = math.NaN() }, want: "jitter NaN"},
	} {
		b := DefaultBackoff
		tc.change(&b)
		require.ErrorContains(t, b.Validate(), tc.want)
	}
	require.NoError(t, DefaultBackoff.Validate())
	require.NoError(t, Backoff{Strategy: Fixed, Initial: time.Second, Max: time.Second}.Validate())
}
