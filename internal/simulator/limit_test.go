package simulator

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCallsBeyondTheRateLimitAreRefusedAndNotExecuted(t *testing.T) {
	h := start(t, Options{PerSecond: 3})
	charge := func(key string) string { return h.post("/charges", key, chargeBody("tok_visa", key)).String() }
	for i := range 3 {
		require.Equal(t, "200 succeeded", charge(fmt.Sprint("key-", i)))
	}
	h.clock.advance(999 * time.Millisecond)
	refused := h.post("/charges", "key-3", chargeBody("tok_visa", "key-3"))
	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.Equal(t, "1", refused.header.Get("Retry-After"))
	require.Len(t, h.ledger().Payments, 3, "the ledger itself has no limit")
	h.clock.advance(time.Millisecond)
	require.Equal(t, "200 succeeded", charge("key-3"))
}

func TestRateLimitCountsInAnySecond(t *testing.T) {
	l := rateLimit{accepted: make([]time.Time, 10)}
	began := time.Now()
	var accepted []time.Duration
	for at := time.Duration(0); at < 10*time.Second; at += 7 * time.Millisecond {
		if l.accepts(began.Add(at)) {
			accepted = append(accepted, at)
		}
	}
	require.Len(t, accepted, 100)
	for i := 10; i < len(accepted); i++ {
		require.GreaterOrEqual(t, accepted[i]-accepted[i-10], time.Second)
	}
}

func TestInvalidRateLimitIsRefused(t *testing.T) {
	for _, perSecond := range []int{-1, maxPerSecond + 1} {
		_, err := Open(t.Context(), Options{APIKey: testKey, PerSecond: perSecond})
		require.ErrorContains(t, err, fmt.Sprintf("simulator: %d calls per second: must be between 0 and 1000000", perSecond))
	}
}
