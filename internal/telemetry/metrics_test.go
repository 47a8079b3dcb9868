package telemetry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// answered is a successful attempt.
var answered = httpclient.Observation{
	Processor: "acme", Operation: "charge", Certainty: processor.Answered, Status: 200, Attempt: 1, Sends: 1, Took: 80 * time.Millisecond,
}

// backlog is a store with the given backlog and one open dispute.
type backlog func(context.Context) ([]store.Backlog, error)

func (b backlog) Backlog(ctx context.Context) ([]store.Backlog, error) { return b(ctx) }

func (backlog) CheckWrite(context.Context) error { return nil }

func (backlog) CheckRead(context.Context) error { return nil }

func (backlog) UnfinishedBatches(context.Context) (map[payment.BatchState]store.BatchBacklog, error) {
	return map[payment.BatchState]store.BatchBacklog{payment.BatchRunning: {Batches: 2, Waiting: 70, Open: 5, OldestProgress: time.Now().Add(-time.Hour), OldestAttention: time.Now().Add(-2 * time.Hour)}}, nil
}

func (backlog) OpenDivergences(context.Context) (map[payment.DivergenceKind]int64, error) {
	return map[payment.DivergenceKind]int64{payment.DivergenceDispute: 1}, nil
}

func (backlog) Watermarks(context.Context) (map[string]time.Time, error) {
	return map[string]time.Time{"acme": time.Now().Add(-2 * time.Hour)}, nil
}

func (backlog) LastReconciliations(context.Context) ([]payment.Reconciliation, error) {
	at := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	return []payment.Reconciliation{{
		Processor: "acme", StartedAt: at, EndedAt: at.Add(90 * time.Second), Complete: true, Counts: payment.ReconcileCounts{Listed: 300},
	}}, nil
}

// unknownForAnHour is a backlog of two payments that have been unknown for an hour.
var unknownForAnHour = backlog(func(context.Context) ([]store.Backlog, error) {
	return []store.Backlog{{Processor: "acme", Status: payment.Unknown, Count: 2, Since: time.Now().Add(-time.Hour)}}, nil
})

func newClient(t *testing.T, url string, o httpclient.Options) *httpclient.Client {
	t.Helper()
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: "sk_a_secret"}, nil
	})
	require.NoError(t, err)
	breaker, err := breaker.New(breaker.Default)
	require.NoError(t, err)
	o.Name, o.BaseURL, o.Credentials, o.Breaker = "acme", url, credentials, breaker
	o.AttemptTimeout, o.MaxInFlight = 5*time.Second, 7
	if o.Limiter == nil {
		o.Limiter = ratelimit.New(0, 1, time.Second)
	}
	c, err := httpclient.New(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// allMetrics returns a Telemetry in which every metric of Florin has a value.
func allMetrics(t *testing.T) *Telemetry {
	t.Helper()
	metrics := New(nil)
	metrics.CountTransition(store.Transition{
		Processor: "acme", Currency: "USD", From: payment.Processing, To: payment.Succeeded,
		FirstOutcome: true, After: 300 * time.Millisecond,
	})
	metrics.CountTransition(store.Transition{
		Refund: true, Processor: "acme", Currency: "USD", From: payment.Processing, To: payment.Succeeded,
		FirstOutcome: true, After: time.Second,
	})
	metrics.CountEvent("acme", "dispute")
	metrics.CountRefused("ProcessorCharge", "foreign")
	metrics.CountBatchLines(payment.Declined, 3)
	metrics.CountCall(answered)
	ambiguous := answered
	ambiguous.Certainty, ambiguous.Class, ambiguous.Status, ambiguous.Attempt, ambiguous.Sends = processor.Ambiguous, payment.ClassUnavailable, 500, 2, 3
	metrics.CountCall(ambiguous)

	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		w.Header().Set("RateLimit", `"default";r=7;t=60`)
	}))
	t.Cleanup(s.Close)
	limiter := ratelimit.New(0, 10, time.Second)
	limiter.Permit(ratelimit.Permit{PerSecond: 2.5, Burst: 5, Paused: &ratelimit.Pause{By: "jane", Reason: "incident"}})
	c := newClient(t, s.URL, httpclient.Options{Limiter: limiter})
	_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/refused"})
	require.Error(t, err)
	_, err = c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/"})
	require.NoError(t, err)
	metrics.SetSources(Sources{
		Processors: map[string]*httpclient.Client{"acme": c}, Store: unknownForAnHour, AuditLost: func() uint64 { return 3 },
		SharesAge: func() time.Duration { return 2 * time.Second }, Intervals: map[string]time.Duration{"acme": time.Hour},
	})
	return metrics
}

func scrape(t *testing.T, metrics *Telemetry) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, recorder.Code)
	return recorder.Body.String()
}

