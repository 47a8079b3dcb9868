package ratelimit

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Ahead is how long before its time a call takes its token, and how long it sleeps before it asks again. It bounds how long calls
// still follow a rate that has been changed.
const Ahead = 100 * time.Millisecond

// noPermit is after how long a call may be tried again that has no permit: another worker may have one.
const noPermit = time.Second

// Wait blocks until the call may be sent, which moves no money. It returns a *processor.Error of certainty NotExecuted if the call may
// not be sent: the wait would exceed the maximum wait or ctx's deadline, or ctx was canceled.
func (l *Limiter) Wait(ctx context.Context) error { return l.wait(ctx, false) }

// WaitToSend is [Limiter.Wait] for a call that moves money. It also returns such an error while the processor is paused.
func (l *Limiter) WaitToSend(ctx context.Context) error { return l.wait(ctx, true) }

func (l *Limiter) wait(ctx context.Context, movesMoney bool) error {
	l.asked.Add(1)
	waitUntil := time.Now().Add(l.maxWait)
	for sendable := false; !sendable; {
		if err := l.waitForHold(ctx, waitUntil); err != nil {
			return err
		}
		if err := l.waitForToken(ctx, waitUntil, movesMoney); err != nil {
			return err
		}
		var err error
		if sendable, err = l.sendable(movesMoney); err != nil {
			return err
		}
	}
	return nil
}

// sendable reports whether a call may use the token that it has waited for. A hold may have begun meanwhile, or the permit ended. Then the
// token is spent, so that the calls that wait are not all sent at once after the hold.
func (l *Limiter) sendable(movesMoney bool) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refusePaused(movesMoney); err != nil {
		return false, err
	}
	now := time.Now()
	return !now.Before(l.heldUntil) && !l.permit.Ended(now), nil
}

func (l *Limiter) refusePaused(movesMoney bool) error {
	pause := l.permit.Paused
	if pause == nil || !movesMoney {
		return nil
	}
	return &processor.Error{
		Class: payment.ClassUnavailable, Certainty: processor.NotExecuted, Retry: true,
		Message: fmt.Sprintf("the processor is paused by %s: %s", printable.Clean(pause.By, maxPauseText), printable.Clean(pause.Reason, maxPauseText)),
	}
}

// maxPauseText limits each text of an operator in an error, in bytes.
const maxPauseText = 500

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
func (l *Limiter) waitForToken(ctx context.Context, waitUntil time.Time, movesMoney bool) error {
	delay, taken, err := l.enter(ctx, waitUntil, movesMoney)
	if err == nil && !taken {
		delay, err = l.queueForToken(ctx, waitUntil, movesMoney)
	}
	if err != nil {
		return err
	}
	return sleep(ctx, delay)
}

// enter takes a token if no call waits before this one. If it does not, the call counts as waiting.
func (l *Limiter) enter(ctx context.Context, waitUntil time.Time, movesMoney bool) (delay time.Duration, taken bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == 0 {
		delay, taken, err = l.take(ctx, waitUntil, movesMoney)
	} else if err = l.refusePaused(movesMoney); err == nil {
		missing := float64(l.waiting) + 1 - l.tokens.TokensAt(time.Now())
		seconds := min(missing/float64(l.tokens.Limit()), maxRetryAfter.Seconds())
		err = l.allow(ctx, time.Duration(seconds*float64(time.Second)), waitUntil)
	}
	if err == nil && !taken {
		l.waiting++
	}
	return delay, taken, err
}

// queueForToken waits until it is the call's turn and until its token is near. A call before it does not wait longer than this one may,
// because it came earlier.
func (l *Limiter) queueForToken(ctx context.Context, waitUntil time.Time, movesMoney bool) (delay time.Duration, err error) {
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
		delay, taken, err := l.take(ctx, waitUntil, movesMoney)
		l.mu.Unlock()
		if taken || err != nil {
			return delay, err
		}
		if err := sleep(ctx, min(delay-Ahead, Ahead, time.Until(waitUntil))); err != nil {
			return 0, err
		}
	}
}

// take takes a token that can be used after the delay, unless the delay is longer than Ahead.
func (l *Limiter) take(ctx context.Context, waitUntil time.Time, movesMoney bool) (delay time.Duration, taken bool, err error) {
	if err := l.refusePaused(movesMoney); err != nil {
		return 0, false, err
	}
	now := time.Now()
	l.apply(now)
	token := l.tokens.ReserveN(now, 1)
	// Tokens are floating-point numbers. At a rate of almost 0, the delay is endless.
	delay = min(token.DelayFrom(now).Round(time.Microsecond), maxRetryAfter)
	if delay > 0 && l.tokens.Limit() == rate.Limit(l.adaptive.rate) {
		l.slowedAt = now
	}
	err = l.allow(ctx, delay, waitUntil)
	if err != nil || delay > Ahead {
		token.CancelAt(now)
		return delay, false, err
	}
	return delay, true, nil
}

// allow is the function allow, except that a call may wait for another permit as long as it may wait at all, whatever d is.
func (l *Limiter) allow(ctx context.Context, d time.Duration, waitUntil time.Time) error {
	now := time.Now()
	if (l.permit.Growing || l.permit.Ended(now)) && d > Ahead && now.Before(waitUntil) {
		return nil
	}
	if l.tokens.Burst() == 0 {
		d = max(noPermit, waitUntil.Sub(now)+1)
	}
	return allow(ctx, d, waitUntil)
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
