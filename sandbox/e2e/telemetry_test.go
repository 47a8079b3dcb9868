package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/florinpay/florin/internal/telemetry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// tree renders a trace as text: each span is indented below its parent.
func tree(spans tracetest.SpanStubs, parent [8]byte, depth int) string {
	var b strings.Builder
	for _, s := range spans {
		if s.Parent.SpanID() == parent {
			fmt.Fprintf(&b, "%s%s\n%s", strings.Repeat("  ", depth), s.Name, tree(spans, s.SpanContext.SpanID(), depth+1))
		}
	}
	return b.String()
}

func TestChargeIsOneTraceFromTheServiceToTheProcessor(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := telemetry.NewProvider(sdktrace.WithSyncer(exporter))
	env := start(t, environment.Options{TracerProvider: provider})

	ctx, checkout := provider.Tracer("shop").Start(t.Context(), "checkout")
	req := charge("a-secret-order", "tok_500_twice") // two retries
	c, err := env.Florin.Charge(ctx, req)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status)
	checkout.End()

	var trace tracetest.SpanStubs
	require.Eventually(t, func() bool {
		trace = nil
		closed := false
		for _, s := range exporter.GetSpans() {
			if s.SpanContext.TraceID() == checkout.SpanContext().TraceID() {
				trace = append(trace, s)
				closed = closed || s.Name == "RunWorkflow:Charge"
			}
		}
		return closed
	}, 10*time.Second, 20*time.Millisecond)
	t.Log("\n" + tree(trace, [8]byte{}, 0))

	ids := map[[8]byte]bool{}
	count := map[string]int{}
	for _, s := range trace {
		ids[s.SpanContext.SpanID()] = true
		count[s.Name]++
	}
	for _, s := range trace {
		require.True(t, s.Name == "checkout" || ids[s.Parent.SpanID()], "the parent of %s is not in the trace", s.Name)
		text := fmt.Sprint(s.Attributes, s.Status, s.Events, s.Name)
		for _, secret := range []string{"tok_", "a-secret-order", "sim_sandbox_key", payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0)} {
			require.NotContains(t, text, secret, s.Name)
		}
	}
	require.Equal(t, 3, count["processor charge"], "one span for each request")
	require.Equal(t, 1, count["RunWorkflow:Charge"])
	require.Equal(t, 1, count["HandleUpdate:outcome"])
	require.Equal(t, 1, count["RunActivity:ChargeInline"])
	require.Equal(t, 2, count["RunActivity:ProcessorCharge"])
	for _, s := range trace {
		if s.Name != "processor charge" {
			continue
		}
		require.Contains(t, s.Attributes, attribute.String("florin.processor", env.Config.DefaultProcessor))
		path := []string{}
		for at := s.Parent.SpanID(); at != checkout.SpanContext().SpanID(); {
			for _, p := range trace {
				if p.SpanContext.SpanID() == at {
					path, at = append(path, p.Name), p.Parent.SpanID()
					break
				}
			}
		}
		activity := "ProcessorCharge"
		if path[0] == "RunActivity:ChargeInline" {
			activity = "ChargeInline"
		}
		require.Equal(t, []string{"RunActivity:" + activity, "StartActivity:" + activity, "RunWorkflow:Charge", "UpdateWithStartWorkflow:outcome"}, path)
	}

	// Get makes another worker replay the history, which must not record the workflow's spans again.
	env.StopWorker()
	require.NoError(t, env.StartWorker(context.WithoutCancel(t.Context())))
	before := len(exporter.GetSpans().Snapshots())
	_, err = env.Florin.Get(context.Background(), req.MerchantID, req.IdempotencyKey)
	require.NoError(t, err)
	for _, s := range exporter.GetSpans()[before:] {
		require.NotContains(t, s.Name, "Workflow", "recorded again by a replay")
	}
}

func TestWorkflowHasOneSpanAcrossAWorkerRestart(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := telemetry.NewProvider(sdktrace.WithSyncer(exporter))
	env := start(t, environment.Options{TracerProvider: provider})
	req := charge("authorized", "tok_visa")
	req.Capture = payment.CaptureManual
	c, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, payment.Authorized, c.Status)
	env.StopWorker()
	for _, s := range exporter.GetSpans() {
		require.NotEqual(t, "RunWorkflow:Charge", s.Name, "the workflow is still running")
	}
	require.NoError(t, env.StartWorker(context.WithoutCancel(t.Context())))
	c, err = env.Florin.Void(t.Context(), req.MerchantID, req.IdempotencyKey)
	require.NoError(t, err)
	require.Equal(t, payment.Voided, c.Status)

	var run tracetest.SpanStub
	require.Eventually(t, func() bool {
		for _, s := range exporter.GetSpans() {
			if s.Name == "RunWorkflow:Charge" {
				run = s
			}
		}
		return run.Name != ""
	}, 10*time.Second, 20*time.Millisecond)
	children := map[string]int{}
	for _, s := range exporter.GetSpans() {
		if s.Parent.SpanID() == run.SpanContext.SpanID() {
			children[s.Name]++
		}
	}
	require.Equal(t, 1, children["StartActivity:ChargeInline"], "recorded by the first worker")
	require.Equal(t, 1, children["StartActivity:ProcessorVoid"], "recorded by the second worker")
}

// metrics returns the response of /metrics.
func metrics(t *testing.T, env *environment.Environment) string {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", env.Ports.Health))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

func TestMetricsCountPaymentsCallsAndRetries(t *testing.T) {
	env := start(t, environment.Options{})
	paid := succeed(t, env, charge("order-1", "tok_visa"))
	retried := succeed(t, env, charge("order-2", "tok_500_twice"))
	declined, err := chargeUntilResolved(t.Context(), env, charge("order-3", "tok_insufficient_funds"))
	require.NoError(t, err)
	require.Equal(t, payment.Declined, declined.Status)
	refund, err := env.Florin.Refund(t.Context(), payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "back-1", PaymentID: paid.PaymentID})
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, refund.Status)

	text := metrics(t, env)
	for _, line := range []string{
		`florin_payments_total{currency="USD",processor="simulator",status="processing"} 3`,
		`florin_payments_total{currency="USD",processor="simulator",status="succeeded"} 2`,
		`florin_payments_total{currency="USD",processor="simulator",status="declined"} 1`,
		`florin_refunds_total{currency="USD",processor="simulator",status="succeeded"} 1`,
		`florin_payment_outcome_duration_seconds_count{processor="simulator",status="succeeded"} 2`,
		`florin_processor_calls_total{certainty="ambiguous",class="unavailable",operation="charge",processor="simulator"} 2`,
		`florin_processor_calls_total{certainty="answered",class="",operation="charge",processor="simulator"} 3`,
		`florin_processor_retries_total{operation="charge",processor="simulator"} 2`,
		`florin_payments_waiting{processor="simulator",status="unknown"} 0`,
		`florin_processor_breaker_state{processor="simulator",state="closed"} 1`,
		`florin_store_up 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	// The SDK's metrics that the alert rules and the dashboard use, except those that exist only after a failure.
	for _, name := range []string{
		"temporal_request_total", "temporal_activity_schedule_to_start_latency_seconds_bucket",
		"temporal_workflow_task_schedule_to_start_latency_seconds_bucket", "temporal_worker_task_slots_available",
		"temporal_activity_execution_failed_total",
	} {
		require.Contains(t, text, "\n"+name+"{")
	}
	for _, id := range []string{"order-", paid.PaymentID, retried.PaymentID, refund.RefundID, "tok_", "acme"} {
		require.NotContains(t, text, id)
	}
}
