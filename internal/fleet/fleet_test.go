package fleet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// table is a store of shares in memory, whose clock is far from that of the workers.
type table struct {
	mu       sync.Mutex
	controls map[string]payment.ProcessorControl
	shares   map[string][]store.RateShare
	down     bool
	// frozen are workers whose renewals do not return before the channel is closed.
	frozen map[string]chan struct{}
	// disturb may delay a renewal, and reports whether its response is lost. Nil: neither.
	disturb func() (delay time.Duration, lost bool)
}

var errDown = errors.New("the store is down")

func newTable() *table {
	return &table{controls: map[string]payment.ProcessorControl{}, shares: map[string][]store.RateShare{}, frozen: map[string]chan struct{}{}}
}

func (t *table) now() time.Time { return time.Now().UTC().Add(-1000 * time.Hour) }

func (t *table) RegisterProcessors(_ context.Context, processors []string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range processors {
		if _, registered := t.controls[name]; !registered {
			t.controls[name] = payment.ProcessorControl{At: t.now()}
		}
	}
	return nil
}

func (t *table) RenewShares(ctx context.Context, processors []string, renew func(store.ProcessorShares) (store.RateShare, []string)) error {
	t.mu.Lock()
	delay, lost := time.Duration(0), false
	if t.disturb != nil {
		delay, lost = t.disturb()
	}
	t.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	t.mu.Lock()
	down := t.down
	var worker string
	for _, name := range processors {
		if down {
			break
		}
		control, registered := t.controls[name]
		if !registered {
			continue
		}
		own, ended := renew(store.ProcessorShares{Processor: name, Control: control, Now: t.now(), Shares: slices.Clone(t.shares[name])})
		worker = own.Worker
		t.shares[name] = slices.DeleteFunc(t.shares[name], func(s store.RateShare) bool {
			return s.Worker == worker || slices.Contains(ended, s.Worker) && t.now().Sub(s.LeaseUntil) > time.Hour
		})
		for i, s := range t.shares[name] {
			if slices.Contains(ended, s.Worker) {
				t.shares[name][i].Held = store.Rate{}
			}
		}
		t.shares[name] = append(t.shares[name], own)
	}
	frozen := t.frozen[worker]
	t.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	if down || lost {
		return errDown
	}
	return nil
}

func (t *table) ReleaseShares(_ context.Context, worker string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, shares := range t.shares {
		t.shares[name] = slices.DeleteFunc(shares, func(s store.RateShare) bool { return s.Worker == worker })
	}
	return nil
}

func (t *table) set(change func(*table)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}

// freeze lets the next renewal of a worker not return before thaw.
func (t *table) freeze(worker string) (thaw func()) {
	frozen := make(chan struct{})
	t.set(func(t *table) { t.frozen[worker] = frozen })
	return func() {
		t.set(func(t *table) { delete(t.frozen, worker) })
		close(frozen)
	}
}

// rows returns the shares of processor acme.
func (t *table) rows() (rows []store.RateShare) {
	t.set(func(t *table) { rows = slices.Clone(t.shares["acme"]) })
	return rows
}

// control changes the control of processor acme.
func (t *table) control(change func(*payment.ProcessorControl)) {
	t.set(func(t *table) {
		c := t.controls["acme"]
		change(&c)
		c.Revision++
		c.At = t.now()
		t.controls["acme"] = c
	})
}

// lose removes all rows.
func (t *table) lose() {
	t.set(func(t *table) { clear(t.controls); clear(t.shares) })
}

// gate counts as many calls as its demand says.
type gate struct {
	mu     sync.Mutex
	permit ratelimit.Permit
	demand float64
	began  time.Time
	asked  float64
}

func (g *gate) Asked() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count()
	return uint64(g.asked)
}

func (g *gate) count() {
	g.asked += g.demand * time.Since(g.began).Seconds()
	g.began = time.Now()
}

func (g *gate) setDemand(demand float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count()
	g.demand = demand
}

