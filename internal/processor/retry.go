package processor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Retry is how a client repeats calls that may be repeated, for clients that are used alone. Under a workflow
// the client has none: the retries are Temporal's.
type Retry struct {
	Backoff Backoff
	// MaxAttempts and MaxElapsed are both bounds of a call: whichever comes first.
	MaxAttempts int
	MaxElapsed  time.Duration
	// Budget may be nil: then nothing bounds the retries of all calls together. It may be shared.
	Budget *Budget
	// Random gives numbers in [0, 1), for the jitter.
	Random func() float64
}

// DefaultRetry is five attempts within two minutes, with DefaultBackoff between them, and a budget of one retry
// for every five calls.
func DefaultRetry() *Retry {
	return &Retry{
		Backoff:     DefaultBackoff,
		MaxAttempts: 5,
		MaxElapsed:  2 * time.Minute,
		Budget:      &Budget{share: 0.2, floor: 10},
		Random:      rand.Float64,
	}
}

// validate names the first field that cannot work.
func (r Retry) validate() error {
	if err := r.Backoff.Validate(); err != nil {
		return fmt.Errorf("backoff.%w", err)
	}
	switch {
	case r.MaxAttempts < 1:
		return fmt.Errorf("max_attempts %d: must be above 0", r.MaxAttempts)
	case r.MaxElapsed <= 0:
		return fmt.Errorf("max_elapsed %s: must be above 0", r.MaxElapsed)
	case r.Random == nil:
		return errors.New("random: is missing")
	}
	return nil
}

// repeat makes the attempts of one call. Ambiguity is sticky: once an attempt may have moved money, no later
// refusal takes that back.
func (c *Client) repeat(ctx context.Context, call Call) (Answer, error) {
	began := time.Now()
	if call.KeyFirstUsed.IsZero() {
		call.KeyFirstUsed = began
	}
	until := began.Add(c.retry.MaxElapsed)
	if c.retry.Budget != nil {
		c.retry.Budget.called()
	}
	sends, ambiguous := 0, false
	for n := 1; ; n++ {
		answer, err := c.attempt(withAttempt(ctx, n), call, until)
		sends += answer.Sends
		answer.Sends = sends
		if err == nil {
			return answer, nil
		}
		if ambiguous && err.Certainty != Answered {
			err.Certainty = Ambiguous
		}
		ambiguous = err.Certainty == Ambiguous
		err.Sends = sends
		if !err.Retry || n >= c.retry.MaxAttempts || !c.pause(ctx, n, err, until) {
			return answer, err
		}
	}
}

// pause waits for the next attempt. It is false where there must be none: the budget is spent, the wait would outlast
// the call's time, or the caller gave up, which ends a wait at once.
func (c *Client) pause(ctx context.Context, attempt int, failed *Error, until time.Time) bool {
	delay := c.retry.Backoff.Delay(attempt, failed.RetryAfter, c.retry.Random)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	if time.Until(until) <= delay {
		return false
	}
	if ctx.Err() == nil && c.retry.Budget != nil && !c.retry.Budget.take() {
		failed.Message += " (not tried again: the retry budget is spent)"
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
