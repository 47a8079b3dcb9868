package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tokenCases has, for each token, the outcomes of repeated requests with one key, and the resulting status in the ledger.
var tokenCases = []struct {
	token    string
	outcomes []string
	ledger   string // directly after the requests; "" means that the ledger has no entry
	final    string // after Options.PendingFor; "" means that it is the same
}{
	{token: "tok_visa", outcomes: replays("200 succeeded"), ledger: "succeeded"},
	{token: "tok_success", outcomes: replays("200 success"), ledger: "succeeded"},
	{token: "tok_pending", outcomes: replays("202 pending"), ledger: "pending", final: "succeeded"},
	{token: "tok_pending_declined", outcomes: replays("202 pending"), ledger: "pending", final: "declined"},
	{token: "tok_requires_action", outcomes: replays("200 requires_action"), ledger: "requires_action", final: "succeeded"},
	{token: "tok_action_declined_open", outcomes: replays("200 requires_action"), ledger: "requires_action", final: "declined"},
	{token: "tok_action_declined_then_paid", outcomes: replays("200 requires_action"), ledger: "requires_action", final: "declined"},

	{token: "tok_insufficient_funds", outcomes: replays("402 card_declined soft insufficient_funds"), ledger: "declined"},
	{token: "tok_stolen_card", outcomes: replays("402 card_declined hard stolen_card"), ledger: "declined"},
	{token: "tok_authentication_required", outcomes: replays("402 card_declined action authentication_required"), ledger: "declined"},
	{token: "tok_declined_200", outcomes: replays("200 declined"), ledger: "declined"},
	{token: "tok_declined_open", outcomes: replays("200 declined"), ledger: "declined"},
	{token: "tok_declined_422", outcomes: replays("422 card_declined hard expired_card"), ledger: "declined"},

	{token: "tok_400", outcomes: repeats("400 invalid_request"), ledger: ""},
	{token: "tok_401_always", outcomes: repeats("401 unauthorized"), ledger: ""},
	{token: "tok_403", outcomes: repeats("403 forbidden"), ledger: ""},
	{token: "tok_404", outcomes: repeats("404 not_found"), ledger: ""},
	{token: "tok_422", outcomes: repeats("422 invalid_request"), ledger: ""},
	{token: "tok_501", outcomes: repeats("501 not_implemented"), ledger: ""},
	{token: "tok_mismatch", outcomes: repeats("422 idempotency_mismatch"), ledger: ""},

	{token: "tok_500_twice", outcomes: failsTwice, ledger: "succeeded"},
	{token: "tok_500_always", outcomes: repeats("500 internal_error"), ledger: ""},
	{token: "tok_503_then_ok", outcomes: failsBefore("503 unavailable"), ledger: "succeeded"},
	{token: "tok_401_once", outcomes: failsBefore("401 unauthorized"), ledger: "succeeded"},
	{token: "tok_409_in_flight", outcomes: failsBefore("409 idempotency_in_flight"), ledger: "succeeded"},
	{token: "tok_423", outcomes: failsBefore("423 locked"), ledger: "succeeded"},
	{token: "tok_425", outcomes: failsBefore("425 too_early"), ledger: "succeeded"},
	{token: "tok_timeout_before_charge", outcomes: failsBefore("no response"), ledger: "succeeded"},
	{token: "tok_reset_before_charge", outcomes: failsBefore("reset"), ledger: "succeeded"},

	{token: "tok_429_retry_after", outcomes: failsBefore("429 rate_limited"), ledger: "succeeded"},
	{token: "tok_429_http_date", outcomes: failsBefore("429 rate_limited"), ledger: "succeeded"},
	{token: "tok_429_long", outcomes: failsBefore("429 rate_limited"), ledger: "succeeded"},
	{token: "tok_429_bad_retry_after", outcomes: failsBefore("429 rate_limited"), ledger: "succeeded"},
	{token: "tok_429_fraction", outcomes: failsBefore("429 rate_limited"), ledger: "succeeded"},
	{token: "tok_429_object", outcomes: failsBefore("429 lock_timeout"), ledger: "succeeded"},
	{token: "tok_429_always", outcomes: repeats("429 rate_limited"), ledger: ""},

	{token: "tok_500_once_after_charge", outcomes: failsAfter("500 internal_error"), ledger: "succeeded"},
	{token: "tok_504_after_charge", outcomes: failsAfter("504 gateway_timeout"), ledger: "succeeded"},
	{token: "tok_408", outcomes: failsAfter("408 request_timeout"), ledger: "succeeded"},
	{token: "tok_424", outcomes: failsAfter("424 failed_dependency"), ledger: "succeeded"},
	{token: "tok_timeout_after_charge", outcomes: failsAfter("no response"), ledger: "succeeded"},
	{token: "tok_reset_after_charge", outcomes: failsAfter("reset"), ledger: "succeeded"},
	{token: "tok_malformed_200", outcomes: failsAfter("200 not json"), ledger: "succeeded"},
	{token: "tok_truncated_200", outcomes: failsAfter("200 cut off"), ledger: "succeeded"},
	{token: "tok_empty_200", outcomes: failsAfter("200 empty"), ledger: "succeeded"},
	{token: "tok_200_html", outcomes: failsAfter("200 not json"), ledger: "succeeded"},
	{token: "tok_huge_body", outcomes: failsAfter("200 huge"), ledger: "succeeded"},

	{token: "tok_500_after_charge", outcomes: repeats("500 internal_error"), ledger: "succeeded"},
	{token: "tok_timeout_then_401", outcomes: []string{"no response", "401 unauthorized", "401 unauthorized"}, ledger: "succeeded"},
	{token: "tok_302", outcomes: repeats("302 empty"), ledger: "succeeded"},
	{token: "tok_418", outcomes: repeats("418 teapot"), ledger: "succeeded"},
	{token: "tok_lookup_late", outcomes: repeats("500 internal_error"), ledger: "succeeded"},
	{token: "tok_lookup_unavailable", outcomes: repeats("500 internal_error"), ledger: "succeeded"},
	{token: "tok_duplicate_after_timeout", ledger: "succeeded", outcomes: []string{"no response",
		"402 card_declined hard duplicate_transaction", "402 card_declined hard duplicate_transaction"}},
	{token: "tok_id_control", outcomes: replays("200 succeeded"), ledger: "succeeded"},
	{token: "tok_lost", outcomes: repeats("500 internal_error"), ledger: "succeeded"},

	{token: "tok_wrong_amount", outcomes: replays("200 succeeded"), ledger: "succeeded"},
	{token: "tok_wrong_currency", outcomes: replays("200 succeeded"), ledger: "succeeded"},
	{token: "tok_wrong_reference", outcomes: replays("200 succeeded"), ledger: "succeeded"},

	{token: "tok_refunded_in_dashboard", outcomes: replays("200 succeeded"), ledger: "succeeded"},

	{token: "tok_capture_500_twice", outcomes: failsTwice, ledger: "succeeded"},
	{token: "tok_capture_500_always", outcomes: repeats("500 internal_error"), ledger: "authorized"},
	{token: "tok_capture_500_after", outcomes: repeats("500 internal_error"), ledger: "succeeded"},
	{token: "tok_capture_timeout_after", outcomes: failsAfter("no response"), ledger: "succeeded"},
	{token: "tok_capture_reset_after", outcomes: failsAfter("reset"), ledger: "succeeded"},
	{token: "tok_capture_403", outcomes: repeats("403 forbidden"), ledger: "authorized"},
	{token: "tok_capture_declined", outcomes: replays("402 card_declined hard expired_authorization"), ledger: "authorized"},

	{token: "tok_refund_500_twice", outcomes: failsTwice, ledger: "succeeded"},
	{token: "tok_refund_500_always", outcomes: repeats("500 internal_error"), ledger: ""},
	{token: "tok_refund_timeout_after", outcomes: failsAfter("no response"), ledger: "succeeded"},
	{token: "tok_refund_reset_after", outcomes: failsAfter("reset"), ledger: "succeeded"},
	{token: "tok_refund_declined", outcomes: replays("422 refund_declined refund_not_accepted"), ledger: "declined"},
	{token: "tok_refund_pending", outcomes: replays("202 pending"), ledger: "pending", final: "succeeded"},
	{token: "tok_refund_fails_late", outcomes: replays("200 succeeded"), ledger: "succeeded", final: "declined"},
	{token: "tok_refund_lost", outcomes: repeats("500 internal_error"), ledger: "succeeded"},
}

