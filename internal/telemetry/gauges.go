package telemetry

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// Sources are what the gauges are read from when Prometheus scrapes the worker. A nil field leaves its metrics out.
type Sources struct {
	// Processors are the clients of the configured processors, by name.
	Processors map[string]*httpclient.Client
	Store      Store
	// SharesAge returns how long ago the shares in the rates of the processors were renewed.
	SharesAge func() time.Duration
	// Intervals are the times between two reconciliations of the processors that have a schedule, by name.
	Intervals map[string]time.Duration
	// AuditLost returns the number of audit records lost since the start.
	AuditLost func() uint64
}

// Store is what the gauges are read from in the store. [store.Store] implements it.
type Store interface {
	CheckWrite(context.Context) error
	CheckRead(context.Context) error
	Backlog(context.Context) ([]store.Backlog, error)
	OpenDivergences(context.Context) (map[payment.DivergenceKind]int64, error)
	Watermarks(context.Context) (map[string]time.Time, error)
	LastReconciliations(context.Context) ([]payment.Reconciliation, error)
	UnfinishedBatches(context.Context) (map[payment.BatchState]store.BatchBacklog, error)
}

// SetSources sets what the gauges are read from, and replaces earlier sources. It does nothing if t is nil.
func (t *Telemetry) SetSources(s Sources) {
	if t != nil {
		t.gauges.setSources(s)
	}
}

// CheckStore returns an error unless the latest check that the store can be written and read, at most 10 s ago, succeeded, as for the
// metric florin_store_up. It is an error, too, that no store is open yet. CheckStore takes at most two seconds.
func (t *Telemetry) CheckStore() error {
	sources, stored := t.gauges.queryStore()
	if sources.Store == nil {
		return errors.New("no store is open")
	}
	return stored.down
}

// The store is queried at most once per storeQueryInterval, however many scrapes there are. A query takes at most
// storeQueryTimeout.
const (
	storeQueryInterval = 10 * time.Second
	storeQueryTimeout  = 2 * time.Second
)

// gauges collects current values: the backlog in the store, and the state of the processor clients. It implements
// prometheus.Collector.
type gauges struct {
	mu      sync.Mutex
	sources Sources
	// queried is the time of the latest query of the store, and stored its result.
	queried time.Time
	stored  stored
}

// stored is the result of a query of the store.
type stored struct {
	// down is why the store cannot be written or read; nil if it can.
	down error
	// backlog and divergences are nil if they could not be counted, which does not mean that the store is down.
	backlog                    []store.Backlog
	divergences                map[payment.DivergenceKind]int64
	errBacklog, errDivergences error
	// watermarks and last are empty if they could not be read.
	watermarks map[string]time.Time
	last       []payment.Reconciliation
	batches    map[payment.BatchState]store.BatchBacklog
	errBatches error
}

func (g *gauges) setSources(sources Sources) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sources, g.queried = sources, time.Time{}
}

func newGauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("florin_"+name, help, labels, nil)
}

const sharedValue = " All workers on one store report the same value: aggregate with max, not with sum."

