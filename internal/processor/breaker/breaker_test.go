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
	Window: 10 * time.Second, MinCalls: 4, FailureRatio: 0.5, OpenFor: 30 * time.Second, SlowCall: 5 * time.Second, Probes: 2,
}

// signal is how one call went.
type signal struct {
	answer processor.Answer
	err    error
	took   time.Duration
}

var (
	good      = signal{answer: processor.Answer{Status: 200}}
	bad       = signal{answer: processor.Answer{Status: 503}}
	declined  = signal{answer: processor.Answer{Status: 402}}
	refused   = signal{err: &processor.Error{Class: payment.ClassNotSent}}
	abandoned = signal{err: classify.NetworkError(context.Canceled, true)}
	slow      = signal{answer: processor.Answer{Status: 200}, took: 5 * time.Second}
)

func call(t *testing.T, b *Breaker, s signal) {
	t.Helper()
	passed, err := b.Allow()
	require.NoError(t, err)
	passed.Report(s.answer, s.err, s.took)
}

func newTestBreaker(t *testing.T) *Breaker {
	t.Helper()
	b, err := New(testBreaker)
	require.NoError(t, err)
	return b
}

func TestTheBreakerOpensForOutagesOnly(t *testing.T) {
	limited, badRequest := signal{answer: processor.Answer{Status: 429}}, signal{answer: processor.Answer{Status: 400}}
	for name, tt := range map[string]struct {
		calls []signal
		open  bool
	}{
		"5xx":                          {calls: []signal{bad, bad, bad, bad}, open: true},
		"refused connections":          {calls: []signal{refused, refused, refused, refused}, open: true},
		"slow successes":               {calls: []signal{slow, slow, slow, slow}, open: true},
		"a storm of 429":               {calls: []signal{limited, limited, limited, limited}, open: true},
		"half of them":                 {calls: []signal{good, bad, good, bad}, open: true},
		"too few to judge":             {calls: []signal{bad, bad, bad}, open: false},
		"less than half":               {calls: []signal{good, good, bad, good, bad}, open: false},
		"declines (402)":               {calls: []signal{declined, declined, declined, declined, declined}, open: false},
		"400s":                         {calls: []signal{badRequest, badRequest, badRequest, badRequest}, open: false},
		"calls that were given up":     {calls: []signal{abandoned, abandoned, abandoned, abandoned, abandoned}, open: false},
		"given up calls do not dilute": {calls: []signal{bad, bad, bad, abandoned, abandoned, abandoned, abandoned, abandoned, bad}, open: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBreaker(t)
				for _, s := range tt.calls {
					call(t, b, s)
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

func TestAnOpenBreakerSaysHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker(t)
		for range 4 {
			call(t, b, bad)
		}
		<-time.After(10 * time.Second)
		_, err := b.Allow()
		var e *processor.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, []any{payment.ClassUnavailable, processor.NotExecuted, true, 20 * time.Second}, []any{e.Class, e.Certainty, e.Retry, e.RetryAfter})
	})
}

func TestProbesCloseTheBreakerOrOpenItAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		probes []signal
		want   string
	}{
		"all succeed":      {probes: []signal{good, good}, want: "closed"},
		"a decline counts": {probes: []signal{declined, good}, want: "closed"},
		"one fails":        {probes: []signal{good, bad}, want: "open"},
		"one is slow":      {probes: []signal{slow}, want: "open"},
		"one is given up":  {probes: []signal{abandoned, good}, want: "half-open"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBreaker(t)
				for range 4 {
					call(t, b, bad)
				}
				<-time.After(30*time.Second + time.Millisecond)
				for _, s := range tt.probes {
					call(t, b, s)
				}
				require.Equal(t, tt.want, b.State())
			})
		})
	}
}

func TestNoMoreThanTheProbesPassAHalfOpenBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker(t)
		for range 4 {
			call(t, b, bad)
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

func TestOldFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker(t)
		for range 3 {
			call(t, b, bad)
		}
		<-time.After(11 * time.Second)
		call(t, b, bad)
		require.Equal(t, "closed", b.State())
	})
}

func TestBreakerOptionsAreChecked(t *testing.T) {
	require.NoError(t, testBreaker.Validate())
	for want, spoil := range map[string]func(*Options){
		"window":        func(o *Options) { o.Window = 0 },
		"min_calls":     func(o *Options) { o.MinCalls = 0 },
		"failure_ratio": func(o *Options) { o.FailureRatio = 1.1 },
		"open_for":      func(o *Options) { o.OpenFor = -1 },
		"slow_call":     func(o *Options) { o.SlowCall = 0 },
		"probes":        func(o *Options) { o.Probes = 0 },
	} {
		o := testBreaker
		spoil(&o)
		_, err := New(o)
		require.ErrorContains(t, err, want)
	}
	require.ErrorIs(t, abandoned.err, context.Canceled, "the transport's error keeps its cause")
}
