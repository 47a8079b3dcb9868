package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/tracing"
	"github.com/florinpay/florin/processor"
)

func TestEnvironmentVariablesTurnTracingOn(t *testing.T) {
	for name, tc := range map[string]struct {
		env     string
		want    bool
		wantErr string
	}{
		"no variables":         {want: false},
		"service name only":    {env: "OTEL_SERVICE_NAME=pay", want: false},
		"endpoint":             {env: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", want: true},
		"endpoint for traces":  {env: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/v1/traces", want: true},
		"otlp exporter":        {env: "OTEL_TRACES_EXPORTER=otlp", want: true},
		"supported protocol":   {env: "OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", want: true},
		"exporter none":        {env: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318 OTEL_TRACES_EXPORTER=none", want: false},
		"SDK disabled":         {env: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318 OTEL_SDK_DISABLED=TRUE", want: false},
		"unsupported exporter": {env: "OTEL_TRACES_EXPORTER=zipkin", wantErr: `OTEL_TRACES_EXPORTER "zipkin": want otlp or none`},
		"unsupported protocol": {
			env:     "OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
			wantErr: `OTEL_EXPORTER_OTLP_PROTOCOL "grpc": want http/protobuf, which collectors accept on port 4318`,
		},
		"supported protocol for traces, unsupported one otherwise": {
			env:  "OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf",
			want: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			for pair := range strings.FieldsSeq(tc.env) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
			on, err := tracingEnabled(func(name string) string { return env[name] })
			if tc.wantErr != "" {
				require.EqualError(t, err, tc.wantErr)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, on)
		})
	}
}

func TestSpansAreExportedToTheConfiguredCollector(t *testing.T) {
	received := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
	provider, err := StartTracing(t.Context(), zap.NewNop())
	require.NoError(t, err)
	_, span := provider.Tracer("").Start(t.Context(), "a test span")
	span.End()
	require.NoError(t, provider.Shutdown(t.Context()))
	sent := <-received
	for _, part := range []string{"/v1/traces ", "a test span", "florin-worker", "staging"} {
		require.Contains(t, sent, part)
	}
}

func TestTracingIsOffByDefault(t *testing.T) {
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	provider, err := StartTracing(t.Context(), zap.NewNop())
	require.NoError(t, err)
	require.Nil(t, provider)
	require.Nil(t, New(nil).Tracer("acme", true))
	require.Nil(t, (*Telemetry)(nil).Tracer("acme", true))
}

func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]any {
	all := map[attribute.Key]any{}
	for _, a := range s.Attributes() {
		all[a.Key] = a.Value.AsInterface()
	}
	return all
}

func TestRequestSpanHasNoContentOfTheRequest(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := NewProvider(sdktrace.WithSpanProcessor(spans))
	metrics := New(provider)
	var traceparent string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		traceparent = r.Header.Get("Traceparent")
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer s.Close()
	for propagate, want := range map[bool]string{false: "^$", true: "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$"} {
		c := newClient(t, s.URL, httpclient.Options{Trace: metrics.Tracer("acme", propagate)})
		ctx, parent := provider.Tracer("").Start(t.Context(), "activity")
		_, err := c.Do(retry.WithAttempt(ctx, 2), processor.Call{
			Method: http.MethodPost, Path: "/charges", Key: "key-of-florin", Operation: "charge", PaymentID: "pay_1", Body: []byte(`{"card_token":"tok_visa"}`),
		})
		require.Error(t, err)
		require.Regexp(t, want, traceparent)

		last := spans.Ended()[len(spans.Ended())-1]
		require.Equal(t, "processor charge", last.Name())
		require.Equal(t, parent.SpanContext().SpanID(), last.Parent().SpanID())
		require.Equal(t, map[attribute.Key]any{
			"florin.processor": "acme", "florin.operation": "charge", "florin.certainty": "ambiguous",
			"florin.attempt": int64(2), "florin.sends": int64(1), "http.response.status_code": int64(500),
		}, attributes(last))
		require.Equal(t, "unavailable", last.Status().Description)
		require.Empty(t, last.Events())
	}
}

func TestReplayedSpanHasTheSameID(t *testing.T) {
	ctx := context.Background()
	trace1, span1 := ids{}.NewIDs(ctx)
	trace2, span2 := ids{}.NewIDs(ctx)
	require.NotEqual(t, trace1, trace2)
	require.NotEqual(t, span1, span2)
	child := ids{}.NewSpanID(ctx, trace1)
	require.NotEqual(t, child, ids{}.NewSpanID(ctx, trace1))

	ctx = tracing.WithKey(ctx, "WorkflowInboundInterceptor:default:run:1")
	trace1, span1 = ids{}.NewIDs(ctx)
	trace2, span2 = ids{}.NewIDs(ctx)
	require.Equal(t, trace1, trace2)
	require.Equal(t, span1, span2)
	require.Equal(t, span1, ids{}.NewSpanID(ctx, trace1))
	require.NotEqual(t, span1, ids{}.NewSpanID(tracing.WithKey(ctx, "WorkflowInboundInterceptor:default:run:2"), trace1))
}
