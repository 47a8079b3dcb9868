package simulator

import (
	"fmt"
	"net/http"

	"github.com/florinpay/florin/internal/simulator/tokens"
)

// behaviors has what the simulator does for each token. Package tokens describes the tokens.
var behaviors = complete([]behavior{
	// Successes.
	{Token: token("tok_visa")},
	{Token: token("tok_success"), effect: effect{successSpelling: "success"}},
	{Token: token("tok_pending")},
	{Token: token("tok_pending_declined")},
	{Token: token("tok_requires_action")},
	{Token: token("tok_action_declined_open"), effect: effect{open: true}},
	{Token: token("tok_action_declined_then_paid"), effect: effect{open: true, later: []string{statusDeclined, statusSucceeded}}},

	// Declines. They are results of a charge, not errors.
	{Token: token("tok_insufficient_funds"), effect: declined(http.StatusPaymentRequired)},
	{Token: token("tok_stolen_card"), effect: declined(http.StatusPaymentRequired)},
	{Token: token("tok_authentication_required"), effect: declined(http.StatusPaymentRequired)},
	{Token: token("tok_declined_200"), effect: declined(http.StatusOK)},
	{Token: token("tok_declined_open"), effect: effect{status: statusDeclined, declineStatus: http.StatusOK, open: true}},
	{Token: token("tok_declined_422"), effect: declined(http.StatusUnprocessableEntity)},

	// Refusals: nothing is charged, and repeating the request does not help.
	{Token: token("tok_400"), script: always(before(respondWith(400)))},
	{Token: token("tok_401_always"), script: always(before(respondWith(401)))},
	{Token: token("tok_403"), script: always(before(respondWith(403)))},
	{Token: token("tok_404"), script: always(before(respondWith(404)))},
	{Token: token("tok_422"), script: always(before(respondWith(422)))},
	{Token: token("tok_501"), script: always(before(respondWith(501)))},
	{Token: token("tok_mismatch"),
		script: always(before(respondWithError(422, "idempotency_mismatch",
			"a simulated mismatch: this key was used for a different request")))},

	// Faults before the charge: the repeated request charges.
	{Token: token("tok_500_twice"), script: first(before(respondWith(500)), before(respondWith(500)))},
	{Token: token("tok_500_always"), script: always(before(respondWith(500)))},
	{Token: token("tok_503_then_ok"), script: first(before(respondWith(503)))},
	{Token: token("tok_401_once"), script: first(before(respondWith(401)))},
	{Token: token("tok_409_in_flight"), script: first(before(respondWith(409)))},
	{Token: token("tok_423"), script: first(before(respondWith(423)))},
	{Token: token("tok_425"), script: first(before(respondWith(425)))},
	{Token: token("tok_timeout_before_charge"), script: first(before(noResponse))},
	{Token: token("tok_reset_before_charge"), script: first(before(connectionReset))},

	// Rate limits.
	{Token: token("tok_429_retry_after"), script: first(before(rateLimited("1")))},
	{Token: token("tok_429_http_date"), script: first(before(rateLimitedUntilDate))},
	{Token: token("tok_429_long"), script: first(before(rateLimitedFor(LongRetryAfter)))},
	{Token: token("tok_429_bad_retry_after"), script: first(before(rateLimited("soon")))},
	{Token: token("tok_429_fraction"), script: first(before(rateLimited("0.5")))},
	{Token: token("tok_429_object"), script: first(before(locked))},
	{Token: token("tok_429_always"), script: always(before(rateLimited("1")))},

	// Faults after the charge: money has moved, but the client cannot know it. The repeated request gets the stored success.
	{Token: token("tok_500_once_after_charge"), script: first(after(respondWith(500)))},
	{Token: token("tok_504_after_charge"), script: first(after(respondWith(504)))},
	{Token: token("tok_408"), script: first(after(respondWith(408)))},
	{Token: token("tok_424"), script: first(after(respondWith(424)))},
	{Token: token("tok_timeout_after_charge"), script: first(after(noResponse))},
	{Token: token("tok_reset_after_charge"), script: first(after(connectionReset))},
	{Token: token("tok_malformed_200"), script: first(after(malformedJSON))},
	{Token: token("tok_truncated_200"), script: first(after(truncatedBody))},
	{Token: token("tok_empty_200"), script: first(after(emptyBody))},
	{Token: token("tok_200_html"), script: first(after(htmlPage))},
	{Token: token("tok_huge_body"), script: first(after(hugeBody))},

	// Faults after the charge that repeating the request does not resolve: the client must look the charge up.
	{Token: token("tok_500_after_charge"), script: always(after(respondWith(500)))},
	{Token: token("tok_timeout_then_401"), script: always(after(noResponse), before(respondWith(401)))},
	{Token: token("tok_302"), script: always(after(redirect))},
	{Token: token("tok_418"), script: always(after(respondWith(418)))},
	{Token: token("tok_lookup_late"), script: always(after(respondWith(500))), hiddenLookups: 2},
	{Token: token("tok_lookup_unavailable"), script: always(after(respondWith(500))), hiddenLookups: 3, hiddenStatus: 503},
	{Token: token("tok_duplicate_after_timeout"), script: always(after(noResponse), before(duplicate)), hiddenLookups: 2},
	{Token: token("tok_id_control"), script: always(after(controlInID))},
	{Token: token("tok_lost"), script: always(after(respondWith(500))), lookupsFail: true},

	// The processor executes something other than what was requested.
	{Token: token("tok_wrong_amount"), effect: effect{alter: func(p *payment) { p.Amount += 100 }}},
	{Token: token("tok_wrong_currency"),
		effect: effect{alter: func(p *payment) { p.Currency = otherCurrency(p.Currency) }}},
	{Token: token("tok_wrong_reference"), effect: effect{alter: func(p *payment) { p.Reference += "-other" }}},

	// The processor changes a payment later, without a request.
	{Token: token("tok_refunded_in_dashboard"), effect: effect{later: []string{refundedElsewhere}}},

	// The charge succeeds; its captures and voids have these faults.
	{Token: token("tok_capture_500_twice"), script: first(before(respondWith(500)), before(respondWith(500)))},
	{Token: token("tok_capture_500_always"), script: always(before(respondWith(500)))},
	{Token: token("tok_capture_500_after"), script: always(after(respondWith(500)))},
	{Token: token("tok_capture_timeout_after"), script: first(after(noResponse))},
	{Token: token("tok_capture_reset_after"), script: first(after(connectionReset))},
	{Token: token("tok_capture_403"), script: always(before(respondWith(403)))},
	{Token: token("tok_capture_declined"), effect: declined(http.StatusPaymentRequired)},

	// The charge succeeds; its refunds have these faults.
	{Token: token("tok_refund_500_twice"), script: first(before(respondWith(500)), before(respondWith(500)))},
	{Token: token("tok_refund_500_always"), script: always(before(respondWith(500)))},
	{Token: token("tok_refund_timeout_after"), script: first(after(noResponse))},
	{Token: token("tok_refund_reset_after"), script: first(after(connectionReset))},
	{Token: token("tok_refund_declined"), effect: declined(http.StatusUnprocessableEntity)},
	{Token: token("tok_refund_pending")},
	{Token: token("tok_refund_fails_late"), effect: effect{later: []string{statusDeclined}}},
	{Token: token("tok_refund_lost"), script: always(after(respondWith(500))), lookupsFail: true},
})

// token returns a row of the table of tokens.
func token(name string) Token {
	t, known := tokens.Find(name)
	if !known {
		panic(fmt.Sprintf("unknown token %s", name))
	}
	return t
}

// complete adds the effects that the table of tokens describes.
func complete(behaviors []behavior) []behavior {
	for i := range behaviors {
		b := &behaviors[i]
		b.effect.declineCode, b.effect.declineKind = b.DeclineCode, b.DeclineKind
		if b.FirstStatus == "" {
			continue
		}
		b.effect.status = b.FirstStatus
		if b.effect.later == nil {
			b.effect.later = []string{b.ExpectedStatus}
		}
	}
	return behaviors
}

// declined is a decline with the given HTTP status.
func declined(status int) effect { return effect{status: statusDeclined, declineStatus: status} }

// otherCurrency returns a currency that differs from the given one.
func otherCurrency(currency string) string {
	if currency == "USD" {
		return "EUR"
	}
	return "USD"
}