// failsTwice has the outcomes of a 500 on the first two requests, before the execution.
var failsTwice = []string{"500 internal_error", "500 internal_error", "200 succeeded", "200 succeeded, replayed"}

// repeats returns the outcomes of two requests that are refused alike, or meet the same fault.
func repeats(outcome string) []string { return []string{outcome, outcome} }

// replays returns the outcomes of two requests, of which the second gets the stored response of the first.
func replays(outcome string) []string { return []string{outcome, outcome + ", replayed"} }

// failsBefore returns the outcomes of a fault before the execution: the second request is executed.
func failsBefore(fault string) []string {
	return []string{fault, "200 succeeded", "200 succeeded, replayed"}
}

// failsAfter returns the outcomes of a fault after the execution: the second request gets the stored response.
func failsAfter(fault string) []string { return []string{fault, "200 succeeded, replayed"} }

func TestEveryTokenBehavesAsDocumented(t *testing.T) {
	require.Len(t, tokenCases, len(Tokens()))
	scopes := map[string]string{}
	for _, token := range Tokens() {
		scopes[token.Name] = token.Scope
	}
	for _, tc := range tokenCases {
		t.Run(tc.token, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, scopes, tc.token)
			h := start(t, Options{})
			path, body := h.prepare(scopes[tc.token], tc.token)
			h.repeat(path, body, tc.outcomes)
			status, _ := h.entry(path)
			require.Equal(t, tc.ledger, status)
			final := cmp.Or(tc.final, tc.ledger)
			h.clock.advance(DefaultPendingFor)
			status, _ = h.entry(path)
			require.Equal(t, final, status)
		})
	}
}

