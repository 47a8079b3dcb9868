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

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

// answered is an attempt that went well.
var answered = processor.Observation{
	Processor: "acme", Operation: "charge", Outcome: processor.Answered, Status: 200, Attempt: 1, Sends: 1, Took: 80 * time.Millisecond,
}

// anHourAgo is what a store has that nobody could clear up.
func anHourAgo(context.Context) ([]store.Backlog, error) {
	return []store.Backlog{{Processor: "acme", Status: payment.Unknown, Count: 2, Since: time.Now().Add(-time.Hour)}}, nil
}

func newClient(t *testing.T, url string, o processor.ClientOptions) *processor.Client {
	t.Helper()
	credentials, err := processor.NewCredentials(t.Context(), func(context.Context) (processor.Key, error) { return processor.Key{Value: "sk_a_secret_of_ours"}, nil })
	require.NoError(t, err)
	breaker, err := processor.NewBreaker(processor.DefaultBreaker)
	require.NoError(t, err)
	o.Name, o.BaseURL, o.Credentials, o.Breaker = "acme", url, credentials, breaker
	o.Limiter, o.AttemptTimeout, o.MaxInFlight = processor.NewLimiter(0, 1, time.Second), 5*time.Second, 7
	c, err := processor.NewClient(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// everything has told of everything that there is to tell, once.
func everything(t *testing.T) *Telemetry {
	t.Helper()
	told := New(nil)
	told.Moved(store.Transition{Processor: "acme", Currency: "USD", From: payment.Processing, To: payment.Succeeded, FirstOutcome: true, After: 300 * time.Millisecond})
	told.Moved(store.Transition{Refund: true, Processor: "acme", Currency: "USD", From: payment.Processing, To: payment.Succeeded, FirstOutcome: true, After: time.Second})
	told.Called(answered)
	again := answered
	again.Outcome, again.Class, again.Status, again.Attempt, again.Sends = processor.Ambiguous, payment.ClassUnavailable, 500, 2, 3
	told.Called(again)

	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("RateLimit", `"default";r=7;t=60`) }))
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, processor.ClientOptions{})
	_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/"})
	require.NoError(t, err)
	told.Watch(Sources{
		Processors: map[string]*processor.Client{"acme": c}, Waiting: anHourAgo, AuditLost: func() uint64 { return 3 },
	})
	return told
}

func scrape(t *testing.T, told *Telemetry) string {
	t.Helper()
	answer := httptest.NewRecorder()
	told.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, answer.Code)
	return answer.Body.String()
}

