// Package telemetry tells Prometheus and OpenTelemetry how payments go. What it hears comes through the seams of the other
// packages, none of which knows it: store.Watch, processor.ClientOptions and the options of a Temporal client.
//
// Every label has few values: statuses, operations and failure classes are ours, processors are configured, currencies are
// those of ISO 4217. No merchant, payment or key is one.
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

// Telemetry is what one process tells. It is safe for concurrent use. Where a method says so, a nil one tells nothing.
type Telemetry struct {
	registry *prometheus.Registry
	sdk      *sdkMetrics
	moves    moves
	calls    calls
	now      *standing
	// spans is nil where nothing is traced.
	spans trace.TracerProvider
}

// New returns a Telemetry with a registry of its own. Spans go to spans; nil does not trace.
func New(spans trace.TracerProvider) *Telemetry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t, err := NewWith(registry, spans)
	if err != nil {
		panic(err) // the registry is empty
	}
	return t
}

// NewWith is [New] on a registry of the caller's. An error means that it has metrics of the same names.
func NewWith(registry *prometheus.Registry, spans trace.TracerProvider) (*Telemetry, error) {
	t := &Telemetry{registry: registry, sdk: newSDKMetrics(), moves: newMoves(), calls: newCalls(), now: &standing{}, spans: spans}
	for _, collector := range slices.Concat([]prometheus.Collector{t.sdk, t.now}, t.moves.collectors(), t.calls.collectors()) {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("registering Florin's metrics: %w", err)
		}
	}
	return t, nil
}

// Trace sends spans to spans from now on. It must be called before the Telemetry is used.
func (t *Telemetry) Trace(spans trace.TracerProvider) { t.spans = spans }

// Handler answers with all metrics, for Prometheus.
func (t *Telemetry) Handler() http.Handler {
	// One that cannot be collected must not take the others with it.
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// Temporal has a client that is dialled with o, and the workers on it, measured and traced; nil does nothing.
func (t *Telemetry) Temporal(o *client.Options) {
	if t == nil {
		return
	}
	o.MetricsHandler = t.sdk.handler()
	if t.spans != nil {
		o.Interceptors = append(o.Interceptors, tracing.Interceptor(t.spans))
	}
}
