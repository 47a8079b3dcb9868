package simulator

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPageShowsTokensFaultsAndCountsWithoutAPIKey(t *testing.T) {
	h := start(t, Options{Faults: Rates{"network": .001}, Seed: 42})
	h.post("/charges", "k", chargeBody("tok_insufficient_funds", "k"))
	r := h.request(t.Context(), http.MethodGet, "/", "", "")
	r.Header.Del("Authorization")
	got := h.send(r)
	require.Equal(t, http.StatusOK, got.status)
	for _, token := range Tokens() {
		require.Contains(t, string(got.body), token.Name)
	}
	require.Contains(t, string(got.body), "network=0.001")
	require.Contains(t, string(got.body), "<td>payments<td>declined<td>1")
	require.NotContains(t, string(got.body), testKey)
}

func TestLedgerEndpointNeedsTheAPIKey(t *testing.T) {
	h := start(t, Options{})
	require.JSONEq(t, `{"payments":[],"refunds":[]}`, string(h.get("/ledger").body))
	h.post("/charges", "k", chargeBody("tok_visa", "k"))
	var got Ledger
	h.get("/ledger").into(t, &got)
	require.Equal(t, h.ledger(), got)

	r := h.request(t.Context(), http.MethodGet, "/ledger", "", "")
	r.Header.Set("Authorization", "Basic "+testKey)
	require.Equal(t, "401 unauthorized", h.send(r).String())
}
