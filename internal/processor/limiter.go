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
	patience time.Duration

	mu        sync.Mutex
	heldUntil time.Time
}

// NewLimiter allows perSecond calls, burst of them at once. perSecond 0 means no limit of our own.
func NewLimiter(perSecond float64, burst int, patience time.Duration) *Limiter {
	limit := rate.Limit(perSecond)
	if perSecond == 0 {
		limit = rate.Inf
	}
	return &Limiter{tokens: rate.NewLimiter(limit, max(burst, 1)), patience: patience}
}

// Hold makes every call wait for d: the processor said so in a Retry-After.
func (l *Limiter) Hold(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.heldUntil) {
		l.heldUntil = until
	}
}

// Wait returns when the call may be sent, or an *Error of certainty NotExecuted when it may not: the wait
// would be longer than the limiter's patience or than the context lives, or the context ended.
func (l *Limiter) Wait(ctx context.Context) error {
	l.mu.Lock()
	held := time.Until(l.heldUntil)
	l.mu.Unlock()
	if err := l.sleep(ctx, held); err != nil {
		return err
	}
	reservation := l.tokens.ReserveN(time.Now(), 1)
	if err := l.sleep(ctx, reservation.DelayFrom(time.Now())); err != nil {
		reservation.CancelAt(time.Now())
		return err
	}
	return nil
}

// sleep waits for d, if that is bearable.
func (l *Limiter) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	deadline, bounded := ctx.Deadline()
	if d > l.patience || bounded && time.Now().Add(d).After(deadline) {
		return waitError(payment.ClassRateLimited, d, nil)
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
