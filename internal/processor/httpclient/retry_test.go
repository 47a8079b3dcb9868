package httpclient

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// pipeServer starts a server that works inside a synctest bubble, where real sockets would block the virtual clock. The
// returned function connects a client to it.
func pipeServer(t *testing.T, h http.HandlerFunc) func(*Client) {
	t.Helper()
	connections := make(chan net.Conn)
	l := pipeListener{connections: connections, closed: make(chan struct{})}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return func(c *Client) {
		t.Cleanup(c.Close)
		c.connections.settings.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			client, server := net.Pipe()
			select {
			case connections <- server:
				return client, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

type pipeListener struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.connections:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l pipeListener) Close() error   { close(l.closed); return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// script is a server that runs the handlers in order and repeats the last one.
type script struct {
	handlers []http.HandlerFunc
	calls    atomic.Int32
}

func (s *script) serve(w http.ResponseWriter, r *http.Request) {
	n := int(s.calls.Add(1))
	_, _ = io.Copy(io.Discard, r.Body)
	s.handlers[min(n, len(s.handlers))-1](w, r)
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// steady is a random source that yields the delay of the strategy without jitter.
func steady() float64 { return 0.5 }

// testRetry returns a policy without jitter that waits 1 s, 2 s, 4 s and 8 s.
func testRetry() *retry.Policy {
	r := retry.Default()
	r.Random, r.Budget = steady, nil
	return r
}

// retrying returns a client with a retry policy and a scripted server, for use in a synctest bubble.
func retrying(t *testing.T, s *script, retry *retry.Policy) *Client {
	t.Helper()
	connect := pipeServer(t, s.serve)
	c := newClient(t, "http://localhost", func(o *Options) { o.Retry = retry; o.Limiter = ratelimit.New(0, 1, time.Hour) })
	connect(c)
	return c
}

func TestRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		handlers  []http.HandlerFunc
		calls     int
		took      time.Duration
		certainty processor.Certainty // empty: success
		class     payment.FailureClass
	}{
		"success": {handlers: []http.HandlerFunc{status(200)}, calls: 1},
		"success after errors": {handlers: []http.HandlerFunc{status(500), status(502), status(429),
			status(201)}, calls: 4, took: 7 * time.Second},
		"errors only": {handlers: []http.HandlerFunc{status(503)}, calls: 5,
			took: 15 * time.Second, certainty: processor.Ambiguous, class: payment.ClassUnavailable},
		"rate limit only": {handlers: []http.HandlerFunc{status(429)}, calls: 5,
			took: 15 * time.Second, certainty: processor.NotExecuted, class: payment.ClassRateLimited},
		"a refusal": {handlers: []http.HandlerFunc{status(400)}, calls: 1,
			certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		"a state conflict": {handlers: []http.HandlerFunc{status(409)}, calls: 1,
			certainty: processor.Ambiguous, class: payment.ClassStateConflict},
		"a decline": {handlers: []http.HandlerFunc{status(402)}, calls: 1,
			certainty: processor.Answered},
		"a refusal after a missing response": {handlers: []http.HandlerFunc{hangUp, status(403)}, calls: 2,
			took: time.Second, certainty: processor.Ambiguous, class: payment.ClassPermission},
		"a 429 after a missing response": {handlers: []http.HandlerFunc{hangUp, status(429)}, calls: 5,
			took: 15 * time.Second, certainty: processor.Ambiguous, class: payment.ClassRateLimited},
		"a decline after a missing response": {handlers: []http.HandlerFunc{hangUp, status(402)}, calls: 2,
			took: time.Second, certainty: processor.Answered},
		"Retry-After is the minimum wait": {handlers: []http.HandlerFunc{status(429, "Retry-After", "30"),
			status(200)}, calls: 2, took: 33750 * time.Millisecond},
		"retry header true": {handlers: []http.HandlerFunc{status(400, "X-Again", "true"), status(200)},
			calls: 2, took: time.Second},
		"retry header false": {handlers: []http.HandlerFunc{status(500, "X-Again", "false")}, calls: 1,
			certainty: processor.Ambiguous, class: payment.ClassUnavailable},
		"retry header with another value": {handlers: []http.HandlerFunc{status(400, "X-Again", "yes")}, calls: 1,
			certainty: processor.NotExecuted, class: payment.ClassInvalidRequest},
		"Retry-After beyond the time limit": {handlers: []http.HandlerFunc{status(429, "Retry-After", "120")}, calls: 1,
			certainty: processor.NotExecuted, class: payment.ClassRateLimited},
		"malformed body": {handlers: []http.HandlerFunc{func(w http.ResponseWriter,
			_ *http.Request) {
			_, _ = w.Write([]byte("<html>"))
		}, status(200)}, calls: 2, took: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{handlers: tc.handlers}
				c := retrying(t, s, testRetry())
				c.profile.RetryHeader = "X-Again"
				c.profile.Refusal = func(a processor.Answer) (r processor.Refusal) {
					if a.Status == http.StatusPaymentRequired {
						r.Decline = &payment.Decline{Code: "card_declined", Kind: payment.DeclineSoft}
					}
					return r
				}
				call := charge()
				call.Decode = func(body []byte) error {
					if len(body) > 0 {
						return errors.New("not a payment")
					}
					return nil
				}
				began := time.Now()
				a, err := c.Do(t.Context(), call)
				require.EqualValues(t, tc.calls, s.calls.Load())
				require.Equal(t, tc.took, time.Since(began))
				require.Equal(t, tc.calls, a.Sends)
				require.Equal(t, tc.certainty == processor.Answered, a.Decline != nil)
				if tc.certainty == "" || tc.certainty == processor.Answered {
					require.NoError(t, err)
					return
				}
				var e *processor.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, []any{tc.certainty, tc.class}, []any{e.Certainty, e.Class})
			})
		})
	}
}

func TestMaxElapsedLimitsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handlers: []http.HandlerFunc{status(500)}}
		r := testRetry()
		r.MaxAttempts, r.MaxElapsed = 1000, time.Minute
		began := time.Now()
		_, err := retrying(t, s, r).Do(t.Context(), charge())
		require.Error(t, err)
		// After 1, 3, 7, 15, 31 and 57.25 s; the next would be due after 83.5 s.
		require.EqualValues(t, 7, s.calls.Load())
		require.Equal(t, 57250*time.Millisecond, time.Since(began),
			"the call ends without waiting for an attempt that would be too late")
	})
}

func TestCancelingEndsTheBackoffAtOnceAndKeepsTheCertainty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handlers: []http.HandlerFunc{hangUp}}
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(2500*time.Millisecond, cancel)
		_, err := retrying(t, s, testRetry()).Do(ctx, charge())
		require.Equal(t, 2500*time.Millisecond, time.Since(began))
		require.ErrorIs(t, err, context.Canceled)
		var e *processor.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, processor.Ambiguous, e.Certainty)
		require.EqualValues(t, 2, s.calls.Load())
	})
}

func TestEveryAttemptHasItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handlers: []http.HandlerFunc{func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			status(200)}}
		began := time.Now()
		_, err := retrying(t, s, testRetry()).Do(t.Context(), charge())
		require.NoError(t, err)
		require.Equal(t, 11*time.Second, time.Since(began), "10 s of the first attempt and 1 s of backoff")
	})
}

func TestKeyThatExpiresBetweenAttemptsIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{handlers: []http.HandlerFunc{status(429)}}
		c := retrying(t, s, testRetry())
		c.profile.KeyLifetime = 5 * time.Second
		_, err := c.Do(t.Context(), charge())
		var e *processor.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, []any{processor.CodeKeyExpired, processor.Ambiguous}, []any{e.Code, e.Certainty})
		require.EqualValues(t, 3, s.calls.Load())
	})
}

func TestCallWithoutARetryPolicyIsOneAttempt(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{status(500)}}
	_, err := newClient(t, serve(t, s.serve).URL).Do(t.Context(), charge())
	require.Error(t, err)
	require.EqualValues(t, 1, s.calls.Load())
}

func TestJitterSpreadsRetries(t *testing.T) {
	const seed = 7
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	synctest.Test(t, func(t *testing.T) {
		r := testRetry()
		r.MaxAttempts, r.Random = 2, random.Float64
		for range 50 {
			s := &script{handlers: []http.HandlerFunc{status(500), status(200)}}
			began := time.Now()
			_, err := retrying(t, s, r).Do(t.Context(), charge())
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(began), 750*time.Millisecond)
			require.LessOrEqual(t, time.Since(began), 1250*time.Millisecond)
		}
	})
}

func TestInvalidRetryPolicyIsRefused(t *testing.T) {
	for want, invalidate := range map[string]func(*retry.Policy){
		"retry.max_attempts 0": func(r *retry.Policy) { r.MaxAttempts = 0 },
		"retry.max_elapsed 0s": func(r *retry.Policy) { r.MaxElapsed = 0 },
		"retry.backoff.max":    func(r *retry.Policy) { r.Backoff.Max = 0 },
		"retry.random":         func(r *retry.Policy) { r.Random = nil },
	} {
		r := testRetry()
		invalidate(r)
		_, err := New(Options{BaseURL: "https://h", Credentials: &credentials.Credentials{},
			Limiter: ratelimit.New(0, 1, 0), AttemptTimeout: 1, MaxInFlight: 1, Retry: r})
		require.ErrorContains(t, err, want)
	}
}