func (g *gate) Permit(p ratelimit.Permit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.permit = p
}

// allowed returns what the gate lets through now.
func (g *gate) allowed() store.Rate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.permit.Ended(time.Now()) {
		return store.Rate{}
	}
	return store.Rate{PerSecond: g.permit.PerSecond, Burst: g.permit.Burst}
}

func (g *gate) paused() *ratelimit.Pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.permit.Paused
}

type testWorker struct {
	*gate
	*Fleet
}

// kill ends the worker without giving its share back.
func (w *testWorker) kill() {
	w.stop()
	w.ended.Wait()
	w.close()
}

var limit20 = store.Rate{PerSecond: 20, Burst: 8}

func start(t *testing.T, s Store, name string, shared store.Rate) *testWorker {
	t.Helper()
	g := &gate{began: time.Now()}
	f := New(s, name, []Processor{{Name: "acme", Shared: shared, Own: store.Rate{PerSecond: math.Inf(1), Burst: shared.Burst}, Gate: g}}, zap.NewNop())
	require.NoError(t, f.Start(t.Context()))
	w := &testWorker{g, f}
	t.Cleanup(w.kill)
	return w
}

func sum(workers ...*testWorker) (all store.Rate) {
	for _, w := range workers {
		allowed := w.allowed()
		all.PerSecond += allowed.PerSecond
		all.Burst += allowed.Burst
	}
	return all
}

// run lets time pass, and requires at each moment that the workers stay within the limit. It returns the average of what they may use.
func run(t *testing.T, d time.Duration, limit store.Rate, workers ...*testWorker) (average float64) {
	t.Helper()
	const step = 10 * time.Millisecond
	steps := int(d / step)
	for range steps {
		<-time.After(step)
		used := sum(workers...)
		require.LessOrEqual(t, used.PerSecond, limit.PerSecond+1e-9)
		require.LessOrEqual(t, used.PerSecond+float64(used.Burst), limit.PerSecond+float64(limit.Burst)+1e-9)
		average += used.PerSecond / float64(steps)
	}
	return average
}

func TestWorkersShareTheRateAndANewOneStartsWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one := start(t, s, "one", limit20)
		require.Equal(t, limit20, one.allowed(), "the first worker waits for nothing")
		run(t, 3*time.Second, limit20, one)
		two := start(t, s, "two", limit20)
		require.Equal(t, store.Rate{}, two.allowed())
		run(t, 1500*time.Millisecond, limit20, one, two)
		require.InDelta(t, 10, two.allowed().PerSecond, 0.1)
		require.Equal(t, 4, two.allowed().Burst)
		two.Stop()
		require.Equal(t, store.Rate{}, two.allowed())
		run(t, 1100*time.Millisecond, limit20, one)
		require.Equal(t, limit20, one.allowed(), "a worker that stops gives its share back")
		one.Stop()
	})
}

func TestShareFollowsTheDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		workers := make([]*testWorker, 4)
		for i := range workers {
			workers[i] = start(t, s, fmt.Sprint(i), limit20)
		}
		for i := range 8 {
			busy := workers[i%4]
			busy.setDemand(60)
			run(t, 2*time.Second, limit20, workers...)
			require.Greater(t, busy.allowed().PerSecond, 18.0, "two seconds after the demand has moved to it")
			require.Greater(t, run(t, 5*time.Second, limit20, workers...), 19.5)
			for j, w := range workers {
				require.GreaterOrEqual(t, w.allowed().PerSecond, 0.09, "an idle worker can make a call at once")
				require.GreaterOrEqual(t, w.allowed().Burst, 1, j)
			}
			busy.setDemand(0)
		}
		for _, w := range workers {
			w.Stop()
		}
	})
}

