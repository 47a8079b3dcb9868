package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

const (
	// callTimeout is when a caller gives up on a call, and repeats it.
	callTimeout = 15 * time.Second
	// lastAnswers is how long the callers may take for their last answers, once nothing is killed any more.
	lastAnswers = 2 * time.Minute
	// orderTries is how often a capture or a void is given that came to nothing.
	orderTries = 5
)

// load is the services that charge and refund. They talk to Temporal itself, and repeat a call until it is answered.
type load struct {
	client    *florin.Client
	purchases []*purchase
	repeated  atomic.Int64

	buyers sync.WaitGroup
	// calls is the context of all calls; giveUp ends it, for callers that wait for too long.
	calls  context.Context
	giveUp context.CancelFunc
}

func newLoad(ctx context.Context, client *florin.Client) *load {
	l := &load{client: client}
	l.calls, l.giveUp = context.WithCancel(ctx)
	return l
}

// buy makes purchases, side by side with all others.
func (l *load) buy(purchases []*purchase) {
	for _, p := range purchases {
		l.purchases = append(l.purchases, p)
		l.buyers.Go(func() { l.one(l.calls, p) })
	}
}

// wait lasts until every caller has its answers, and names those that have none.
func (l *load) wait() (unanswered []violation) {
	defer l.giveUp()
	done := make(chan struct{})
	go func() { defer close(done); l.buyers.Wait() }()
	select {
	case <-done:
	case <-time.After(lastAnswers):
		l.giveUp()
		<-done
	}
	fmt.Printf("crash: %d calls had to be repeated\n", l.repeated.Load())
	for _, p := range l.purchases {
		for _, problem := range p.answers.unanswered {
			unanswered = append(unanswered, about(p, "no answer to %s: %s", p.key(), problem))
		}
		for _, r := range p.refunds {
			for _, problem := range r.answers.unanswered {
				unanswered = append(unanswered, about(p, "no answer to %s: %s", r.request.IdempotencyKey, problem))
			}
		}
	}
	return unanswered
}

// one makes a purchase: the charge, then what is to become of it.
func (l *load) one(ctx context.Context, p *purchase) {
	key := p.key()
	charged := l.charge(ctx, p)
	if charged.Status == payment.Authorized {
		switch p.order {
		case captureAll, capturePart:
			charged = l.capture(ctx, p)
		case voidIt:
			l.void(ctx, p)
		case rivals:
			var both sync.WaitGroup
			both.Go(func() { l.capture(ctx, p) })
			both.Go(func() { l.void(ctx, p) })
			both.Wait()
		case noOrder, abandon:
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
	// Once more, as somebody would who looks at the order later.
	ask(ctx, l, &p.answers, "get", func(ctx context.Context) (payment.Charge, error) { return l.client.Get(ctx, merchant, key) })
}

func (l *load) charge(ctx context.Context, p *purchase) payment.Charge {
	if !p.async {
		return ask(ctx, l, &p.answers, "charge", func(ctx context.Context) (payment.Charge, error) { return l.client.Charge(ctx, p.charge) })
	}
	ask(ctx, l, &p.answers, "start", func(ctx context.Context) (payment.Charge, error) {
		_, err := l.client.StartCharge(ctx, p.charge)
		return payment.Charge{}, err
	})
	return untilOutcome(ctx, func() (payment.Charge, payment.Status) {
		c := ask(ctx, l, &p.answers, "get", func(ctx context.Context) (payment.Charge, error) { return l.client.Get(ctx, merchant, p.key()) })
		return c, c.Status
	})
}

func (l *load) refund(ctx context.Context, r *refund) {
	if !r.async {
		ask(ctx, l, &r.answers, "refund", func(ctx context.Context) (payment.Refund, error) { return l.client.Refund(ctx, r.request) })
		return
	}
	ask(ctx, l, &r.answers, "start", func(ctx context.Context) (payment.Refund, error) {
		_, err := l.client.StartRefund(ctx, r.request)
		return payment.Refund{}, err
	})
	untilOutcome(ctx, func() (payment.Refund, payment.Status) {
		given := ask(ctx, l, &r.answers, "get", func(ctx context.Context) (payment.Refund, error) {
			return l.client.GetRefund(ctx, merchant, r.request.IdempotencyKey)
		})
		return given, given.Status
	})
}

// untilOutcome asks now and then.
func untilOutcome[T any](ctx context.Context, get func() (T, payment.Status)) T {
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

// capture is given again where it provably did nothing, as when the processor was down.
func (l *load) capture(ctx context.Context, p *purchase) payment.Charge {
	var request payment.CaptureRequest
	if p.order == capturePart {
		amount := p.charge.Amount / 2
		request.Amount = &amount
	}
	return l.order(ctx, p, "capture", func(ctx context.Context) (payment.Charge, error) {
		return l.client.Capture(ctx, merchant, p.key(), request)
	})
}

func (l *load) void(ctx context.Context, p *purchase) {
	l.order(ctx, p, "void", func(ctx context.Context) (payment.Charge, error) { return l.client.Void(ctx, merchant, p.key()) })
}

func (l *load) order(ctx context.Context, p *purchase, name string, give func(context.Context) (payment.Charge, error)) (c payment.Charge) {
	for range orderTries {
		if c = ask(ctx, l, &p.answers, name, give); c.Status != payment.Authorized {
			break
		}
	}
	return c
}

// ask makes a call until it is answered, and keeps the answer. A refusal is one; it returns the zero value.
func ask[T any](ctx context.Context, l *load, to *answers[T], name string, call func(context.Context) (T, error)) T {
	for {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		value, err := call(limited)
		cancel()
		switch {
		case err == nil, isRefusal(err):
			to.add(answer[T]{call: name, value: value, refusal: err})
			return value
		case ctx.Err() != nil:
			to.missing(fmt.Sprintf("%s: %v", name, err))
			return value
		}
		l.repeated.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
