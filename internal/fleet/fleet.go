// Package fleet makes the rate limit of a processor one for all workers, and a pause one that all of them obey.
//
// Each worker leases a share of the rate from the store, for [lease], and renews it every second together with what operators have
// decided. Between renewals no call needs the store. At no time do the shares in use exceed the limit:
//
//   - The workers decide one after the other, under a lock. What one may still use, no other gets: a share that shrinks is free once its
//     worker has reported that it uses the smaller one, and the share of a worker that has died once its lease has ended.
//   - Leases end by the clock of the database. The worker counts from before it sent the renewal, by its own clocks, so its lease never
//     ends later than the database assumes, whatever the difference between the clocks. A worker that was frozen and comes back after its
//     lease makes no call before it has renewed.
//   - While the store is down, no share can be given to another worker, and each keeps its last one. A lease that has ended counts only
//     if its worker could have renewed it: for a whole lease, the worker that takes the share must itself have renewed without a gap.
//
// A worker that alone cannot reach the store keeps its share, too, and after a lease the others use it as well, until it can again.
//
// A store that has lost rows, because a backup was restored or a standby has taken over, changes nothing for the workers: the last shares
// and what operators had decided hold until an operator decides again, or a worker starts again.
package fleet

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

const (
	// lease is how long a share is reserved after its renewal. A worker whose renewals need the whole timeout after an interruption of
	// longestGap still renews in time.
	lease = 6 * time.Second
	// renewTimeout limits one renewal.
	renewTimeout = 1500 * time.Millisecond
	// longestGap is how far apart renewals may be so that no worker can have missed its own because the store was down.
	longestGap = 2500 * time.Millisecond

	// interval is the time from one renewal to the next. It is shorter for a worker that waits for a larger share or whose demand has
	// changed, and after a failure; and shorter still to report that a share has shrunk or that a decision of an operator is obeyed: others
	// wait for that. Calls that have their token already follow the larger share for ratelimit.Ahead.
	interval       = time.Second
	hungryInterval = 250 * time.Millisecond
	reportInterval = ratelimit.Ahead + 20*time.Millisecond

	// demandOver is the time over which the demand is averaged.
	demandOver = time.Second
	// enough is the part of its target from which a worker does not wait for a larger share.
	enough = 0.97

	// noRevision is the revision that is reported for a decision that the store has lost: no decision has it.
	noRevision = -1

	startTimeout   = 10 * time.Second
	releaseTimeout = 2 * time.Second
)

// Store is where the shares are. [store.Store] implements it.
type Store interface {
	RegisterProcessors(ctx context.Context, processors []string) error
	RenewShares(ctx context.Context, processors []string, renew func(store.ProcessorShares) (own store.RateShare, ended []string)) error
	ReleaseShares(ctx context.Context, worker string) error
}

// Gate is what the calls to one processor have to pass. [ratelimit.Limiter] implements it.
type Gate interface {
	// Asked returns how many calls have asked for permission so far.
	Asked() uint64
	// Permit replaces what the gate lets through.
	Permit(ratelimit.Permit)
}

// Processor is a processor whose calls the fleet controls.
type Processor struct {
	Name string
	// Shared is the configured rate of all workers together. PerSecond 0: no limit. Burst is at least 1 in any case, because an
	// operator may set a rate.
	Shared store.Rate
	// Own is the rate of this worker while that of all workers together has no limit. PerSecond +Inf: no limit either.
	Own  store.Rate
	Gate Gate
}

// Fleet is one worker's part in the fleet. It must be started once, and then stopped.
type Fleet struct {
	store      Store
	worker     string
	logger     *zap.Logger
	processors []*controlled
	names      []string
	// renewals counts the renewals of this worker.
	renewals int64
	// sent is when the latest renewal was sent, and until when the lease of all shares ends, as the worker counts.
	sent, until time.Time
	// renewed is when the shares were last renewed, or the fleet started.
	renewed atomic.Pointer[time.Time]
	// failing reports that the latest renewal has failed, and interrupted that renewals were too far apart since the last that succeeded.
	failing, interrupted bool
	stop                 context.CancelFunc
	ended                sync.WaitGroup
}