var (
	storeUp = newGauge("store_up",
		"1 if the latest check that the store can be written and read, at most 10 s ago, succeeded; 0 otherwise.")
	paymentsCount = newGauge("payments_waiting", "Payments in a non-final status; 10000 means so many or more."+sharedValue, "processor", "status")
	paymentsAge   = newGauge("payments_waiting_oldest_seconds",
		"Time that the oldest payment has been in this non-final status; 0 if there is none."+sharedValue,
		"processor", "status")
	refundsCount = newGauge("refunds_waiting", "Refunds in a non-final status; 10000 means so many or more."+sharedValue, "processor", "status")
	refundsAge   = newGauge("refunds_waiting_oldest_seconds",
		"Time that the oldest refund has been in this non-final status; 0 if there is none."+sharedValue,
		"processor", "status")
	divergences = newGauge("divergences_open",
		"Contradictions between a payment here and at its processor that no operator has acknowledged."+sharedValue, "kind")
	reconciliationAge = newGauge("reconciliation_window_age_seconds",
		"Time since the end of the last complete window of a reconciliation; absent if there is none."+sharedValue, "processor")
	reconciliationInterval = newGauge("reconciliation_interval_seconds",
		"Configured time between two reconciliations; absent without a schedule.", "processor")
	reconciliationDuration = newGauge("reconciliation_last_duration_seconds",
		"Duration of the last reconciliation that has ended."+sharedValue, "processor")
	reconciliationRecords = newGauge("reconciliation_last_records",
		"Records that the processor listed in the last reconciliation that has ended."+sharedValue, "processor")
	reconciliationComplete = newGauge("reconciliation_last_complete",
		"1 if the last reconciliation that has ended is complete, 0 otherwise."+sharedValue, "processor")
	inFlight      = newGauge("processor_calls_in_flight", "Calls to the processor that this worker has in flight.", "processor")
	inFlightLimit = newGauge("processor_calls_in_flight_limit",
		"Maximum number of calls to the processor that this worker has in flight.",
		"processor")
	breakerState = newGauge("processor_breaker_state",
		"1 for the current state of this worker's circuit breaker, 0 for the other states.",
		"processor", "state")
	held = newGauge("processor_hold_seconds",
		"Remaining time that this worker delays all calls because the processor requested it, or refuses all of them.",
		"processor")
	paused = newGauge("processor_paused",
		"1 while an operator has paused the processor, as far as this worker knows: it refuses calls that move money. 0 otherwise.",
		"processor")
	rateShare = newGauge("processor_rate_share_calls_per_second",
		"Calls per second that this worker may make: its share of the rate of all workers; absent without a limit.",
		"processor")
	sharesAge = newGauge("rate_shares_age_seconds",
		"Time since this worker last renewed its shares in the rates of the processors, and read what operators have decided. It does so every second.")
	cutTo = newGauge("processor_cut_rate_calls_per_second",
		"Calls per second to which 429 responses have cut this worker's rate; absent if they have not.",
		"processor")
	quotaRemaining = newGauge("processor_quota_remaining_calls",
		"Calls left in the rate limit quota that the processor reported; absent if unknown.",
		"processor")
	quotaReset = newGauge("processor_quota_reset_seconds",
		"Time until the processor resets the rate limit quota; absent if unknown.",
		"processor")
	auditLost = prometheus.NewDesc("florin_audit_records_lost_total", "Audit records that are lost: they could not be written, or the queue of a stalled output was full.", nil, nil)
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		storeUp, paymentsCount, paymentsAge, refundsCount, refundsAge, divergences,
		reconciliationAge, reconciliationInterval, reconciliationDuration, reconciliationRecords, reconciliationComplete,
		inFlight, inFlightLimit, breakerState, held, paused, rateShare, sharesAge, cutTo, quotaRemaining, quotaReset, auditLost,
		batchesUnfinished, batchLinesWaiting, batchLinesOpen, batchIdle, batchUnattended,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector. It leaves out the backlog and the divergences if they could not be counted.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	sources, stored := g.queryStore()
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for name, client := range sources.Processors {
		setProcessor(set, name, client.Stats())
	}
	if sources.SharesAge != nil {
		set(sharesAge, sources.SharesAge().Seconds())
	}
	for name, interval := range sources.Intervals {
		set(reconciliationInterval, interval.Seconds(), name)
	}
	if sources.AuditLost != nil {
		to <- prometheus.MustNewConstMetric(auditLost, prometheus.CounterValue, float64(sources.AuditLost()))
	}
	if sources.Store == nil {
		return
	}
	if stored.down != nil {
		set(storeUp, 0)
		return
	}
	set(storeUp, 1)
	if stored.errBacklog == nil {
		setBacklog(set, sources, stored.backlog)
	}
	for name, until := range stored.watermarks {
		set(reconciliationAge, time.Since(until).Seconds(), name)
	}
	for _, r := range stored.last {
		set(reconciliationDuration, r.EndedAt.Sub(r.StartedAt).Seconds(), r.Processor)
		set(reconciliationRecords, float64(r.Counts.Listed), r.Processor)
		set(reconciliationComplete, boolean(r.Complete), r.Processor)
	}
	if stored.errDivergences == nil {
		for _, kind := range payment.DivergenceKinds {
			set(divergences, float64(stored.divergences[kind]), string(kind))
		}
	}
	if stored.errBatches == nil {
		setBatches(set, stored.batches)
	}
}

