package telemetry

import "github.com/prometheus/client_golang/prometheus"

func newRefused() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "florin_refused_calls_total",
		Help: "Calls from outside that were refused, by what was asked for and reason: foreign (no workflow of Florin has scheduled the " +
			"activity), or why the caller is not authorized.",
	}, []string{"operation", "reason"})
}

// CountRefused counts a refused call from outside. Both labels have few values. It does nothing if t is nil.
func (t *Telemetry) CountRefused(operation, reason string) {
	if t != nil {
		t.refused.WithLabelValues(operation, reason).Inc()
	}
}