func TestWhatHappensIsCounted(t *testing.T) {
	told := everything(t)
	text := scrape(t, told)
	for _, line := range []string{
		`# TYPE florin_payments_total counter`,
		`florin_payments_total{currency="USD",processor="acme",status="succeeded"} 1`,
		`florin_refunds_total{currency="USD",processor="acme",status="succeeded"} 1`,
		`florin_processor_calls_total{certainty="answered",class="",operation="charge",processor="acme"} 1`,
		`florin_processor_calls_total{certainty="ambiguous",class="unavailable",operation="charge",processor="acme"} 1`,
		`florin_processor_retries_total{operation="charge",processor="acme"} 1`,
		`florin_processor_resends_total{processor="acme"} 2`,
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
		`florin_processor_calls_in_flight_limit{processor="acme"} 7`,
		`florin_processor_breaker_state{processor="acme",state="closed"} 1`,
		`florin_processor_breaker_state{processor="acme",state="open"} 0`,
		`florin_processor_hold_seconds{processor="acme"} 0`,
		`florin_processor_quota_remaining_calls{processor="acme"} 7`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Regexp(t, `(?m)^florin_payments_waiting_oldest_seconds\{processor="acme",status="unknown"\} 36\d\d\.`, text)
}

func TestAChangeThatIsNoFirstOutcomeHasNoDuration(t *testing.T) {
	told := New(nil)
	told.Moved(store.Transition{Processor: "acme", Currency: "USD", To: payment.Processing})
	told.Moved(store.Transition{Processor: "acme", Currency: "USD", From: payment.Authorized, To: payment.Succeeded, After: time.Hour})
	require.NotContains(t, scrape(t, told), "florin_payment_outcome_duration_seconds")
}

func TestWhatWasNotSentHasNoTimeOnTheWire(t *testing.T) {
	told := New(nil)
	told.Called(processor.Observation{Processor: "acme", Operation: "charge", Outcome: processor.NotExecuted, Class: payment.ClassUnavailable, Attempt: 1, Waited: 2 * time.Second})
	text := scrape(t, told)
	require.NotContains(t, text, "florin_processor_call_duration_seconds")
	require.Contains(t, text, `florin_processor_limiter_wait_seconds_sum{processor="acme"} 2`)
}

func TestTheStoreIsAskedNowAndThenAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, asked := New(nil), 0
		told.Watch(Sources{Waiting: func(ctx context.Context) ([]store.Backlog, error) {
			asked++
			if asked < 3 {
				return anHourAgo(ctx)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		require.Contains(t, scrape(t, told), "florin_store_up 1\n")
		<-time.After(askAgain - time.Second)
		require.Contains(t, scrape(t, told), `florin_payments_waiting_oldest_seconds{processor="acme",status="unknown"} 3609`, "the age grows all the same")
		require.Equal(t, 1, asked)
		<-time.After(time.Second)
		scrape(t, told)
		require.Equal(t, 2, asked)

		<-time.After(askAgain)
		began := time.Now()
		text := scrape(t, told)
		require.Equal(t, askFor, time.Since(began))
		require.Contains(t, text, "florin_store_up 0\n")
		require.NotContains(t, text, "florin_payments_waiting", "what is not known is not told")
		scrape(t, told)
		require.Equal(t, 3, asked, "a store that is down is not asked more often")
	})
}

func TestAWorkerThatIsBuiltAnewIsTheOneThatIsWatched(t *testing.T) {
	told := New(nil)
	require.NotContains(t, scrape(t, told), "florin_store_up")
	told.Watch(Sources{Waiting: func(context.Context) ([]store.Backlog, error) { return nil, errors.New("closed") }})
	require.Contains(t, scrape(t, told), "florin_store_up 0\n")
	told.Watch(Sources{Waiting: anHourAgo})
	require.Contains(t, scrape(t, told), "florin_store_up 1\n")
}

func TestTheSDKsMetricsHaveTheNamesOfPrometheus(t *testing.T) {
	told := New(nil)
	var o client.Options
	told.Temporal(&o)
	require.Empty(t, o.Interceptors, "nothing is traced")
	h := o.MetricsHandler
	h.WithTags(map[string]string{"namespace": "default"}).WithTags(map[string]string{"operation": "PollActivityTaskQueue"}).Counter("temporal_request").Inc(2)
	h.WithTags(map[string]string{"operation": "PollActivityTaskQueue", "namespace": "default"}).Counter("temporal_request").Inc(1)
	h.WithTags(map[string]string{"namespace": "default"}).Counter("temporal_request").Inc(1) // with other labels
	h.Counter("temporal_local_activity_total").Inc(1)
	h.Counter("temporal_local_activity_total").Inc(-1)
	h.Gauge("temporal_num_pollers").Update(5)
	h.Gauge("temporal_num_pollers").Update(4)
	h.Timer("temporal_request_latency").Record(20 * time.Millisecond)
	text := scrape(t, told)
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

// What telemetry adds to one call to a processor, with metrics and without traces.
func BenchmarkCalled(b *testing.B) {
	told := New(nil)
	b.ReportAllocs()
	for b.Loop() {
		told.Called(answered)
	}
}

// What it adds to a payment at the store.
func BenchmarkSDKMetric(b *testing.B) {
	h := New(nil).sdk.handler().WithTags(map[string]string{"namespace": "default"})
	b.ReportAllocs()
	for b.Loop() {
		h.WithTags(map[string]string{"activity_type": "ProcessorCharge", "workflow_type": "Charge"}).Counter("temporal_activity_execution").Inc(1)
	}
}

func BenchmarkMoved(b *testing.B) {
	told := New(nil)
	c := store.Transition{Processor: "acme", Currency: "USD", From: payment.Processing, To: payment.Succeeded, FirstOutcome: true, After: time.Second}
	b.ReportAllocs()
	for b.Loop() {
		told.Moved(c)
	}
}