func TestShareOfAWorkerThatHasDiedIsFreeAfterItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one, two := start(t, s, "one", limit20), start(t, s, "two", limit20)
		run(t, 10*time.Second, limit20, one, two)
		two.kill()
		run(t, lease-time.Second-100*time.Millisecond, limit20, one, two)
		require.InDelta(t, 10, one.allowed().PerSecond, 0.1)
		run(t, 2500*time.Millisecond, limit20, one, two)
		require.Equal(t, limit20, one.allowed())
		three := start(t, s, "three", limit20)
		run(t, 1500*time.Millisecond, limit20, one, two, three)
		require.InDelta(t, 10, three.allowed().PerSecond, 0.1, "the dead one gets no part")
		three.Stop()
		require.Len(t, s.rows(), 2)
		<-time.After(time.Hour)
		require.Len(t, s.rows(), 1, "expired rows are removed at some time")
		one.Stop()
	})
}

func TestFrozenWorkerHasNothingUntilItHasRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one, two := start(t, s, "one", limit20), start(t, s, "two", limit20)
		run(t, 10*time.Second, limit20, one, two)
		thaw := s.freeze("two")
		run(t, lease+2*time.Second, limit20, one, two)
		require.Equal(t, store.Rate{}, two.allowed())
		require.Equal(t, limit20, one.allowed())
		s.set(func(s *table) { s.down = true })
		thaw()
		run(t, 10*time.Second, limit20, one, two)
		require.Equal(t, store.Rate{}, two.allowed(), "that the store is down now does not bring the share back")
		s.set(func(s *table) { s.down = false })
		run(t, 2500*time.Millisecond, limit20, one, two)
		require.InDelta(t, 10, two.allowed().PerSecond, 0.1)
		one.Stop()
		two.Stop()
	})
}

func TestLastShareHoldsWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one, two := start(t, s, "one", limit20), start(t, s, "two", limit20)
		run(t, 10*time.Second, limit20, one, two)
		s.set(func(s *table) { s.down = true })
		require.InDelta(t, 20, run(t, time.Minute, limit20, one, two), 1e-6)
		s.set(func(s *table) { s.down = false })
		require.InDelta(t, 20, run(t, 20*time.Second, limit20, one, two), 1e-6, "no worker takes what another could not renew")
		one.Stop()
		two.Stop()
	})
}

// Its first renewal after that fails, because the store is down meanwhile, and so do those that follow soon after.
func TestWorkerThatWasFrozenDoesNotKeepItsShareBecauseTheStoreIsDown(t *testing.T) {
	for shift := range 50 {
		synctest.Test(t, func(t *testing.T) {
			s := newTable()
			one, two := start(t, s, "one", limit20), start(t, s, "two", limit20)
			run(t, 10*time.Second, limit20, one, two)
			thaw := s.freeze("two")
			run(t, 4900*time.Millisecond, limit20, one, two)
			s.set(func(s *table) { s.down = true })
			thaw()
			run(t, time.Duration(1500+shift*20)*time.Millisecond, limit20, one, two)
			s.set(func(s *table) { s.down = false })
			run(t, 5*time.Second, limit20, one, two)
			require.InDelta(t, 20, run(t, 5*time.Second, limit20, one, two), 1e-6)
			one.Stop()
			two.Stop()
		})
	}
}

func TestStoreThatHasLostItsRowsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		workers := []*testWorker{start(t, s, "one", limit20), start(t, s, "two", limit20), start(t, s, "three", limit20)}
		s.control(func(c *payment.ProcessorControl) {
			c.Paused, c.By, c.Reason, c.PerSecond = true, "jane", "incident 4711", 12
		})
		lower := store.Rate{PerSecond: 12, Burst: 8}
		<-time.After(5 * time.Second)
		s.lose()
		require.InDelta(t, 12, run(t, 20*time.Second, lower, workers...), 1e-6)
		for _, w := range workers {
			require.Equal(t, &ratelimit.Pause{By: "jane", Reason: "incident 4711"}, w.paused(), "a pause is not lifted by accident")
			require.Less(t, w.Age(), 2*time.Second)
		}
		for _, share := range s.rows() {
			require.Negative(t, share.AppliedRevision, "the worker does not obey what is recorded")
		}
		s.control(func(c *payment.ProcessorControl) { c.By, c.Reason = "jane", "the incident is over" })
		run(t, 2*time.Second, limit20, workers...)
		require.InDelta(t, 20, run(t, 5*time.Second, limit20, workers...), 1e-6)
		for _, w := range workers {
			require.Nil(t, w.paused())
			w.Stop()
		}
	})
}

