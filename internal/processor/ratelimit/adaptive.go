package ratelimit

import "time"

const (
	// A refusal takes cutBy calls per second off a rate, in relation to the measured one: if a share of all calls is refused, that is
	// cutBy times this share in a second. maxCut limits what one refusal takes off.
	cutBy  = 1.5
	maxCut = 0.25
	// A second in which calls are accepted adds this share of the average rate. So a rate at which recovery/cutBy of the calls are
	// refused, one in fifteen, remains; with fewer refusals it rises, and with more it falls.
	recovery = 0.1
	// headroom is how far the rate rises above the measured one while it delays no call, so that refusals at random delay none either, even
	// if there are few calls at times.
	headroom = 3
	// averageOver is the time over which the average rate is taken.
	averageOver = 5 * time.Second
	// minRate is the lowest rate to which refusals cut, in calls per second.
	minRate = 1.0
	// calm is how long no call may be refused until refusals no longer limit the rate.
	calm = 10 * time.Second
	// The processor accepts nothing if it has refused several calls in a row, over at least rowTime: one that counts in seconds refuses
	// many calls at the end of each.
	several = 3
	rowTime = time.Second
	// minPause and maxPause limit the pause that follows. It doubles while every call after a pause is refused.
	minPause = time.Second
	maxPause = 30 * time.Second
)

// adaptive is the rate that the processor's 429 responses leave. A refusal cuts it multiplicatively, in proportion to the share of
// the calls that are refused, and time in which calls are accepted raises it additively. So a refusal among many successes
// costs little, and a limit that the processor enforces is nearly used and seldom exceeded. The zero value has seen no refusal.
type adaptive struct {
	// rate is in calls per second; 0 if refusals do not limit the rate.
	rate float64
	// average is the rate of the last seconds in which calls were accepted. The recovery is in proportion to it and not to the rate, so that it
	// takes no longer after many refusals than after a few.
	average float64
	// raisedAt is when the rate was last raised, or limited.
	raisedAt time.Time
	// refusedAt is when the last call was refused, or the first one was accepted after it.
	refusedAt time.Time
	// inRow counts the calls that were refused since one was accepted, the first of them at rowBegan.
	inRow    int
	rowBegan time.Time
	// pause is the last pause because of calls that were refused in a row.
	pause   time.Duration
	answers meter
}

// refused cuts the rate because a call was refused. Without a rate, it cuts the measured one. limit is the highest possible rate.
func (a *adaptive) refused(now time.Time, limit float64) {
	a.answers.add(now)
	answers := a.answers.perSecond(now)
	if a.rate == 0 {
		a.rate = min(answers, limit)
		a.average, a.raisedAt = a.rate, now
	}
	a.rate = min(max(a.rate*(1-min(cutBy/answers, maxCut)), minRate), limit)
	a.refusedAt = now
	if a.inRow == 0 {
		a.rowBegan = now
	}
	a.inRow++
}

// accepted raises the rate because a call was accepted. waited reports whether calls had to wait because of the
// rate: one that is higher than what is needed does not rise.
func (a *adaptive) accepted(now time.Time, limit float64, waited bool) {
	a.answers.add(now)
	if a.inRow > 0 {
		a.inRow, a.pause, a.refusedAt = 0, 0, now
	}
	if a.rate == 0 {
		return
	}
	// At most a second: time without calls, such as a pause, does not raise the rate.
	seconds := min(now.Sub(a.raisedAt), time.Second).Seconds()
	a.raisedAt = now
	if waited || a.rate < headroom*a.answers.perSecond(now) {
		a.rate = min(a.rate+a.average*recovery*seconds, limit)
	}
	a.average += (a.rate - a.average) * seconds / averageOver.Seconds()
}

// exhausted reports whether the processor accepts nothing.
func (a *adaptive) exhausted(now time.Time) bool {
	return a.inRow >= several && now.Sub(a.rowBegan) >= rowTime
}

// nextPause returns how long all calls pause because the processor accepts nothing.
func (a *adaptive) nextPause(retryAfter time.Duration) time.Duration {
	a.pause = min(max(2*a.pause, minPause), maxPause)
	return max(a.pause, retryAfter)
}

// settle ends the limit if no call has been refused for a while. Refusals in a row end only with a call that is accepted.
func (a *adaptive) settle(now time.Time) {
	if a.inRow < several && now.Sub(a.refusedAt) >= calm {
		a.rate = 0
	}
}

// burst returns how many of burst calls may be sent at once: fewer if the rate is below its average.
func (a *adaptive) burst(burst int) int {
	if a.rate == 0 || a.rate >= a.average {
		return burst
	}
	return max(int(float64(burst)*a.rate/a.average), 1)
}
