package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// walks says what callers of each token meet on their requests with one key, and what the ledger then has: now, and
// once everything pending has settled. "" is no entry.
var walks = []struct {
	token   string
	meets   []string
	ledger  string
	settled string
}{
	{"tok_visa", []string{"200 succeeded", "200 succeeded, replayed"}, "succeeded", "succeeded"},
	{"tok_success", []string{"200 success", "200 success, replayed"}, "succeeded", "succeeded"},
	{"tok_pending", []string{"202 pending", "202 pending, replayed"}, "pending", "succeeded"},
	{"tok_pending_declined", []string{"202 pending", "202 pending, replayed"}, "pending", "declined"},
	{"tok_requires_action", []string{"200 requires_action", "200 requires_action, replayed"}, "requires_action", "succeeded"},

	{"tok_insufficient_funds", twice("402 card_declined soft insufficient_funds", ", replayed"), "declined", "declined"},
	{"tok_stolen_card", twice("402 card_declined hard stolen_card", ", replayed"), "declined", "declined"},
	{"tok_authentication_required", twice("402 card_declined action authentication_required", ", replayed"), "declined", "declined"},
	{"tok_declined_200", twice("200 declined", ", replayed"), "declined", "declined"},
	{"tok_declined_422", twice("422 card_declined hard expired_card", ", replayed"), "declined", "declined"},

	{"tok_400", twice("400 invalid_request", ""), "", ""},
	{"tok_401_always", twice("401 unauthorized", ""), "", ""},
	{"tok_403", twice("403 forbidden", ""), "", ""},
	{"tok_404", twice("404 not_found", ""), "", ""},
	{"tok_422", twice("422 invalid_request", ""), "", ""},
	{"tok_501", twice("501 not_implemented", ""), "", ""},
	{"tok_mismatch", twice("422 idempotency_mismatch", ""), "", ""},

	{"tok_500_twice", []string{"500 internal_error", "500 internal_error", "200 succeeded", "200 succeeded, replayed"}, "succeeded", "succeeded"},
	{"tok_500_always", twice("500 internal_error", ""), "", ""},
	{"tok_503_then_ok", fails("503 unavailable"), "succeeded", "succeeded"},
	{"tok_401_once", fails("401 unauthorized"), "succeeded", "succeeded"},
	{"tok_409_in_flight", fails("409 idempotency_in_flight"), "succeeded", "succeeded"},
	{"tok_423", fails("423 locked"), "succeeded", "succeeded"},
	{"tok_425", fails("425 too_early"), "succeeded", "succeeded"},
	{"tok_timeout_before_charge", fails("no answer"), "succeeded", "succeeded"},
	{"tok_reset_before_charge", fails("reset"), "succeeded", "succeeded"},

	{"tok_429_retry_after", fails("429 rate_limited"), "succeeded", "succeeded"},
	{"tok_429_http_date", fails("429 rate_limited"), "succeeded", "succeeded"},
	{"tok_429_long", fails("429 rate_limited"), "succeeded", "succeeded"},
	{"tok_429_bad_retry_after", fails("429 rate_limited"), "succeeded", "succeeded"},
	{"tok_429_always", twice("429 rate_limited", ""), "", ""},

	{"tok_500_once_after_charge", charges("500 internal_error"), "succeeded", "succeeded"},
	{"tok_504_after_charge", charges("504 gateway_timeout"), "succeeded", "succeeded"},
	{"tok_408", charges("408 request_timeout"), "succeeded", "succeeded"},
	{"tok_424", charges("424 failed_dependency"), "succeeded", "succeeded"},
	{"tok_timeout_after_charge", charges("no answer"), "succeeded", "succeeded"},
	{"tok_reset_after_charge", charges("reset"), "succeeded", "succeeded"},
	{"tok_malformed_200", charges("200 not json"), "succeeded", "succeeded"},
	{"tok_truncated_200", charges("200 cut off"), "succeeded", "succeeded"},
	{"tok_empty_200", charges("200 empty"), "succeeded", "succeeded"},
	{"tok_200_html", charges("200 not json"), "succeeded", "succeeded"},
	{"tok_huge_body", charges("200 huge"), "succeeded", "succeeded"},

	{"tok_500_after_charge", twice("500 internal_error", ""), "succeeded", "succeeded"},
	{"tok_timeout_then_401", []string{"no answer", "401 unauthorized", "401 unauthorized"}, "succeeded", "succeeded"},
	{"tok_302", twice("302 empty", ""), "succeeded", "succeeded"},
	{"tok_418", twice("418 teapot", ""), "succeeded", "succeeded"},
	{"tok_lookup_late", twice("500 internal_error", ""), "succeeded", "succeeded"},
	{"tok_lost", twice("500 internal_error", ""), "succeeded", "succeeded"},

	{"tok_wrong_amount", twice("200 succeeded", ", replayed"), "succeeded", "succeeded"},
	{"tok_wrong_currency", twice("200 succeeded", ", replayed"), "succeeded", "succeeded"},
	{"tok_wrong_reference", twice("200 succeeded", ", replayed"), "succeeded", "succeeded"},

	{"tok_capture_500_twice", []string{"500 internal_error", "500 internal_error", "200 succeeded", "200 succeeded, replayed"}, "succeeded", "succeeded"},
	{"tok_capture_500_always", twice("500 internal_error", ""), "authorized", "authorized"},
	{"tok_capture_500_after", twice("500 internal_error", ""), "succeeded", "succeeded"},
	{"tok_capture_timeout_after", charges("no answer"), "succeeded", "succeeded"},
	{"tok_capture_reset_after", charges("reset"), "succeeded", "succeeded"},
	{"tok_capture_403", twice("403 forbidden", ""), "authorized", "authorized"},
	{"tok_capture_declined", twice("402 card_declined hard expired_authorization", ", replayed"), "authorized", "authorized"},

	{"tok_refund_500_twice", []string{"500 internal_error", "500 internal_error", "200 succeeded", "200 succeeded, replayed"}, "succeeded", "succeeded"},
	{"tok_refund_500_always", twice("500 internal_error", ""), "", ""},
	{"tok_refund_timeout_after", charges("no answer"), "succeeded", "succeeded"},
	{"tok_refund_reset_after", charges("reset"), "succeeded", "succeeded"},
	{"tok_refund_declined", twice("422 refund_declined refund_not_accepted", ", replayed"), "declined", "declined"},
	{"tok_refund_pending", twice("202 pending", ", replayed"), "pending", "succeeded"},
	{"tok_refund_lost", twice("500 internal_error", ""), "succeeded", "succeeded"},
}

