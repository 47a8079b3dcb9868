// Package tracing traces the operations of the Temporal SDK with OpenTelemetry, in services and in workers. Workflow IDs contain
// idempotency keys, so spans do not have them. They have the attributes florin.payment_id and florin.refund_id instead, with the
// IDs of package payment.
package tracing

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// Interceptor returns an interceptor that traces the calls of a Temporal client and the work of the workers that use the client.
// Spans go to provider; nil means OpenTelemetry's global provider.
func Interceptor(provider trace.TracerProvider) interceptor.Interceptor {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	t := &tracer{spans: provider.Tracer("github.com/florinpay/florin")}
	return replayInterceptor{interceptor.NewTracingInterceptor(t)}
}

// headerKey is the header field that Temporal's SDKs use for OpenTelemetry in every language.
const headerKey = "_tracer-data"

// span adapts an OpenTelemetry span to the SDK's interceptor.
type span struct {
	trace.Span
	// suppressed reports whether the span must not end: it was exported before a replay, or its work has not ended.
	suppressed bool
}

// spanKey is the key of the span in the context of a workflow.
type spanKey struct{}

// tracer implements interceptor.Tracer.
type tracer struct {
	interceptor.BaseTracer
	spans trace.Tracer
	wire  propagation.TraceContext // without baggage: the caller's data must not be stored in histories
}

// Options implements interceptor.Tracer. Queries are not traced: each read of a payment would make a trace.
func (t *tracer) Options() interceptor.TracerOptions {
	return interceptor.TracerOptions{
		SpanContextKey: spanKey{}, HeaderKey: headerKey, DisableQueryTracing: true,
		// An invalid header must not fail a payment.
		AllowInvalidParentSpans: true,
	}
}

// UnmarshalSpan implements interceptor.Tracer.
func (t *tracer) UnmarshalSpan(header map[string]string) (interceptor.TracerSpanRef, error) {
	parent := trace.SpanContextFromContext(t.wire.Extract(context.Background(), propagation.MapCarrier(header)))
	if !parent.IsValid() {
		return nil, nil
	}
	return parent, nil
}

// MarshalSpan implements interceptor.Tracer.
func (t *tracer) MarshalSpan(s interceptor.TracerSpan) (map[string]string, error) {
	header := propagation.MapCarrier{}
	t.wire.Inject(t.ContextWithSpan(context.Background(), s), header)
	return header, nil
}

// SpanFromContext implements interceptor.Tracer.
func (t *tracer) SpanFromContext(ctx context.Context) interceptor.TracerSpan {
	found := trace.SpanFromContext(ctx)
	if !found.SpanContext().IsValid() {
		return nil
	}
	return &span{Span: found}
}

// ContextWithSpan implements interceptor.Tracer.
func (t *tracer) ContextWithSpan(ctx context.Context, s interceptor.TracerSpan) context.Context {
	if s, ok := s.(*span); ok {
		return trace.ContextWithSpan(ctx, s.Span)
	}
	return ctx
}

// StartSpan implements interceptor.Tracer.
func (t *tracer) StartSpan(o *interceptor.TracerStartSpanOptions) (interceptor.TracerSpan, error) {
	ctx := context.Background()
	switch parent := o.Parent.(type) {
	case *span:
		ctx = trace.ContextWithSpan(ctx, parent.Span)
	case trace.SpanContext:
		ctx = trace.ContextWithSpanContext(ctx, parent)
	}
	kind := trace.SpanKindServer
	if o.ToHeader {
		kind = trace.SpanKindClient
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes(o.Tags)...)}
	if !o.Time.IsZero() {
		options = append(options, trace.WithTimestamp(o.Time))
	}
	_, started := t.spans.Start(WithKey(ctx, o.IdempotencyKey), t.SpanName(o), options...)
	return &span{Span: started}, nil
}

// attributes returns the attributes of a span for the SDK's tags. They contain no idempotency key.
func attributes(tags map[string]string) (all []attribute.KeyValue) {
	kind, rest, _ := strings.Cut(tags["temporalWorkflowID"], "/")
	merchantID, key, ok := strings.Cut(rest, "/")
	switch {
	case ok && kind == "charge":
		all = append(all, attribute.String("florin.payment_id", payment.PaymentID(merchantID, key)))
	case ok && kind == "refund":
		all = append(all, attribute.String("florin.refund_id", payment.RefundID(merchantID, key)))
	}
	if run := tags["temporalRunID"]; run != "" {
		all = append(all, attribute.String("temporalRunID", run))
	}
	return all
}

// Finish implements interceptor.TracerSpan.
func (s *span) Finish(o *interceptor.TracerFinishSpanOptions) {
	if s.suppressed {
		return // a span that is not ended is not exported
	}
	if o.Error != nil {
		s.SetStatus(codes.Error, errorType(o.Error))
	}
	s.End()
}

// errorType returns the type of an error. Its message is left out, because it may contain text of a processor or of a caller.
func errorType(err error) string {
	if application, ok := err.(*temporal.ApplicationError); ok { //nolint:errorlint // the outermost, as Temporal sees it
		return application.Type()
	}
	return fmt.Sprintf("%T", err)
}