// New returns the part of a worker, whose name no other one has, in the fleet.
func New(s Store, worker string, processors []Processor, logger *zap.Logger) *Fleet {
	f := &Fleet{store: s, worker: worker, logger: logger}
	for _, p := range processors {
		f.processors = append(f.processors, &controlled{Processor: p, worker: worker})
		f.names = append(f.names, p.Name)
	}
	return f
}

// Start closes all gates, leases the first shares, opens the gates accordingly and renews the shares until Stop, also after ctx has ended.
// It returns an error if the processors cannot be registered in the store. If only the shares cannot be leased, the gates stay closed until
// they can.
func (f *Fleet) Start(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := f.store.RegisterProcessors(limited, f.names); err != nil {
		return err
	}
	f.close()
	now := time.Now()
	f.renewed.Store(&now)
	after := f.renew(ctx)
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.ended.Go(func() { f.run(ctx, after) })
	return nil
}

// Stop closes all gates and gives the shares back. The caller must have made its last call. Stop does nothing unless Start has succeeded.
func (f *Fleet) Stop() {
	if f.stop == nil {
		return
	}
	f.stop()
	f.ended.Wait()
	f.close()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := f.store.ReleaseShares(ctx, f.worker); err != nil {
		f.logger.Warn("the shares in the rates of the processors were not given back: they are free after their lease", zap.Error(err))
	}
}

// Age returns how long ago the shares were renewed, counted from Start if they never were; 0 before. It may be called concurrently.
func (f *Fleet) Age() time.Duration {
	renewed := f.renewed.Load()
	if renewed == nil {
		return 0
	}
	return time.Since(*renewed)
}

func (f *Fleet) close() {
	for _, p := range f.processors {
		p.using = store.Rate{}
		p.Gate.Permit(ratelimit.Permit{Until: time.Now()})
	}
}

// run renews the shares, the first time when the last renewal is as old as after.
func (f *Fleet) run(ctx context.Context, after time.Duration) {
	for {
		timer := time.NewTimer(min(after-time.Since(f.sent), hungryInterval))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		age := time.Since(f.sent)
		if age >= after || age >= hungryInterval && f.demandHasChanged() {
			after = f.renew(ctx)
		}
	}
}

// demandHasChanged reports whether the shares should be renewed because of that: a demand is not met by the share, or, where the demand of
// all workers is not met, another worker may need the share more.
func (f *Fleet) demandHasChanged() (changed bool) {
	now := time.Now()
	for _, p := range f.processors {
		p.measure(now)
		difference := math.Abs(p.demand - p.reported)
		changed = changed || difference > p.reported/2 && (p.scarce || p.demand > p.using.PerSecond)
	}
	return changed
}

// renew renews all shares in one transaction, and returns how old this renewal may become before the next.
func (f *Fleet) renew(ctx context.Context) time.Duration {
	sent := time.Now()
	valid := !f.until.IsZero() && !ratelimit.Permit{Until: f.until}.Ended(sent)
	f.interrupted = f.interrupted || !valid || sent.Sub(f.sent) > longestGap
	f.sent = sent
	for _, p := range f.processors {
		p.measure(sent)
		p.reported = p.demand
		if !valid {
			p.using, p.permit = store.Rate{}, ratelimit.Permit{Paused: p.permit.Paused}
		}
	}
	f.renewals++
	decided := map[string]decision{}
	limited, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	err := f.store.RenewShares(limited, f.names, func(s store.ProcessorShares) (store.RateShare, []string) {
		d := f.processor(s.Processor).decide(s, f.renewals)
		decided[s.Processor] = d
		return d.own, d.ended
	})
	if err != nil {
		f.keep(ctx, err)
		return hungryInterval
	}
	if f.failing {
		f.logger.Info("the shares in the rates of the processors are renewed again")
	}
	f.failing, f.interrupted, f.until = false, false, sent.Add(lease)
	f.renewed.Store(&sent)
	after := interval
	var lost []string
	for _, p := range f.processors {
		if d, registered := decided[p.Name]; registered {
			after = min(after, p.apply(d, f))
		} else {
			lost = append(lost, p.Name)
			p.extend(f.until)
		}
	}
	if len(lost) > 0 {
		after = hungryInterval
		f.registerAgain(limited, lost)
	}
	return after
}

