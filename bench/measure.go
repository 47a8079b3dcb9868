package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// cost is what one call took; ratio is its time over that of the plain call.
type cost struct {
	microseconds, ratio, bytes, allocs float64
}

// warmUpTurns open the connections, grow the pools and let the caches of encoding/json fill.
const warmUpTurns = 2

// measure lets all peers have their turns in one run, in a new order in every round: what the machine does beside it,
// and what one leaves to the next, then falls on all of them. Each cost is the median over the rounds. A ratio is taken
// within a round, before the median.
func measure(ctx context.Context, peers []peer, rounds, calls int) ([]cost, error) {
	for _, p := range peers {
		for range warmUpTurns {
			if _, err := turn(ctx, p, calls); err != nil {
				return nil, err
			}
		}
	}
	costs := make([][]cost, len(peers))
	for round := range rounds {
		for _, at := range rand.Perm(len(peers)) { //nolint:gosec // nobody gains from guessing it
			c, err := turn(ctx, peers[at], calls)
			if err != nil {
				return nil, err
			}
			costs[at] = append(costs[at], c)
		}
		plain := costs[plainPeer][round].microseconds
		for at := range peers {
			costs[at][round].ratio = costs[at][round].microseconds / plain
		}
	}
	medians := make([]cost, len(peers))
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

// turn makes the calls of one turn, one after the other. The server is another process, so whatever is allocated
// meanwhile is the client's, on its connection's goroutines too.
func turn(ctx context.Context, p peer, calls int) (cost, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range calls {
		if err := p.charge(ctx); err != nil {
			return cost{}, fmt.Errorf("%s: %w", p.name, err)
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

func median(costs []cost, of func(cost) float64) float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