// queryStore queries the store unless the latest result is recent enough. Concurrent scrapes wait for one query and share its
// result.
func (g *gauges) queryStore() (Sources, stored) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sources.Store != nil && time.Since(g.queried) >= storeQueryInterval {
		g.stored = query(g.sources.Store)
		g.queried = time.Now()
	}
	return g.sources, g.stored
}

func query(from Store) (s stored) {
	ctx, cancel := context.WithTimeout(context.Background(), storeQueryTimeout)
	defer cancel()
	if s.down = from.CheckWrite(ctx); s.down == nil {
		s.down = from.CheckRead(ctx)
	}
	if s.down == nil {
		s.divergences, s.errDivergences = from.OpenDivergences(ctx)
		s.watermarks, _ = from.Watermarks(ctx)
		s.last, _ = from.LastReconciliations(ctx)
		s.backlog, s.errBacklog = from.Backlog(ctx)
		s.batches, s.errBatches = from.UnfinishedBatches(ctx)
	}
	return s
}

// setFunc reports the value of a gauge to the current scrape.
type setFunc func(d *prometheus.Desc, value float64, labels ...string)

var breakerStates = []string{"closed", "half-open", "open"}

func setProcessor(set setFunc, name string, s httpclient.Stats) {
	set(inFlight, float64(s.InFlight), name)
	set(inFlightLimit, float64(s.MaxInFlight), name)
	set(held, s.Held.Seconds(), name)
	set(paused, boolean(s.Paused), name)
	if !math.IsInf(s.PerSecond, 1) {
		set(rateShare, s.PerSecond, name)
	}
	if s.CutTo > 0 {
		set(cutTo, s.CutTo, name)
	}
	for _, state := range breakerStates {
		set(breakerState, boolean(s.Breaker == state), name, state)
	}
	if s.Quota != nil {
		set(quotaRemaining, float64(s.Quota.Remaining), name)
		set(quotaReset, s.Quota.Reset.Seconds(), name)
	}
}

func boolean(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// series identifies one series of the backlog gauges.
type series struct {
	refund    bool
	processor string
	status    payment.Status
}

// setBacklog reports every non-final status of payments and refunds for every processor, with 0 if the backlog has none.
func setBacklog(set setFunc, sources Sources, backlog []store.Backlog) {
	all := map[series]store.Backlog{}
	for name := range sources.Processors {
		for status := range payment.PaymentTransitions {
			if !status.Final() {
				all[series{refund: false, processor: name, status: status}] = store.Backlog{}
			}
		}
		for status := range payment.RefundTransitions {
			if !status.Final() {
				all[series{refund: true, processor: name, status: status}] = store.Backlog{}
			}
		}
	}
	for _, b := range backlog {
		all[series{refund: b.Refund, processor: b.Processor, status: b.Status}] = b
	}
	for id, b := range all {
		count, age := paymentsCount, paymentsAge
		if id.refund {
			count, age = refundsCount, refundsAge
		}
		seconds := 0.0
		if b.Count > 0 {
			seconds = max(time.Since(b.Since).Seconds(), 0)
		}
		set(count, float64(b.Count), id.processor, string(id.status))
		set(age, seconds, id.processor, string(id.status))
	}
}
