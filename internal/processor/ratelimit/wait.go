package ratelimit

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// ahead is how long before its time a call takes its token, and how long it sleeps before it asks again. It bounds how long calls
// still follow a rate that has been changed.
const ahead = 100 * time.Millisecond

// Wait blocks until the call may be sent. It returns a *processor.Error of certainty NotExecuted if the call may not be sent:
// the wait would exceed the maximum wait or ctx's deadline, or ctx was canceled.
func (l *Limiter) Wait(ctx context.Context) error {
	waitUntil := time.Now().Add(l.maxWait)
	for {
		if err := l.waitForHold(ctx, waitUntil); err != nil {
			return err
		}
		if err := l.waitForToken(ctx, waitUntil); err != nil {
			return err
		}
		// A hold may have begun meanwhile. Then the token is spent, so that the calls that wait are not all sent at once after the hold.
		if l.held() == 0 {
			return nil
		}
	}
}

// waitForHold checks again after each wait, because a hold may have been extended meanwhile.
func (l *Limiter) waitForHold(ctx context.Context, waitUntil time.Time) error {
	for held := l.held(); held > 0; held = l.held() {
		if err := allow(ctx, held, waitUntil); err != nil {
			return err
		}
		if err := sleep(ctx, held); err != nil {
			return err
		}
	}
	return nil
}

func (l *Limiter) held() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(time.Until(l.heldUntil), 0)
}

// waitForToken takes a token, in the order in which calls came.
func (l *Limiter) waitForToken(ctx context.Context, waitUntil time.Time) error {
	delay, taken, err := l.enter(ctx, waitUntil)
	if err == nil && !taken {
		delay, err = l.queueForToken(ctx, waitUntil)
	}
	if err != nil {
		return err
	}
	return sleep(ctx, delay)
}

// enter takes a token if no call waits before this one. If it does not, the call counts as waiting.
func (l *Limiter) enter(ctx context.Context, waitUntil time.Time) (delay time.Duration, taken bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == 0 {
		delay, taken, err = l.take(ctx, waitUntil)
	} else {
		missing := float64(l.waiting) + 1 - l.tokens.TokensAt(time.Now())
		seconds := min(missing/float64(l.tokens.Limit()), maxRetryAfter.Seconds())
		err = allow(ctx, time.Duration(seconds*float64(time.Second)), waitUntil)
	}
	if err == nil && !taken {
		l.waiting++
	}
	return delay, taken, err
}

// queueForToken waits until it is the call's turn and until its token is near. A call before it does not wait longer than this one may,
// because it came earlier.
func (l *Limiter) queueForToken(ctx context.Context, waitUntil time.Time) (delay time.Duration, err error) {
	defer func() {
		l.mu.Lock()
		l.waiting--
		l.mu.Unlock()
	}()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return 0, waitError(payment.ClassNotSent, 0, context.Cause(ctx))
	}
	for {
		l.mu.Lock()
		delay, taken, err := l.take(ctx, waitUntil)
		l.mu.Unlock()
		if taken || err != nil {
			return delay, err
		}
		if err := sleep(ctx, min(delay-ahead, ahead)); err != nil {
			return 0, err
		}
	}
}

// take takes a token that can be used after the delay, unless the delay is longer than ahead.
func (l *Limiter) take(ctx context.Context, waitUntil time.Time) (delay time.Duration, taken bool, err error) {
	now := time.Now()
	l.apply(now)
	token := l.tokens.ReserveN(now, 1)
	// Tokens are floating-point numbers. At a rate of almost 0, the delay is endless.
	delay = min(token.DelayFrom(now).Round(time.Microsecond), maxRetryAfter)
	if delay > 0 && l.tokens.Limit() == rate.Limit(l.adaptive.rate) {
		l.slowedAt = now
	}
	err = allow(ctx, delay, waitUntil)
	if err != nil || delay > ahead {
		token.CancelAt(now)
		return delay, false, err
	}
	return delay, true, nil
}

// allow refuses a wait for d that would exceed waitUntil or ctx's deadline.
func allow(ctx context.Context, d time.Duration, waitUntil time.Time) error {
	if d <= 0 {
		return nil
	}
	end := time.Now().Add(d)
	if end.After(waitUntil) {
		return waitError(payment.ClassUnavailable, d, nil)
	}
	if deadline, bounded := ctx.Deadline(); bounded && end.After(deadline) {
		return waitError(payment.ClassNotSent, d, nil)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
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
		message = fmt.Sprintf("the rate limit allows no call for %s", max(wait.Round(time.Millisecond), time.Millisecond))
	}
	return &processor.Error{Class: class, Certainty: processor.NotExecuted, Retry: true, RetryAfter: wait, Message: message, Err: cause}
}
