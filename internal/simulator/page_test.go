package simulator

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePageShowsTokensFaultsAndCountsToEveryone(t *testing.T) {
	b := start(t, Options{Faults: Rates{"network": .001}, Seed: 42})
	b.post("/charges", "k", chargeBody("tok_insufficient_funds", "k"))
	r := b.request(t.Context(), http.MethodGet, "/", "", "")
	r.Header.Del("Authorization")
	got := b.send(r)
	require.Equal(t, http.StatusOK, got.status)
	for _, token := range Tokens() {
		require.Contains(t, string(got.body), token.Name)
	}
	require.Contains(t, string(got.body), "network=0.001")
	require.Contains(t, string(got.body), "<td>payments<td>declined<td>1")
	require.NotContains(t, string(got.body), testKey)
}

func TestTheLedgerIsServedToThoseWithTheKey(t *testing.T) {
	b := start(t, Options{})
	require.JSONEq(t, `{"payments":[],"refunds":[]}`, string(b.get("/ledger").body))
	b.post("/charges", "k", chargeBody("tok_visa", "k"))
	var got Ledger
	b.get("/ledger").into(t, &got)
	require.Equal(t, b.ledger(), got)

	r := b.request(t.Context(), http.MethodGet, "/ledger", "", "")
	r.Header.Set("Authorization", "Basic "+testKey)
	require.Equal(t, "401 unauthorized", b.send(r).String())
}
