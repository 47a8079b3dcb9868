package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/florinpay/florin/internal/store"
)

// transitions are the metrics of status transitions of payments and of refunds.
type transitions struct{ payments, refunds transitionMetrics }

type transitionMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// outcomeSeconds ranges from the fastest charges to payments that an operator resolves a day later.
var outcomeSeconds = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600}

func newTransitions() transitions {
	return transitions{payments: newTransitionMetrics("payment"), refunds: newTransitionMetrics("refund")}
}

// newTransitionMetrics creates the metrics for subject: "payment" or "refund".
func newTransitionMetrics(subject string) transitionMetrics {
	return transitionMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "florin_" + subject + "s_total",
			Help: "Transitions of " + subject + "s to a status, counted by the worker that stored them. " +
				"Each " + subject + " begins with a transition to processing.",
		}, []string{"processor", "currency", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "florin_" + subject + "_outcome_duration_seconds",
			Help:    "Time from the request for a " + subject + " to its first outcome, by the status of that outcome.",
			Buckets: outcomeSeconds,
		}, []string{"processor", "status"}),
	}
}

func (m transitions) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.payments.total, m.payments.duration, m.refunds.total, m.refunds.duration}
}

// CountTransition counts a transition of a payment or a refund, and measures the time to the first outcome. It is meant for
// [store.Store.SetObserver]. It does nothing if t is nil.
func (t *Telemetry) CountTransition(c store.Transition) {
	if t == nil {
		return
	}
	metrics := t.transitions.payments
	if c.Refund {
		metrics = t.transitions.refunds
	}
	metrics.total.WithLabelValues(c.Processor, c.Currency, string(c.To)).Inc()
	if c.FirstOutcome {
		metrics.duration.WithLabelValues(c.Processor, string(c.To)).Observe(c.After.Seconds())
	}
}
