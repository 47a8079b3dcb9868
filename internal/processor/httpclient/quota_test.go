package httpclient

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestExhaustedQuotaDelaysOtherCalls(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit", `"default";r=0;t=60`)
		w.Header().Set("RateLimit-Policy", `"default";q=100;w=60`)
	})
	c := newClient(t, s.URL)
	_, err := c.Do(t.Context(), charge())
	require.NoError(t, err)
	_, err = c.Do(t.Context(), charge())
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, processor.NotExecuted, e.Certainty)
	require.Greater(t, e.RetryAfter, 59*time.Second)
}

func TestSeveral429InARowDelayOtherCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := status(http.StatusTooManyRequests, "Retry-After", "60")
		s := &script{handlers: []http.HandlerFunc{refused, refused, status(http.StatusOK), refused, refused, refused, status(http.StatusOK)}}
		c := newClient(t, "http://localhost")
		pipeServer(t, s.serve)(c)
		for range 5 {
			_, _ = c.Do(t.Context(), charge())
			<-time.After(time.Second)
			require.Zero(t, c.Stats().Held, "after %d calls", s.calls.Load())
			require.Positive(t, c.Stats().CutTo)
		}
		_, failed := answer(t, c, charge())
		require.Equal(t, payment.ClassRateLimited, failed.Class)
		require.Equal(t, time.Minute, c.Stats().Held)
		_, err := c.Do(t.Context(), charge())
		requireError(t, err, processor.NotExecuted, true, payment.ClassUnavailable)
		require.EqualValues(t, 6, s.calls.Load())
	})
}

func TestResponsesThatEndASeriesOf429(t *testing.T) {
	for _, tc := range []struct {
		status int
		ends   bool
	}{
		{status: http.StatusOK, ends: true},
		{status: http.StatusPaymentRequired, ends: true},
		{status: http.StatusInternalServerError, ends: true},
		{status: http.StatusServiceUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			refused := status(http.StatusTooManyRequests, "Retry-After", "60")
			s := &script{handlers: []http.HandlerFunc{refused, refused, status(tc.status), refused}}
			c := newClient(t, "http://localhost")
			pipeServer(t, s.serve)(c)
			for range 4 {
				_, _ = answer(t, c, charge())
				<-time.After(time.Second)
			}
			require.Equal(t, tc.ends, c.Stats().Held == 0, "%d", tc.status)
		})
	}
}

// lockTimeout is the processor's code for a lock on one payment.
const lockTimeout = "lock_timeout"

// locking returns the profile of a processor that answers with the code as the body.
func locking(o *Options) {
	o.Profile.Refusal = func(a processor.Answer) processor.Refusal { return processor.Refusal{Code: string(a.Body)} }
	o.Profile.ObjectLevel = func(_ int, code string) bool { return code == lockTimeout }
}

func TestResponseAboutOneObjectDoesNotAffectOtherCalls(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		code   string
		cut    bool
		held   bool
	}{
		{name: "lock", status: 429, code: lockTimeout},
		{name: "lock with a 503", status: 503, code: lockTimeout},
		{name: "rate limit", status: 429, code: "rate_limit", cut: true},
		{name: "no code", status: 429, cut: true},
		{name: "unavailable", status: 503, code: "maintenance", held: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.code))
			})
			b := newTestBreaker(t)
			c := newClient(t, s.URL, locking, func(o *Options) { o.Breaker = b })
			if tc.held || tc.cut {
				_, failed := answer(t, c, charge())
				require.Equal(t, time.Minute, failed.RetryAfter)
				require.Equal(t, []bool{tc.held, tc.cut}, []bool{c.Stats().Held > 0, c.Stats().CutTo > 0})
				return
			}
			for range 2 * testBreaker.MinCalls {
				_, failed := answer(t, c, charge()) // the call is sent
				require.Equal(t, time.Minute, failed.RetryAfter, "the call itself has to wait")
			}
			require.Equal(t, "closed", b.State())
			require.Zero(t, c.Stats().Held)
			require.Zero(t, c.Stats().CutTo)
		})
	}
}

func TestQuotaInAResponseAboutOneObjectIsUsed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit", `"default";r=5;t=60`)
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(lockTimeout))
	})
	c := newClient(t, s.URL, locking)
	_, _ = answer(t, c, charge())
	require.EqualValues(t, 5, c.Stats().Quota.Remaining)
}

func TestBreakerGetsItsReportAlthoughTheProfilePanics(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	b := newTestBreaker(t)
	c := newClient(t, s.URL, func(o *Options) {
		o.Breaker = b
		o.Profile.ObjectLevel = func(int, string) bool { panic("defect") }
	})
	for range testBreaker.MinCalls {
		require.PanicsWithValue(t, "defect", func() { _, _ = c.Do(t.Context(), charge()) })
	}
	require.Equal(t, "open", b.State())
}
