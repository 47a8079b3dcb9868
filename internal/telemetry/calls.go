package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/florinpay/florin/internal/processor/httpclient"
)

// calls are the metrics of calls to processors. Each attempt counts as one call.
type calls struct {
	total, retries, resends *prometheus.CounterVec
	duration, wait          *prometheus.HistogramVec
}

var (
	callSeconds = []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60}
	waitSeconds = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
)

func newCalls() calls {
	return calls{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "florin_processor_calls_total",
			Help: "Attempts at calls to a processor, by certainty of the outcome (answered, not_executed, ambiguous) " +
				"and failure class (empty if answered). Of a request with several charges, the operation is batch, and each of its charges is " +
				"counted as batch_charge, too.",
		}, []string{"processor", "operation", "certainty", "class"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "florin_processor_retries_total",
			Help: "Retries: attempts at calls to a processor after the first one.",
		}, []string{"processor", "operation"}),
		resends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "florin_processor_resends_total",
			Help: "Requests that net/http sent again by itself because the connection was closed before a response.",
		}, []string{"processor"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "florin_processor_call_duration_seconds",
			Help:    "Duration of attempts that were sent, until the last byte of the response.",
			Buckets: callSeconds,
		}, []string{"processor", "operation", "certainty"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "florin_processor_limiter_wait_seconds",
			Help:    "Time that attempts waited in this worker for the concurrency limit and the rate limit.",
			Buckets: waitSeconds,
		}, []string{"processor"}),
	}
}

func (c calls) collectors() []prometheus.Collector {
	return []prometheus.Collector{c.total, c.retries, c.resends, c.duration, c.wait}
}

// CallObserver returns CountCall for [httpclient.Options].Observe. It returns nil if t is nil.
func (t *Telemetry) CallObserver() func(httpclient.Observation) {
	if t == nil {
		return nil
	}
	return t.CountCall
}

// CountCall counts an attempt at a call to a processor, and measures its duration.
func (t *Telemetry) CountCall(o httpclient.Observation) {
	certainty := string(o.Certainty)
	t.calls.total.WithLabelValues(o.Processor, o.Operation, certainty, string(o.Class)).Inc()
	t.calls.wait.WithLabelValues(o.Processor).Observe(o.Waited.Seconds())
	if o.Sends > 0 {
		t.calls.duration.WithLabelValues(o.Processor, o.Operation, certainty).Observe(o.Took.Seconds())
	}
	if o.Attempt > 1 {
		t.calls.retries.WithLabelValues(o.Processor, o.Operation).Inc()
	}
	if o.Sends > 1 {
		t.calls.resends.WithLabelValues(o.Processor).Add(float64(o.Sends - 1))
	}
}
