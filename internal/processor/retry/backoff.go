// Package retry computes when a call is attempted again: backoff with jitter, a bound on attempts and time, and a budget for all
// calls together.
package retry

import (
	"fmt"
	"math"
	"time"
)

// Strategy is how the delay between attempts grows.
type Strategy string

// With an Initial of 1 s, a Multiplier of 3 and a Max of 20 s, the delays are:
const (
	Exponential Strategy = "exponential" // 1, 3, 9, 20, 20 … s
	Fixed       Strategy = "fixed"       // 1, 1, 1 … s
	Linear      Strategy = "linear"      // 1, 2, 3 … 20, 20 … s
)

// Backoff computes the delay before the next attempt.
type Backoff struct {
	Strategy Strategy
	// Initial is the delay after the first attempt.
	Initial time.Duration
	// Max is the maximum delay. Only a Retry-After that asks for more exceeds it.
	Max time.Duration
	// Multiplier is the growth factor of the exponential strategy, above 1.
	Multiplier float64
	// Jitter is the fraction by which a delay varies around the strategy's delay, from 0 to 1. With 0, callers that failed
	// together retry together.
	Jitter float64
}

// DefaultBackoff is 1 s, 2 s, 4 s … up to 30 s, each ±25 %.
var DefaultBackoff = Backoff{Strategy: Exponential, Initial: time.Second, Max: 30 * time.Second, Multiplier: 2, Jitter: 0.25}

// Validate returns an error that names the first invalid field.
func (b Backoff) Validate() error {
	switch b.Strategy {
	case Exponential, Fixed, Linear:
	default:
		return fmt.Errorf("strategy %q: want %s, %s or %s", b.Strategy, Exponential, Fixed, Linear)
	}
	switch {
	case b.Initial <= 0:
		return fmt.Errorf("initial %s: must be above 0", b.Initial)
	case b.Max < b.Initial:
		return fmt.Errorf("max %s: must be at least initial, %s", b.Max, b.Initial)
	case b.Strategy == Exponential && !(b.Multiplier > 1): // or not a number
		return fmt.Errorf("multiplier %g: must be above 1", b.Multiplier)
	case !(b.Jitter >= 0 && b.Jitter <= 1): // or not a number
		return fmt.Errorf("jitter %g: must be from 0 to 1", b.Jitter)
	}
	return nil
}

// Delay returns how long to wait after the given attempt, counted from 1. It is drawn uniformly from ±Jitter around the
// strategy's delay, cut at Max, so that delays do not accumulate at the cap. A higher retryAfter is a floor to which jitter only
// adds. random returns numbers in [0, 1).
func (b Backoff) Delay(attempt int, retryAfter time.Duration, random func() float64) time.Duration {
	base := b.base(attempt)
	low := base * (1 - b.Jitter)
	high := math.Min(base*(1+b.Jitter), float64(b.Max))
	if floor := float64(retryAfter); floor > low {
		low, high = floor, math.Max(high, floor*(1+b.Jitter))
	}
	return time.Duration(low + random()*(high-low))
}

// base returns the delay without jitter. It is computed in floats, so that no attempt number overflows.
func (b Backoff) base(attempt int) float64 {
	n := float64(max(attempt, 1))
	d := float64(b.Initial)
	switch b.Strategy {
	case Exponential:
		d *= math.Pow(b.Multiplier, n-1)
	case Linear:
		d *= n
	case Fixed:
	}
	return math.Min(d, float64(b.Max))
}
