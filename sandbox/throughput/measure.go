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

// amount is the amount of each charge, in cents.
const amount = 1250

// variant is one way to charge. Its workers poll in a namespace of their own, even while another variant is measured.
type variant struct {
	name     string
	temporal client.Client
	// charge makes one charge, waits for its outcome, and returns the ID of its workflow.
	charge func(ctx context.Context, key string) (workflowID string, err error)
}

// round is the result of one variant in one round.
type round struct {
	perSecond float64
	// latencies are those of the charges, sorted.
	latencies []time.Duration
	// temporalCPU is the CPU time of the Temporal server for one charge. ownCPU is that of this process: caller, worker and
	// processor together.
	temporalCPU, ownCPU time.Duration
	// sample is the ID of one of the workflows.
	sample string
}

// measure makes the charges of one round.
func measure(ctx context.Context, temporal *server, v variant, name string, s size) (r round, err error) {
	before, err := temporal.cpu()
	if err != nil {
		return r, err
	}
	ownBefore, err := ownCPU()
	if err != nil {
		return r, err
	}
	began := time.Now()
	latencies, sample, err := batch(ctx, v, name, s.charges, s.concurrency)
	if err != nil {
		return r, fmt.Errorf("%s: %w", v.name, err)
	}
	elapsed := time.Since(began)
	after, err := temporal.cpu()
	if err != nil {
		return r, err
	}
	ownAfter, err := ownCPU()
	if err != nil {
		return r, err
	}
	return round{
		perSecond: float64(s.charges) / elapsed.Seconds(), latencies: latencies,
		temporalCPU: (after - before) / time.Duration(s.charges), ownCPU: (ownAfter - ownBefore) / time.Duration(s.charges),
		sample: sample,
	}, nil
}

// batch makes n charges with the given concurrency. It returns their latencies, sorted, and the ID of one of the workflows.
func batch(
	ctx context.Context, v variant, name string, n, concurrency int,
) (latencies []time.Duration, sample string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	latencies = make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	var samples sync.Map
	for range concurrency {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				began := time.Now()
				id, err := v.charge(ctx, fmt.Sprintf("%s-%d", name, i))
				if err != nil {
					cancel(fmt.Errorf("charge %d: %w", i, err))
					return
				}
				latencies[i] = time.Since(began)
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
	slices.Sort(latencies)
	return latencies, sample, nil
}