func TestMetricsHaveTheObservedValues(t *testing.T) {
	metrics := allMetrics(t)
	text := scrape(t, metrics)
	for _, line := range []string{
		`# TYPE florin_payments_total counter`,
		`florin_payments_total{currency="USD",processor="acme",status="succeeded"} 1`,
		`florin_refunds_total{currency="USD",processor="acme",status="succeeded"} 1`,
		`florin_processor_calls_total{certainty="answered",class="",operation="charge",processor="acme"} 1`,
		`florin_processor_calls_total{certainty="ambiguous",class="unavailable",operation="charge",processor="acme"} 1`,
		`florin_processor_retries_total{operation="charge",processor="acme"} 1`,
		`florin_processor_resends_total{processor="acme"} 2`,
		`florin_webhook_events_total{processor="acme",result="dispute"} 1`,
		`florin_refused_calls_total{operation="ProcessorCharge",reason="foreign"} 1`,
		`florin_audit_records_lost_total 3`,
		`florin_store_up 1`,
		`florin_payment_outcome_duration_seconds_bucket{processor="acme",status="succeeded",le="0.25"} 0`,
		`florin_payment_outcome_duration_seconds_bucket{processor="acme",status="succeeded",le="0.5"} 1`,
		`florin_refund_outcome_duration_seconds_sum{processor="acme",status="succeeded"} 1`,
		`florin_processor_call_duration_seconds_count{certainty="answered",operation="charge",processor="acme"} 1`,
		`florin_processor_limiter_wait_seconds_count{processor="acme"} 2`,
		`florin_payments_waiting{processor="acme",status="unknown"} 2`,
		`florin_payments_waiting{processor="acme",status="needs_reconciliation"} 0`,
		`florin_payments_waiting_oldest_seconds{processor="acme",status="authorized"} 0`,
		`florin_refunds_waiting{processor="acme",status="unknown"} 0`,
		`florin_divergences_open{kind="dispute"} 1`,
		`florin_reconciliation_interval_seconds{processor="acme"} 3600`,
		`florin_reconciliation_last_duration_seconds{processor="acme"} 90`,
		`florin_reconciliation_last_records{processor="acme"} 300`,
		`florin_reconciliation_last_complete{processor="acme"} 1`,
		`florin_divergences_open{kind="refund_status"} 0`,
		`florin_batch_lines_total{status="declined"} 3`,
		`florin_batches_unfinished{state="running"} 2`,
		`florin_batches_unfinished{state="paused"} 0`,
		`florin_batch_lines_waiting{state="running"} 70`,
		`florin_batch_lines_open{state="running"} 5`,
		`florin_processor_calls_in_flight_limit{processor="acme"} 7`,
		`florin_processor_breaker_state{processor="acme",state="closed"} 1`,
		`florin_processor_breaker_state{processor="acme",state="open"} 0`,
		`florin_processor_paused{processor="acme"} 1`,
		`florin_processor_rate_share_calls_per_second{processor="acme"} 2.5`,
		`florin_rate_shares_age_seconds 2`,
		`florin_processor_hold_seconds{processor="acme"} 0`,
		`florin_processor_quota_remaining_calls{processor="acme"} 7`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Regexp(t, `(?m)^florin_batch_idle_seconds 36\d\d\.`, text)
	require.Regexp(t, `(?m)^florin_batch_unattended_seconds\{state="running"\} 72\d\d\.`, text)
	require.Contains(t, text, `florin_batch_unattended_seconds{state="canceled"} 0`)
	require.Regexp(t, `(?m)^florin_processor_cut_rate_calls_per_second\{processor="acme"\} \d`, text)
	require.Regexp(t, `(?m)^florin_reconciliation_window_age_seconds\{processor="acme"\} 72\d\d\.`, text)
	require.Regexp(t, `(?m)^florin_payments_waiting_oldest_seconds\{processor="acme",status="unknown"\} 36\d\d\.`, text)
}

func TestTransitionWithoutFirstOutcomeHasNoDuration(t *testing.T) {
	metrics := New(nil)
	metrics.CountTransition(store.Transition{Processor: "acme", Currency: "USD", To: payment.Processing})
	metrics.CountTransition(store.Transition{Processor: "acme", Currency: "USD", From: payment.Authorized, To: payment.Succeeded, After: time.Hour})
	require.NotContains(t, scrape(t, metrics), "florin_payment_outcome_duration_seconds")
}

func TestAttemptThatWasNotSentHasNoCallDuration(t *testing.T) {
	metrics := New(nil)
	metrics.CountCall(httpclient.Observation{
		Processor: "acme", Operation: "charge", Certainty: processor.NotExecuted, Class: payment.ClassUnavailable,
		Attempt: 1, Waited: 2 * time.Second,
	})
	text := scrape(t, metrics)
	require.NotContains(t, text, "florin_processor_call_duration_seconds")
	require.Contains(t, text, `florin_processor_limiter_wait_seconds_sum{processor="acme"} 2`)
}

func TestStoreQueriesAreLimitedInFrequencyAndDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics, queries := New(nil), 0
		metrics.SetSources(Sources{Store: backlog(func(ctx context.Context) ([]store.Backlog, error) {
			queries++
			if queries < 3 {
				return unknownForAnHour(ctx)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})})
		require.Contains(t, scrape(t, metrics), "florin_store_up 1\n")
		<-time.After(storeQueryInterval - time.Second)
		require.Contains(t, scrape(t, metrics), `florin_payments_waiting_oldest_seconds{processor="acme",status="unknown"} 3609`,
			"the age grows between queries")
		require.Equal(t, 1, queries)
		<-time.After(time.Second)
		scrape(t, metrics)
		require.Equal(t, 2, queries)

		<-time.After(storeQueryInterval)
		began := time.Now()
		text := scrape(t, metrics)
		require.Equal(t, storeQueryTimeout, time.Since(began))
		require.NotContains(t, text, "florin_payments_waiting", "an unknown backlog is left out")
		require.Contains(t, text, "florin_divergences_open{", "and nothing else")
		require.Contains(t, text, "florin_store_up 1\n", "a large backlog does not mean that the store is down")
		require.NoError(t, metrics.CheckStore())
		scrape(t, metrics)
		require.Equal(t, 3, queries, "a failing store is not queried more often")
	})
}

