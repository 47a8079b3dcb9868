package httpclient

import (
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestPausedProcessorGetsLookupsOnly(t *testing.T) {
	var served atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { served.Add(1) })
	limiter := ratelimit.New(0, 1, time.Second)
	c := newClient(t, s.URL, func(o *Options) { o.Limiter = limiter })
	require.True(t, c.Ready())
	unlimited := ratelimit.Permit{PerSecond: math.Inf(1), Burst: 1}
	paused := unlimited
	paused.Paused = &ratelimit.Pause{By: "jane", Reason: "incident 4711"}
	limiter.Permit(paused)

	require.False(t, c.Ready())
	for name, call := range map[string]processor.Call{
		"charge":                {Method: http.MethodPost, Path: "/charges", Key: testKey},
		"void without a key":    {Method: http.MethodDelete, Path: "/payments/1"},
		"a GET that has a key":  {Method: http.MethodGet, Path: "/payments/1/capture", Key: testKey},
		"an update with a key":  {Method: http.MethodPut, Path: "/payments/1", Key: testKey},
		"an update without one": {Method: http.MethodPut, Path: "/payments/1"},
	} {
		_, err := c.Do(t.Context(), call)
		var refused *processor.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, processor.NotExecuted, refused.Certainty)
		require.Equal(t, payment.ClassUnavailable, refused.Class)
		require.True(t, refused.Retry)
		require.Equal(t, "the processor is paused by jane: incident 4711", refused.Message)
	}
	require.Zero(t, served.Load())
	_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments/1"})
	require.NoError(t, err)
	require.Equal(t, int32(1), served.Load())

	limiter.Permit(unlimited)
	require.True(t, c.Ready())
	_, err = c.Do(t.Context(), charge())
	require.NoError(t, err)
}

func TestClientIsNotReadyIfACallWouldWaitOrBeRefused(t *testing.T) {
	opened, err := breaker.New(breaker.Options{Window: time.Minute, MinCalls: 1, FailureRatio: 1, OpenFor: time.Hour, SlowCall: time.Minute, Probes: 1})
	require.NoError(t, err)
	passed, err := opened.Allow()
	require.NoError(t, err)
	passed.Report(breaker.Outcome{Status: http.StatusInternalServerError})
	used := ratelimit.New(0.1, 1, time.Second)
	require.NoError(t, used.Wait(t.Context()))
	held := ratelimit.New(0, 1, time.Second)
	held.Hold(time.Minute)
	for name, change := range map[string]func(*Options){
		"the breaker is open": func(o *Options) { o.Breaker = opened },
		"no token":            func(o *Options) { o.Limiter = used },
		"held":                func(o *Options) { o.Limiter = held },
	} {
		require.False(t, newClient(t, "http://127.0.0.1:1", change).Ready(), name)
	}
	release, began := make(chan struct{}), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { close(began); <-release })
	full := newClient(t, s.URL) // one call in flight
	go func() { _, _ = full.Do(t.Context(), charge()) }()
	<-began
	require.False(t, full.Ready(), "all slots are taken")
	close(release)
}
