package breaker

import (
	"context"
	"io"
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

var (
	success  = Outcome{Status: 200}
	failure  = Outcome{Status: 503}
	declined = Outcome{Status: 402}
	refused  = Outcome{Err: &processor.Error{Class: payment.ClassNotSent}}
	canceled = Outcome{Err: classify.NetworkError(context.Canceled, true)}
	slow     = Outcome{Status: 200, Took: 5 * time.Second}
)

func call(t *testing.T, b *Breaker, o Outcome) {
	t.Helper()
	passed, err := b.Allow()
	require.NoError(t, err)
	passed.Report(o)
}

func newTestBreaker(t *testing.T) *Breaker {
	t.Helper()
	b, err := New(testBreaker)
	require.NoError(t, err)
	return b
}

func TestBreakerOpensForOutagesOnly(t *testing.T) {
	limited, badRequest := Outcome{Status: 429}, Outcome{Status: 400}
	locked := Outcome{Status: 429, ObjectLevel: true}
	lockedForLong := Outcome{Status: 429, ObjectLevel: true, Took: 6 * time.Second}
	cutOff := Outcome{Status: 429, ObjectLevel: true, Err: io.ErrUnexpectedEOF}
	for name, tt := range map[string]struct {
		calls []Outcome
		open  bool
	}{
		"5xx":                              {calls: []Outcome{failure, failure, failure, failure}, open: true},
		"refused connections":              {calls: []Outcome{refused, refused, refused, refused}, open: true},
		"slow successes":                   {calls: []Outcome{slow, slow, slow, slow}, open: true},
		"rate limits (429)":                {calls: []Outcome{limited, limited, limited, limited}, open: true},
		"half of the calls fail":           {calls: []Outcome{success, failure, success, failure}, open: true},
		"fewer than MinCalls":              {calls: []Outcome{failure, failure, failure}, open: false},
		"less than half of the calls fail": {calls: []Outcome{success, success, failure, success, failure}, open: false},
		"declines (402)": {calls: []Outcome{declined, declined, declined, declined, declined},
			open: false},
		"failure requests (400)":       {calls: []Outcome{badRequest, badRequest, badRequest, badRequest}, open: false},
		"a locked object (429)":        {calls: []Outcome{locked, locked, locked, locked, locked}, open: false},
		"a wait for a locked object":   {calls: []Outcome{lockedForLong, lockedForLong, lockedForLong, lockedForLong}, open: false},
		"responses that were cut off":  {calls: []Outcome{cutOff, cutOff, cutOff, cutOff}, open: true},
		"a locked object in an outage": {calls: []Outcome{failure, failure, locked, failure}, open: true},
		"canceled calls": {calls: []Outcome{canceled, canceled, canceled, canceled, canceled},
			open: false},
		"canceled calls do not count": {calls: []Outcome{failure, failure, failure, canceled, canceled, canceled,
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
		probes []Outcome
		want   string
	}{
		"all succeed":      {probes: []Outcome{success, success}, want: "closed"},
		"a lock counts":    {probes: []Outcome{{Status: 429, ObjectLevel: true}, success}, want: "closed"},
		"a decline counts": {probes: []Outcome{declined, success}, want: "closed"},
		"one fails":        {probes: []Outcome{success, failure}, want: "open"},
		"one is slow":      {probes: []Outcome{slow}, want: "open"},
		"one is canceled":  {probes: []Outcome{canceled, success}, want: "half-open"},
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
	require.ErrorIs(t, canceled.Err, context.Canceled, "the error keeps its cause")
}
