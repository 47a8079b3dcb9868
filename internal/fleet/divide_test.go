package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/store"
)

// with returns members with these demands and no shares.
func with(demands ...float64) []member {
	members := make([]member, len(demands))
	for i, demand := range demands {
		members[i] = member{name: fmt.Sprintf("w%d", i), demand: demand}
	}
	return members
}

func TestRateIsDividedByDemand(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limit   store.Rate
		demands []float64
		rates   []float64
		bursts  []int
	}{
		{name: "one worker has everything", limit: store.Rate{PerSecond: 20, Burst: 5}, demands: []float64{0}, rates: []float64{20}, bursts: []int{5}},
		{name: "without demand, all have the same", limit: store.Rate{PerSecond: 20, Burst: 8}, demands: []float64{0, 0, 0, 0}, rates: []float64{5, 5, 5, 5}, bursts: []int{2, 2, 2, 2}},
		{name: "the rest of the burst goes to the first", limit: store.Rate{PerSecond: 20, Burst: 7}, demands: []float64{1, 1, 1, 1}, rates: []float64{5, 5, 5, 5}, bursts: []int{2, 2, 2, 1}},
		{name: "a demand above the limit is met in proportion", limit: store.Rate{PerSecond: 100, Burst: 10}, demands: []float64{300, 100}, rates: []float64{1 + 73.5, 1 + 24.5}, bursts: []int{5, 5}},
		{name: "what is not in demand goes to all", limit: store.Rate{PerSecond: 100, Burst: 10}, demands: []float64{58, 0}, rates: []float64{1 + 58 + 20, 1 + 20}, bursts: []int{5, 5}},
		{name: "an idle worker keeps a little", limit: store.Rate{PerSecond: 20, Burst: 5}, demands: []float64{60, 0, 0, 0}, rates: []float64{19.7, 0.1, 0.1, 0.1}, bursts: []int{2, 1, 1, 1}},
		{name: "less than one call per second each", limit: store.Rate{PerSecond: 2, Burst: 4}, demands: []float64{1, 1, 1, 1}, rates: []float64{0.5, 0.5, 0.5, 0.5}, bursts: []int{1, 1, 1, 1}},
		{name: "a smaller burst than workers lowers the rate", limit: store.Rate{PerSecond: 20, Burst: 2}, demands: []float64{9, 9, 9, 9}, rates: []float64{4.5, 4.5, 4.5, 4.5}, bursts: []int{1, 1, 1, 1}},
		{name: "only some can share a small limit", limit: store.Rate{PerSecond: 4, Burst: 1}, demands: []float64{1, 8, 0, 8}, rates: []float64{2.0/150 + 1.96*1/17, 2.0/150 + 1.96*8/17, 0, 2.0/150 + 1.96*8/17}, bursts: []int{1, 1, 0, 1}},
		{name: "only one can have less than one call per second", limit: store.Rate{PerSecond: 0.5, Burst: 1}, demands: []float64{1, 3, 2}, rates: []float64{0, 0.5, 0}, bursts: []int{0, 1, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := divide(tt.limit, with(tt.demands...))
			for i, got := range p.targets {
				require.InDelta(t, tt.rates[i], got.PerSecond, 1e-9, i)
				require.Equal(t, tt.bursts[i], got.Burst, i)
			}
		})
	}
}

func TestWorkerWithAShareKeepsItAgainstOneWithTheSameDemand(t *testing.T) {
	limit, members := store.Rate{PerSecond: 0.5, Burst: 1}, with(1, 1.1)
	members[0].held = limit
	require.Equal(t, []store.Rate{limit, {}}, divide(limit, members).targets)
	members[1].demand = 1.3
	require.Equal(t, []store.Rate{{}, limit}, divide(limit, members).targets)
}

