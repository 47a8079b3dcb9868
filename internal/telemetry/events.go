package telemetry

import "github.com/prometheus/client_golang/prometheus"

func newEvents() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "florin_webhook_events_total",
		Help: "Requests of processors to the webhook endpoint, by result: for example signaled, recheck, known, ignored, unrelated, dispute, mismatch.",
	}, []string{"processor", "result"})
}

// CountEvent counts a request to the webhook endpoint. The result is one of few words.
func (t *Telemetry) CountEvent(processor, result string) {
	t.events.WithLabelValues(processor, result).Inc()
}
