// Package telemetry exports metrics of payments, processor calls and Temporal's SDK to Prometheus, and traces to OpenTelemetry.
// The packages that it measures do not depend on it: it registers with [store.Store.SetObserver], [httpclient.Options]
// and the options of a Temporal client.
//
// Every label has few values: statuses, operations and failure classes are defined in Florin, processors are configured, and
// currencies are those of ISO 4217. Merchants, payments and keys are never labels.
package telemetry

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/internal/tracing"
)

// Telemetry has the metrics and the tracer of one process. It is safe for concurrent use. The methods that allow a nil
// Telemetry say so.
type Telemetry struct {
	registry    *prometheus.Registry
	sdk         *sdkMetrics
	transitions transitions
	calls       calls
	events      *prometheus.CounterVec
	refused     *prometheus.CounterVec
	batchLines  *prometheus.CounterVec
	gauges      *gauges
	// spans is nil if tracing is off.
	spans trace.TracerProvider
}

// New returns a Telemetry with a registry of its own. It creates its spans with spans; nil turns tracing off.
func New(spans trace.TracerProvider) *Telemetry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t, err := NewWith(registry, spans)
	if err != nil {
		panic(err) // the registry has nothing of this name
	}
	return t
}

// NewWith is [New] on a registry of the caller's. It fails if the registry has metrics of the same names.
func NewWith(registry *prometheus.Registry, spans trace.TracerProvider) (*Telemetry, error) {
	t := &Telemetry{
		registry: registry, sdk: newSDKMetrics(), transitions: newTransitions(), calls: newCalls(), events: newEvents(), refused: newRefused(),
		batchLines: newBatchLines(), gauges: &gauges{}, spans: spans,
	}
	for _, collector := range slices.Concat([]prometheus.Collector{t.sdk, t.gauges, t.events, t.refused, t.batchLines}, t.transitions.collectors(), t.calls.collectors()) {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("registering Florin's metrics: %w", err)
		}
	}
	return t, nil
}

// Trace creates the spans with spans from now on. It must be called before the Telemetry is used.
func (t *Telemetry) Trace(spans trace.TracerProvider) { t.spans = spans }

// Handler returns the handler of the endpoint that Prometheus scrapes. It serves all metrics.
func (t *Telemetry) Handler() http.Handler {
	// ContinueOnError: a metric that cannot be collected must not prevent serving the others.
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// Temporal adds metrics and tracing to the options of a Temporal client. They then apply to the client and to the workers that
// use it. Temporal does nothing if t is nil.
func (t *Telemetry) Temporal(o *client.Options) {
	if t == nil {
		return
	}
	o.MetricsHandler = t.sdk.handler()
	if t.spans != nil {
		o.Interceptors = append(o.Interceptors, tracing.Interceptor(t.spans))
	}
}
