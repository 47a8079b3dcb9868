package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// cost is the cost of one charge. ratio is its time divided by the time of a charge through plain net/http.
type cost struct {
	microseconds, ratio, bytes, allocs float64
}

// warmUpBatches is the number of batches that are not measured: they open the connections, grow the pools and fill the caches
// of encoding/json.
const warmUpBatches = 2

// measure makes one batch with each client in every round, in a random order. Other load on the machine, and garbage that one
// client leaves to the next, then affect all clients equally. Each cost is the median over the rounds. A ratio is taken within
// a round, before the median.
func measure(ctx context.Context, clients []httpClient, rounds, calls int) ([]cost, error) {
	for _, client := range clients {
		for range warmUpBatches {
			if _, err := batch(ctx, client, calls); err != nil {
				return nil, err
			}
		}
	}
	costs := make([][]cost, len(clients))
	for round := range rounds {
		for _, i := range rand.Perm(len(clients)) { //nolint:gosec // not a secret
			c, err := batch(ctx, clients[i], calls)
			if err != nil {
				return nil, err
			}
			costs[i] = append(costs[i], c)
		}
		plain := costs[plainIndex][round].microseconds
		for i := range clients {
			costs[i][round].ratio = costs[i][round].microseconds / plain
		}
	}
	medians := make([]cost, len(clients))
	for i, c := range costs {
		medians[i] = cost{
			microseconds: median(c, func(c cost) float64 { return c.microseconds }),
			ratio:        median(c, func(c cost) float64 { return c.ratio }),
			bytes:        median(c, func(c cost) float64 { return c.bytes }),
			allocs:       median(c, func(c cost) float64 { return c.allocs }),
		}
	}
	return medians, nil
}

// batch makes charges one after the other and measures them. The server is another process, so all allocations are the
// client's, including those of its connection's goroutines.
func batch(ctx context.Context, client httpClient, calls int) (cost, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range calls {
		if err := client.charge(ctx); err != nil {
			return cost{}, fmt.Errorf("%s: %w", client.name, err)
		}
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	n := float64(calls)
	return cost{
		microseconds: float64(took) / float64(time.Microsecond) / n,
		bytes:        float64(after.TotalAlloc-before.TotalAlloc) / n,
		allocs:       float64(after.Mallocs-before.Mallocs) / n,
	}, nil
}

// median returns the median of one of the costs' values.
func median(costs []cost, value func(cost) float64) float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = value(c)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
