package httpclient

import (
	"context"
	"errors"
	"time"

	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/processor"
)

// repeat makes the attempts of one call under the client's retry policy. Ambiguity is sticky: once an attempt may have moved
// money, a later refusal does not make the call not executed.
func (c *Client) repeat(ctx context.Context, call processor.Call) (processor.Answer, error) {
	began := time.Now()
	if call.KeyFirstUsed.IsZero() {
		call.KeyFirstUsed = began
	}
	until := began.Add(c.retry.MaxElapsed)
	if c.retry.Budget != nil {
		c.retry.Budget.CountCall()
	}
	sends, ambiguous := 0, false
	for n := 1; ; n++ {
		answer, err := c.attempt(retry.WithAttempt(ctx, n), call, until)
		sends += answer.Sends
		answer.Sends = sends
		if err == nil {
			return answer, nil
		}
		if ambiguous {
			err.Certainty = processor.Ambiguous
		}
		ambiguous = err.Certainty == processor.Ambiguous
		if !err.Retry || n >= c.retry.MaxAttempts || !c.pause(ctx, n, err, until) {
			return answer, err
		}
	}
}

// pause waits for the next attempt. It reports false if there must be none: the budget is spent, the wait would exceed the
// call's time, or the caller canceled ctx, which ends a wait at once.
func (c *Client) pause(ctx context.Context, attempt int, failed *processor.Error, until time.Time) bool {
	delay := c.retry.Backoff.Delay(attempt, failed.RetryAfter, c.retry.Random)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	if time.Until(until) <= delay {
		return false
	}
	if ctx.Err() == nil && c.retry.Budget != nil && !c.retry.Budget.Take() {
		failed.Message += " (not retried: the retry budget is spent)"
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		failed.Err = errors.Join(failed.Err, context.Cause(ctx))
		return false
	}
}
