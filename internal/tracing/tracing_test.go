package tracing

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
)

// recorded returns a provider and a recorder of its ended spans.
func recorded() (trace.TracerProvider, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), spans
}

func TestWorkflowAndItsActivitiesAreOneTrace(t *testing.T) {
	provider, spans := recorded()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(10 * time.Minute)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{Interceptor(provider)}})
	call := func(ctx context.Context) error {
		_, inner := provider.Tracer("test").Start(ctx, "the request")
		inner.End()
		return nil
	}
	env.RegisterActivity(call)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return workflow.ExecuteActivity(ctx, call).Get(ctx, nil)
	})
	require.NoError(t, env.GetWorkflowError())

	ended := spans.Ended()
	byID, root := map[trace.SpanID]sdktrace.ReadOnlySpan{}, ended[len(ended)-1]
	for _, s := range ended {
		byID[s.SpanContext().SpanID()] = s
		require.Equal(t, root.SpanContext().TraceID(), s.SpanContext().TraceID())
	}
	var names []string
	for s := ended[1]; s != nil; s = byID[s.Parent().SpanID()] {
		names = append(names, s.Name()[:5])
	}
	require.Equal(t, []string{"the r", "RunAc", "Start", "RunWo"}, names)
}

func TestNoSpanHasAnIdempotencyKeyOrAnErrorMessage(t *testing.T) {
	provider, spans := recorded()
	tr := &tracer{spans: provider.Tracer("")}
	for id, want := range map[string]string{
		payment.ChargeWorkflowID("acme", "order-1"): "florin.payment_id=" + payment.PaymentID("acme", "order-1"),
		payment.RefundWorkflowID("acme", "back-1"):  "florin.refund_id=" + payment.RefundID("acme", "back-1"),
		"another/workflow/s":                        "",
		"":                                          "",
	} {
		s, err := tr.StartSpan(&interceptor.TracerStartSpanOptions{
			Operation: "RunWorkflow", Name: "Charge", IdempotencyKey: "default:" + id,
			Tags: map[string]string{"temporalWorkflowID": id, "temporalRunID": "run", "temporalUpdateID": "update", "temporalActivityID": "7"},
		})
		require.NoError(t, err)
		s.Finish(&interceptor.TracerFinishSpanOptions{Error: temporal.NewApplicationError("card 4242 of order-1", "InvalidRequest")})
		last := spans.Ended()[len(spans.Ended())-1]
		require.Equal(t, sdktrace.Status{Code: codes.Error, Description: "InvalidRequest"}, last.Status())
		require.Empty(t, last.Events())
		var attributes []string
		for _, a := range last.Attributes() {
			attributes = append(attributes, string(a.Key)+"="+a.Value.AsString())
		}
		if want == "" {
			require.Equal(t, []string{"temporalRunID=run"}, attributes)
			continue
		}
		require.Equal(t, []string{want, "temporalRunID=run"}, attributes)
	}
}

func TestSpanIsPropagatedInAHeader(t *testing.T) {
	provider, _ := recorded()
	tr := &tracer{spans: provider.Tracer("")}
	sent, err := tr.StartSpan(&interceptor.TracerStartSpanOptions{ToHeader: true})
	require.NoError(t, err)
	header, err := tr.MarshalSpan(sent)
	require.NoError(t, err)
	require.Contains(t, header, "traceparent")
	parent, err := tr.UnmarshalSpan(header)
	require.NoError(t, err)
	received, err := tr.StartSpan(&interceptor.TracerStartSpanOptions{Parent: parent, FromHeader: true})
	require.NoError(t, err)
	from, to := sent.(*span).SpanContext(), received.(*span).SpanContext()
	require.Equal(t, from.TraceID(), to.TraceID())
	require.NotEqual(t, from.SpanID(), to.SpanID())

	for _, invalid := range []map[string]string{nil, {"traceparent": "nonsense"}} {
		parent, err := tr.UnmarshalSpan(invalid)
		require.NoError(t, err, "an invalid header must not fail a payment")
		require.Nil(t, parent)
	}
	require.Nil(t, tr.SpanFromContext(t.Context()))
}

// scripted is a workflow that calls run.
type scripted struct {
	interceptor.WorkflowInboundInterceptorBase
	run func() (any, error)
}

func (s *scripted) ExecuteWorkflow(workflow.Context, *interceptor.ExecuteWorkflowInput) (any, error) {
	return s.run()
}

func TestSpanEndsOnlyIfItsWorkflowReturns(t *testing.T) {
	for name, c := range map[string]struct {
		run  func() (any, error)
		want int
	}{
		"returns": {run: func() (any, error) { return "x", nil }, want: 1},
		"fails":   {run: func() (any, error) { return nil, errors.New("x") }, want: 1},
		"panics":  {run: func() (any, error) { panic("x") }, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			provider, spans := recorded()
			tr := &tracer{spans: provider.Tracer("")}
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestWorkflowEnvironment()
			env.SetTestTimeout(10 * time.Minute)
			env.ExecuteWorkflow(func(ctx workflow.Context) error {
				s, err := tr.StartSpan(&interceptor.TracerStartSpanOptions{})
				require.NoError(t, err)
				defer func() {
					_ = recover()
					s.Finish(&interceptor.TracerFinishSpanOptions{})
				}()
				inner := &replayInbound{}
				inner.Next = &scripted{run: c.run}
				_, err = inner.ExecuteWorkflow(workflow.WithValue(ctx, spanKey{}, s), nil)
				return err
			})
			require.Len(t, spans.Ended(), c.want)
		})
	}
}

func TestSpanIsStartedWithItsReplayKey(t *testing.T) {
	var seen []string
	tr := &tracer{spans: keyTracer{seen: &seen}}
	for _, key := range []string{"", "Charge:1"} {
		_, err := tr.StartSpan(&interceptor.TracerStartSpanOptions{IdempotencyKey: key})
		require.NoError(t, err)
	}
	require.Equal(t, []string{"", "Charge:1"}, seen)
}

// keyTracer records the keys of the spans that it starts.
type keyTracer struct {
	trace.Tracer
	seen *[]string
}

func (w keyTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	*w.seen = append(*w.seen, Key(ctx))
	return ctx, trace.SpanFromContext(ctx)
}
