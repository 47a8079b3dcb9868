package florin

import (
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/interceptor"

	"github.com/florinpay/florin/internal/tracing"
)

// Tracing returns an interceptor that makes each payment part of the OpenTelemetry trace in which it is requested. Add it to the
// options of the Temporal client:
//
//	temporalClient, err := client.Dial(client.Options{
//		Interceptors: []interceptor.ClientInterceptor{florin.Tracing(nil)},
//	})
//
// Spans are created with provider; nil means OpenTelemetry's global one. The worker continues the trace if its OTEL_* variables
// name a collector. No span contains a payment method, an idempotency key, a request or a response.
func Tracing(provider trace.TracerProvider) interceptor.Interceptor {
	return tracing.Interceptor(provider)
}
