package main

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/payment"
)

// processors checks that a processor exists by reading from Temporal which workers poll its task queue: the command line
// has no configuration of its own.
type processors struct {
	temporal client.Client
	checked  map[string]error // results by name of the processor
}

// check returns an InvalidRequestError if no worker serves the processor, so that no payment is started for it. The
// empty name is the default processor, which is not checked.
func (p *processors) check(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	if err, ok := p.checked[name]; ok {
		return err
	}
	queue, err := p.temporal.DescribeTaskQueue(ctx, payment.ProcessorTaskQueue(name), enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return fmt.Errorf("read the workers of processor %q: %w", name, err)
	}
	if len(queue.GetPollers()) == 0 {
		err = &payment.InvalidRequestError{Fields: []payment.FieldError{{
			Field:   "processor",
			Problem: fmt.Sprintf("%q: no worker serves it: omit it to use the default processor", name),
		}}}
	}
	if p.checked == nil {
		p.checked = map[string]error{}
	}
	p.checked[name] = err
	return err
}

// paymentLister lists payments; a florin.Client implements it.
type paymentLister interface {
	List(ctx context.Context, f payment.Filter) (payment.Page, error)
}

// checkKnown is check for commands that only read: they may name a processor without workers, such as one that was removed from the
// configuration, if Florin has payments there. A name that is misspelled must not look like a processor without differences.
func (p *processors) checkKnown(ctx context.Context, payments paymentLister, name string) error {
	err := p.check(ctx, name)
	var notServed *payment.InvalidRequestError
	if !errors.As(err, &notServed) {
		return err
	}
	page, err := payments.List(ctx, payment.Filter{Processor: name, Limit: 1})
	if err != nil || len(page.Payments) > 0 {
		return err
	}
	return &payment.InvalidRequestError{Fields: []payment.FieldError{{
		Field: "processor", Problem: fmt.Sprintf("%q: no worker serves it, and no payment was made there", name),
	}}}
}
