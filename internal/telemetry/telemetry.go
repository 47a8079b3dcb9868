// Package telemetry tells Prometheus and OpenTelemetry how payments go. What it hears comes through the seams of the other
// packages, none of which knows it: store.SetObserver, processor.ClientOptions and the options of a Temporal client.
//
// Every label has few values: statuses, operations and failure classes are ours, processors are configured, currencies are
// those of ISO 4217. No merchant, payment or key is one.
package telemetry

import (
	"net/http"

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

// New makes metrics; spans is where traces go, nil for none.
func New(spans trace.TracerProvider) *Telemetry {
	t := &Telemetry{
		registry: prometheus.NewRegistry(), sdk: newSDKMetrics(), moves: newMoves(), calls: newCalls(), now: &standing{}, spans: spans,
	}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), t.sdk, t.now)
	t.moves.register(t.registry)
	t.calls.register(t.registry)
	return t
}

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
