package processor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/florinpay/florin/payment"
)

// Limiter keeps the calls to one processor under its rate, and holds all of them back for as long as the
// processor asked. A wait beyond Patience is not waited for: it comes back as an error that says how long,
// so that no worker slot is held by a call that only waits. It is safe for concurrent use.
type Limiter struct {
	tokens   *rate.Limiter
	limit    rate.Limit
	patience time.Duration

	mu         sync.Mutex
	heldUntil  time.Time
	pacedUntil time.Time
	quota      Quota
	quotaUntil time.Time
}

// NewLimiter allows perSecond calls, burst of them at once. perSecond 0 means no limit of our own.
func NewLimiter(perSecond float64, burst int, patience time.Duration) *Limiter {
	limit := rate.Limit(perSecond)
	if perSecond == 0 {
		limit = rate.Inf
	}
	return &Limiter{tokens: rate.NewLimiter(limit, max(burst, 1)), limit: limit, patience: patience}
}

// maxHold bounds how long one answer can hold back all calls: a processor that sends milliseconds for seconds must not
// stop them for a month. The next call after it finds out, and is told again.
const maxHold = 5 * time.Minute

// Hold makes every call wait for d, up to five minutes: the processor said so in a Retry-After.
func (l *Limiter) Hold(d time.Duration) {
	d = min(d, maxHold)
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.heldUntil) {
		l.heldUntil = until
	}
}

// Pace spreads the calls that the processor says are left over the time for which they have to last, so that a 429
// need not come. It never makes the limiter faster than it was configured.
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

// state is how much longer calls are held back, and what is left of the processor's quota while that is known.
func (l *Limiter) state() (held time.Duration, left *Quota) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reset := time.Until(l.quotaUntil); reset > 0 {
		left = &Quota{Remaining: l.quota.Remaining, Reset: reset}
	}
	return max(time.Until(l.heldUntil), 0), left
}

// endPace goes back to the configured rate once the processor's quota is fresh again.
func (l *Limiter) endPace() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.pacedUntil.IsZero() && !time.Now().Before(l.pacedUntil) {
		l.pacedUntil = time.Time{}
		l.tokens.SetLimit(l.limit)
	}
}

// Wait returns when the call may be sent, or an *Error of certainty NotExecuted when it may not: the wait
// would be longer than the limiter's patience or than the context lives, or the context ended.
func (l *Limiter) Wait(ctx context.Context) error {
	patientUntil := time.Now().Add(l.patience)
	if err := l.waitOutHold(ctx, patientUntil); err != nil {
		return err
	}
	l.endPace()
	reservation := l.tokens.ReserveN(time.Now(), 1)
	if err := sleep(ctx, reservation.DelayFrom(time.Now()), patientUntil); err != nil {
		reservation.CancelAt(time.Now())
		return err
	}
	// Another call may have been told to wait while this one waited for its turn.
	return l.waitOutHold(ctx, patientUntil)
}

// waitOutHold looks again after each wait: a hold may have grown meanwhile.
func (l *Limiter) waitOutHold(ctx context.Context, patientUntil time.Time) error {
	for {
		l.mu.Lock()
		held := time.Until(l.heldUntil)
		l.mu.Unlock()
		if held <= 0 {
			return nil
		}
		if err := sleep(ctx, held, patientUntil); err != nil {
			return err
		}
	}
}

// sleep waits for d, if that is bearable.
func sleep(ctx context.Context, d time.Duration, patientUntil time.Time) error {
	if d <= 0 {
		return nil
	}
	end := time.Now().Add(d)
	deadline, bounded := ctx.Deadline()
	switch {
	case end.After(patientUntil):
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

func waitError(class payment.FailureClass, wait time.Duration, cause error) *Error {
	message := "stopped while waiting for the rate limit"
	if wait > 0 {
		message = fmt.Sprintf("the rate limit leaves no room for %s", wait.Round(time.Millisecond))
	}
	return &Error{Class: class, Certainty: NotExecuted, Retry: true, RetryAfter: wait, Message: message, Err: cause}
}