// registerAgain registers processors that the store has lost.
func (f *Fleet) registerAgain(ctx context.Context, processors []string) {
	err := f.store.RegisterProcessors(ctx, processors)
	f.logger.Error("the store has lost processors: the last shares in their rates, and what operators had decided, stay in force",
		zap.Strings("processors", processors), zap.Error(err))
}

// keep extends the permits after a renewal has failed: while the store is down, the last shares hold. But if the worker has not tried to
// renew them all the time, it may have been frozen while the store was not down, and another worker may have its share.
func (f *Fleet) keep(ctx context.Context, err error) {
	if !f.failing && ctx.Err() == nil {
		f.logger.Warn("the shares in the rates of the processors cannot be renewed: the last ones stay in use", zap.Error(err))
	}
	f.failing = true
	if f.interrupted {
		return
	}
	f.until = f.sent.Add(lease)
	for _, p := range f.processors {
		p.extend(f.until)
	}
}

func (f *Fleet) processor(name string) *controlled {
	for _, p := range f.processors {
		if p.Name == name {
			return p
		}
	}
	return nil
}

type sample struct {
	at    time.Time
	asked uint64
}

// controlled is a processor with the state of its share.
type controlled struct {
	Processor
	worker string
	// using is the share that the gate lets through, and permit all of what it does.
	using  store.Rate
	permit ratelimit.Permit
	// control is what the gate obeys.
	control payment.ProcessorControl
	// renewed reports that the share was renewed at least once: then the store has a row of it, for an hour after its lease.
	renewed bool
	// unrecorded reports that the store has lost this decision of an operator. lost reports that it has lately lost the share, perhaps with
	// those of other workers, who still use them.
	unrecorded, lost bool
	// samples are how many calls had been counted at recent times, the oldest about demandOver ago, and demand is the number of calls per
	// second since then.
	samples []sample
	demand  float64
	// reported is the demand that the latest renewal has reported. scarce reports that the demand of all workers exceeded the limit then.
	reported float64
	scarce   bool
}

// measure updates the demand.
func (p *controlled) measure(now time.Time) {
	current := sample{now, p.Gate.Asked()}
	p.samples = append(p.samples, current)
	for now.Sub(p.samples[0].at) > demandOver && now.Sub(p.samples[1].at) >= demandOver {
		p.samples = slices.Delete(p.samples, 0, 1)
	}
	oldest := p.samples[0]
	p.demand = float64(current.asked-oldest.asked) / max(now.Sub(oldest.at), demandOver).Seconds()
}

// extend makes the last permit hold until then.
func (p *controlled) extend(until time.Time) {
	p.permit.Until = until
	p.Gate.Permit(p.permit)
}

// decision is what a renewal decides about one processor.
type decision struct {
	control payment.ProcessorControl
	own     store.RateShare
	ended   []string
	// granted is what the worker may use. hungry reports whether it waits for more, and scarce whether the demand of all exceeds the limit.
	granted        store.Rate
	hungry, scarce bool
}

// unrecorded reports that the store has lost the decision of an operator that stays in force.
func (d decision) unrecorded() bool { return d.own.AppliedRevision == noRevision }

