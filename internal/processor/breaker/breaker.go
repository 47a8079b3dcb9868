// Package breaker stops calls to a processor that is down.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Options say when a processor counts as down.
type Options struct {
	// Window is the sliding time window in which calls are counted.
	Window time.Duration
	// MinCalls is the minimum number of calls in the window before the breaker can open.
	MinCalls uint32
	// FailureRatio of the calls in the window, above 0 and at most 1, opens the breaker.
	FailureRatio float64
	// OpenFor is how long an open breaker stops every call.
	OpenFor time.Duration
	// SlowCall is the duration from which a call counts as failed, whatever its response.
	SlowCall time.Duration
	// Probes is the number of calls that a half-open breaker lets pass; all of them have to succeed to close it.
	Probes uint32
}

// Default opens about five seconds after a processor has gone down completely, and probes it every 15 seconds. In a longer window, the
// successes from before the outage hide the failures: with 30 seconds it opened after fifteen.
var Default = Options{
	Window: 10 * time.Second, MinCalls: 20, FailureRatio: 0.5, OpenFor: 15 * time.Second, SlowCall: 10 * time.Second, Probes: 3,
}

// Validate returns an error that names the first invalid option.
func (o Options) Validate() error {
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

// Breaker stops calls to a processor that is down, so that they neither wait for it nor add to its load. Declines, other 4xx
// responses, responses about one object and calls that their caller canceled do not count as failures. A call that a Breaker stops is not executed. Breaker
// is safe for concurrent use.
type Breaker struct {
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
	openFor  time.Duration
	slowCall time.Duration
	openedAt atomic.Int64
}

// windowBuckets is the number of steps in which the window slides.
const windowBuckets = 10

// New returns a closed breaker.
func New(o Options) (*Breaker, error) {
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
		IsExcluded:   func(err error) bool { return errors.Is(err, errIgnored) },
	})
	return b, nil
}

// State returns closed, open or half-open.
func (b *Breaker) State() string { return b.breaker.State().String() }

// Allow lets a call pass, or returns a *processor.Error that says how long the breaker stays open. A nil Breaker lets every call pass.
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

// Ready reports whether the breaker is closed. A nil Breaker is always ready.
func (b *Breaker) Ready() bool { return b == nil || b.breaker.State() == gobreaker.StateClosed }

// Passed is a call that a Breaker has let pass.
type Passed struct {
	breaker *Breaker
	done    func(error)
}

// Outcome is how a call ended.
type Outcome struct {
	// Status is the HTTP status; 0 if no response arrived.
	Status int
	// Err is why no complete response arrived; context.Canceled if the caller canceled the call.
	Err error
	// ObjectLevel is true if the response is about one object, see [processor.Profile.ObjectLevel].
	ObjectLevel bool
	Took        time.Duration
}

// Report records the outcome of the call. It must be called exactly once: a probe without a report would keep the breaker
// half-open.
func (p Passed) Report(o Outcome) {
	if p.done != nil {
		p.done(p.breaker.judge(o))
	}
}

func (b *Breaker) open() *processor.Error {
	// While probes are in flight, the decision takes at most as long as a slow call.
	wait := b.slowCall
	if b.breaker.State() == gobreaker.StateOpen {
		wait = time.Until(time.Unix(0, b.openedAt.Load()).Add(b.openFor))
	}
	return &processor.Error{
		Class:      payment.ClassUnavailable,
		Certainty:  processor.NotExecuted,
		Retry:      true,
		RetryAfter: max(wait, time.Millisecond),
		Message:    "the circuit breaker is open: too many of the last calls failed or were slow",
	}
}

// The results of judge. Nil means a success: the processor works.
var (
	errFailure = errors.New("counts as a failure")
	errIgnored = errors.New("does not count")
)

// judge decides whether a call counts as a failure of the processor.
func (b *Breaker) judge(o Outcome) error {
	switch {
	case errors.Is(o.Err, context.Canceled):
		return errIgnored
	case o.Err != nil:
		return errFailure
	case o.ObjectLevel:
		// Also if it was slow: then the processor waited for the object.
		return nil
	case o.Took >= b.slowCall:
		return errFailure
	case o.Status >= http.StatusInternalServerError, o.Status == http.StatusTooManyRequests:
		return errFailure
	default:
		return nil
	}
}
