// Package ratelimit keeps the calls to one processor below its rate limit: by a token bucket, and by the processor's Retry-After
// and RateLimit headers.
package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Limiter limits the rate of calls to one processor, and delays all calls for as long as the processor has requested. A call that
// would have to wait longer than the maximum wait gets an error with the wait at once, so that waiting calls do not occupy
// worker slots. Limiter is safe for concurrent use.
type Limiter struct {
	tokens  *rate.Limiter
	limit   rate.Limit
	maxWait time.Duration

	mu         sync.Mutex
	heldUntil  time.Time
	pacedUntil time.Time
	quota      Quota
	quotaUntil time.Time
}

// New returns a Limiter that allows perSecond calls, burst of them at once. perSecond 0 means no limit except that of the processor.
func New(perSecond float64, burst int, maxWait time.Duration) *Limiter {
	limit := rate.Limit(perSecond)
	if perSecond == 0 {
		limit = rate.Inf
	}
	return &Limiter{tokens: rate.NewLimiter(limit, max(burst, 1)), limit: limit, maxWait: maxWait}
}

// MaxWait returns the longest time that a call waits.
func (l *Limiter) MaxWait() time.Duration { return l.maxWait }

// maxHold limits how long one response can delay all calls: a processor that sends milliseconds instead of seconds must not stop
// them for a month. The response to the first call after it shows whether the processor still asks for a wait.
const maxHold = 5 * time.Minute

// Hold makes every call wait for d, at most five minutes, because the processor asked for it in a Retry-After.
func (l *Limiter) Hold(d time.Duration) {
	d = min(d, maxHold)
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.heldUntil) {
		l.heldUntil = until
	}
}

// Pace spreads the remaining calls of the processor's quota evenly over the time until it is reset, to avoid a 429. It never
// allows more calls than configured.
func (l *Limiter) Pace(q Quota) {
	l.mu.Lock()
	l.quota, l.quotaUntil = q, time.Now().Add(q.Reset)
	l.mu.Unlock()
	if q.Remaining == 0 {
		l.Hold(q.Reset)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pacedUntil = time.Now().Add(q.Reset)
	l.tokens.SetLimit(min(l.limit, rate.Limit(q.perSecond())))
}

// State returns how much longer calls are held back, and the remaining quota of the processor; nil if it is not known.
func (l *Limiter) State() (held time.Duration, left *Quota) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reset := time.Until(l.quotaUntil); reset > 0 {
		left = &Quota{Remaining: l.quota.Remaining, Reset: reset}
	}
	return max(time.Until(l.heldUntil), 0), left
}

// Ready reports whether a call would pass without a wait. It reserves nothing.
func (l *Limiter) Ready() bool {
	l.endPace()
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().After(l.heldUntil) && (l.tokens.Limit() == rate.Inf || l.tokens.Tokens() >= 1)
}

// endPace restores the configured rate once the processor has reset its quota.
func (l *Limiter) endPace() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.pacedUntil.IsZero() && !time.Now().Before(l.pacedUntil) {
		l.pacedUntil = time.Time{}
		l.tokens.SetLimit(l.limit)
	}
}

// Wait blocks until the call may be sent. It returns a *processor.Error of certainty NotExecuted if the call may not be sent:
// the wait would exceed the maximum wait or ctx's deadline, or ctx was canceled.
func (l *Limiter) Wait(ctx context.Context) error {
	waitUntil := time.Now().Add(l.maxWait)
	if err := l.waitForHold(ctx, waitUntil); err != nil {
		return err
	}
	l.endPace()
	reservation := l.tokens.ReserveN(time.Now(), 1)
	if err := sleep(ctx, reservation.DelayFrom(time.Now()), waitUntil); err != nil {
		reservation.CancelAt(time.Now())
		return err
	}
	// A hold may have begun while this call waited for its token.
	return l.waitForHold(ctx, waitUntil)
}

// waitForHold checks again after each wait, because a hold may have been extended meanwhile.
func (l *Limiter) waitForHold(ctx context.Context, waitUntil time.Time) error {
	for {
		l.mu.Lock()
		held := time.Until(l.heldUntil)
		l.mu.Unlock()
		if held <= 0 {
			return nil
		}
		if err := sleep(ctx, held, waitUntil); err != nil {
			return err
		}
	}
}

// sleep waits for d unless that exceeds waitUntil or ctx's deadline.
func sleep(ctx context.Context, d time.Duration, waitUntil time.Time) error {
	if d <= 0 {
		return nil
	}
	end := time.Now().Add(d)
	deadline, bounded := ctx.Deadline()
	switch {
	case end.After(waitUntil):
		return waitError(payment.ClassUnavailable, d, nil)
	case bounded && end.After(deadline):
		return waitError(payment.ClassNotSent, d, nil)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return waitError(payment.ClassNotSent, 0, context.Cause(ctx))
	}
}

func waitError(class payment.FailureClass, wait time.Duration, cause error) *processor.Error {
	message := "canceled while waiting for the rate limit"
	if wait > 0 {
		message = fmt.Sprintf("the rate limit allows no call for %s", wait.Round(time.Millisecond))
	}
	return &processor.Error{Class: class, Certainty: processor.NotExecuted, Retry: true, RetryAfter: wait, Message: message, Err: cause}
}
