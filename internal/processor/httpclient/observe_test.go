package httpclient

import (
	"context"
	"errors"
	"math"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestEveryAttemptIsObserved(t *testing.T) {
	const took = 300 * time.Millisecond
	respond := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(took)
			w.WriteHeader(code)
		}
	}
	for name, tc := range map[string]struct {
		respond http.HandlerFunc
		change  func(*processor.Call)
		want    Observation
	}{
		"success": {respond: respond(200),
			want: Observation{Certainty: processor.Answered, Status: 200, Took: took, Sends: 1}},
		"decline": {respond: respond(402),
			want: Observation{Certainty: processor.Answered, Status: 402, Took: took, Sends: 1}},
		"refusal": {respond: respond(400),
			want: Observation{Certainty: processor.NotExecuted, Class: payment.ClassInvalidRequest, Status: 400,
				Took: took, Sends: 1}},
		"server error": {respond: respond(500),
			want: Observation{Certainty: processor.Ambiguous, Class: payment.ClassUnavailable, Status: 500, Took: took,
				Sends: 1}},
		"no response": {respond: hangUp,
			want: Observation{Certainty: processor.Ambiguous, Class: payment.ClassOutcomeUnknown, Sends: 1}},
		"body refused by Decode": {respond: respond(200),
			change: func(c *processor.Call) { c.Decode = func([]byte) error { return errors.New("x") } },
			want: Observation{Certainty: processor.Ambiguous, Class: payment.ClassInvalidResponse, Status: 200,
				Took: took, Sends: 1}},
		"no key": {respond: respond(200), change: func(c *processor.Call) { c.Key = "" },
			want: Observation{Certainty: processor.NotExecuted, Class: payment.ClassConfig}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []Observation
				connect := pipeServer(t, (&script{handlers: []http.HandlerFunc{tc.respond}}).serve)
				c := newClient(t, "http://localhost", func(o *Options) {
					o.Name, o.Observe = "acme", func(o Observation) { seen = append(seen, o) }
					o.Profile.Refusal = func(a processor.Answer) (r processor.Refusal) {
						if a.Status == http.StatusPaymentRequired {
							r.Decline = &payment.Decline{}
						}
						return r
					}
				})
				connect(c)
				call := charge()
				call.Operation = "charge"
				if tc.change != nil {
					tc.change(&call)
				}
				_, _ = c.Do(t.Context(), call)
				tc.want.Processor, tc.want.Operation, tc.want.Attempt = "acme", "charge", 1
				require.Equal(t, []Observation{tc.want}, seen)
			})
		})
	}
}

func TestRetriesAndReplaysAreObservedSeparatelyWithTheirWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Observation
		s := &script{handlers: []http.HandlerFunc{status(401), status(429, "Retry-After", "3"), status(200)}}
		connect := pipeServer(t, s.serve)
		c := newClient(t, "http://localhost", func(o *Options) {
			o.Limiter, o.Retry = ratelimit.New(1, 1, time.Minute), testRetry()
			o.Observe = func(o Observation) { seen = append(seen, o) }
		})
		connect(c)
		_, err := c.Do(t.Context(), charge())
		require.NoError(t, err)
		var statuses, attempts []int
		var waits []time.Duration
		for _, o := range seen {
			statuses = append(statuses, o.Status)
			attempts = append(attempts, o.Attempt)
			waits = append(waits, o.Waited)
		}
		require.Equal(t, []int{401, 429, 200}, statuses)
		require.Equal(t, []int{1, 1, 2}, attempts)
		require.Equal(t, []time.Duration{0, time.Second, 0}, waits,
			"Waited contains the wait for the rate limit, not the backoff")
	})
}

