package simulator

import (
	"context"
	"fmt"
	"io"
	"net/http"
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

func TestRandomFaultsOfSingleRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		header, body string
		executed     int
	}{
		"429_object":   {header: "1", body: `"code":"lock_timeout"`},
		"429_fraction": {header: "0.5", body: `"code":"rate_limited"`},
		"id_control":   {body: `"id":"\u0007ch_`, executed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{Faults: Rates{name: 1}})
			got := h.post("/charges", "k", chargeBody("tok_visa", "k"))
			require.Equal(t, tc.header, got.header.Get("Retry-After"))
			require.Contains(t, string(got.body), tc.body)
			require.Len(t, h.ledger().Payments, tc.executed)
		})
	}
}

// A random token applies to all requests about its charge: a lost response is followed by declines and by lookups that lag, a
// refund fails later.
func TestRandomTokenAppliesToEverythingAboutTheCharge(t *testing.T) {
	tests := []struct{ token, want string }{
		{token: "tok_duplicate_after_timeout", want: "no response, 402 card_declined hard duplicate_transaction, lookups 0 0 1"},
		{token: "tok_lookup_unavailable", want: "500 internal_error, 500 internal_error, lookups 503 503 503"},
		{token: "tok_429_object", want: "429 lock_timeout, 200 succeeded, lookups 1 1 1"},
		{token: "tok_action_declined_then_paid", want: "200 requires_action"},
	}
	for _, tt := range tests {
		t.Run(tt.token, func(t *testing.T) {
			h := start(t, Options{Faults: Rates{tt.token: 1}})
			drawn, explicit := h.story("tok_visa"), start(t, Options{}).story(tt.token)
			require.Equal(t, explicit, drawn)
			require.Contains(t, drawn, tt.want)
		})
	}
	t.Run("tok_refund_fails_late", func(t *testing.T) {
		h := start(t, Options{Faults: Rates{"tok_refund_fails_late": 1}})
		id := h.pay("tok_visa", "k", true)
		require.Equal(t, "200 succeeded", h.post("/refunds", "r", fmt.Sprintf(`{"payment_id":%q,"reference":"r"}`, id)).String())
		h.clock.advance(DefaultPendingFor)
		require.Equal(t, "declined", h.ledger().Refunds[0].Status)
	})
	t.Run("tok_refunded_in_dashboard", func(t *testing.T) {
		h := start(t, Options{Faults: Rates{"tok_refunded_in_dashboard": 1}})
		h.pay("tok_visa", "k", true)
		h.clock.advance(DefaultPendingFor)
		require.Equal(t, int64(1000), h.ledger().Payments[0].RefundedAmount)
	})
	t.Run("another token keeps its behavior", func(t *testing.T) {
		h := start(t, Options{Faults: Rates{"tok_stolen_card": 1}})
		require.Equal(t, "200 success", h.post("/charges", "k", chargeBody("tok_success", "k")).String())
	})
}

// story is what a client sees that sends a charge twice and looks it up three times.
func (h *harness) story(token string) string {
	text := h.postAndGiveUp("/charges", "k", chargeBody(token, "k")).String() + ", " +
		h.post("/charges", "k", chargeBody(token, "k")).String() + ", lookups"
	for range 3 {
		var found page[payment]
		got := h.get("/payments?reference=k")
		if got.status != http.StatusOK {
			text += fmt.Sprint(" ", got.status)
			continue
		}
		got.into(h.t, &found)
		text += fmt.Sprint(" ", len(found.Data))
	}
	return text
}

func TestRandomTokensOccurAtTheConfiguredRates(t *testing.T) {
	s := &Simulator{faults: Rates{"500": .5, "tok_id_control": .2, "tok_pending": .1}}
	const draws = 20_000
	counts := map[string]int{}
	for i := range draws {
		counts[s.drawToken("tok_visa", fmt.Sprint(i))]++
	}
	require.InDelta(t, .2, float64(counts["tok_id_control"])/draws, .01)
	require.InDelta(t, .1, float64(counts["tok_pending"])/draws, .01)
	require.InDelta(t, .7, float64(counts["tok_visa"])/draws, .01)
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
