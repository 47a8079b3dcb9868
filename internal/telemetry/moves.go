package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/florinpay/florin/internal/store"
)

// moves are payments and refunds on their way.
type moves struct{ payments, refunds kind }

// kind is either of them.
type kind struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// outcomeSeconds reach from a fast answer to a payment that a human has cleared up.
var outcomeSeconds = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600}

func newMoves() moves { return moves{payments: newKind("payment"), refunds: newKind("refund")} }

func newKind(name string) kind {
	return kind{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "florin_" + name + "s_total",
			Help: "Moves of " + name + "s to a status, processing when they begin, counted by the worker that stored them.",
		}, []string{"processor", "currency", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "florin_" + name + "_outcome_duration_seconds",
			Help:    "Time from the request to the first outcome of " + name + "s, by that.",
			Buckets: outcomeSeconds,
		}, []string{"processor", "status"}),
	}
}

func (m moves) register(r *prometheus.Registry) {
	r.MustRegister(m.payments.total, m.payments.duration, m.refunds.total, m.refunds.duration)
}

// Moved hears of every change of a payment or a refund: it is for store.SetObserver. nil hears nothing.
func (t *Telemetry) Moved(c store.Transition) {
	if t == nil {
		return
	}
	of := t.moves.payments
	if c.Refund {
		of = t.moves.refunds
	}
	of.total.WithLabelValues(c.Processor, c.Currency, string(c.To)).Inc()
	if c.FirstOutcome {
		of.duration.WithLabelValues(c.Processor, string(c.To)).Observe(c.After.Seconds())
	}
}