func TestVoidHasTheFaultsOfTheChargeToken(t *testing.T) {
	for _, tc := range tokenCases {
		if b, _ := behaviorFor(tc.token, scopeCapture); b.Scope != scopeCapture || b.effect.status != "" {
			continue // a token that declines the capture has no fault for the void
		}
		t.Run(tc.token, func(t *testing.T) {
			t.Parallel()
			h := start(t, Options{})
			path, _ := h.prepare(scopeCapture, tc.token)
			path = strings.Replace(path, "capture", "void", 1)
			outcomes := slices.Clone(tc.outcomes)
			for i := range outcomes {
				outcomes[i] = strings.Replace(outcomes[i], statusSucceeded, statusVoided, 1)
			}
			h.repeat(path, "", outcomes)
			status, _ := h.entry(path)
			require.Equal(t, strings.Replace(tc.ledger, statusSucceeded, statusVoided, 1), status)
		})
	}
}

// prepare creates the payment that a capture or refund needs, and returns the request that tests the token.
func (h *harness) prepare(scope, token string) (path, body string) {
	h.t.Helper()
	switch scope {
	case scopeCapture:
		id := h.pay(token, "charge", false)
		require.Equal(h.t, statusAuthorized, h.ledger().Payments[0].Status)
		return "/payments/" + id + "/capture", ""
	case scopeRefund:
		id := h.pay(token, "charge", true)
		require.Equal(h.t, statusSucceeded, h.ledger().Payments[0].Status)
		return "/refunds", fmt.Sprintf(`{"payment_id":%q,"amount":400,"reference":"key-1"}`, id)
	default:
		return "/charges", chargeBody(token, "key-1")
	}
}

// repeat sends the same request once for each expected outcome and compares the outcomes.
func (h *harness) repeat(path, body string, outcomes []string) {
	h.t.Helper()
	executed := false
	for n, want := range outcomes {
		post := h.post
		if want == "no response" {
			post = h.postAndGiveUp
		}
		require.Equal(h.t, want, post(path, "key-1", body).String(), "request %d", n+1)
		// A fault before the execution leaves the ledger empty. After the execution the entry never disappears.
		_, requests := h.entry(path)
		require.Contains(h.t, []int{0, n + 1}, requests)
		require.False(h.t, executed && requests == 0)
		executed = requests > 0
	}
}

