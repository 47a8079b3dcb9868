package breaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/classify"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

var testBreaker = Options{
	Window: 10 * time.Second, MinCalls: 4, FailureRatio: 0.5, OpenFor: 30 * time.Second, SlowCall: 5 * time.Second,
	Probes: 2,
}

// outcome is the outcome of one call.
type outcome struct {
	answer processor.Answer
	err    error
	took   time.Duration
}

var (
	success  = outcome{answer: processor.Answer{Status: 200}}
	failure  = outcome{answer: processor.Answer{Status: 503}}
	declined = outcome{answer: processor.Answer{Status: 402}}
	refused  = outcome{err: &processor.Error{Class: payment.ClassNotSent}}
	canceled = outcome{err: classify.NetworkError(context.Canceled, true)}
	slow     = outcome{answer: processor.Answer{Status: 200}, took: 5 * time.Second}
)

func call(t *testing.T, b *Breaker, o outcome) {
	t.Helper()
	passed, err := b.Allow()
	require.NoError(t, err)
	passed.Report(o.answer, o.err, o.took)
}

func newTestBreaker(t *testing.T) *Breaker {
	t.Helper()
	b, err := New(testBreaker)
	require.NoError(t, err)
	return b
}

func TestBreakerOpensForOutagesOnly(t *testing.T) {
	limited, badRequest := outcome{answer: processor.Answer{Status: 429}}, outcome{answer: processor.Answer{Status: 400}}
	for name, tt := range map[string]struct {
		calls []outcome
		open  bool
	}{
		"5xx":                              {calls: []outcome{failure, failure, failure, failure}, open: true},
		"refused connections":              {calls: []outcome{refused, refused, refused, refused}, open: true},
		"slow successes":                   {calls: []outcome{slow, slow, slow, slow}, open: true},
		"rate limits (429)":                {calls: []outcome{limited, limited, limited, limited}, open: true},
		"half of the calls fail":           {calls: []outcome{success, failure, success, failure}, open: true},
		"fewer than MinCalls":              {calls: []outcome{failure, failure, failure}, open: false},
		"less than half of the calls fail": {calls: []outcome{success, success, failure, success, failure}, open: false},
		"declines (402)": {calls: []outcome{declined, declined, declined, declined, declined},
			open: false},
		"failure requests (400)": {calls: []outcome{badRequest, badRequest, badRequest, badRequest}, open: false},
		"canceled calls": {calls: []outcome{canceled, canceled, canceled, canceled, canceled},
			open: false},
		"canceled calls do not count": {calls: []outcome{failure, failure, failure, canceled, canceled, canceled,
			canceled, canceled, failure}, open: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBreaker(t)
				for _, o := range tt.calls {
					call(t, b, o)
				}
				want := "closed"
				if tt.open {
					want = "open"
				}
				require.Equal(t, want, b.State())
			})
		})
	}
}

func TestOpenBreakerReportsHowLongItStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker(t)
		for range 4 {
			call(t, b, failure)
		}
		<-time.After(10 * time.Second)
		_, err := b.Allow()
		var e *processor.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, []any{payment.ClassUnavailable, processor.NotExecuted, true, 20 * time.Second},
			[]any{e.Class, e.Certainty, e.Retry, e.RetryAfter})
	})
}

func TestProbesCloseTheBreakerOrOpenItAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		probes []outcome
		want   string
	}{
		"all succeed":      {probes: []outcome{success, success}, want: "closed"},
		"a decline counts": {probes: []outcome{declined, success}, want: "closed"},
		"one fails":        {probes: []outcome{success, failure}, want: "open"},
		"one is slow":      {probes: []outcome{slow}, want: "open"},
		"one is canceled":  {probes: []outcome{canceled, success}, want: "half-open"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBreaker(t)
				for range 4 {
					call(t, b, failure)
				}
				<-time.After(30*time.Second + time.Millisecond)
				for _, o := range tt.probes {
					call(t, b, o)
				}
				require.Equal(t, tt.want, b.State())
			})
		})
	}
}

func TestHalfOpenBreakerAllowsOnlyItsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker(t)
		for range 4 {
			call(t, b, failure)
		}
		<-time.After(30*time.Second + time.Millisecond)
		for range testBreaker.Probes {
			_, err := b.Allow()
			require.NoError(t, err)
		}
		_, err := b.Allow()
		var e *processor.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, testBreaker.SlowCall, e.RetryAfter)
	})
}

func TestFailuresOutsideTheWindowDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker(t)
		for range 3 {
			call(t, b, failure)
		}
		<-time.After(11 * time.Second)
		call(t, b, failure)
		require.Equal(t, "closed", b.State())
	})
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	require.NoError(t, testBreaker.Validate())
	for want, invalidate := range map[string]func(*Options){
		"window":        func(o *Options) { o.Window = 0 },
		"min_calls":     func(o *Options) { o.MinCalls = 0 },
		"failure_ratio": func(o *Options) { o.FailureRatio = 1.1 },
		"open_for":      func(o *Options) { o.OpenFor = -1 },
		"slow_call":     func(o *Options) { o.SlowCall = 0 },
		"probes":        func(o *Options) { o.Probes = 0 },
	} {
		o := testBreaker
		invalidate(&o)
		_, err := New(o)
		require.ErrorContains(t, err, want)
	}
	require.ErrorIs(t, canceled.err, context.Canceled, "the error keeps its cause")
}
