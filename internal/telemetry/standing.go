package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// Sources are what the gauges are read from, when somebody asks.
type Sources struct {
	// Processors are the clients of the configured processors, by name.
	Processors map[string]*processor.Client
	// Waiting is store.Backlog.
	Waiting func(context.Context) ([]store.Backlog, error)
	// AuditLost is how many audit records were lost so far.
	AuditLost func() uint64
}

// Watch reads the gauges from sources from now on; nil does nothing.
func (t *Telemetry) Watch(s Sources) {
	if t != nil {
		t.now.watch(s)
	}
}

// The store is asked no more often than every askAgain, however many ask us, and no longer than askFor.
const (
	askAgain = 10 * time.Second
	askFor   = 2 * time.Second
)

// standing collects how things stand now. It implements prometheus.Collector.
type standing struct {
	mu      sync.Mutex
	sources Sources
	asked   time.Time
	waiting []store.Backlog
	failed  bool
}

func (s *standing) watch(sources Sources) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources, s.asked = sources, time.Time{}
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("florin_"+name, help, labels, nil)
}

const sameInAll = " Every worker on the store tells the same: take the max, not the sum."

var (
	storeUp        = gauge("store_up", "1 where the store answered when it was asked last, within 10 s; 0 otherwise.")
	waitingCount   = gauge("payments_waiting", "Payments that stand at a status that is not the last word."+sameInAll, "processor", "status")
	waitingAge     = gauge("payments_waiting_oldest_seconds", "For how long the oldest of them has stood there; 0 where there is none."+sameInAll, "processor", "status")
	refundsCount   = gauge("refunds_waiting", "Refunds that stand at a status that is not the last word."+sameInAll, "processor", "status")
	refundsAge     = gauge("refunds_waiting_oldest_seconds", "For how long the oldest of them has stood there; 0 where there is none."+sameInAll, "processor", "status")
	inFlight       = gauge("processor_calls_in_flight", "Calls that this worker has in flight.", "processor")
	inFlightLimit  = gauge("processor_calls_in_flight_limit", "Calls that this worker may have in flight.", "processor")
	breakerState   = gauge("processor_breaker_state", "1 for the state that the circuit breaker of this worker is in.", "processor", "state")
	held           = gauge("processor_hold_seconds", "How much longer the processor asked all calls of this worker to wait.", "processor")
	quotaRemaining = gauge("processor_quota_remaining_calls", "Calls that the processor said are left, while that is known.", "processor")
	quotaReset     = gauge("processor_quota_reset_seconds", "Time until they are more again.", "processor")
	auditLost      = prometheus.NewDesc("florin_audit_records_lost_total", "Audit records that could not be written.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *standing) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		storeUp, waitingCount, waitingAge, refundsCount, refundsAge,
		inFlight, inFlightLimit, breakerState, held, quotaRemaining, quotaReset, auditLost,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *standing) Collect(to chan<- prometheus.Metric) {
	sources, waiting, failed := s.ask()
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for name, client := range sources.Processors {
		tellProcessor(tell, name, client.Stats())
	}
	if sources.AuditLost != nil {
		to <- prometheus.MustNewConstMetric(auditLost, prometheus.CounterValue, float64(sources.AuditLost()))
	}
	switch {
	case sources.Waiting == nil:
	case failed:
		tell(storeUp, 0)
	default:
		tell(storeUp, 1)
		tellWaiting(tell, sources, waiting)
	}
}

// ask asks the store, unless it was asked just now. Everybody who asks meanwhile waits for the same answer.
func (s *standing) ask() (Sources, []store.Backlog, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sources.Waiting != nil && time.Since(s.asked) >= askAgain {
		ctx, stop := context.WithTimeout(context.Background(), askFor)
		defer stop()
		var err error
		s.waiting, err = s.sources.Waiting(ctx)
		s.asked, s.failed = time.Now(), err != nil
	}
	return s.sources, s.waiting, s.failed
}

// tellFunc tells the value of a gauge.
type tellFunc func(d *prometheus.Desc, value float64, labels ...string)

var breakerStates = []string{"closed", "half-open", "open"}

func tellProcessor(tell tellFunc, name string, s processor.Stats) {
	tell(inFlight, float64(s.InFlight), name)
	tell(inFlightLimit, float64(s.MaxInFlight), name)
	tell(held, s.Held.Seconds(), name)
	for _, state := range breakerStates {
		value := 0.0
		if s.Breaker == state {
			value = 1
		}
		tell(breakerState, value, name, state)
	}
	if s.Quota != nil {
		tell(quotaRemaining, float64(s.Quota.Remaining), name)
		tell(quotaReset, s.Quota.Reset.Seconds(), name)
	}
}

// slot is one line of a gauge.
type slot struct {
	refund    bool
	processor string
	status    payment.Status
}

// tellWaiting tells of every status that payments and refunds may wait in, at 0 where none does.
func tellWaiting(tell tellFunc, sources Sources, waiting []store.Backlog) {
	all := map[slot]store.Backlog{}
	for name := range sources.Processors {
		for status, moves := range payment.PaymentTransitions {
			if len(moves) > 0 {
				all[slot{false, name, status}] = store.Backlog{}
			}
		}
		for status, moves := range payment.RefundTransitions {
			if len(moves) > 0 {
				all[slot{true, name, status}] = store.Backlog{}
			}
		}
	}
	for _, w := range waiting {
		all[slot{w.Refund, w.Processor, w.Status}] = w
	}
	for at, w := range all {
		count, age := waitingCount, waitingAge
		if at.refund {
			count, age = refundsCount, refundsAge
		}
		seconds := 0.0
		if w.Count > 0 {
			seconds = max(time.Since(w.Since).Seconds(), 0)
		}
		tell(count, float64(w.Count), at.processor, string(at.status))
		tell(age, seconds, at.processor, string(at.status))
	}
}
