package retry

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// always draws the same number.
func always(x float64) func() float64 { return func() float64 { return x } }

func TestDelaysGrowAsTheStrategySays(t *testing.T) {
	exponential := DefaultBackoff
	fixed := Backoff{Strategy: Fixed, Initial: 2 * time.Second, Max: 30 * time.Second}
	linear := Backoff{Strategy: Linear, Initial: 2 * time.Second, Max: 10 * time.Second}
	const s, ms = time.Second, time.Millisecond
	for _, tc := range []struct {
		name                  string
		backoff               Backoff
		attempt               int
		lowest, middle, about time.Duration // with 0, 0.5 and 0.999999
	}{
		{"exponential", exponential, 0, 750 * ms, 1 * s, 1250 * ms},
		{"exponential", exponential, -5, 750 * ms, 1 * s, 1250 * ms},
		{"exponential", exponential, 1, 750 * ms, 1 * s, 1250 * ms},
		{"exponential", exponential, 2, 1500 * ms, 2 * s, 2500 * ms},
		{"exponential", exponential, 3, 3 * s, 4 * s, 5 * s},
		{"exponential", exponential, 5, 12 * s, 16 * s, 20 * s},
		{"exponential", exponential, 6, 22500 * ms, 26250 * ms, 30 * s}, // evenly below the cap
		{"exponential", exponential, 100, 22500 * ms, 26250 * ms, 30 * s},
		{"exponential", exponential, 1 << 31, 22500 * ms, 26250 * ms, 30 * s},
		{"exponential", exponential, math.MaxInt, 22500 * ms, 26250 * ms, 30 * s},
		{"fixed", fixed, 1, 1500 * ms, 2 * s, 2500 * ms},
		{"fixed", fixed, 1 << 31, 1500 * ms, 2 * s, 2500 * ms},
		{"linear", linear, 1, 1500 * ms, 2 * s, 2500 * ms},
		{"linear", linear, 3, 4500 * ms, 6 * s, 7500 * ms},
		{"linear", linear, 4, 6 * s, 8 * s, 10 * s},
		{"linear", linear, 5, 7500 * ms, 8750 * ms, 10 * s},
		{"linear", linear, 1 << 31, 7500 * ms, 8750 * ms, 10 * s},
	} {
		require.NoError(t, tc.backoff.Validate())
		require.Equal(t, tc.lowest, tc.backoff.Delay(tc.attempt, 0, always(0)), "%s %d", tc.name, tc.attempt)
		require.Equal(t, tc.middle, tc.backoff.Delay(tc.attempt, 0, always(0.5)), "%s %d", tc.name, tc.attempt)
		require.InDelta(t, tc.about, tc.backoff.Delay(tc.attempt, 0, always(0.999999)), float64(ms), "%s %d", tc.name, tc.attempt)
	}
}

func TestRetryAfterIsAFloor(t *testing.T) {
	const s, month = time.Second, 30 * 24 * time.Hour
	for _, tc := range []struct {
		attempt         int
		retryAfter      time.Duration
		lowest, highest time.Duration
	}{
		{1, 500 * time.Millisecond, 750 * time.Millisecond, 1250 * time.Millisecond}, // below what would be waited anyway
		{1, s, s, 1250 * time.Millisecond},
		{1, 10 * s, 10 * s, 12500 * time.Millisecond},
		{6, 29 * s, 29 * s, 36250 * time.Millisecond},
		{6, 5 * time.Minute, 5 * time.Minute, 375 * s},
		{1 << 31, month, month, month * 5 / 4},
	} {
		require.Equal(t, tc.lowest, DefaultBackoff.Delay(tc.attempt, tc.retryAfter, always(0)))
		require.InDelta(t, tc.highest, DefaultBackoff.Delay(tc.attempt, tc.retryAfter, always(0.999999)), float64(month)*1e-6)
	}
}

func TestDelaysStayInTheirBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := Backoff{
			Strategy: []Strategy{Exponential, Fixed, Linear}[random.IntN(3)],
			Initial:  1 + time.Duration(random.Int64N(int64(time.Minute))), Multiplier: 1 + 9*random.Float64(),
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

func TestSamplesDoNotPileUpOnTheCap(t *testing.T) {
	const samples, buckets = 20_000, 20
	random := rand.New(rand.NewPCG(3, 4))
	low := float64(DefaultBackoff.Max) * (1 - Jitter)
	width := (float64(DefaultBackoff.Max) - low) / buckets
	var counts [buckets]int
	for range samples {
		counts[min(int((float64(DefaultBackoff.Delay(20, 0, random.Float64))-low)/width), buckets-1)]++
	}
	for i, n := range counts {
		require.InEpsilon(t, samples/buckets, n, 0.15, "bucket %d of %v", i, counts)
	}
}

func TestBackoffsThatCannotWorkAreRefused(t *testing.T) {
	for _, tc := range []struct {
		change func(*Backoff)
		want   string
	}{
		{func(b *Backoff) { b.Strategy = "" }, `strategy "": want exponential, fixed or linear`},
		{func(b *Backoff) { b.Strategy = "random" }, `strategy "random"`},
		{func(b *Backoff) { b.Initial = 0 }, "initial 0s: must be above 0"},
		{func(b *Backoff) { b.Initial = -1 }, "initial -1ns"},
		{func(b *Backoff) { b.Max = b.Initial - 1 }, "must be at least initial, 1s"},
		{func(b *Backoff) { b.Multiplier = 1 }, "multiplier 1: must be above 1"},
		{func(b *Backoff) { b.Multiplier = 0.5 }, "multiplier 0.5"},
		{func(b *Backoff) { b.Multiplier = math.NaN() }, "multiplier NaN"},
	} {
		b := DefaultBackoff
		tc.change(&b)
		require.ErrorContains(t, b.Validate(), tc.want)
	}
	require.NoError(t, DefaultBackoff.Validate())
	require.NoError(t, Backoff{Strategy: Fixed, Initial: time.Second, Max: time.Second}.Validate())
}
