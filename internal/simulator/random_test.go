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

// runOfLuck sends each of 40 keys twice, all at once, and returns what each saw.
func runOfLuck(t *testing.T, seed uint64) (seen [40][2]string, executed int) {
	t.Helper()
	b := start(t, Options{Seed: seed, Faults: Rates{"500": .3, "429": .1, "401": .1, "503": .1, "409": .1, "network": .2}})
	together(len(seen), func(i int) string {
		for nth := range seen[i] {
			key := fmt.Sprint("key-", i)
			seen[i][nth] = b.post("/charges", key, chargeBody("tok_visa", key)).String()
		}
		return ""
	})
	return seen, len(b.ledger().Payments)
}

func TestTheSameSeedMeetsTheSameFaults(t *testing.T) {
	seen, executed := runOfLuck(t, 7)
	again, executedAgain := runOfLuck(t, 7)
	require.Equal(t, seen, again)
	require.Equal(t, executed, executedAgain)
	other, _ := runOfLuck(t, 8)
	require.NotEqual(t, seen, other)
}

func TestFaultsAreAsFrequentAsAskedFor(t *testing.T) {
	s := &Simulator{faults: Rates{"500": .2, "429": .1}, latency: LatencyRange{Min: 10, Max: 20}, now: time.Now}
	const draws = 20_000
	counts := map[int]int{}
	var slowest, fastest time.Duration = 0, time.Hour
	for i := range draws {
		l := s.draw("POST", "/charges", fmt.Sprint(i), 1)
		a, _ := l.play(time.Now(), func() (answer, error) { return answer{status: 200}, nil })
		counts[a.status]++
		slowest, fastest = max(slowest, l.latency), min(fastest, l.latency)
	}
	require.InDelta(t, .2, float64(counts[500])/draws, .01)
	require.InDelta(t, .1, float64(counts[429])/draws, .01)
	require.InDelta(t, .7, float64(counts[200])/draws, .01)
	require.GreaterOrEqual(t, fastest, time.Duration(10))
	require.LessOrEqual(t, slowest, time.Duration(20))
}

func TestA500StrikesHalfOfTheTimeAfterTheExecution(t *testing.T) {
	b := start(t, Options{Faults: Rates{"500": 1}})
	counts := together(60, func(i int) string {
		key := fmt.Sprint("key-", i)
		return b.post("/charges", key, chargeBody("tok_visa", key)).String()
	})
	require.Equal(t, map[string]int{"500 internal_error": 60}, counts)
	require.InDelta(t, 30, len(b.ledger().Payments), 15)
}

func TestChanceTouchesReadsButNotTheLedger(t *testing.T) {
	b := start(t, Options{Faults: Rates{"503": 1}})
	for _, path := range []string{"/payments", "/payments/ch_1", "/refunds", "/refunds/re_1"} {
		require.Equal(t, "503 unavailable", b.get(path).String(), path)
	}
	require.Equal(t, "200", b.get("/ledger").String()[:3])
	require.Equal(t, "200", b.get("/").String()[:3])
	require.Equal(t, "200", b.get("/healthz").String()[:3])
}

func TestAReadHasNewLuckEachTime(t *testing.T) {
	b := start(t, Options{Faults: Rates{"503": .5}})
	answers := map[string]bool{}
	for range 40 {
		answers[b.get("/payments").String()[:3]] = true
	}
	require.Equal(t, map[string]bool{"200": true, "503": true}, answers)
}

func TestHoldIsBoundedByTimeCallerAndSimulator(t *testing.T) {
	for name, tc := range map[string]struct {
		stop func(s *Simulator, cancel func())
		want time.Duration
	}{
		"time":      {func(*Simulator, func()) {}, maxHang},
		"caller":    {func(_ *Simulator, cancel func()) { cancel() }, time.Second},
		"simulator": {func(s *Simulator, _ func()) { close(s.closing) }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Simulator{closing: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, func() { tc.stop(s, cancel) })
				began := time.Now()
				s.hold(ctx, maxHang)
				require.Equal(t, tc.want, time.Since(began))
			})
		})
	}
}

func TestCloseEndsHangingAnswersAndRefusesNewRequests(t *testing.T) {
	b := start(t, Options{})
	answered := make(chan reply)
	go func() { answered <- b.post("/charges", "k", chargeBody("tok_timeout_after_charge", "k")) }()
	<-b.logged
	require.NoError(t, b.sim.Close())
	require.ErrorIs(t, (<-answered).err, io.EOF)
	require.Equal(t, "503 shutting_down", b.post("/charges", "k", chargeBody("tok_visa", "k")).String())
	require.Equal(t, 503, b.get("/").status)
}