// Its first renewal after that succeeds, but finds no row: what it has lost it does not get back before it sees what others have.
func TestWorkerThatWasFrozenDoesNotKeepItsShareBecauseTheStoreHasLostItsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one, two := start(t, s, "one", limit20), start(t, s, "two", limit20)
		run(t, 10*time.Second, limit20, one, two)
		thaw := s.freeze("two")
		run(t, lease+3*time.Second, limit20, one, two)
		require.Equal(t, limit20, one.allowed())
		// The row of the processor is missing when two renews: one has registered it again before, and loses it again.
		for range 20 {
			s.lose()
			run(t, 50*time.Millisecond, limit20, one, two)
			thaw()
			thaw = func() {}
		}
		run(t, 20*time.Second, limit20, one, two)
		require.InDelta(t, 20, run(t, 5*time.Second, limit20, one, two), 1e-6)
		one.Stop()
		two.Stop()
	})
}

func TestWorkersThatHaveNothingToMoveRenewOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one, two := start(t, s, "one", limit20), start(t, s, "two", limit20)
		run(t, 5*time.Second, limit20, one, two)
		one.setDemand(60)
		two.setDemand(70) // its part would be 10.8, and it has 10
		run(t, 10*time.Second, limit20, one, two)
		require.Less(t, two.allowed().PerSecond, 10.4)
		renewals := func() (n int64) {
			for _, share := range s.rows() {
				n += share.Renewal
			}
			return n
		}
		before := renewals()
		run(t, 10*time.Second, limit20, one, two)
		require.LessOrEqual(t, renewals()-before, int64(22))
		one.Stop()
		two.Stop()
	})
}

func TestDecisionThatTheStoreHasLostStaysInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one := start(t, s, "one", limit20)
		applied := func() int64 { return s.rows()[0].AppliedRevision }
		s.control(func(c *payment.ProcessorControl) { c.Reason = "the first" })
		<-time.After(2 * time.Second)
		var before payment.ProcessorControl
		s.set(func(s *table) { before = s.controls["acme"] })
		s.control(func(c *payment.ProcessorControl) { c.Paused, c.Reason = true, "incident 4711" })
		<-time.After(2 * time.Second)
		require.Equal(t, int64(2), applied())
		s.set(func(t *table) { t.controls["acme"] = before })
		<-time.After(5 * time.Second)
		require.NotNil(t, one.paused())
		require.Negative(t, applied())
		s.control(func(c *payment.ProcessorControl) { c.Reason = "it is over" }) // it has the revision of the one that was lost
		<-time.After(2 * time.Second)
		require.Nil(t, one.paused())
		require.Equal(t, int64(2), applied())
		one.Stop()
	})
}

// A worker that starts as the store comes back finds only leases that have ended.
func TestNewWorkerTakesNothingFromWorkersThatCouldNotRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		one := start(t, s, "one", limit20)
		run(t, 10*time.Second, limit20, one)
		s.set(func(s *table) { s.disturb = func() (time.Duration, bool) { return time.Hour, false } }) // renewals hang
		run(t, 20*time.Second, limit20, one)
		s.set(func(s *table) { s.disturb = nil })
		two := start(t, s, "two", limit20)
		run(t, 10*time.Second, limit20, one, two)
		require.InDelta(t, 10, two.allowed().PerSecond, 0.1)
		one.Stop()
		two.Stop()
	})
}

func TestPauseAndRateReachEveryWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		none := store.Rate{Burst: 8} // without a configured limit
		one, two := start(t, s, "one", none), start(t, s, "two", none)
		require.Equal(t, store.Rate{PerSecond: math.Inf(1), Burst: 8}, one.allowed())
		<-time.After(500 * time.Millisecond)
		s.control(func(c *payment.ProcessorControl) { c.Paused, c.By, c.Reason = true, "jane", "incident 4711" })
		<-time.After(1100 * time.Millisecond)
		for _, w := range []*testWorker{one, two} {
			require.Equal(t, &ratelimit.Pause{By: "jane", Reason: "incident 4711"}, w.paused())
		}
		for _, share := range s.rows() {
			require.Equal(t, int64(1), share.AppliedRevision)
		}
		s.control(func(c *payment.ProcessorControl) { c.Paused, c.PerSecond = false, 6 })
		<-time.After(2 * time.Second)
		require.InDelta(t, 6, run(t, 5*time.Second, store.Rate{PerSecond: 6, Burst: 8}, one, two), 1e-6)
		require.Nil(t, one.paused())
		s.control(func(c *payment.ProcessorControl) { c.PerSecond = 0 })
		<-time.After(1100 * time.Millisecond)
		require.InDelta(t, math.Inf(1), two.allowed().PerSecond, 0)
		one.Stop()
		two.Stop()
	})
}

func TestLowestConfiguredLimitApplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		old := start(t, s, "old", store.Rate{PerSecond: 50, Burst: 20})
		current := start(t, s, "current", limit20)
		unlimited := start(t, s, "unlimited", store.Rate{Burst: 30})
		<-time.After(3 * time.Second)
		require.InDelta(t, 20, run(t, 5*time.Second, limit20, old, current, unlimited), 0.1)
		for _, w := range []*testWorker{old, current, unlimited} {
			w.Stop()
		}
	})
}

// Workers start, stop, die and freeze, demand moves, the store is slow, goes down and loses its rows, and responses are lost: at no time do the workers
// use more than the limit.
func TestLimitHoldsWhateverHappens(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { disturbed(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func disturbed(t *testing.T, random *rand.Rand) {
	limit := store.Rate{PerSecond: 20, Burst: 1 + random.IntN(10)}
	s := newTable()
	disturbances := rand.New(rand.NewPCG(random.Uint64(), 2)) // for the goroutines of the workers, one at a time
	s.disturb = func() (time.Duration, bool) {
		return time.Duration(disturbances.ExpFloat64() * float64(30*time.Millisecond)), disturbances.IntN(20) == 0
	}
	var all, running []*testWorker
	for step := range 300 {
		i := 0
		if len(running) > 0 {
			i = random.IntN(len(running))
		}
		switch action := random.IntN(20); {
		case len(running) < 2 || action == 0 && len(running) < 6:
			w := start(t, s, fmt.Sprint("w", step), limit)
			all, running = append(all, w), append(running, w)
		case action == 1:
			running[i].kill()
			running = slices.Delete(running, i, i+1)
		case action == 2:
			running[i].Stop()
			running = slices.Delete(running, i, i+1)
		case action == 3:
			time.AfterFunc(time.Duration(random.IntN(15_000))*time.Millisecond, s.freeze(running[i].worker))
		case action == 4:
			s.set(func(s *table) { s.down = !s.down })
		case action == 10 && !slices.ContainsFunc(running, func(w *testWorker) bool { return w.allowed().Burst == 0 }):
			// A new worker does not see the others before they have renewed, or their leases have ended.
			s.set(func(s *table) { s.down = false })
			s.lose()
			run(t, lease, limit, all...)
		case action < 10:
			running[i].setDemand(random.ExpFloat64() * 20)
		}
		run(t, time.Duration(random.IntN(3000))*time.Millisecond, limit, all...)
	}
	s.set(func(s *table) { s.down = false })
	run(t, 40*time.Second, limit, all...)
	require.Greater(t, run(t, 10*time.Second, limit, all...), 0.9*divide(limit, with(make([]float64, len(running))...)).rate)
	for _, w := range running {
		w.Stop()
	}
}