func twice(meets, again string) []string { return []string{meets, meets + again} }

// fails is a failure before the charge, charges one after it: only there the second answer is a replay.
func fails(how string) []string {
	return []string{how, "200 succeeded", "200 succeeded, replayed"}
}

func charges(how string) []string { return []string{how, "200 succeeded, replayed"} }

func TestEveryTokenDoesWhatItSays(t *testing.T) {
	require.Len(t, walks, len(Tokens()))
	scopes := map[string]string{}
	for _, token := range Tokens() {
		scopes[token.Name] = token.Scope
	}
	for _, walk := range walks {
		t.Run(walk.token, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, scopes, walk.token)
			b := start(t, Options{})
			path, body := b.call(scopes[walk.token], walk.token)
			b.walk(path, body, walk.meets)
			status, _ := b.entry(path)
			require.Equal(t, walk.ledger, status)
			b.clock.advance(DefaultPendingFor)
			status, _ = b.entry(path)
			require.Equal(t, walk.settled, status)
		})
	}
}

func TestAVoidMeetsTheFaultsOfItsToken(t *testing.T) {
	for _, walk := range walks {
		if r, _ := rowFor(walk.token, scopeCapture); r.Scope != scopeCapture || r.books.status != "" {
			continue // what declines a capture lets it be voided
		}
		t.Run(walk.token, func(t *testing.T) {
			t.Parallel()
			b := start(t, Options{})
			path, _ := b.call(scopeCapture, walk.token)
			path = strings.Replace(path, "capture", "void", 1)
			meets := slices.Clone(walk.meets)
			for i := range meets {
				meets[i] = strings.Replace(meets[i], statusSucceeded, statusVoided, 1)
			}
			b.walk(path, "", meets)
			status, _ := b.entry(path)
			require.Equal(t, strings.Replace(walk.ledger, statusSucceeded, statusVoided, 1), status)
		})
	}
}