func TestShareGrowsOnlyIntoRoom(t *testing.T) {
	limit := store.Rate{PerSecond: 20, Burst: 4}
	all, half, none := limit, store.Rate{PerSecond: 10, Burst: 2}, store.Rate{}
	for _, tt := range []struct {
		name    string
		limit   store.Rate
		demands []float64
		// using are the shares that the workers use; the first one renews. reserved is what the others hold, if that is not what they use.
		using    []store.Rate
		reserved *store.Rate
		granted  store.Rate
	}{
		{name: "the first worker has everything", demands: []float64{0}, using: []store.Rate{none}, granted: all},
		{name: "a new worker starts with nothing", demands: []float64{9, 9}, using: []store.Rate{none, all}, granted: none},
		{name: "the others make room for it", demands: []float64{9, 9}, using: []store.Rate{all, none}, granted: half},
		{name: "it gets the room", demands: []float64{9, 9}, using: []store.Rate{none, half}, granted: half},
		{name: "not before the others have applied that", demands: []float64{9, 9}, using: []store.Rate{none, half}, reserved: &all, granted: none},
		{name: "a share shrinks, whatever the others hold", demands: []float64{0, 60}, using: []store.Rate{half, half}, granted: store.Rate{PerSecond: 0.2, Burst: 2}},
		{name: "close to its target, it does not move", demands: []float64{50, 60}, using: []store.Rate{half, half}, granted: half},
		{name: "close to its target, it grows into room", demands: []float64{50, 50}, using: []store.Rate{{PerSecond: 8, Burst: 2}, {PerSecond: 9, Burst: 2}}, granted: half},
		{name: "a part of the room is enough for now", demands: []float64{60, 0}, using: []store.Rate{half, {PerSecond: 6, Burst: 2}}, granted: store.Rate{PerSecond: 14, Burst: 2}},
		{
			name: "a lowered limit applies at once", limit: store.Rate{PerSecond: 5, Burst: 4}, demands: []float64{50, 50}, using: []store.Rate{half, half},
			granted: store.Rate{PerSecond: 2.5, Burst: 2},
		},
		{
			name: "no share grows while too much is reserved", limit: store.Rate{PerSecond: 5, Burst: 4}, demands: []float64{50, 50}, using: []store.Rate{{PerSecond: 1, Burst: 1}, half},
			granted: store.Rate{PerSecond: 1, Burst: 2},
		},
		{
			name: "a worker more than the burst waits until the rates are lower", limit: store.Rate{PerSecond: 20, Burst: 1}, demands: []float64{9, 9},
			using: []store.Rate{none, {PerSecond: 20, Burst: 1}}, granted: none,
		},
		{
			name: "the rate becomes lower by the excess", limit: store.Rate{PerSecond: 20, Burst: 1}, demands: []float64{9, 9},
			using: []store.Rate{{PerSecond: 20, Burst: 1}, none}, granted: store.Rate{PerSecond: 9.5, Burst: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.limit == (store.Rate{}) {
				tt.limit = limit
			}
			members := with(tt.demands...)
			var others store.Rate
			for i := range members {
				if members[i].held = tt.using[i]; i > 0 {
					others.PerSecond += tt.using[i].PerSecond
					others.Burst += tt.using[i].Burst
				}
			}
			if tt.reserved != nil {
				others, members[1].held = *tt.reserved, *tt.reserved
			}
			granted, _ := grant(tt.limit, members, 0, others)
			require.InDelta(t, tt.granted.PerSecond, granted.PerSecond, 1e-9)
			require.Equal(t, tt.granted.Burst, granted.Burst)
		})
	}
}

// Workers that renew in any order, with any demand, joining and leaving, never use more than the limit together, and use all of it
// once nothing changes.
func TestSharesNeverExceedTheLimit(t *testing.T) {
	for _, limit := range []store.Rate{
		{PerSecond: 20, Burst: 5}, {PerSecond: 100, Burst: 10}, {PerSecond: 3, Burst: 8}, {PerSecond: 0.25, Burst: 1}, {PerSecond: 7.5, Burst: 1}, {PerSecond: 30, Burst: 2},
	} {
		t.Run(fmt.Sprintf("%v calls per second, %d at once", limit.PerSecond, limit.Burst), func(t *testing.T) {
			random := rand.New(rand.NewPCG(7, 7))
			type worker struct {
				member
				using store.Rate // as the worker has applied; held is what the table has reserved
			}
			var workers []*worker
			renew := func(i int) {
				members := make([]member, len(workers))
				var others store.Rate
				for j, w := range workers {
					if members[j] = w.member; j != i {
						others.PerSecond += w.held.PerSecond
						others.Burst += w.held.Burst
					}
				}
				w := workers[i]
				members[i].held = w.using
				granted, _ := grant(limit, members, i, others)
				w.held = store.Rate{PerSecond: max(w.using.PerSecond, granted.PerSecond), Burst: max(w.using.Burst, granted.Burst)}
				if random.IntN(5) > 0 { // otherwise the response is lost
					w.using = granted
				}
			}
			sum := func() (used store.Rate) {
				for _, w := range workers {
					used.PerSecond += w.using.PerSecond
					used.Burst += w.using.Burst
				}
				return used
			}
			for step := range 20_000 {
				switch {
				case len(workers) == 0 || len(workers) < 8 && random.IntN(100) == 0:
					workers = append(workers, &worker{member: member{name: fmt.Sprintf("w%d", step)}})
				case random.IntN(150) == 0:
					i := random.IntN(len(workers))
					workers = append(workers[:i], workers[i+1:]...)
					continue
				case random.IntN(10) == 0:
					workers[random.IntN(len(workers))].demand = random.ExpFloat64() * limit.PerSecond * float64(random.IntN(3))
				}
				renew(random.IntN(len(workers)))
				used := sum()
				require.LessOrEqual(t, used.PerSecond, limit.PerSecond+1e-9)
				require.LessOrEqual(t, used.PerSecond+float64(used.Burst), limit.PerSecond+float64(limit.Burst)+1e-9)
			}
			for range 20 * len(workers) {
				renew(random.IntN(len(workers)))
			}
			members := make([]member, len(workers))
			for i, w := range workers {
				members[i] = w.member
			}
			require.InDelta(t, divide(limit, members).rate, sum().PerSecond, 1e-6)
		})
	}
}
