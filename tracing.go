package florin

import (
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/interceptor"

	"github.com/florinpay/florin/internal/tracing"
)

// Tracing makes each payment a part of the OpenTelemetry trace in which it is asked for, if the Temporal client has it
// from the start:
//
//	temporalClient, err := client.Dial(client.Options{
//		Interceptors: []interceptor.ClientInterceptor{florin.Tracing(nil)},
//	})
//
// Spans go to provider, nil is OpenTelemetry's global one. The worker goes on with the trace where its OTEL_* variables
// name a collector. No span holds a payment method, an idempotency key or what was said.
func Tracing(provider trace.TracerProvider) interceptor.Interceptor {
	return tracing.Interceptor(provider)
}
