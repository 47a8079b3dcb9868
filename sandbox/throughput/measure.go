package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
)

const amount = 1250

// variant is one way to charge. Its workers wait in a namespace of their own while the others have their turns.
type variant struct {
	name     string
	temporal client.Client
	// charge makes one charge and waits for its outcome.
	charge func(ctx context.Context, key string) (workflowID string, err error)
}

// round is what one variant did in one round.
type round struct {
	perSecond float64
	took      []time.Duration
	// cpu is what Temporal worked for one charge, ours what this process did: service, worker and processor together.
	cpu, ours time.Duration
	// sample is one of the workflows.
	sample string
}

// measure makes the charges of one round.
func measure(ctx context.Context, temporal *server, v variant, name string, s size) (r round, err error) {
	before, err := temporal.cpu()
	if err != nil {
		return r, err
	}
	oursBefore, err := ownCPU()
	if err != nil {
		return r, err
	}
	began := time.Now()
	took, sample, err := batch(ctx, v, name, s.charges, s.concurrency)
	if err != nil {
		return r, fmt.Errorf("%s: %w", v.name, err)
	}
	elapsed := time.Since(began)
	after, err := temporal.cpu()
	if err != nil {
		return r, err
	}
	oursAfter, err := ownCPU()
	if err != nil {
		return r, err
	}
	return round{
		perSecond: float64(s.charges) / elapsed.Seconds(), took: took,
		cpu: (after - before) / time.Duration(s.charges), ours: (oursAfter - oursBefore) / time.Duration(s.charges), sample: sample,
	}, nil
}

// batch makes n charges, so many at once, and says how long each took.
func batch(ctx context.Context, v variant, name string, n, atOnce int) (took []time.Duration, sample string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took = make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	var samples sync.Map
	for range atOnce {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				began := time.Now()
				id, err := v.charge(ctx, fmt.Sprintf("%s-%d", name, i))
				if err != nil {
					cancel(fmt.Errorf("charge %d: %w", i, err))
					return
				}
				took[i] = time.Since(began)
				samples.LoadOrStore("id", id)
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, "", err
	}
	id, _ := samples.Load("id")
	sample, _ = id.(string)
	slices.Sort(took)
	return took, sample, nil
}
