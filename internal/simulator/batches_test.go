package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type batchAnswers struct{ Items []batchAnswer }

// batchOf returns the body of a batch with one charge for each token, whose keys and references are the tokens.
func batchOf(tokens ...string) string {
	items := make([]string, len(tokens))
	for i, token := range tokens {
		items[i] = fmt.Sprintf(`{"key":%q,"charge":%s}`, token, chargeBody(token, token))
	}
	return `{"items":[` + strings.Join(items, ",") + `]}`
}

func (h *harness) batch(body string) (answers map[string]string) {
	h.t.Helper()
	var got batchAnswers
	h.post("/batches", "batch", body).into(h.t, &got)
	answers = map[string]string{}
	for _, item := range got.Items {
		var p payment
		var e problem
		_ = json.Unmarshal(item.Payment, &p)
		_ = json.Unmarshal(item.Error, &e)
		what := strings.Join(strings.Fields(fmt.Sprintf("%d %s %s %s", item.Status, p.Status, e.Code, e.DeclineCode)), " ")
		if item.Replayed {
			what += ", replayed"
		}
		if item.RetryAfter != "" {
			what += ", retry after " + item.RetryAfter
		}
		answers[item.Key] = what
	}
	return answers
}

func TestItemsOfABatchAreAnsweredAsChargesAre(t *testing.T) {
	h := start(t, Options{})
	tokens := []string{"tok_visa", "tok_pending", "tok_insufficient_funds", "tok_declined_200", "tok_400", "tok_429_retry_after",
		"tok_500_twice", "tok_timeout_before_charge", "tok_timeout_after_charge", "tok_reset_after_charge", "tok_truncated_200",
		"tok_malformed_200", "tok_empty_200", "tok_200_html", "tok_huge_body", "tok_302", "tok_500_after_charge", "tok_wrong_amount"}
	require.Equal(t, map[string]string{
		"tok_visa": "200 succeeded", "tok_pending": "202 pending", "tok_insufficient_funds": "402 card_declined insufficient_funds",
		"tok_declined_200": "200 declined", "tok_400": "400 invalid_request", "tok_429_retry_after": "429 rate_limited, retry after 1",
		"tok_500_twice": "500 internal_error", "tok_malformed_200": "200", "tok_empty_200": "200", "tok_200_html": "200",
		"tok_huge_body": "200", "tok_302": "302", "tok_500_after_charge": "500 internal_error", "tok_wrong_amount": "200 succeeded",
	}, h.batch(batchOf(tokens...)))
	var charged []string
	for _, p := range h.ledger().Payments {
		charged = append(charged, p.Reference)
	}
	require.Equal(t, []string{"tok_visa", "tok_pending", "tok_insufficient_funds", "tok_declined_200", "tok_timeout_after_charge",
		"tok_reset_after_charge", "tok_truncated_200", "tok_malformed_200", "tok_empty_200", "tok_200_html", "tok_huge_body", "tok_302",
		"tok_500_after_charge", "tok_wrong_amount"}, charged)
}

func TestKeysOfABatchAreThoseOfCharges(t *testing.T) {
	h := start(t, Options{})
	require.Equal(t, "200 succeeded", h.post("/charges", "tok_visa", chargeBody("tok_visa", "tok_visa")).String())
	other := `{"key":"tok_success","charge":` + chargeBody("tok_success", "another") + `}`
	require.Equal(t, map[string]string{"tok_visa": "200 succeeded, replayed", "tok_success": "200 success"},
		h.batch(batchOf("tok_visa", "tok_success")))
	require.Equal(t, map[string]string{"tok_success": "422 idempotency_mismatch"}, h.batch(`{"items":[`+other+`]}`))
	require.Equal(t, "200 success, replayed", h.post("/charges", "tok_success", chargeBody("tok_success", "tok_success")).String())
	require.Equal(t, map[string]string{"": "400 idempotency_key_missing"},
		h.batch(`{"items":[{"charge":`+chargeBody("tok_visa", "x")+`}]}`))
	require.Equal(t, map[string]string{"k": "400 json_invalid", "l": "422 card_token_unknown"},
		h.batch(`{"items":[{"key":"k","charge":{"sum":1}},{"key":"l","charge":`+chargeBody("tok_unknown", "x")+`}]}`))
	require.Len(t, h.ledger().Payments, 2)
}

func TestBatchIsRefusedAsAWhole(t *testing.T) {
	h := start(t, Options{})
	many := make([]string, 101)
	for i := range many {
		many[i] = "tok_visa"
	}
	for body, want := range map[string]string{
		``:                       "400 json_invalid",
		`{}`:                     "422 batch_invalid",
		`{"items":[]}`:           "422 batch_invalid",
		`{"charges":[]}`:         "400 json_invalid",
		batchOf(many...):         "422 batch_invalid",
		`{"items":[{"id":"x"}]}`: "400 json_invalid",
	} {
		require.Equal(t, want, h.post("/batches", "b", body).String(), "%.50s", body)
	}
	require.Empty(t, h.ledger().Payments)
}

func TestBatchCountsAsOneRequestForTheRateLimit(t *testing.T) {
	h := start(t, Options{PerSecond: 1})
	require.Len(t, h.batch(batchOf("tok_visa", "tok_pending", "tok_success")), 3)
	require.Equal(t, "429 rate_limited", h.post("/batches", "b", batchOf("tok_visa")).String())
}

func TestLostResponseToABatchLeavesAllItemsExecuted(t *testing.T) {
	h := start(t, Options{Faults: Rates{batchLost: 1}})
	require.Equal(t, "reset", h.post("/batches", "b", batchOf("tok_pending", "tok_success")).String())
	require.Len(t, h.ledger().Payments, 2)
	// Only batches meet this fault. The stored responses show what was executed.
	require.Equal(t, "200 success, replayed", h.post("/charges", "tok_success", chargeBody("tok_success", "tok_success")).String())
}

func TestItemsOfABatchMeetRandomFaultsOneByOne(t *testing.T) {
	h := start(t, Options{Faults: Rates{"500": 0.4}, Seed: 1})
	tokens := []string{"tok_success", "tok_pending", "tok_declined_200", "tok_wrong_amount", "tok_requires_action", "tok_visa"}
	for i := range 20 {
		got := h.post("/batches", fmt.Sprint("b", i), batchOf(tokens...))
		if got.status != 200 {
			continue // the fault is of the whole batch
		}
		var answers batchAnswers
		got.into(t, &answers)
		require.Len(t, answers.Items, len(tokens))
		statuses := map[int]int{}
		for _, item := range answers.Items {
			statuses[item.Status]++
		}
		if statuses[500] > 0 && statuses[500] < len(tokens) {
			return
		}
	}
	require.Fail(t, "no batch has had faults of single items")
}
