package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

const (
	// callTimeout is how long a caller waits for a call before it repeats the call.
	callTimeout = 15 * time.Second
	// lastCallsTimeout is how long the last calls may take once nothing is killed any more.
	lastCallsTimeout = 2 * time.Minute
	// modificationAttempts is how often a caller requests a capture or a void that was not executed.
	modificationAttempts = 5
)

// load simulates the services that charge and refund. They connect to Temporal directly, and repeat a call until they
// receive a result.
type load struct {
	client    *florin.Client
	purchases []*purchase
	repeated  atomic.Int64

	callers sync.WaitGroup
	// ctx is the context of all calls, and cancel cancels it.
	ctx    context.Context
	cancel context.CancelFunc
}

func newLoad(ctx context.Context, client *florin.Client) *load {
	l := &load{client: client}
	l.ctx, l.cancel = context.WithCancel(ctx)
	return l
}

// start makes purchases concurrently, each in a goroutine of its own.
func (l *load) start(purchases []*purchase) {
	for _, p := range purchases {
		l.purchases = append(l.purchases, p)
		l.callers.Go(func() { l.purchase(l.ctx, p) })
	}
}

// wait returns once each caller has the results of its calls. It returns a violation for each call that has none after
// lastCallsTimeout.
func (l *load) wait() (unanswered []violation) {
	defer l.cancel()
	done := make(chan struct{})
	go func() { defer close(done); l.callers.Wait() }()
	select {
	case <-done:
	case <-time.After(lastCallsTimeout):
		l.cancel()
		<-done
	}
	fmt.Printf("crash: calls were repeated %d times\n", l.repeated.Load())
	for _, p := range l.purchases {
		for _, problem := range p.results.unanswered {
			unanswered = append(unanswered, violationOf(p, "no result for %s: %s", p.key(), problem))
		}
		for _, r := range p.refunds {
			for _, problem := range r.results.unanswered {
				unanswered = append(unanswered, violationOf(p, "no result for %s: %s", r.request.IdempotencyKey, problem))
			}
		}
	}
	return unanswered
}

// purchase makes one purchase: the charge, then its modification, then its refunds.
func (l *load) purchase(ctx context.Context, p *purchase) {
	charged := l.charge(ctx, p)
	if charged.Status == payment.Authorized {
		switch p.modification {
		case captureAll, capturePart:
			charged = l.capture(ctx, p)
		case voidAll:
			l.void(ctx, p)
		case captureAndVoid:
			var both sync.WaitGroup
			both.Go(func() { l.capture(ctx, p) })
			both.Go(func() { l.void(ctx, p) })
			both.Wait()
		case noModification, letExpire:
		}
	}
	if charged.Status != payment.Succeeded {
		return
	}
	var refunds sync.WaitGroup
	for _, r := range p.refunds {
		refunds.Go(func() { l.refund(ctx, r) })
	}
	refunds.Wait()
	// Read the payment again, as a service does that shows the order to its customer later.
	repeat(ctx, l, &p.results, "get", func(ctx context.Context) (payment.Charge, error) {
		return l.client.Get(ctx, merchant, p.key())
	})
}

func (l *load) charge(ctx context.Context, p *purchase) payment.Charge {
	if !p.async {
		return repeat(ctx, l, &p.results, "charge", func(ctx context.Context) (payment.Charge, error) {
			return l.client.Charge(ctx, p.charge)
		})
	}
	repeat(ctx, l, &p.results, "start", func(ctx context.Context) (payment.Charge, error) {
		_, err := l.client.StartCharge(ctx, p.charge)
		return payment.Charge{}, err
	})
	return pollOutcome(ctx, func() (payment.Charge, payment.Status) {
		c := repeat(ctx, l, &p.results, "get", func(ctx context.Context) (payment.Charge, error) {
			return l.client.Get(ctx, merchant, p.key())
		})
		return c, c.Status
	})
}

func (l *load) refund(ctx context.Context, r *refund) {
	if !r.async {
		repeat(ctx, l, &r.results, "refund", func(ctx context.Context) (payment.Refund, error) {
			return l.client.Refund(ctx, r.request)
		})
		return
	}
	repeat(ctx, l, &r.results, "start", func(ctx context.Context) (payment.Refund, error) {
		_, err := l.client.StartRefund(ctx, r.request)
		return payment.Refund{}, err
	})
	pollOutcome(ctx, func() (payment.Refund, payment.Status) {
		got := repeat(ctx, l, &r.results, "get", func(ctx context.Context) (payment.Refund, error) {
			return l.client.GetRefund(ctx, merchant, r.request.IdempotencyKey)
		})
		return got, got.Status
	})
}

// pollOutcome polls until the status has an outcome. It returns the last value, even if ctx ends before.
func pollOutcome[T any](ctx context.Context, get func() (T, payment.Status)) T {
	for {
		value, status := get()
		if status.HasOutcome() {
			return value
		}
		select {
		case <-ctx.Done():
			return value
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (l *load) capture(ctx context.Context, p *purchase) payment.Charge {
	var request payment.CaptureRequest
	if p.modification == capturePart {
		amount := p.charge.Amount / 2
		request.Amount = &amount
	}
	return l.modify(ctx, p, "capture", func(ctx context.Context) (payment.Charge, error) {
		return l.client.Capture(ctx, merchant, p.key(), request)
	})
}

func (l *load) void(ctx context.Context, p *purchase) {
	l.modify(ctx, p, "void", func(ctx context.Context) (payment.Charge, error) {
		return l.client.Void(ctx, merchant, p.key())
	})
}

// modify requests a capture or void. It requests it again while the payment stays authorized: then the modification was
// provably not executed, for example because the processor was down.
func (l *load) modify(
	ctx context.Context, p *purchase, name string, call func(context.Context) (payment.Charge, error),
) (c payment.Charge) {
	for range modificationAttempts {
		if c = repeat(ctx, l, &p.results, name, known(call)); c.Status != payment.Authorized {
			break
		}
	}
	return c
}

// known returns call with a payment that was not modified, or needs an operator, as its value instead of an error.
func known(call func(context.Context) (payment.Charge, error)) func(context.Context) (payment.Charge, error) {
	return func(ctx context.Context) (payment.Charge, error) {
		c, err := call(ctx)
		var notExecuted *florin.NotExecutedError
		if errors.As(err, &notExecuted) || errors.Is(err, florin.ErrConflicted) || c.Status == payment.NeedsReconciliation {
			return c, nil
		}
		return c, err
	}
}

// repeat repeats a call until it returns a value or a refusal, and adds that to the results. For a refusal it returns the
// zero value. If ctx ends before, it adds the call as unanswered.
func repeat[T any](ctx context.Context, l *load, to *callResults[T], name string, call func(context.Context) (T, error)) T {
	for {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		value, err := call(limited)
		cancel()
		switch {
		case err == nil, isRefusal(err):
			to.add(callResult[T]{call: name, value: value, refusal: err})
			return value
		case ctx.Err() != nil:
			to.addUnanswered(fmt.Sprintf("%s: %v", name, err))
			return value
		}
		l.repeated.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
