package ratelimit

import "time"

// Delay returns how long the n-th of further calls would wait for its token, after the calls that wait already. It does not count a
// hold, which may end earlier or be extended. It is at most 30 days.
func (l *Limiter) Delay(n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.apply(now)
	missing := float64(l.waiting+n) - l.tokens.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	seconds := min(missing/float64(l.tokens.Limit()), maxRetryAfter.Seconds())
	return time.Duration(seconds * float64(time.Second))
}
