package telemetry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/tracing"
	"github.com/florinpay/florin/processor"
)

// StartTracing returns a provider that exports spans by OTLP over HTTP. The OTEL_* environment variables configure the
// endpoint, the sampling and the resource. It returns nil if tracing is off: it is on if OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp is set. The caller must call Shutdown, which exports the
// remaining spans. StartTracing returns an error for a setting that it does not support; it logs later export errors.
func StartTracing(ctx context.Context, logger *zap.Logger) (*sdktrace.TracerProvider, error) {
	on, err := tracingEnabled(os.Getenv)
	if !on || err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("tracing", zap.Error(err)) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("create the trace exporter from the OTEL_* variables: %w", err)
	}
	res, err := resource.Merge(resource.NewSchemaless(attribute.String("service.name", "florin-worker")), resource.Environment())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return NewProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res)), nil
}

// NewProvider returns a provider whose spans of a workflow have the same ids when the workflow is replayed.
func NewProvider(options ...sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(append(options, sdktrace.WithIDGenerator(ids{}))...)
}

// tracingEnabled reports whether the environment variables of OpenTelemetry's specification turn tracing on. It returns an error
// for an exporter or a protocol that is not supported.
func tracingEnabled(env func(string) string) (bool, error) {
	exporter := strings.TrimSpace(env("OTEL_TRACES_EXPORTER"))
	endpoint := env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	switch {
	case strings.EqualFold(env("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && !endpoint:
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER %q: want otlp or none", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := env(name); protocol == "http/protobuf" {
			break
		} else if protocol != "" {
			return false, fmt.Errorf("%s %q: want http/protobuf, which collectors accept on port 4318", name, protocol)
		}
	}
	return true, nil
}

// ids generates the ids of traces and spans. They are random, except for spans that every replay of a workflow creates again:
// their ids are derived from [tracing.Key].
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (i ids) NewIDs(ctx context.Context) (t trace.TraceID, s trace.SpanID) {
	if key := tracing.Key(ctx); key != "" {
		sum := sha256.Sum256([]byte(key))
		copy(t[:], sum[:])
	}
	for !t.IsValid() {
		fill(t[:])
	}
	return t, i.NewSpanID(ctx, t)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, t trace.TraceID) (s trace.SpanID) {
	if key := tracing.Key(ctx); key != "" {
		sum := sha256.Sum256(append(t[:], key...))
		copy(s[:], sum[:])
	}
	for !s.IsValid() {
		fill(s[:])
	}
	return s
}

// fill sets id to random bytes.
func fill(id []byte) {
	for i := range id {
		id[i] = byte(rand.Uint32()) //nolint:gosec // an id of a span needs no cryptographic randomness
	}
}

// Tracer returns a function for [httpclient.Options].Trace that creates a span for each request to the processor called
// name. If propagate is true, requests have a traceparent header. Tracer returns nil if t is nil or tracing is off.
func (t *Telemetry) Tracer(name string, propagate bool) httpclient.Trace {
	if t == nil || t.spans == nil {
		return nil
	}
	spans := t.spans.Tracer("github.com/florinpay/florin/internal/processor")
	return func(ctx context.Context, operation string, header http.Header) func(httpclient.Observation) {
		ctx, span := spans.Start(ctx, "processor "+operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("florin.processor", name), attribute.String("florin.operation", operation)))
		if propagate {
			propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
		}
		return func(o httpclient.Observation) {
			span.SetAttributes(attribute.String("florin.certainty", string(o.Certainty)),
				attribute.Int("florin.attempt", o.Attempt), attribute.Int("florin.sends", o.Sends))
			if o.Status != 0 {
				span.SetAttributes(attribute.Int("http.response.status_code", o.Status))
			}
			if o.Certainty != processor.Answered {
				span.SetStatus(codes.Error, string(o.Class))
			}
			span.End()
		}
	}
}
