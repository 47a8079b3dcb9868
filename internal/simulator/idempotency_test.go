package simulator

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// concurrently sends n requests at once and returns how often each outcome occurred.
func concurrently(n int, send func(i int) string) map[string]int {
	var wg sync.WaitGroup
	outcomes := make([]string, n)
	for i := range n {
		wg.Go(func() { outcomes[i] = send(i) })
	}
	wg.Wait()
	counts := map[string]int{}
	for _, o := range outcomes {
		counts[o]++
	}
	return counts
}

func TestHundredRequestsWithOneKeyMakeOnePayment(t *testing.T) {
	h := start(t, Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	counts := concurrently(100, func(int) string {
		return h.post("/charges", "same", chargeBody("tok_visa", "same")).String()
	})
	require.Equal(t, 1, counts["200 succeeded"])
	require.Equal(t, 100, counts["200 succeeded"]+counts["200 succeeded, replayed"]+counts["409 idempotency_in_flight"], "%v", counts)
	ledger := h.ledger()
	require.Len(t, ledger.Payments, 1)
	require.Equal(t, 100, ledger.Payments[0].Requests)
}

func TestTwoHundredConcurrentChargesSucceed(t *testing.T) {
	h := start(t, Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	counts := concurrently(200, func(i int) string {
		key := fmt.Sprint("key-", i)
		return h.post("/charges", key, chargeBody("tok_visa", key)).String()
	})
	require.Equal(t, map[string]int{"200 succeeded": 200}, counts)
	require.Len(t, h.ledger().Payments, 200)
}

func TestKeyIsInFlightUntilTheResponse(t *testing.T) {
	h := start(t, Options{Latency: LatencyRange{Min: time.Hour, Max: time.Hour}})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan outcome)
	go func() { first <- h.send(h.request(ctx, http.MethodPost, "/charges", "k", chargeBody("tok_visa", "k"))) }()
	require.Eventually(t, func() bool { return len(h.ledger().Payments) == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, "409 idempotency_in_flight", h.post("/charges", "k", chargeBody("tok_visa", "k")).String())
	cancel()
	require.Equal(t, "no response", (<-first).String())
}

func TestTwoKeysWithOneReferenceChargeTwice(t *testing.T) {
	h := start(t, Options{})
	h.post("/charges", "one", chargeBody("tok_visa", "purchase"))
	h.post("/charges", "two", chargeBody("tok_visa", "purchase"))
	require.Len(t, h.ledger().Payments, 2)
}

func TestKeyOfADifferentRequestIsAMismatch(t *testing.T) {
	h := start(t, Options{})
	require.Equal(t, "200 succeeded", h.post("/charges", "k", `{"card_token":"tok_visa","amount":5,"currency":"EUR"}`).String())
	require.Equal(t, "200 succeeded, replayed", h.post("/charges", "k", `{ "currency":"EUR", "amount":5, "card_token":"tok_visa"}`).String())
	require.Equal(t, "422 idempotency_mismatch", h.post("/charges", "k", `{"card_token":"tok_visa","amount":6,"currency":"EUR"}`).String())
	require.Equal(t, "422 idempotency_mismatch", h.post("/refunds", "k", `{"card_token":"tok_visa","amount":5,"currency":"EUR"}`).String())
	require.Len(t, h.ledger().Payments, 1)
}

func TestKeyOfARefusedRequestCanBeUsedAgain(t *testing.T) {
	h := start(t, Options{})
	require.Equal(t, "422 amount_invalid", h.post("/charges", "k", `{"card_token":"tok_visa","amount":0,"currency":"EUR"}`).String())
	require.Equal(t, "200 succeeded", h.post("/charges", "k", `{"card_token":"tok_visa","amount":1,"currency":"EUR"}`).String())
	require.Equal(t, 2, h.ledger().Payments[0].Requests)
}

func TestReplayReturnsTheOriginalResponse(t *testing.T) {
	h := start(t, Options{})
	body := `{"card_token":"tok_visa","amount":5,"currency":"EUR","capture":false}`
	var p payment
	original := h.post("/charges", "k", body)
	original.into(t, &p)
	require.Equal(t, "200 voided", h.post("/payments/"+p.ID+"/void", "v", "").String())
	replay := h.post("/charges", "k", body)
	require.Equal(t, string(original.body), string(replay.body))
}

func TestLedgerAndStoredResponsesSurviveARestart(t *testing.T) {
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

func TestInvalidRequestsAreRefused(t *testing.T) {
	h := start(t, Options{})
	valid := chargeBody("tok_visa", "r")
	type headers map[string]string
	for name, tc := range map[string]struct {
		header headers // replaces headers of a valid request
		body   string
		want   string
	}{
		"no key":                 {header: headers{"Idempotency-Key": ""}, body: valid, want: "400 idempotency_key_missing"},
		"key too long":           {header: headers{"Idempotency-Key": strings.Repeat("k", 65)}, body: valid, want: "400 idempotency_key_invalid"},
		"key not printable":      {header: headers{"Idempotency-Key": "schlüssel"}, body: valid, want: "400 idempotency_key_invalid"},
		"wrong content type":     {header: headers{"Content-Type": "text/plain"}, body: valid, want: "415 content_type_unsupported"},
		"no content type":        {header: headers{"Content-Type": ""}, body: valid, want: "415 content_type_unsupported"},
		"wrong bearer key":       {header: headers{"Authorization": "Bearer wrong"}, body: valid, want: "401 unauthorized"},
		"no bearer key":          {header: headers{"Authorization": "Bearer "}, body: valid, want: "401 unauthorized"},
		"no body":                {body: "", want: "400 json_invalid"},
		"not JSON":               {body: "{", want: "400 json_invalid"},
		"data after JSON":        {body: valid + "{}", want: "400 json_invalid"},
		"unknown field":          {body: `{"card_number":"x"}`, want: "400 json_invalid"},
		"fractional amount":      {body: `{"card_token":"tok_visa","amount":1.5,"currency":"EUR"}`, want: "400 json_invalid"},
		"negative amount":        {body: `{"card_token":"tok_visa","amount":-1,"currency":"EUR"}`, want: "422 amount_invalid"},
		"lower-case currency":    {body: `{"card_token":"tok_visa","amount":1,"currency":"eur"}`, want: "422 currency_invalid"},
		"four-letter currency":   {body: `{"card_token":"tok_visa","amount":1,"currency":"EURO"}`, want: "422 currency_invalid"},
		"long reference":         {body: chargeBody("tok_visa", strings.Repeat("r", 256)), want: "422 reference_invalid"},
		"unknown token":          {body: chargeBody("tok_unknown", "r"), want: "422 card_token_unknown"},
		"body above the maximum": {body: strings.Repeat(" ", maxBodySize) + valid, want: "413 body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.request(t.Context(), http.MethodPost, "/charges", "k", tc.body)
			r.Header.Set("Content-Type", "application/json")
			for name, value := range tc.header {
				r.Header.Set(name, value)
			}
			got := h.send(r)
			require.Equal(t, tc.want, got.String())
			require.NotEmpty(t, got.header.Get("X-Request-Id"))
		})
	}
	require.Empty(t, h.ledger().Payments)
}

func TestFilesOfTheLedgerArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, os.WriteFile(path, nil, 0o644)) // as an earlier version left it
	start(t, Options{Path: path})
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), name)
	}
}
