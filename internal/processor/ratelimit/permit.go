package ratelimit

import "time"

// Permit is what a limiter lets through.
type Permit struct {
	// PerSecond is the rate of calls. 0: none, +Inf: as many as come.
	PerSecond float64
	// Burst is how many calls may be sent at once.
	Burst int
	// Paused stops the calls that move money. Nil: they are not paused.
	Paused *Pause
	// Until is when the permit ends: nothing is let through afterwards. Zero: never.
	Until time.Time
	// Growing reports that the permit grows as soon as more calls come than it lets through: they wait for that, up to the maximum wait,
	// whatever the rate is now.
	Growing bool
}

// Pause is why an operator has paused a processor.
type Pause struct{ By, Reason string }

// Ended reports whether the permit has ended. It has if it has by one of the two clocks: the monotonic one may stand still while a virtual
// machine is paused, and the wall clock may be set back.
func (p Permit) Ended(now time.Time) bool {
	return !p.Until.IsZero() && (!now.Before(p.Until) || !now.Round(0).Before(p.Until.Round(0)))
}
