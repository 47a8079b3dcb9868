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

// sdkMetrics collects the metrics of Temporal's SDK. They have the names that Temporal's documentation and dashboards use with
// Prometheus: names of counters end in _total, names of timers in _seconds. sdkMetrics implements prometheus.Collector without
// describing its metrics: the SDK creates them while it runs, and not always with the same labels for one name.
type sdkMetrics struct{ known sync.Map } // prometheus.Metric by sdkName

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

// sdkHandler implements client.MetricsHandler. The SDK requests the same handlers and metrics for every task, so each handler
// caches them. Their number is limited by the number of label values.
type sdkHandler struct {
	metrics *sdkMetrics
	labels  prometheus.Labels
	// id is labelsKey(labels).
	id string
	// children caches handlers by the labelsKey of the additional tags.
	children sync.Map
	// cached holds metrics by name.
	cached sync.Map
}

// get returns the metric with a name and the labels of h. It creates the metric if there is none.
func get[M prometheus.Metric](h *sdkHandler, name, suffix string, create func(name string) M) M {
	found, ok := h.cached.Load(name)
	if !ok {
		// Another handler may have the same labels, and then has the same metrics.
		id := sdkName{name: name, labels: h.id}
		if found, ok = h.metrics.known.Load(id); !ok {
			found, _ = h.metrics.known.LoadOrStore(id, create(strings.TrimSuffix(name, suffix)+suffix))
		}
		h.cached.Store(name, found)
	}
	return found.(M) //nolint:errcheck // the SDK uses one kind of metric for a name
}

// WithTags implements client.MetricsHandler.
func (h *sdkHandler) WithTags(tags map[string]string) client.MetricsHandler {
	id := labelsKey(tags)
	if child, ok := h.children.Load(id); ok {
		return child.(*sdkHandler) //nolint:errcheck // nothing else is stored
	}
	labels := make(prometheus.Labels, len(h.labels)+len(tags))
	maps.Copy(labels, h.labels)
	maps.Copy(labels, tags)
	child, _ := h.children.LoadOrStore(id, &sdkHandler{metrics: h.metrics, labels: labels, id: labelsKey(labels)})
	return child.(*sdkHandler) //nolint:errcheck // nothing else is stored
}

// labelsKey returns a text that is equal for equal labels, and different for different ones.
func labelsKey(labels map[string]string) string {
	names := make([]string, 0, 8) // fixed capacities keep this and text on the stack
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

const sdkHelp = "A metric of Temporal's SDK: https://docs.temporal.io/references/sdk-metrics"

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

// sdkSeconds ranges from the fastest tasks to workflows that run for a day.
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

// Inc implements client.MetricsCounter. It ignores a negative n: Prometheus's counters panic on one.
func (c sdkCounter) Inc(n int64) { c.Add(float64(max(n, 0))) }

// Update implements client.MetricsGauge.
func (g sdkGauge) Update(value float64) { g.Set(value) }

// Record implements client.MetricsTimer.
func (t sdkTimer) Record(d time.Duration) { t.Observe(d.Seconds()) }
