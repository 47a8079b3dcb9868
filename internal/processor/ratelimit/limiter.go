// Package ratelimit keeps the calls to one processor below its rate limit: by a token bucket, and by the processor's Retry-After
// and RateLimit headers.
package ratelimit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limiter limits the rate of calls to one processor. The rate is the lowest of three: the permitted one, that of the quota which
// the processor reports, and the one to which its 429 responses have cut it. Limiter also delays all calls for as long as
// the processor has requested. A call that would have to wait longer than the maximum wait gets an error with the wait at
// once, so that waiting calls do not occupy worker slots. Limiter is safe for concurrent use.
type Limiter struct {
	maxWait time.Duration
	asked   atomic.Uint64

	mu         sync.Mutex
	tokens     *rate.Limiter
	permit     Permit
	heldUntil  time.Time
	paced      rate.Limit
	pacedUntil time.Time
	quota      Quota
	quotaUntil time.Time
	adaptive   adaptive
	// slowedAt is when a call last had to wait because of the adaptive rate.
	slowedAt time.Time
	// waiting counts the calls that wait for a token. The first of them has the turn.
	waiting int
	turn    chan struct{}
}

// New returns a Limiter that allows perSecond calls, burst of them at once, until [Limiter.Permit] is called. perSecond 0 means no limit
// except that of the processor.
func New(perSecond float64, burst int, maxWait time.Duration) *Limiter {
	l := &Limiter{
		maxWait: maxWait, permit: Permit{PerSecond: perSecond, Burst: max(burst, 1)},
		turn: make(chan struct{}, 1),
	}
	if perSecond == 0 {
		l.permit.PerSecond = math.Inf(1)
	}
	l.tokens = rate.NewLimiter(l.limit(), l.permit.Burst)
	return l
}

// limit is the permitted rate. math.Inf(1) is not what rate.Limiter takes for no limit.
func (l *Limiter) limit() rate.Limit {
	if math.IsInf(l.permit.PerSecond, 1) {
		return rate.Inf
	}
	return rate.Limit(l.permit.PerSecond)
}

// Permit replaces what the limiter lets through. A higher rate or burst brings no calls at once: they come with the rate.
func (l *Limiter) Permit(p Permit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.apply(now) // what has been saved up under a permit that has ended is lost
	l.permit = p
	l.apply(now)
}

// Asked returns how many calls have asked to be sent.
func (l *Limiter) Asked() uint64 { return l.asked.Load() }

// Ready reports whether a call that moves money would be sent at once, as far as the limiter is concerned.
func (l *Limiter) Ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.apply(now)
	return l.permit.Paused == nil && !now.Before(l.heldUntil) && l.waiting == 0 &&
		(l.tokens.Limit() == rate.Inf || l.tokens.TokensAt(now) >= 1)
}

// MaxWait returns the longest time that a call waits.
func (l *Limiter) MaxWait() time.Duration { return l.maxWait }

// maxHold limits how long one response can delay all calls: a processor that sends milliseconds instead of seconds must not stop
// them for a month. The response to the first call after it shows whether the processor still asks for a wait.
const maxHold = 5 * time.Minute

// Hold makes every call wait for d, at most five minutes, because the processor asked for it in a Retry-After.
func (l *Limiter) Hold(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold(time.Now(), d)
}

func (l *Limiter) hold(now time.Time, d time.Duration) {
	if until := now.Add(min(d, maxHold)); until.After(l.heldUntil) {
		l.heldUntil = until
	}
}

// Pace spreads the remaining calls of the processor's quota evenly over the time until it is reset, to avoid a 429. It never
// allows more calls than configured.
func (l *Limiter) Pace(q Quota) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.quota, l.quotaUntil = q, now.Add(q.Reset)
	if q.Remaining == 0 {
		l.hold(now, q.Reset)
		return
	}
	l.paced, l.pacedUntil = rate.Limit(q.perSecond()), l.quotaUntil
	l.apply(now)
}

// Accepted reports that the processor has answered a call without refusing it for its rate. The rate recovers by that.
func (l *Limiter) Accepted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.adaptive.accepted(now, float64(l.limit()), now.Sub(l.slowedAt) < time.Second)
	l.apply(now)
}

// Refused reports that the processor has refused a call with a 429. That cuts the rate of all calls. If several calls are refused in a
// row, all calls wait: for retryAfter, at least a second, and up to half a minute while nothing else is answered.
func (l *Limiter) Refused(retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.adaptive.refused(now, float64(l.limit()))
	l.apply(now)
	switch {
	case !l.adaptive.exhausted(now):
	case now.Before(l.heldUntil): // calls that were in flight when the pause began
		l.hold(now, retryAfter)
	default:
		l.hold(now, l.adaptive.nextPause(retryAfter))
	}
}

// apply sets the rate and the burst to what applies now.
func (l *Limiter) apply(now time.Time) {
	limit, burst := l.limit(), l.permit.Burst
	if l.permit.Ended(now) {
		limit, burst = 0, 0
	}
	if now.Before(l.pacedUntil) {
		limit = min(limit, l.paced)
	}
	if l.adaptive.settle(now); l.adaptive.rate > 0 {
		limit = min(limit, rate.Limit(l.adaptive.rate))
	}
	if burst = min(l.adaptive.burst(burst), burst); limit != l.tokens.Limit() || burst != l.tokens.Burst() {
		l.tokens.SetLimitAt(now, limit)
		l.tokens.SetBurstAt(now, burst)
	}
}

// State is the state of a Limiter.
type State struct {
	// PerSecond is the permitted rate, in calls per second; +Inf without a limit. Paused reports that calls that move money are refused.
	PerSecond float64
	Paused    bool
	// Held is how much longer calls are held back.
	Held time.Duration
	// CutTo is the rate to which 429 responses have cut the calls, in calls per second; 0 if they have not.
	CutTo float64
	// Quota is the remaining quota of the processor; nil if it is not known.
	Quota *Quota
}

// State returns the current state.
func (l *Limiter) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.apply(now)
	s := State{PerSecond: l.permit.PerSecond, Paused: l.permit.Paused != nil, Held: max(l.heldUntil.Sub(now), 0), CutTo: l.adaptive.rate}
	if l.permit.Ended(now) {
		s.PerSecond = 0
	}
	if reset := l.quotaUntil.Sub(now); reset > 0 {
		s.Quota = &Quota{Remaining: l.quota.Remaining, Reset: reset}
	}
	return s
}
