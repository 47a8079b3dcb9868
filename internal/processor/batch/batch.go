// Package batch sends the charges of a batch several in one request, if the processor takes them so.
package batch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

type kindKey struct{}

// Kind says whether charges are parts of a batch, and how long their callers wait. Only charges of one kind are sent together.
type Kind int

const (
	// Single is no part of a batch.
	Single Kind = iota
	// Queued is of an activity, which waits longer than a request lasts.
	Queued
	// Inline is of a first attempt that is made inline, which waits a short time.
	Inline
)

// WithKind returns a context whose charges are of a kind: parts of a batch may wait for others.
func WithKind(ctx context.Context, k Kind) context.Context {
	return context.WithValue(ctx, kindKey{}, k)
}

// KindOf returns the kind of the charges of ctx.
func KindOf(ctx context.Context) Kind {
	k, _ := ctx.Value(kindKey{}).(Kind)
	return k
}

// Options configure a [Processor].
type Options struct {
	// MaxItems is the largest number of charges in one request: at least 2.
	MaxItems int
	// Wait is how long a charge waits for others: above 0.
	Wait time.Duration
}

// Processor is a processor that gathers the charges of batches, see [WithKind], and sends them in one request. All other calls,
// and a charge that finds no other, pass through; so does one that was refused for good together with others. It is safe for concurrent use.
type Processor struct {
	processor.Batcher
	options Options

	mu   sync.Mutex
	open map[Kind]*group // to which charges are added
}

// New returns a Processor that sends its calls through p.
func New(p processor.Batcher, o Options) *Processor {
	return &Processor{Batcher: p, options: o, open: map[Kind]*group{}}
}

// group are charges that go into one request. It is open until it is sent.
type group struct {
	kind    Kind
	charges []*charge
	timer   *time.Timer
}

// charge is a charge that waits for its outcome.
type charge struct {
	kind Kind
	ctx  context.Context //nolint:containedctx // it says which attempt it is, and is the context of the request if the charge is alone
	call processor.ChargeCall
	// done receives the outcome, or is closed if the caller has to send the charge itself.
	done chan processor.BatchItem
}

// Charge implements [processor.Processor]. A caller whose ctx ends while its charge waits takes it back: it was not executed.
// Once the request is being sent, the charge may be executed; the other charges of the request are not affected. The request is canceled
// when the last of its callers has left.
func (p *Processor) Charge(ctx context.Context, call processor.ChargeCall) (processor.Result, error) {
	kind := KindOf(ctx)
	if kind == Single {
		return p.Batcher.Charge(ctx, call)
	}
	c := p.add(ctx, kind, call)
	if c == nil {
		return p.Batcher.Charge(ctx, call)
	}
	select {
	case item, together := <-c.done:
		if !together {
			return p.Batcher.Charge(ctx, call)
		}
		return outcome(item)
	case <-ctx.Done():
		return outcome(p.leave(c))
	}
}

func outcome(item processor.BatchItem) (processor.Result, error) {
	if item.Err != nil {
		return processor.Result{}, item.Err
	}
	return item.Result, nil
}

// add adds a charge to the open group, which is sent at once if it is full then. It returns nil for a charge that is in the group
// already: its request would contain the key twice.
func (p *Processor) add(ctx context.Context, k Kind, call processor.ChargeCall) *charge {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.open[k]
	if g == nil {
		g = &group{kind: k}
		g.timer = time.AfterFunc(p.options.Wait, func() { p.close(g) }) //nolint:contextcheck // it is of no single caller
		p.open[k] = g
	}
	for _, other := range g.charges {
		if other.call.Key == call.Key {
			return nil
		}
	}
	c := &charge{kind: k, ctx: ctx, call: call, done: make(chan processor.BatchItem, 1)}
	if g.charges = append(g.charges, c); len(g.charges) == p.options.MaxItems {
		delete(p.open, k)
		if g.timer.Stop() { // otherwise close sends it
			go p.send(g.charges) //nolint:contextcheck // it is of no single caller
		}
	}
	return c
}

// close sends a group whose time is over.
func (p *Processor) close(g *group) {
	p.mu.Lock()
	if p.open[g.kind] == g {
		delete(p.open, g.kind)
	}
	charges := g.charges
	p.mu.Unlock()
	p.send(charges)
}

// leave takes back a charge whose caller does not wait any longer.
func (p *Processor) leave(c *charge) processor.BatchItem {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.open[c.kind]; g != nil {
		for i, other := range g.charges {
			if other == c {
				g.charges = append(g.charges[:i:i], g.charges[i+1:]...)
				return notSent(c)
			}
		}
	}
	select {
	case item, together := <-c.done:
		if !together {
			return notSent(c)
		}
		return item
	default:
		return processor.BatchItem{Err: &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true,
			Err: context.Cause(c.ctx), Message: "canceled while the batch with the charge was in flight"}}
	}
}

func notSent(c *charge) processor.BatchItem {
	return processor.BatchItem{Err: &processor.Error{Class: payment.ClassNotSent, Certainty: processor.NotExecuted, Retry: true,
		Err: context.Cause(c.ctx), Message: "canceled while the charge waited for others of its batch"}}
}

// send sends the charges in one request. It is not canceled with any of their callers, but with the last: each waits for its own time.
func (p *Processor) send(charges []*charge) {
	switch len(charges) {
	case 0: // all have left
		return
	case 1:
		close(charges[0].done)
		return
	}
	calls, attempts := make([]processor.ChargeCall, len(charges)), map[string]int{}
	for i, c := range charges {
		calls[i], attempts[c.call.Key] = c.call, retry.Attempt(c.ctx)
	}
	ctx, end := whileAnyWaits(charges)
	defer end()
	items := p.chargeBatch(retry.WithAttempts(ctx, attempts), calls)
	for i, c := range charges {
		if isRefused(items[i].Err) {
			close(c.done)
			continue
		}
		c.done <- items[i]
	}
}

// whileAnyWaits returns a context that ends when the contexts of all charges have ended, or with end.
func whileAnyWaits(charges []*charge) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(charges[0].ctx))
	var left atomic.Int64
	stops := make([]func() bool, len(charges))
	for i, c := range charges {
		stops[i] = context.AfterFunc(c.ctx, func() {
			if left.Add(1) == int64(len(charges)) {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// isRefused reports whether the processor has refused a charge, or the request with it, for good. What it would have responded to the charge
// alone is not known: it may have refused another charge, or not know such requests.
func isRefused(e *processor.Error) bool {
	return e != nil && e.Certainty == processor.NotExecuted && !e.Retry && e.HTTPStatus != 0
}

// chargeBatch returns an item for each call, also if the adapter does not: then each charge may have been executed.
func (p *Processor) chargeBatch(ctx context.Context, calls []processor.ChargeCall) (items []processor.BatchItem) {
	unknown := func(message string) []processor.BatchItem {
		items := make([]processor.BatchItem, len(calls))
		for i := range items {
			items[i].Err = &processor.Error{Class: payment.ClassOutcomeUnknown, Certainty: processor.Ambiguous, Retry: true, Message: message}
		}
		return items
	}
	defer func() {
		if r := recover(); r != nil { // nothing else would recover it: this is no activity
			items = unknown("the adapter has panicked: " + processor.Clip(fmt.Sprint(r)))
		}
	}()
	if items = p.ChargeBatch(ctx, calls); len(items) != len(calls) {
		return unknown(fmt.Sprintf("the adapter has returned %d items for %d charges", len(items), len(calls)))
	}
	return items
}