// call is the request whose token is to be tried, after whatever has to come before it.
func (b *bench) call(scope, token string) (path, body string) {
	b.t.Helper()
	switch scope {
	case scopeCapture:
		id := b.pay(token, "charge", false)
		require.Equal(b.t, statusAuthorized, b.ledger().Payments[0].Status)
		return "/payments/" + id + "/capture", ""
	case scopeRefund:
		id := b.pay(token, "charge", true)
		require.Equal(b.t, statusSucceeded, b.ledger().Payments[0].Status)
		return "/refunds", fmt.Sprintf(`{"payment_id":%q,"amount":400,"reference":"key-1"}`, id)
	default:
		return "/charges", chargeBody(token, "key-1")
	}
}

// walk sends the same request again and again, and compares what it meets.
func (b *bench) walk(path, body string, meets []string) {
	b.t.Helper()
	executed := false
	for n, want := range meets {
		post := b.post
		if want == "no answer" {
			post = b.postBriefly
		}
		require.Equal(b.t, want, post(path, "key-1", body).String(), "request %d", n+1)
		// What fails before the execution leaves nothing; what was executed once stays as it is.
		_, requests := b.entry(path)
		require.Contains(b.t, []int{0, n + 1}, requests)
		require.False(b.t, executed && requests == 0)
		executed = requests > 0
	}
}

// entry is the one ledger entry that the walk made: its status, and how many requests it took. A payment that is still to be
// captured or voided took none.
func (b *bench) entry(path string) (status string, requests int) {
	b.t.Helper()
	ledger := b.ledger()
	require.LessOrEqual(b.t, len(ledger.Payments), 1)
	require.LessOrEqual(b.t, len(ledger.Refunds), 1)
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
		require.NoError(b.t, b.sim.db.QueryRowContext(b.t.Context(),
			"SELECT received FROM requests WHERE idempotency_key = 'key-1'").Scan(&requests))
	}
	return p.Status, requests
}

func TestAFailureBeforeTheChargeExecutesNothingUntilItIsRepeated(t *testing.T) {
	for _, token := range []string{"tok_500_twice", "tok_timeout_before_charge", "tok_reset_before_charge", "tok_503_then_ok"} {
		b := start(t, Options{})
		b.postBriefly("/charges", "k", chargeBody(token, "k"))
		require.Empty(t, b.ledger().Payments, token)
	}
}

func TestAFailureAfterTheChargeHasExecutedIt(t *testing.T) {
	for _, token := range []string{"tok_500_after_charge", "tok_timeout_after_charge", "tok_reset_after_charge", "tok_malformed_200", "tok_302"} {
		b := start(t, Options{})
		b.postBriefly("/charges", "k", chargeBody(token, "k"))
		require.Len(t, b.ledger().Payments, 1, token)
		var found page[payment]
		b.get("/payments?reference=k").into(t, &found)
		require.Len(t, found.Data, 1, token)
		require.Equal(t, statusSucceeded, found.Data[0].Status)
	}
}

func TestEveryEndIsAStatusOfTheContract(t *testing.T) {
	ends := map[string][]string{
		scopeCharge:  {"succeeded", "declined", "failed", "needs_reconciliation", "conflicted"},
		scopeCapture: {"succeeded", "authorized", "needs_reconciliation"},
		scopeRefund:  {"succeeded", "declined", "failed", "needs_reconciliation"},
	}
	names := map[string]bool{}
	for _, token := range Tokens() {
		require.Contains(t, ends[token.Scope], token.Ends, token.Name)
		require.NotEmpty(t, token.Does, token.Name)
		require.False(t, names[token.Name], "%s is there twice", token.Name)
		names[token.Name] = true
	}
}