// decide decides the share of this worker.
func (p *controlled) decide(s store.ProcessorShares, renewal int64) decision {
	d := decision{control: s.Control, own: store.RateShare{
		Worker: p.worker, Configured: p.Shared, Demand: p.demand, Renewal: renewal, AppliedRevision: p.control.Revision,
		Since: s.Now, LeaseUntil: s.Now.Add(lease),
	}}
	if p.control.Revision > 0 && (s.Control.Revision == 0 || s.Control.At.Before(p.control.At)) {
		d.control, d.own.AppliedRevision = p.control, noRevision
	}
	held, found := store.Rate{}, false
	for _, share := range s.Shares {
		if share.Worker != p.worker {
			continue
		}
		found = true
		if s.Now.Before(share.LeaseUntil) {
			held = p.using
		}
		if s.Now.Sub(share.LeaseUntil.Add(-lease)) <= longestGap {
			d.own.Since = share.Since
		}
	}
	// This is remembered also if the response of this renewal is lost.
	p.lost = p.renewed && !found || p.lost && s.Now.Sub(d.own.Since) < lease
	limit := p.Shared
	members := []member{{name: p.worker, demand: p.demand}}
	var others store.Rate
	demand := p.demand
	for _, share := range s.Shares {
		switch {
		case share.Worker == p.worker:
			continue
		case !s.Now.Before(share.LeaseUntil) && (share.Held == store.Rate{} || s.Now.Sub(d.own.Since) >= lease):
			d.ended = append(d.ended, share.Worker)
			continue
		}
		limit = lower(limit, share.Configured)
		members = append(members, member{name: share.Worker, demand: share.Demand, held: share.Held})
		others.PerSecond += share.Held.PerSecond
		others.Burst += share.Held.Burst
		demand += share.Demand
	}
	if d.control.PerSecond > 0 {
		limit.PerSecond = d.control.PerSecond
	}
	if limit.PerSecond == 0 {
		d.granted = p.Own
		return d
	}
	// A worker that had no limit, or a higher one, uses more than the limit until it has applied this decision.
	using, held := least(p.using, limit), least(held, limit)
	members[0].held = held
	d.scarce = demand > limit.PerSecond
	var wanted store.Rate
	d.granted, wanted = grant(limit, members, 0, others)
	if p.lost {
		d.granted = least(d.granted, using)
	}
	d.hungry = d.granted.PerSecond < enough*wanted.PerSecond || d.granted.Burst < wanted.Burst
	d.own.Held = store.Rate{PerSecond: max(using.PerSecond, d.granted.PerSecond), Burst: max(using.Burst, d.granted.Burst)}
	return d
}

// least returns the smaller rate and the smaller burst.
func least(a, b store.Rate) store.Rate {
	return store.Rate{PerSecond: min(a.PerSecond, b.PerSecond), Burst: min(a.Burst, b.Burst)}
}

// lower returns the lower of two configured limits: during a change of the configuration, workers have different ones.
func lower(a, b store.Rate) store.Rate {
	limit := least(a, b)
	if limit.PerSecond == 0 {
		limit.PerSecond = max(a.PerSecond, b.PerSecond)
	}
	return limit
}

// apply makes the gate obey a decision, and returns how old the share may become before it is renewed.
func (p *controlled) apply(d decision, f *Fleet) time.Duration {
	control := d.control
	changed := control != p.control && control.Revision > 0
	after := interval
	switch {
	case changed, d.granted.PerSecond < p.using.PerSecond, d.granted.Burst < p.using.Burst:
		after = time.Since(f.sent) + reportInterval
	case d.hungry:
		after = hungryInterval
	}
	if changed {
		f.logger.Info("an operator has decided about the calls to a processor", zap.String("processor", p.Name),
			zap.Bool("paused", control.Paused), zap.Float64("per_second", control.PerSecond), zap.String("by", control.By),
			zap.String("reason", control.Reason), zap.Int64("revision", control.Revision))
	}
	if d.unrecorded() && !p.unrecorded {
		f.logger.Error("the store has lost what an operator had decided about the calls to a processor: it stays in force until one decides again",
			zap.String("processor", p.Name), zap.String("by", control.By), zap.String("reason", control.Reason))
	}
	p.using, p.control, p.scarce, p.renewed, p.unrecorded = d.granted, control, d.scarce, true, d.unrecorded()
	p.permit = ratelimit.Permit{
		PerSecond: d.granted.PerSecond, Burst: d.granted.Burst, Until: f.until, Growing: p.demand <= d.granted.PerSecond,
	}
	if control.Paused {
		p.permit.Paused = &ratelimit.Pause{By: control.By, Reason: control.Reason}
	}
	p.Gate.Permit(p.permit)
	return after
}
