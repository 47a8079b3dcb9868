package simulator

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// together sends n requests at once and returns how often each answer came.
func together(n int, send func(i int) string) map[string]int {
	var wg sync.WaitGroup
	answers := make([]string, n)
	for i := range n {
		wg.Go(func() { answers[i] = send(i) })
	}
	wg.Wait()
	counts := map[string]int{}
	for _, a := range answers {
		counts[a]++
	}
	return counts
}

func TestAHundredRequestsWithOneKeyMakeOnePayment(t *testing.T) {
	b := start(t, Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	counts := together(100, func(int) string { return b.post("/charges", "same", chargeBody("tok_visa", "same")).String() })
	require.Equal(t, 1, counts["200 succeeded"])
	require.Equal(t, 100, counts["200 succeeded"]+counts["200 succeeded, replayed"]+counts["409 idempotency_in_flight"], "%v", counts)
	ledger := b.ledger()
	require.Len(t, ledger.Payments, 1)
	require.Equal(t, 100, ledger.Payments[0].Requests)
}

func TestTwoHundredChargesAtOnceAllSucceed(t *testing.T) {
	b := start(t, Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	counts := together(200, func(i int) string {
		key := fmt.Sprint("key-", i)
		return b.post("/charges", key, chargeBody("tok_visa", key)).String()
	})
	require.Equal(t, map[string]int{"200 succeeded": 200}, counts)
	require.Len(t, b.ledger().Payments, 200)
}

func TestAKeyIsInFlightUntilItsRequestIsAnswered(t *testing.T) {
	b := start(t, Options{Latency: LatencyRange{Min: time.Hour, Max: time.Hour}})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan reply)
	go func() { first <- b.send(b.request(ctx, http.MethodPost, "/charges", "k", chargeBody("tok_visa", "k"))) }()
	require.Eventually(t, func() bool { return len(b.ledger().Payments) == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, "409 idempotency_in_flight", b.post("/charges", "k", chargeBody("tok_visa", "k")).String())
	cancel()
	require.Equal(t, "no answer", (<-first).String())
}

func TestTwoKeysForOnePurchaseAreADoubleCharge(t *testing.T) {
	b := start(t, Options{})
	b.post("/charges", "one", chargeBody("tok_visa", "purchase"))
	b.post("/charges", "two", chargeBody("tok_visa", "purchase"))
	require.Len(t, b.ledger().Payments, 2)
}

func TestAKeyWithAnotherRequestIsAMismatch(t *testing.T) {
	b := start(t, Options{})
	require.Equal(t, "200 succeeded", b.post("/charges", "k", `{"card_token":"tok_visa","amount":5,"currency":"EUR"}`).String())
	require.Equal(t, "200 succeeded, replayed", b.post("/charges", "k", `{ "currency":"EUR", "amount":5, "card_token":"tok_visa"}`).String())
	require.Equal(t, "422 idempotency_mismatch", b.post("/charges", "k", `{"card_token":"tok_visa","amount":6,"currency":"EUR"}`).String())
	require.Equal(t, "422 idempotency_mismatch", b.post("/refunds", "k", `{"card_token":"tok_visa","amount":5,"currency":"EUR"}`).String())
	require.Len(t, b.ledger().Payments, 1)
}

func TestARefusedRequestLeavesItsKeyFree(t *testing.T) {
	b := start(t, Options{})
	require.Equal(t, "422 amount_invalid", b.post("/charges", "k", `{"card_token":"tok_visa","amount":0,"currency":"EUR"}`).String())
	require.Equal(t, "200 succeeded", b.post("/charges", "k", `{"card_token":"tok_visa","amount":1,"currency":"EUR"}`).String())
	require.Equal(t, 2, b.ledger().Payments[0].Requests)
}

func TestAReplayIsTheAnswerOfThen(t *testing.T) {
	b := start(t, Options{})
	body := `{"card_token":"tok_visa","amount":5,"currency":"EUR","capture":false}`
	var p payment
	original := b.post("/charges", "k", body)
	original.into(t, &p)
	require.Equal(t, "200 voided", b.post("/payments/"+p.ID+"/void", "v", "").String())
	replay := b.post("/charges", "k", body)
	require.Equal(t, string(original.body), string(replay.body))
}

func TestLedgerAndStoredAnswersSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a ledger #1?100%.db")
	before := start(t, Options{Path: path})
	original := before.post("/charges", "k", chargeBody("tok_visa", "k"))
	require.Equal(t, "402 card_declined soft insufficient_funds", before.post("/charges", "d", chargeBody("tok_insufficient_funds", "d")).String())
	require.Equal(t, "500 internal_error", before.post("/charges", "f", chargeBody("tok_500_twice", "f")).String())
	require.Equal(t, "202 pending", before.post("/charges", "p", chargeBody("tok_pending", "p")).String())
	ledger := before.ledger()
	require.NoError(t, before.sim.Close())
	require.FileExists(t, path)

	after := start(t, Options{Path: path})
	require.Equal(t, ledger, after.ledger())
	replay := after.post("/charges", "k", chargeBody("tok_visa", "k"))
	require.Equal(t, "200 succeeded, replayed", replay.String())
	require.Equal(t, string(original.body), string(replay.body))
	require.Equal(t, "402 card_declined soft insufficient_funds, replayed", after.post("/charges", "d", chargeBody("tok_insufficient_funds", "d")).String())
	require.Equal(t, "500 internal_error", after.post("/charges", "f", chargeBody("tok_500_twice", "f")).String())
	require.Equal(t, "200 succeeded", after.post("/charges", "f", chargeBody("tok_500_twice", "f")).String())
	after.clock.advance(DefaultPendingFor)
	for _, p := range after.ledger().Payments[2:] {
		require.Equal(t, statusSucceeded, p.Status)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	b := start(t, Options{})
	valid := chargeBody("tok_visa", "r")
	for name, tc := range map[string]struct {
		key, contentType, auth, body, want string
	}{
		"no key":                 {"", "application/json", testKey, valid, "400 idempotency_key_missing"},
		"key too long":           {strings.Repeat("k", 65), "application/json", testKey, valid, "400 idempotency_key_invalid"},
		"key not printable":      {"schlüssel", "application/json", testKey, valid, "400 idempotency_key_invalid"},
		"wrong content type":     {"k", "text/plain", testKey, valid, "415 content_type_unsupported"},
		"no content type":        {"k", "", testKey, valid, "415 content_type_unsupported"},
		"wrong bearer":           {"k", "application/json", "wrong", valid, "401 unauthorized"},
		"no bearer":              {"k", "application/json", "", valid, "401 unauthorized"},
		"no body":                {"k", "application/json", testKey, "", "400 json_invalid"},
		"not JSON":               {"k", "application/json", testKey, "{", "400 json_invalid"},
		"more than JSON":         {"k", "application/json", testKey, valid + "{}", "400 json_invalid"},
		"unknown field":          {"k", "application/json", testKey, `{"card_number":"x"}`, "400 json_invalid"},
		"fractional amount":      {"k", "application/json", testKey, `{"card_token":"tok_visa","amount":1.5,"currency":"EUR"}`, "400 json_invalid"},
		"negative amount":        {"k", "application/json", testKey, `{"card_token":"tok_visa","amount":-1,"currency":"EUR"}`, "422 amount_invalid"},
		"lower-case currency":    {"k", "application/json", testKey, `{"card_token":"tok_visa","amount":1,"currency":"eur"}`, "422 currency_invalid"},
		"four-letter currency":   {"k", "application/json", testKey, `{"card_token":"tok_visa","amount":1,"currency":"EURO"}`, "422 currency_invalid"},
		"long reference":         {"k", "application/json", testKey, chargeBody("tok_visa", strings.Repeat("r", 256)), "422 reference_invalid"},
		"unknown token":          {"k", "application/json", testKey, chargeBody("tok_unheard_of", "r"), "422 card_token_unknown"},
		"body above the maximum": {"k", "application/json", testKey, strings.Repeat(" ", maxBody) + valid, "413 body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.request(t.Context(), http.MethodPost, "/charges", tc.key, tc.body)
			r.Header.Set("Content-Type", tc.contentType)
			r.Header.Set("Authorization", "Bearer "+tc.auth)
			got := b.send(r)
			require.Equal(t, tc.want, got.String())
			require.NotEmpty(t, got.header.Get("X-Request-Id"))
		})
	}
	require.Empty(t, b.ledger().Payments)
}