func TestRetryAfterHasTheFormTheTokenAsksFor(t *testing.T) {
	b := start(t, Options{})
	for token, want := range map[string]string{
		"tok_429_retry_after":     "1",
		"tok_429_always":          "1",
		"tok_429_long":            "8",
		"tok_429_bad_retry_after": "soon",
		"tok_429_http_date":       "Sat, 31 Jan 2026 12:00:02 GMT",
	} {
		got := b.post("/charges", token, chargeBody(token, token))
		require.Equal(t, want, got.header.Get("Retry-After"), token)
	}
	dated := b.post("/charges", "another", chargeBody("tok_429_http_date", "another"))
	date, err := http.ParseTime(dated.header.Get("Date"))
	require.NoError(t, err)
	until, err := http.ParseTime(dated.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, until.Sub(date))
}

func TestAProcessorThatBooksSomethingElseHasItInTheLedger(t *testing.T) {
	b := start(t, Options{})
	for _, token := range []string{"tok_wrong_amount", "tok_wrong_currency", "tok_wrong_reference"} {
		var p payment
		b.post("/charges", token, chargeBody(token, token)).into(t, &p)
		ledger := b.ledger()
		booked := ledger.Payments[len(ledger.Payments)-1]
		require.Equal(t, token == "tok_wrong_amount", p.Amount != 1000)
		require.Equal(t, token == "tok_wrong_currency", p.Currency != "EUR")
		require.Equal(t, token == "tok_wrong_reference", p.Reference != token)
		require.Equal(t, booked.Amount, p.Amount)
		require.Equal(t, booked.Currency, p.Currency)
		require.Equal(t, booked.Reference, p.Reference)
	}
}

func TestALatePaymentIsFoundByTheThirdLookup(t *testing.T) {
	b := start(t, Options{})
	b.post("/charges", "late", chargeBody("tok_lookup_late", "late"))
	for _, want := range []int{0, 0, 1, 1} {
		var found page[payment]
		b.get("/payments?reference=late").into(t, &found)
		require.Len(t, found.Data, want)
	}
}

func TestWhatIsLostOnlyTheLedgerKnows(t *testing.T) {
	b := start(t, Options{})
	b.post("/charges", "lost", chargeBody("tok_lost", "lost"))
	var paid payment
	b.post("/charges", "paid", chargeBody("tok_refund_lost", "paid")).into(t, &paid)
	b.post("/refunds", "refund", fmt.Sprintf(`{"payment_id":%q,"reference":"refund"}`, paid.ID))

	ledger := b.ledger()
	require.Len(t, ledger.Payments, 2)
	require.Len(t, ledger.Refunds, 1)
	for _, path := range []string{
		"/payments?reference=lost", "/payments/" + ledger.Payments[0].ID, "/refunds?reference=refund", "/refunds/" + ledger.Refunds[0].ID,
	} {
		require.Equal(t, "500 internal_error", b.get(path).String(), path)
	}
	var listed page[payment]
	b.get("/payments").into(t, &listed)
	require.Len(t, listed.Data, 1)
	require.Equal(t, paid.ID, listed.Data[0].ID)
}

func TestAPendingDeclineIsToldOnlyOnceItHappened(t *testing.T) {
	b := start(t, Options{PendingFor: time.Minute})
	var p payment
	b.post("/charges", "k", chargeBody("tok_pending_declined", "k")).into(t, &p)
	require.Empty(t, p.DeclineCode)
	b.clock.advance(59 * time.Second)
	b.get("/payments/"+p.ID).into(t, &p)
	require.Equal(t, statusPending, p.Status)
	b.clock.advance(time.Second)
	b.get("/payments/"+p.ID).into(t, &p)
	require.Equal(t, []string{"declined", "insufficient_funds", "soft"}, []string{p.Status, p.DeclineCode, p.DeclineKind})
	require.Equal(t, "insufficient_funds", b.ledger().Payments[0].DeclineCode)
}

func TestAPendingAuthorizationSettlesToAuthorized(t *testing.T) {
	b := start(t, Options{})
	var p payment
	b.post("/charges", "k", `{"card_token":"tok_pending","amount":5,"currency":"EUR","capture":false,"reference":"k"}`).into(t, &p)
	b.clock.advance(DefaultPendingFor)
	b.get("/payments/"+p.ID).into(t, &p)
	require.Equal(t, statusAuthorized, p.Status)
	require.Zero(t, p.CapturedAmount)
}