// entry returns the status of the only ledger entry that the requests to path made or changed, and the number of these
// requests: 0 while the payment is not captured or voided yet.
func (h *harness) entry(path string) (status string, requests int) {
	h.t.Helper()
	ledger := h.ledger()
	require.LessOrEqual(h.t, len(ledger.Payments), 1)
	require.LessOrEqual(h.t, len(ledger.Refunds), 1)
	if path == "/refunds" {
		for _, r := range ledger.Refunds {
			return r.Status, r.Requests
		}
		return "", 0
	}
	if len(ledger.Payments) == 0 {
		return "", 0
	}
	p := ledger.Payments[0]
	if path == "/charges" {
		return p.Status, p.Requests
	}
	if p.Status != statusAuthorized {
		require.NoError(h.t, h.sim.db.QueryRowContext(h.t.Context(),
			"SELECT received FROM requests WHERE idempotency_key = 'key-1'").Scan(&requests))
	}
	return p.Status, requests
}

func TestFaultBeforeTheChargeChargesNothing(t *testing.T) {
	for _, token := range []string{"tok_500_twice", "tok_timeout_before_charge", "tok_reset_before_charge", "tok_503_then_ok"} {
		h := start(t, Options{})
		h.postAndGiveUp("/charges", "k", chargeBody(token, "k"))
		require.Empty(t, h.ledger().Payments, token)
	}
}

func TestFaultAfterTheChargeLeavesTheChargeInTheLedger(t *testing.T) {
	for _, token := range []string{"tok_500_after_charge", "tok_timeout_after_charge", "tok_reset_after_charge", "tok_malformed_200", "tok_302"} {
		h := start(t, Options{})
		h.postAndGiveUp("/charges", "k", chargeBody(token, "k"))
		require.Len(t, h.ledger().Payments, 1, token)
		var found page[payment]
		h.get("/payments?reference=k").into(t, &found)
		require.Len(t, found.Data, 1, token)
		require.Equal(t, statusSucceeded, found.Data[0].Status)
	}
}

func TestEveryExpectedStatusIsKnown(t *testing.T) {
	known := map[string][]string{
		scopeCharge:  {"succeeded", "declined", "failed", "needs_reconciliation", "conflicted"},
		scopeCapture: {"succeeded", "authorized", "needs_reconciliation"},
		scopeRefund:  {"succeeded", "declined", "failed", "needs_reconciliation"},
	}
	names := map[string]bool{}
	for _, token := range Tokens() {
		require.Contains(t, known[token.Scope], token.ExpectedStatus, token.Name)
		require.NotEmpty(t, token.Description, token.Name)
		require.False(t, names[token.Name], "%s is in the table twice", token.Name)
		names[token.Name] = true
	}
}

func TestRetryAfterHasTheFormOfTheToken(t *testing.T) {
	h := start(t, Options{})
	for token, want := range map[string]string{
		"tok_429_retry_after":     "1",
		"tok_429_always":          "1",
		"tok_429_long":            "8",
		"tok_429_bad_retry_after": "soon",
		"tok_429_fraction":        "0.5",
		"tok_429_object":          "1",
		"tok_429_http_date":       "Sat, 31 Jan 2026 12:00:02 GMT",
	} {
		got := h.post("/charges", token, chargeBody(token, token))
		require.Equal(t, want, got.header.Get("Retry-After"), token)
	}
	dated := h.post("/charges", "another", chargeBody("tok_429_http_date", "another"))
	date, err := http.ParseTime(dated.header.Get("Date"))
	require.NoError(t, err)
	until, err := http.ParseTime(dated.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, until.Sub(date))
}

func TestAlteredChargeIsInTheResponseAndInTheLedger(t *testing.T) {
	h := start(t, Options{})
	for _, token := range []string{"tok_wrong_amount", "tok_wrong_currency", "tok_wrong_reference"} {
		var p payment
		h.post("/charges", token, chargeBody(token, token)).into(t, &p)
		ledger := h.ledger()
		recorded := ledger.Payments[len(ledger.Payments)-1]
		require.Equal(t, token == "tok_wrong_amount", p.Amount != 1000)
		require.Equal(t, token == "tok_wrong_currency", p.Currency != "EUR")
		require.Equal(t, token == "tok_wrong_reference", p.Reference != token)
		require.Equal(t, recorded.Amount, p.Amount)
		require.Equal(t, recorded.Currency, p.Currency)
		require.Equal(t, recorded.Reference, p.Reference)
	}
}

