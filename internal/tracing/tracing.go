// Package tracing puts what Temporal's SDK does for a payment into an OpenTelemetry trace, on the side of the service as on
// the worker's. Temporal's own ids name a payment by its idempotency key, so no span has them: florin.payment_id and
// florin.refund_id are those of package payment.
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

// Interceptor traces the calls of a Temporal client, and what the workers on it do. provider is where the spans go; nil is
// OpenTelemetry's global one.
func Interceptor(provider trace.TracerProvider) interceptor.Interceptor {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	t := &tracer{spans: provider.Tracer("github.com/florinpay/florin")}
	return replays{interceptor.NewTracingInterceptor(t)}
}

// headerKey is the one that Temporal's SDKs use for OpenTelemetry in every language.
const headerKey = "_tracer-data"

// span is one of OpenTelemetry's as the SDK's interceptor holds it.
type span struct {
	trace.Span
	// silent: what it would tell was told before, or has not come to an end.
	silent bool
}

// spanKey is where a workflow's context has its span.
type spanKey struct{}

// tracer implements interceptor.Tracer.
type tracer struct {
	interceptor.BaseTracer
	spans trace.Tracer
	wire  propagation.TraceContext // no baggage: it is not for us to store in histories
}

// Options implements interceptor.Tracer. Queries are not traced: each look at a payment would be a trace.
func (t *tracer) Options() interceptor.TracerOptions {
	return interceptor.TracerOptions{
		SpanContextKey: spanKey{}, HeaderKey: headerKey, DisableQueryTracing: true,
		// Whatever is in a header, no payment fails for it.
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

// attributes are what tags say, in words that are no secret.
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
	if s.silent {
		return // a span that is not ended is not exported
	}
	if o.Error != nil {
		s.SetStatus(codes.Error, kindOf(o.Error))
	}
	s.End()
}

// kindOf names an error without what it says: that may be the words of a processor or of a caller.
func kindOf(err error) string {
	if application, ok := err.(*temporal.ApplicationError); ok { //nolint:errorlint // the outermost, as Temporal sees it
		return application.Type()
	}
	return fmt.Sprintf("%T", err)
}
