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

// StartTracing sends spans to where the OTEL_* variables say, by OTLP over HTTP, sampled as they say. It returns nil where
// none says: OTEL_EXPORTER_OTLP_ENDPOINT, its _TRACES_ variant, or OTEL_TRACES_EXPORTER=otlp. Shutdown sends what is left.
// What goes wrong later is logged.
func StartTracing(ctx context.Context, logger *zap.Logger) (*sdktrace.TracerProvider, error) {
	on, err := wanted(os.Getenv)
	if !on || err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("tracing", zap.Error(err)) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("the trace exporter of the OTEL_* variables: %w", err)
	}
	from, err := resource.Merge(resource.NewSchemaless(attribute.String("service.name", "florin-worker")), resource.Environment())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return NewProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(from)), nil
}

// NewProvider makes a provider of spans that knows those of a replayed workflow again.
func NewProvider(options ...sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(append(options, sdktrace.WithIDGenerator(ids{}))...)
}

// wanted reads the variables of OpenTelemetry's specification that turn tracing on and off.
func wanted(env func(string) string) (bool, error) {
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
			return false, fmt.Errorf("%s %q: want http/protobuf, which collectors take on port 4318", name, protocol)
		}
	}
	return true, nil
}

// ids are random, but for spans that begin anew in every replay of a workflow.
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

func fill(id []byte) {
	for i := range id {
		id[i] = byte(rand.Uint32()) //nolint:gosec // it names a span, and guards nothing
	}
}

// Tracer traces the requests to a processor: it is for httpclient.Options.Trace, and nil where nothing is traced.
// With propagate the processor gets a traceparent header.
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
			span.SetAttributes(attribute.String("florin.certainty", string(o.Outcome)),
				attribute.Int("florin.attempt", o.Attempt), attribute.Int("florin.sends", o.Sends))
			if o.Status != 0 {
				span.SetAttributes(attribute.Int("http.response.status_code", o.Status))
			}
			if o.Outcome != processor.Answered {
				span.SetStatus(codes.Error, string(o.Class))
			}
			span.End()
		}
	}
}