func TestLatePaymentIsFoundByTheThirdLookup(t *testing.T) {
	h := start(t, Options{})
	h.post("/charges", "late", chargeBody("tok_lookup_late", "late"))
	for _, want := range []int{0, 0, 1, 1} {
		var found page[payment]
		h.get("/payments?reference=late").into(t, &found)
		require.Len(t, found.Data, want)
	}
}

func TestLookupsAreUnavailableForAWhile(t *testing.T) {
	h := start(t, Options{})
	h.post("/charges", "k", chargeBody("tok_lookup_unavailable", "k"))
	for range 3 {
		require.Equal(t, "503 unavailable", h.get("/payments?reference=k").String())
	}
	var found page[payment]
	h.get("/payments?reference=k").into(t, &found)
	require.Len(t, found.Data, 1)
}

func TestDuplicateIsFoundByTheThirdLookup(t *testing.T) {
	h := start(t, Options{})
	require.Equal(t, "no response", h.postAndGiveUp("/charges", "k", chargeBody("tok_duplicate_after_timeout", "k")).String())
	for _, want := range []int{0, 0, 1} {
		var found page[payment]
		h.get("/payments?reference=k").into(t, &found)
		require.Len(t, found.Data, want)
	}
}

func TestControlCharacterIsOnlyInTheResponseToTheCharge(t *testing.T) {
	h := start(t, Options{})
	for range 2 {
		var p payment
		h.post("/charges", "k", chargeBody("tok_id_control", "k")).into(t, &p)
		require.Equal(t, "\a"+h.ledger().Payments[0].ID, p.ID)
	}
	var found page[payment]
	h.get("/payments?reference=k").into(t, &found)
	require.Equal(t, h.ledger().Payments[0].ID, found.Data[0].ID)
}

func TestDeclinedPaymentCanStillSucceedUntilItIsVoidedOrPaid(t *testing.T) {
	const void = "void"
	for name, tc := range map[string]struct {
		token string
		steps []string // void, or the duration to wait
		want  []string // the response to the void and the payment after it, or the payment after the wait
	}{
		"voided": {token: "tok_action_declined_open", steps: []string{"1m", "24h", void, void},
			want: []string{"declined, open", "declined, open", "200 voided: voided", "200 voided, replayed: voided"}},
		"voided while the customer may act": {token: "tok_action_declined_open", steps: []string{void, "24h"},
			want: []string{"200 voided: voided", "voided"}},
		"declined at once": {token: "tok_declined_open", steps: []string{"24h", void},
			want: []string{"declined, open", "200 voided: voided"}},
		"paid when the void arrives": {token: "tok_action_declined_then_paid", steps: []string{"1m", void, void},
			want: []string{"declined, open", "409 state_conflict: succeeded", "409 state_conflict, replayed: succeeded"}},
		"paid without a void": {token: "tok_action_declined_then_paid", steps: []string{"1m", "59s", "1s"},
			want: []string{"declined, open", "declined, open", "succeeded"}},
		"paid long ago": {token: "tok_action_declined_then_paid", steps: []string{"24h"}, want: []string{"succeeded"}},
		"not open":      {token: "tok_declined_200", steps: []string{void}, want: []string{"409 state_conflict: declined"}},
	} {
		for _, captures := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, capture %t", name, captures), func(t *testing.T) {
				h := start(t, Options{PendingFor: time.Minute})
				id := h.pay(tc.token, "charge", captures)
				for i, step := range tc.steps {
					got := ""
					if step == void {
						got = h.post("/payments/"+id+"/void", "void", "").String() + ": "
					} else {
						d, err := time.ParseDuration(step)
						require.NoError(t, err)
						h.clock.advance(d)
					}
					var p payment
					h.get("/payments/"+id).into(t, &p)
					got += p.Status
					if p.CanStillSucceed {
						got += ", open"
					}
					require.Equal(t, p.Status == statusDeclined, p.DeclineCode != "")
					require.Equal(t, p.Status == statusSucceeded, p.CapturedAmount == 1000)
					want := tc.want[i]
					if !captures {
						want = strings.ReplaceAll(want, statusSucceeded, statusAuthorized)
					}
					require.Equal(t, want, got, "step %d", i+1)
				}
			})
		}
	}
}

