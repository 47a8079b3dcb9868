package simulator

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// runWithSeed sends two requests with each of 40 keys, concurrently, and returns the outcomes.
func runWithSeed(t *testing.T, seed uint64) (seen [40][2]string, executed int) {
	t.Helper()
	h := start(t, Options{Seed: seed, Faults: Rates{"500": .3, "429": .1, "401": .1, "503": .1, "409": .1, "network": .2}})
	concurrently(len(seen), func(i int) string {
		for nth := range seen[i] {
			key := fmt.Sprint("key-", i)
			seen[i][nth] = h.post("/charges", key, chargeBody("tok_visa", key)).String()
		}
		return ""
	})
	return seen, len(h.ledger().Payments)
}

func TestSameSeedLeadsToSameFaults(t *testing.T) {
	seen, executed := runWithSeed(t, 7)
	again, executedAgain := runWithSeed(t, 7)
	require.Equal(t, seen, again)
	require.Equal(t, executed, executedAgain)
	other, _ := runWithSeed(t, 8)
	require.NotEqual(t, seen, other)
}

func TestFaultsOccurAtTheConfiguredRates(t *testing.T) {
	s := &Simulator{faults: Rates{"500": .2, "429": .1}, latency: LatencyRange{Min: 10, Max: 20}, now: time.Now}
	const draws = 20_000
	counts := map[int]int{}
	var slowest, fastest time.Duration = 0, time.Hour
	for i := range draws {
		l := s.draw("POST", "/charges", fmt.Sprint(i), 1)
		a, _ := l.play(time.Now(), func() (response, error) { return response{status: 200}, nil })
		counts[a.status]++
		slowest, fastest = max(slowest, l.latency), min(fastest, l.latency)
	}
	require.InDelta(t, .2, float64(counts[500])/draws, .01)
	require.InDelta(t, .1, float64(counts[429])/draws, .01)
	require.InDelta(t, .7, float64(counts[200])/draws, .01)
	require.GreaterOrEqual(t, fastest, time.Duration(10))
	require.LessOrEqual(t, slowest, time.Duration(20))
}

func TestHalfOfThe500FaultsOccurAfterTheExecution(t *testing.T) {
	h := start(t, Options{Faults: Rates{"500": 1}})
	counts := concurrently(60, func(i int) string {
		key := fmt.Sprint("key-", i)
		return h.post("/charges", key, chargeBody("tok_visa", key)).String()
	})
	require.Equal(t, map[string]int{"500 internal_error": 60}, counts)
	require.InDelta(t, 30, len(h.ledger().Payments), 15)
}

func TestRandomFaultsApplyToLookupsButNotToTheLedger(t *testing.T) {
	h := start(t, Options{Faults: Rates{"503": 1}})
	for _, path := range []string{"/payments", "/payments/ch_1", "/refunds", "/refunds/re_1"} {
		require.Equal(t, "503 unavailable", h.get(path).String(), path)
	}
	require.Equal(t, "200", h.get("/ledger").String()[:3])
	require.Equal(t, "200", h.get("/").String()[:3])
	require.Equal(t, "200", h.get("/healthz").String()[:3])
}

func TestRepeatedLookupDrawsANewFault(t *testing.T) {
	h := start(t, Options{Faults: Rates{"503": .5}})
	statuses := map[string]bool{}
	for range 40 {
		statuses[h.get("/payments").String()[:3]] = true
	}
	require.Equal(t, map[string]bool{"200": true, "503": true}, statuses)
}

func TestWaitEndsWithTheDurationTheContextOrTheSimulator(t *testing.T) {
	for name, tc := range map[string]struct {
		stop func(s *Simulator, cancel func())
		want time.Duration
	}{
		"duration elapsed":  {stop: func(*Simulator, func()) {}, want: maxHang},
		"context canceled":  {stop: func(_ *Simulator, cancel func()) { cancel() }, want: time.Second},
		"simulator closing": {stop: func(s *Simulator, _ func()) { close(s.closing) }, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Simulator{closing: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, func() { tc.stop(s, cancel) })
				start := time.Now()
				s.wait(ctx, maxHang)
				require.Equal(t, tc.want, time.Since(start))
			})
		})
	}
}

func TestCloseEndsOpenRequestsAndRefusesNewOnes(t *testing.T) {
	h := start(t, Options{})
	open := make(chan outcome)
	go func() { open <- h.post("/charges", "k", chargeBody("tok_timeout_after_charge", "k")) }()
	<-h.handled
	require.NoError(t, h.sim.Close())
	require.ErrorIs(t, (<-open).err, io.EOF)
	require.Equal(t, "503 shutting_down", h.post("/charges", "k", chargeBody("tok_visa", "k")).String())
	require.Equal(t, 503, h.get("/").status)
}
