package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Policy is the retry policy of a client that is used without Temporal. The client of a worker has none, because Temporal
// retries its activities.
type Policy struct {
	Backoff Backoff
	// MaxAttempts and MaxElapsed both bound a call, whichever comes first.
	MaxAttempts int
	MaxElapsed  time.Duration
	// Budget may be nil: then the retries of all calls together are unbounded. It may be shared between clients.
	Budget *Budget
	// Random returns numbers in [0, 1), for the jitter.
	Random func() float64
}

// Default returns a policy of five attempts within two minutes, with [DefaultBackoff] between them and a budget of one retry for
// every five calls.
func Default() *Policy {
	return &Policy{
		Backoff:     DefaultBackoff,
		MaxAttempts: 5,
		MaxElapsed:  2 * time.Minute,
		Budget:      &Budget{share: 0.2, floor: 10},
		Random:      rand.Float64,
	}
}

// Validate returns an error that names the first invalid field.
func (p Policy) Validate() error {
	if err := p.Backoff.Validate(); err != nil {
		return fmt.Errorf("backoff.%w", err)
	}
	switch {
	case p.MaxAttempts < 1:
		return fmt.Errorf("max_attempts %d: must be above 0", p.MaxAttempts)
	case p.MaxElapsed <= 0:
		return fmt.Errorf("max_elapsed %s: must be above 0", p.MaxElapsed)
	case p.Random == nil:
		return errors.New("random: is missing")
	}
	return nil
}

type attemptKey struct{}

// WithAttempt returns a context whose calls are the given attempt, counted from 1, for the audit log and metrics.
func WithAttempt(ctx context.Context, attempt int) context.Context {
	if attempt == Attempt(ctx) {
		return ctx
	}
	return context.WithValue(ctx, attemptKey{}, attempt)
}

type attemptsKey struct{}

// WithAttempts returns a context whose calls are the given attempts, by their idempotency keys: the calls of a batch differ.
func WithAttempts(ctx context.Context, attempts map[string]int) context.Context {
	return context.WithValue(ctx, attemptsKey{}, attempts)
}

// WithAttemptOf returns a context whose calls are the attempt that [WithAttempts] has set for the key. If it has set none, they
// stay what they are.
func WithAttemptOf(ctx context.Context, key string) context.Context {
	attempts, _ := ctx.Value(attemptsKey{}).(map[string]int)
	if attempt, ok := attempts[key]; ok {
		return WithAttempt(ctx, attempt)
	}
	return ctx
}

// Attempt returns which attempt the calls made with ctx are: 1 unless [WithAttempt] has set it.
func Attempt(ctx context.Context) int {
	attempt, ok := ctx.Value(attemptKey{}).(int)
	if !ok {
		return 1
	}
	return attempt
}
