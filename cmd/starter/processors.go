package main

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/payment"
)

// processors tells which processors exist, by asking Temporal who serves their queues: the command line has
// no configuration of its own.
type processors struct {
	temporal client.Client
	known    map[string]error
}

// check refuses a named processor that no worker serves, before anything is started for it.
func (p *processors) check(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	if err, ok := p.known[name]; ok {
		return err
	}
	queue, err := p.temporal.DescribeTaskQueue(ctx, payment.ProcessorTaskQueue(name), enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return fmt.Errorf("asking who serves processor %q: %w", name, err)
	}
	if len(queue.GetPollers()) == 0 {
		err = &payment.InvalidRequestError{Fields: []payment.FieldError{{
			Field:   "processor",
			Problem: fmt.Sprintf("%q: no worker serves it; leave it out for the default one", name),
		}}}
	}
	if p.known == nil {
		p.known = map[string]error{}
	}
	p.known[name] = err
	return err
}