func TestCallThatIsNotSentIsObserved(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(*Client)
		class   payment.FailureClass
	}{
		"by the limiter": {prepare: func(c *Client) { c.limiter.Hold(time.Minute) }, class: payment.ClassUnavailable},
		"by the bulkhead": {prepare: func(c *Client) { _ = c.bulkhead.enter(context.Background()) },
			class: payment.ClassUnavailable},
		"by the breaker": {prepare: func(c *Client) {
			for range testBreaker.MinCalls {
				passed, _ := c.breaker.Allow()
				passed.Report(breaker.Outcome{Status: 500})
			}
		}, class: payment.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []Observation
			c := newClient(t, "http://127.0.0.1:1", func(o *Options) {
				o.Breaker = newTestBreaker(t)
				o.Observe = func(o Observation) { seen = append(seen, o) }
			})
			tc.prepare(c)
			_, err := c.Do(t.Context(), charge())
			requireError(t, err, processor.NotExecuted, true, tc.class)
			require.Len(t, seen, 1)
			require.Equal(t, []any{processor.NotExecuted, tc.class, 0, 0},
				[]any{seen[0].Certainty, seen[0].Class, seen[0].Status, seen[0].Sends})
		})
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &script{handlers: []http.HandlerFunc{
			status(200, "RateLimit", `"default";r=7;t=60`),
			func(w http.ResponseWriter, _ *http.Request) { <-release },
			status(503, "Retry-After", "30"),
		}}
		connect := pipeServer(t, s.serve)
		c := newClient(t, "http://localhost", func(o *Options) {
			o.MaxInFlight, o.Breaker, o.Limiter = 5, newTestBreaker(t), ratelimit.New(0, 1, time.Hour)
		})
		connect(c)
		require.Equal(t, Stats{MaxInFlight: 5, PerSecond: math.Inf(1), Breaker: "closed"}, c.Stats())

		_, err := c.Do(t.Context(), charge())
		require.NoError(t, err)
		<-time.After(20 * time.Second)
		require.Equal(t, Stats{MaxInFlight: 5, PerSecond: math.Inf(1), Breaker: "closed",
			Quota: &ratelimit.Quota{Remaining: 7, Reset: 40 * time.Second}}, c.Stats())

		var all sync.WaitGroup
		all.Go(func() { _, _ = c.Do(t.Context(), charge()) })
		synctest.Wait()
		require.Equal(t, 1, c.Stats().InFlight)
		close(release)
		all.Wait()
		require.Zero(t, c.Stats().InFlight)

		_, _ = c.Do(t.Context(), charge())
		require.Equal(t, 30*time.Second, c.Stats().Held)
		<-time.After(time.Minute)
		require.Equal(t, Stats{MaxInFlight: 5, PerSecond: math.Inf(1), Breaker: "closed"}, c.Stats(), "the quota and the hold have ended")
	})
}

func TestRequestIsTracedFromItsSendToItsEnd(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"00-abc": 200}[r.Header.Get("Traceparent")])
	}}}
	type caller struct{}
	var ended []Observation
	began := 0
	c := newClient(t, serve(t, s.serve).URL, func(o *Options) {
		o.Trace = func(ctx context.Context, operation string, header http.Header) func(Observation) {
			began++
			require.Equal(t, "a span", ctx.Value(caller{}))
			require.Equal(t, "charge", operation)
			header.Set("Traceparent", "00-abc")
			return func(o Observation) { ended = append(ended, o) }
		}
	})
	ctx := context.WithValue(t.Context(), caller{}, "a span")
	call := charge()
	call.Operation = "charge"
	_, err := c.Do(ctx, call)
	require.NoError(t, err)
	require.Len(t, ended, 1)
	require.Equal(t, []any{processor.Answered, 200, 1}, []any{ended[0].Certainty, ended[0].Status, ended[0].Sends})

	c.limiter.Hold(time.Minute)
	_, err = c.Do(ctx, call)
	require.Error(t, err)
	require.Equal(t, 1, began, "no span for a call that is not sent")
}

func TestObserveIsOptional(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{status(200)}}
	_, err := newClient(t, serve(t, s.serve).URL).Do(t.Context(), charge())
	require.NoError(t, err)
}