// writeOnly is a store that does not answer reads.
type writeOnly struct{ backlog }

func (writeOnly) CheckRead(context.Context) error { return errors.New("too many connections") }

// readOnly is a store that answers reads only.
type readOnly struct{ backlog }

func (readOnly) CheckWrite(context.Context) error { return errors.New("read-only transaction") }

func TestStoreThatOnlyAnswersReadsIsNotUp(t *testing.T) {
	metrics := New(nil)
	metrics.SetSources(Sources{Store: readOnly{unknownForAnHour}})
	require.Contains(t, scrape(t, metrics), "florin_store_up 0\n")
	require.EqualError(t, metrics.CheckStore(), "read-only transaction")
}

func TestStoreThatOnlyAcceptsWritesIsNotUp(t *testing.T) {
	metrics := New(nil)
	metrics.SetSources(Sources{Store: writeOnly{unknownForAnHour}})
	text := scrape(t, metrics)
	require.Contains(t, text, "florin_store_up 0\n")
	require.NotContains(t, text, "florin_payments_waiting")
	require.EqualError(t, metrics.CheckStore(), "too many connections")
}

func TestNewSourcesReplaceEarlierOnes(t *testing.T) {
	metrics := New(nil)
	require.NotContains(t, scrape(t, metrics), "florin_store_up")
	require.EqualError(t, metrics.CheckStore(), "no store is open")
	metrics.SetSources(Sources{Store: readOnly{unknownForAnHour}})
	require.Contains(t, scrape(t, metrics), "florin_store_up 0\n")
	metrics.SetSources(Sources{Store: unknownForAnHour})
	require.Contains(t, scrape(t, metrics), "florin_store_up 1\n")
	require.NoError(t, metrics.CheckStore())
}

func TestSDKMetricsHaveTheNamesFromTemporalsDocumentation(t *testing.T) {
	metrics := New(nil)
	var o client.Options
	metrics.Temporal(&o)
	require.Empty(t, o.Interceptors, "tracing is off")
	h := o.MetricsHandler
	h.WithTags(map[string]string{"namespace": "default"}).
		WithTags(map[string]string{"operation": "PollActivityTaskQueue"}).Counter("temporal_request").Inc(2)
	h.WithTags(map[string]string{"operation": "PollActivityTaskQueue", "namespace": "default"}).Counter("temporal_request").Inc(1)
	h.WithTags(map[string]string{"namespace": "default"}).Counter("temporal_request").Inc(1) // with other labels
	h.Counter("temporal_local_activity_total").Inc(1)
	h.Counter("temporal_local_activity_total").Inc(-1)
	h.Gauge("temporal_num_pollers").Update(5)
	h.Gauge("temporal_num_pollers").Update(4)
	h.Timer("temporal_request_latency").Record(20 * time.Millisecond)
	text := scrape(t, metrics)
	for _, line := range []string{
		`temporal_request_total{namespace="default",operation="PollActivityTaskQueue"} 3`,
		`temporal_request_total{namespace="default"} 1`,
		`temporal_local_activity_total 1`,
		`temporal_num_pollers 4`,
		`temporal_request_latency_seconds_bucket{le="0.025"} 1`,
		`temporal_request_latency_seconds_count 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
}

// BenchmarkCountCall measures what metrics add to one call to a processor.
func BenchmarkCountCall(b *testing.B) {
	metrics := New(nil)
	b.ReportAllocs()
	for b.Loop() {
		metrics.CountCall(answered)
	}
}

// BenchmarkSDKMetric measures one metric of Temporal's SDK.
func BenchmarkSDKMetric(b *testing.B) {
	h := New(nil).sdk.handler().WithTags(map[string]string{"namespace": "default"})
	b.ReportAllocs()
	for b.Loop() {
		h.WithTags(map[string]string{"activity_type": "ProcessorCharge", "workflow_type": "Charge"}).Counter("temporal_activity_execution").Inc(1)
	}
}

// BenchmarkCountTransition measures what metrics add to one transition in the store.
func BenchmarkCountTransition(b *testing.B) {
	metrics := New(nil)
	c := store.Transition{Processor: "acme", Currency: "USD", From: payment.Processing, To: payment.Succeeded, FirstOutcome: true, After: time.Second}
	b.ReportAllocs()
	for b.Loop() {
		metrics.CountTransition(c)
	}
}
