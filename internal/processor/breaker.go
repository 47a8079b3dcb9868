package processor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/florinpay/florin/payment"
)

// BreakerOptions say when a processor counts as down.
type BreakerOptions struct {
	// Window is the time over which calls are counted.
	Window time.Duration
	// MinCalls is how many calls it takes to judge.
	MinCalls uint32
	// FailureRatio of the calls in the window, above 0 and at most 1, opens the breaker.
	FailureRatio float64
	// OpenFor is how long no call is sent then.
	OpenFor time.Duration
	// SlowCall is the duration from which a call counts as failed, whatever it brought.
	SlowCall time.Duration
	// Probes is how many calls are sent to find out whether the processor is back; as many have to succeed.
	Probes uint32
}

// DefaultBreaker stops calls to a processor that is wholly down after about five seconds, and finds out every 15 whether
// it is back.
var DefaultBreaker = BreakerOptions{
	Window: 10 * time.Second, MinCalls: 20, FailureRatio: 0.5, OpenFor: 15 * time.Second, SlowCall: 10 * time.Second, Probes: 3,
}

// Validate names the first option that cannot work.
func (o BreakerOptions) Validate() error {
	switch {
	case o.Window <= 0:
		return fmt.Errorf("window %s: must be above 0", o.Window)
	case o.MinCalls < 1:
		return errors.New("min_calls 0: must be above 0")
	case !(o.FailureRatio > 0 && o.FailureRatio <= 1): // or not a number
		return fmt.Errorf("failure_ratio %g: must be above 0 and at most 1", o.FailureRatio)
	case o.OpenFor <= 0:
		return fmt.Errorf("open_for %s: must be above 0", o.OpenFor)
	case o.SlowCall <= 0:
		return fmt.Errorf("slow_call %s: must be above 0", o.SlowCall)
	case o.Probes < 1:
		return errors.New("probes 0: must be above 0")
	}
	return nil
}

// Breaker stops calls to a processor that is down, so that they neither wait for it nor add to its load. What
// is no sign of an outage does not count: declines and the other 4xx, and a call that its caller gave up. A call
// that a Breaker stops was not executed. Safe for concurrent use.
type Breaker struct {
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
	openFor  time.Duration
	slowCall time.Duration
	openedAt atomic.Int64
}

// windowBuckets is in how many steps the window slides.
const windowBuckets = 10

// NewBreaker returns a closed breaker.
func NewBreaker(o BreakerOptions) (*Breaker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	b := &Breaker{openFor: o.OpenFor, slowCall: o.SlowCall}
	b.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		MaxRequests:  o.Probes,
		Interval:     o.Window,
		BucketPeriod: max(o.Window/windowBuckets, 1),
		Timeout:      o.OpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			judged := c.TotalSuccesses + c.TotalFailures
			return judged >= o.MinCalls && float64(c.TotalFailures) >= o.FailureRatio*float64(judged)
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.openedAt.Store(time.Now().UnixNano())
			}
		},
		IsSuccessful: func(err error) bool { return err == nil },
		IsExcluded:   func(err error) bool { return errors.Is(err, errNoSign) },
	})
	return b, nil
}

// State is closed, open or half-open.
func (b *Breaker) State() string { return b.breaker.State().String() }

// Allow lets a call pass, or returns an *Error that says how long the breaker stays open. A nil Breaker lets all pass.
func (b *Breaker) Allow() (Passed, error) {
	if b == nil {
		return Passed{}, nil
	}
	done, err := b.breaker.Allow()
	if err != nil {
		return Passed{}, b.open()
	}
	return Passed{b, done}, nil
}

// Passed is a call that a Breaker let pass.
type Passed struct {
	breaker *Breaker
	done    func(error)
}

// Report must be called once, in time: a probe that never reports how it went would keep the breaker half open.
func (p Passed) Report(a Answer, err error, took time.Duration) {
	if p.done != nil {
		p.done(p.breaker.judge(a, err, took))
	}
}

func (b *Breaker) open() *Error {
	// While probes are out, the answer is at most a slow call away.
	wait := b.slowCall
	if b.breaker.State() == gobreaker.StateOpen {
		wait = time.Until(time.Unix(0, b.openedAt.Load()).Add(b.openFor))
	}
	return &Error{
		Class:      payment.ClassUnavailable,
		Certainty:  NotExecuted,
		Retry:      true,
		RetryAfter: max(wait, time.Millisecond),
		Message:    "the circuit breaker holds calls back: too many of the last ones failed or were slow",
	}
}

// The verdicts of judge, beside nil for a call that shows the processor at work.
var (
	errSick   = errors.New("a sign of an outage")
	errNoSign = errors.New("no sign of anything")
)

// judge tells an outage from everything that only looks like one.
func (b *Breaker) judge(a Answer, err error, took time.Duration) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errNoSign
	case err != nil, took >= b.slowCall:
		return errSick
	case a.Status >= http.StatusInternalServerError, a.Status == http.StatusTooManyRequests:
		return errSick
	default:
		return nil
	}
}
