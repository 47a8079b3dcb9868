package ratelimit

import (
	"time"

	"golang.org/x/time/rate"
)

// Delay returns how long the n-th of further calls would wait for its token, after the calls that wait already. It does not count a
// hold, which may end earlier or be extended. It is at most 30 days.
func (l *Limiter) Delay(n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.apply(now)
	if l.tokens.Burst() == 0 && l.tokens.Limit() != rate.Inf {
		return maxRetryAfter // nothing is let through
	}
	missing := float64(l.waiting+n) - l.tokens.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	seconds := min(missing/float64(l.tokens.Limit()), maxRetryAfter.Seconds())
	return time.Duration(seconds * float64(time.Second))
}

// Miss counts a call that has not asked to be sent because it would have to wait too long, so that [Limiter.Asked] has the whole demand.
func (l *Limiter) Miss() { l.asked.Add(1) }