func TestRefundThatFailsLaterReturnsItsAmount(t *testing.T) {
	h := start(t, Options{})
	id := h.pay("tok_refund_fails_late", "charge", true)
	for _, key := range []string{"refund-1", "refund-2"} {
		body := fmt.Sprintf(`{"payment_id":%q,"amount":400,"reference":%q}`, id, key)
		require.Equal(t, "200 succeeded", h.post("/refunds", key, body).String())
	}
	var refunds page[refundEntry]
	h.get("/refunds?reference=refund-1").into(t, &refunds)
	require.Equal(t, []string{"succeeded", ""}, []string{refunds.Data[0].Status, refunds.Data[0].DeclineCode})
	require.Equal(t, int64(800), h.ledger().Payments[0].RefundedAmount)
	h.clock.advance(DefaultPendingFor)
	h.get("/refunds?reference=refund-1").into(t, &refunds)
	require.Equal(t, []string{"declined", "account_closed"}, []string{refunds.Data[0].Status, refunds.Data[0].DeclineCode})
	require.Zero(t, h.ledger().Payments[0].RefundedAmount)
}

func TestPaymentIsRefundedWithoutARefund(t *testing.T) {
	h := start(t, Options{})
	id := h.pay("tok_refunded_in_dashboard", "charge", true)
	require.Zero(t, h.ledger().Payments[0].RefundedAmount)
	h.clock.advance(DefaultPendingFor)
	var p payment
	h.get("/payments/"+id).into(t, &p)
	require.Equal(t, []any{"succeeded", int64(1000), int64(1000)}, []any{p.Status, p.CapturedAmount, p.RefundedAmount})
	require.Empty(t, h.ledger().Refunds)
}

func TestPaymentWhoseLookupsFailIsOnlyInTheLedger(t *testing.T) {
	h := start(t, Options{})
	h.post("/charges", "lost", chargeBody("tok_lost", "lost"))
	var paid payment
	h.post("/charges", "paid", chargeBody("tok_refund_lost", "paid")).into(t, &paid)
	h.post("/refunds", "refund", fmt.Sprintf(`{"payment_id":%q,"reference":"refund"}`, paid.ID))

	ledger := h.ledger()
	require.Len(t, ledger.Payments, 2)
	require.Len(t, ledger.Refunds, 1)
	for _, path := range []string{
		"/payments?reference=lost", "/payments/" + ledger.Payments[0].ID, "/refunds?reference=refund", "/refunds/" + ledger.Refunds[0].ID,
	} {
		require.Equal(t, "500 internal_error", h.get(path).String(), path)
	}
	var listed page[payment]
	h.get("/payments").into(t, &listed)
	require.Len(t, listed.Data, 1)
	require.Equal(t, paid.ID, listed.Data[0].ID)
}

func TestDeclineOfAPendingPaymentIsHiddenUntilItHappens(t *testing.T) {
	h := start(t, Options{PendingFor: time.Minute})
	var p payment
	h.post("/charges", "k", chargeBody("tok_pending_declined", "k")).into(t, &p)
	require.Empty(t, p.DeclineCode)
	h.clock.advance(59 * time.Second)
	h.get("/payments/"+p.ID).into(t, &p)
	require.Equal(t, statusPending, p.Status)
	h.clock.advance(time.Second)
	h.get("/payments/"+p.ID).into(t, &p)
	require.Equal(t, []string{"declined", "insufficient_funds", "soft"}, []string{p.Status, p.DeclineCode, p.DeclineKind})
	require.Equal(t, "insufficient_funds", h.ledger().Payments[0].DeclineCode)
}

func TestPendingAuthorizationBecomesAuthorized(t *testing.T) {
	h := start(t, Options{})
	var p payment
	h.post("/charges", "k", `{"card_token":"tok_pending","amount":5,"currency":"EUR","capture":false,"reference":"k"}`).into(t, &p)
	h.clock.advance(DefaultPendingFor)
	h.get("/payments/"+p.ID).into(t, &p)
	require.Equal(t, statusAuthorized, p.Status)
	require.Zero(t, p.CapturedAmount)
}
