package processor

import (
	"fmt"
	"math"
	"time"
)

// Strategy is how the delay between attempts grows.
type Strategy string

// The strategies.
const (
	Exponential Strategy = "exponential"
	Fixed       Strategy = "fixed"
	Linear      Strategy = "linear"
)

// Jitter is the share by which a delay is drawn around its middle.
const Jitter = 0.25

// Backoff gives the delay before the next attempt.
type Backoff struct {
	Strategy Strategy
	// Initial is the delay after the first attempt.
	Initial time.Duration
	// Max is never exceeded, but for a Retry-After that asks for more.
	Max time.Duration
	// Multiplier is the growth of the exponential strategy, above 1.
	Multiplier float64
}

// DefaultBackoff is 1 s, 2 s, 4 s … up to 30 s.
var DefaultBackoff = Backoff{Strategy: Exponential, Initial: time.Second, Max: 30 * time.Second, Multiplier: 2}

// Validate names the first field that cannot work.
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
	}
	return nil
}

// Delay is how long to wait after the given attempt, counted from 1. It is drawn ±25 % around the strategy's
// delay, evenly in what the cap leaves of that range, so that callers do not meet at the cap. A Retry-After
// above it is a floor: jitter then only adds. random gives numbers in [0, 1).
func (b Backoff) Delay(attempt int, retryAfter time.Duration, random func() float64) time.Duration {
	middle := b.middle(attempt)
	low := middle * (1 - Jitter)
	high := math.Min(middle*(1+Jitter), float64(b.Max))
	if floor := float64(retryAfter); floor > low {
		low, high = floor, math.Max(high, floor*(1+Jitter))
	}
	return time.Duration(low + random()*(high-low))
}

// middle is the delay without jitter, computed in floats so that no attempt number overflows.
func (b Backoff) middle(attempt int) float64 {
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
