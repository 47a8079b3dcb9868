package httpclient

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/processor"
)

func TestUnavailableProcessorOpensTheBreaker(t *testing.T) {
	var served atomic.Int32
	status := atomic.Int32{}
	status.Store(http.StatusServiceUnavailable)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		w.WriteHeader(int(status.Load()))
	})
	b, err := breaker.New(breaker.Options{Window: time.Minute, MinCalls: 3, FailureRatio: 1, OpenFor: time.Hour,
		SlowCall: time.Minute, Probes: 1})
	require.NoError(t, err)
	c := newClient(t, s.URL, func(o *Options) { o.Breaker = b })
	for range 3 {
		a, _ := answer(t, c, charge())
		require.Equal(t, 1, a.Sends)
		require.Positive(t, a.Took)
	}
	_, err = c.Do(t.Context(), charge())
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, processor.NotExecuted, e.Certainty)
	require.Greater(t, e.RetryAfter, 59*time.Minute)
	require.EqualValues(t, 3, served.Load(), "the fourth call was not sent")
}

var testBreaker = breaker.Options{
	Window: 10 * time.Second, MinCalls: 4, FailureRatio: 0.5, OpenFor: 30 * time.Second, SlowCall: 5 * time.Second,
	Probes: 2,
}

func newTestBreaker(t *testing.T) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New(testBreaker)
	require.NoError(t, err)
	return b
}
