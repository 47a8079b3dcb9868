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
// A worker that alone cannot reach the store keeps its share, too, and after a lease the others use it as well.
package fleet

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/store"
)

const (
	// lease is how long a share is reserved after its renewal. A worker whose renewals need the whole timeout after an interruption of
	// longestGap still renews in time.
	lease = 6 * time.Second
	// renewTimeout limits one renewal.
	renewTimeout = 1500 * time.Millisecond
	// longestGap is how far apart renewals may be so that no worker can have missed its own because the store was down.
	longestGap = 2500 * time.Millisecond

	// interval is the time from one renewal to the next. It is shorter for a worker that waits for a larger share, and shorter still to
	// report that a share has shrunk or that a decision of an operator is obeyed: others wait for that.
	interval       = time.Second
	hungryInterval = 250 * time.Millisecond // also after a renewal has failed
	reportInterval = 120 * time.Millisecond

	// demandOver is the time over which the demand is averaged.
	demandOver = 400 * time.Millisecond
	// enough is the part of its target from which a worker does not wait for a larger share.
	enough = 0.97

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
	// failing reports that the latest renewal has failed.
	failing bool
	// short receives a value when a call has to wait although the worker has not had the demand.
	short chan struct{}
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// New returns the part of a worker, whose name no other one has, in the fleet.
func New(s Store, worker string, processors []Processor, logger *zap.Logger) *Fleet {
	f := &Fleet{store: s, worker: worker, logger: logger, short: make(chan struct{}, 1)}
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
	wait := f.renew(ctx)
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.ended.Go(func() { f.run(ctx, wait) })
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

func (f *Fleet) run(ctx context.Context, wait time.Duration) {
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.short:
			timer.Reset(min(wait, hungryInterval))
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		wait = f.renew(ctx)
	}
}

// renew renews all shares in one transaction, and returns after how long they have to be renewed again.
func (f *Fleet) renew(ctx context.Context) time.Duration {
	sent := time.Now()
	valid := !f.until.IsZero() && !ratelimit.Permit{Until: f.until}.Ended(sent)
	steady := valid && sent.Sub(f.sent) <= longestGap
	f.sent = sent
	for _, p := range f.processors {
		p.measure(sent)
		if !valid {
			p.using = store.Rate{}
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
		f.keep(ctx, steady, err)
		return hungryInterval
	}
	if f.failing {
		f.logger.Info("the shares in the rates of the processors are renewed again")
	}
	f.failing, f.until = false, sent.Add(lease)
	f.renewed.Store(&sent)
	wait := interval - min(time.Since(sent), interval)
	for _, p := range f.processors {
		wait = min(wait, p.apply(decided[p.Name], f))
	}
	return wait
}

// keep extends the permits after a renewal has failed: while the store is down, the last shares hold. steady reports that the worker has
// tried to renew its shares all the time. If not, it may have been frozen while the store was not down, and another worker may have its
// share.
func (f *Fleet) keep(ctx context.Context, steady bool, err error) {
	if !f.failing && ctx.Err() == nil {
		f.logger.Warn("the shares in the rates of the processors cannot be renewed: the last ones stay in use", zap.Error(err))
	}
	f.failing = true
	if !steady {
		return
	}
	f.until = f.sent.Add(lease)
	for _, p := range f.processors {
		p.permit.Until = f.until
		p.Gate.Permit(p.permit)
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

// controlled is a processor with the state of its share.
type controlled struct {
	Processor
	worker string
	// using is the share that the gate lets through, and permit all of what it does.
	using  store.Rate
	permit ratelimit.Permit
	// revision is that of the control which the gate obeys.
	revision int64
	// demand is the average number of calls per second, of which asked were counted until measured.
	demand   float64
	asked    uint64
	measured time.Time
}

// measure updates the demand.
func (p *controlled) measure(now time.Time) {
	asked := p.Gate.Asked()
	if elapsed := now.Sub(p.measured); !p.measured.IsZero() && elapsed > 0 {
		rate := float64(asked-p.asked) / elapsed.Seconds()
		p.demand += (rate - p.demand) * (1 - math.Exp(-elapsed.Seconds()/demandOver.Seconds()))
	}
	p.asked, p.measured = asked, now
}

// decision is what a renewal decides about one processor.
type decision struct {
	control store.ProcessorShares
	own     store.RateShare
	ended   []string
	// granted is what the worker may use, and hungry reports whether it waits for more.
	granted store.Rate
	hungry  bool
}

// decide decides the share of this worker.
func (p *controlled) decide(s store.ProcessorShares, renewal int64) decision {
	d := decision{control: s, own: store.RateShare{
		Worker: p.worker, Configured: p.Shared, Demand: p.demand, Renewal: renewal, AppliedRevision: p.revision,
		Since: s.Now, LeaseUntil: s.Now.Add(lease),
	}}
	for _, share := range s.Shares {
		if share.Worker == p.worker && s.Now.Sub(share.LeaseUntil.Add(-lease)) <= longestGap {
			d.own.Since = share.Since
		}
	}
	limit := p.Shared
	members := []member{{name: p.worker, demand: p.demand, held: p.using}}
	var others store.Rate
	for _, share := range s.Shares {
		switch {
		case share.Worker == p.worker:
			continue
		case !s.Now.Before(share.LeaseUntil) && s.Now.Sub(d.own.Since) >= lease:
			d.ended = append(d.ended, share.Worker)
			continue
		}
		limit = lower(limit, share.Configured)
		members = append(members, member{name: share.Worker, demand: share.Demand, held: share.Held})
		others.PerSecond += share.Held.PerSecond
		others.Burst += share.Held.Burst
	}
	if s.Control.PerSecond > 0 {
		limit.PerSecond = s.Control.PerSecond
	}
	if limit.PerSecond == 0 {
		d.granted = p.Own
		return d
	}
	// A worker that had no limit, or a higher one, uses more than the limit until it has applied this decision.
	using := store.Rate{PerSecond: min(p.using.PerSecond, limit.PerSecond), Burst: min(p.using.Burst, limit.Burst)}
	members[0].held = using
	var wanted store.Rate
	d.granted, wanted = grant(limit, members, 0, others)
	d.hungry = d.granted.PerSecond < enough*wanted.PerSecond || d.granted.Burst < wanted.Burst
	d.own.Held = store.Rate{PerSecond: max(using.PerSecond, d.granted.PerSecond), Burst: max(using.Burst, d.granted.Burst)}
	return d
}

// lower returns the lower of two configured limits: during a change of the configuration, workers have different ones.
func lower(a, b store.Rate) store.Rate {
	limit := store.Rate{PerSecond: min(a.PerSecond, b.PerSecond), Burst: min(a.Burst, b.Burst)}
	if limit.PerSecond == 0 {
		limit.PerSecond = max(a.PerSecond, b.PerSecond)
	}
	return limit
}

// apply makes the gate obey a decision, and returns after how long the share has to be renewed.
func (p *controlled) apply(d decision, f *Fleet) time.Duration {
	control := d.control.Control
	wait := interval
	switch {
	case control.Revision != p.revision, d.granted.PerSecond < p.using.PerSecond, d.granted.Burst < p.using.Burst:
		wait = reportInterval
	case d.hungry:
		wait = hungryInterval
	}
	if control.Revision != p.revision {
		f.logger.Info("an operator has decided about the calls to a processor", zap.String("processor", p.Name),
			zap.Bool("paused", control.Paused), zap.Float64("per_second", control.PerSecond), zap.String("by", control.By),
			zap.String("reason", control.Reason), zap.Int64("revision", control.Revision))
	}
	p.using, p.revision = d.granted, control.Revision
	p.permit = ratelimit.Permit{PerSecond: d.granted.PerSecond, Burst: d.granted.Burst, Until: f.until}
	if control.Paused {
		p.permit.Paused = &ratelimit.Pause{By: control.By, Reason: control.Reason}
	}
	if p.demand <= d.granted.PerSecond {
		p.permit.Short = f.wake
	}
	p.Gate.Permit(p.permit)
	return wait
}

// wake renews the shares soon: a call has to wait.
func (f *Fleet) wake() {
	select {
	case f.short <- struct{}{}:
	default:
	}
}
