package telemetry

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// sdkMetrics are those of Temporal's SDK, under the names that Temporal's own documentation and dashboards have for
// Prometheus: counters end in _total, timers in _seconds. It implements prometheus.Collector, and describes nothing: the
// SDK makes metrics as it goes, and not always with the same labels.
type sdkMetrics struct{ known sync.Map } // of sdkName to prometheus.Metric

type sdkName struct{ name, labels string }

func newSDKMetrics() *sdkMetrics { return &sdkMetrics{} }

func (s *sdkMetrics) handler() client.MetricsHandler { return &sdkHandler{metrics: s} }

// Describe implements prometheus.Collector.
func (s *sdkMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *sdkMetrics) Collect(to chan<- prometheus.Metric) {
	s.known.Range(func(_, metric any) bool {
		if m, ok := metric.(prometheus.Metric); ok {
			to <- m
		}
		return true
	})
}

// sdkHandler implements client.MetricsHandler. The SDK asks for the same handlers and metrics with every task, so each keeps
// what it was asked for: there are as many as there are label values.
type sdkHandler struct {
	metrics *sdkMetrics
	labels  prometheus.Labels
	// id are the labels as one text.
	id string
	// children are of further tags, as one text; made are the metrics, by name.
	children, made sync.Map
}

// get is the metric of a name and labels, made where there is none yet.
func get[M prometheus.Metric](h *sdkHandler, name, suffix string, make func(name string) M) M {
	found, ok := h.made.Load(name)
	if !ok {
		// Another handler may have the same labels.
		id := sdkName{name, h.id}
		if found, ok = h.metrics.known.Load(id); !ok {
			found, _ = h.metrics.known.LoadOrStore(id, make(strings.TrimSuffix(name, suffix)+suffix))
		}
		h.made.Store(name, found)
	}
	return found.(M) //nolint:errcheck // the SDK has one kind of metric for a name
}

// WithTags implements client.MetricsHandler.
func (h *sdkHandler) WithTags(tags map[string]string) client.MetricsHandler {
	id := textOf(tags)
	if child, ok := h.children.Load(id); ok {
		return child.(*sdkHandler) //nolint:errcheck // nothing else is stored
	}
	labels := make(prometheus.Labels, len(h.labels)+len(tags))
	maps.Copy(labels, h.labels)
	maps.Copy(labels, tags)
	child, _ := h.children.LoadOrStore(id, &sdkHandler{metrics: h.metrics, labels: labels, id: textOf(labels)})
	return child.(*sdkHandler) //nolint:errcheck // nothing else is stored
}

// textOf is the same for equal labels.
func textOf(labels map[string]string) string {
	names := make([]string, 0, 8) // on the stack, as is the text
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	text := make([]byte, 0, 256)
	for _, name := range names {
		text = append(append(append(append(text, name...), 0xff), labels[name]...), 0xff)
	}
	return string(text)
}

const sdkHelp = "Of Temporal's SDK: https://docs.temporal.io/references/sdk-metrics"

// Counter implements client.MetricsHandler.
func (h *sdkHandler) Counter(name string) client.MetricsCounter {
	return sdkCounter{get(h, name, "_total", func(name string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: sdkHelp, ConstLabels: h.labels})
	})}
}

// Gauge implements client.MetricsHandler.
func (h *sdkHandler) Gauge(name string) client.MetricsGauge {
	return sdkGauge{get(h, name, "", func(name string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: sdkHelp, ConstLabels: h.labels})
	})}
}

// sdkSeconds reach from a task to a workflow.
var sdkSeconds = []float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 24 * 3600}

// Timer implements client.MetricsHandler.
func (h *sdkHandler) Timer(name string) client.MetricsTimer {
	return sdkTimer{get(h, name, "_seconds", func(name string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: sdkHelp, ConstLabels: h.labels, Buckets: sdkSeconds})
	})}
}

type (
	sdkCounter struct{ prometheus.Counter }
	sdkGauge   struct{ prometheus.Gauge }
	sdkTimer   struct{ prometheus.Histogram }
)

// Inc implements client.MetricsCounter. A counter of Prometheus panics where it would go down.
func (c sdkCounter) Inc(n int64) { c.Add(float64(max(n, 0))) }

// Update implements client.MetricsGauge.
func (g sdkGauge) Update(value float64) { g.Set(value) }

// Record implements client.MetricsTimer.
func (t sdkTimer) Record(d time.Duration) { t.Observe(d.Seconds()) }
