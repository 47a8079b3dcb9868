package simulator

import "net/http"

// behaviors is the table of tokens. "Once" and "twice" count the requests with one idempotency key; "always" means
// every request with it.
var behaviors = []behavior{
	// Successes.
	{Token: charge("tok_visa", "succeeds", "succeeded")},
	{Token: charge("tok_success", "succeeds; spells the status \"success\"", "succeeded"),
		effect: effect{successSpelling: "success"}},
	{Token: charge("tok_pending", "responds 202 pending; succeeds later", "succeeded"),
		effect: effect{status: statusPending, finalStatus: statusSucceeded}},
	{Token: charge("tok_pending_declined", "responds 202 pending; is declined later", "declined"),
		effect: effect{status: statusPending, finalStatus: statusDeclined, declineCode: "insufficient_funds", declineKind: "soft"}},
	{Token: charge("tok_requires_action", "requires 3-D Secure; the customer completes it later", "succeeded"),
		effect: effect{status: statusRequiresAction, finalStatus: statusSucceeded}},

	// Declines. They are results of a charge, not errors.
	{Token: charge("tok_insufficient_funds", "responds 402; a soft decline", "declined"),
		effect: declined(http.StatusPaymentRequired, "insufficient_funds", "soft")},
	{Token: charge("tok_stolen_card", "responds 402; a hard decline", "declined"),
		effect: declined(http.StatusPaymentRequired, "stolen_card", "hard")},
	{Token: charge("tok_authentication_required", "responds 402; a decline that requires an action of the customer", "declined"),
		effect: declined(http.StatusPaymentRequired, "authentication_required", "action")},
	{Token: charge("tok_declined_200", "responds 200 with the status declined", "declined"),
		effect: declined(http.StatusOK, "do_not_honor", "soft")},
	{Token: charge("tok_declined_422", "responds 422 with a decline code", "declined"),
		effect: declined(http.StatusUnprocessableEntity, "expired_card", "hard")},

	// Refusals: nothing is charged, and repeating the request does not help.
	{Token: charge("tok_400", "always responds 400; never charges", "failed"), script: always(before(respondWith(400)))},
	{Token: charge("tok_401_always", "always responds 401; never charges", "failed"), script: always(before(respondWith(401)))},
	{Token: charge("tok_403", "always responds 403; never charges", "failed"), script: always(before(respondWith(403)))},
	{Token: charge("tok_404", "always responds 404; never charges", "failed"), script: always(before(respondWith(404)))},
	{Token: charge("tok_422", "always responds 422 without a decline code; never charges", "failed"),
		script: always(before(respondWith(422)))},
	{Token: charge("tok_501", "always responds 501; never charges", "failed"), script: always(before(respondWith(501)))},
	{Token: charge("tok_mismatch", "always responds 422 idempotency_mismatch; never charges", "failed"),
		script: always(before(respondWithError(422, "idempotency_mismatch",
			"a simulated mismatch: this key was used for a different request")))},

	// Faults before the charge: the repeated request charges.
	{Token: charge("tok_500_twice", "responds 500 twice, then charges", "succeeded"),
		script: first(before(respondWith(500)), before(respondWith(500)))},
	{Token: charge("tok_500_always", "always responds 500; never charges", "failed"), script: always(before(respondWith(500)))},
	{Token: charge("tok_503_then_ok", "responds 503 once, then charges", "succeeded"), script: first(before(respondWith(503)))},
	{Token: charge("tok_401_once", "responds 401 once, as after a key rotation, then charges", "succeeded"),
		script: first(before(respondWith(401)))},
	{Token: charge("tok_409_in_flight", "responds 409 idempotency_in_flight once, then charges", "succeeded"),
		script: first(before(respondWith(409)))},
	{Token: charge("tok_423", "responds 423 once, then charges", "succeeded"), script: first(before(respondWith(423)))},
	{Token: charge("tok_425", "responds 425 once, then charges", "succeeded"), script: first(before(respondWith(425)))},
	{Token: charge("tok_timeout_before_charge", "does not respond once, then charges", "succeeded"),
		script: first(before(noResponse))},
	{Token: charge("tok_reset_before_charge", "resets the connection once, then charges", "succeeded"),
		script: first(before(connectionReset))},

	// Rate limits.
	{Token: charge("tok_429_retry_after", "responds 429 once with Retry-After: 1, then charges", "succeeded"),
		script: first(before(rateLimited("1")))},
	{Token: charge("tok_429_http_date",
		"responds 429 once with an HTTP date two seconds ahead in Retry-After, then charges", "succeeded"),
		script: first(before(rateLimitedUntilDate))},
	{Token: charge("tok_429_long", "responds 429 once with a Retry-After of 8 seconds, then charges", "succeeded"),
		script: first(before(rateLimitedFor(LongRetryAfter)))},
	{Token: charge("tok_429_bad_retry_after", "responds 429 once with the invalid Retry-After: soon, then charges", "succeeded"),
		script: first(before(rateLimited("soon")))},
	{Token: charge("tok_429_always", "always responds 429 with Retry-After: 1; never charges", "failed"),
		script: always(before(rateLimited("1")))},

	// Faults after the charge: money has moved, but the client cannot know it. The repeated request gets the stored success.
	{Token: charge("tok_500_once_after_charge", "charges, but responds 500 once", "succeeded"),
		script: first(after(respondWith(500)))},
	{Token: charge("tok_504_after_charge", "charges, but responds 504 once", "succeeded"),
		script: first(after(respondWith(504)))},
	{Token: charge("tok_408", "charges, but responds 408 once", "succeeded"), script: first(after(respondWith(408)))},
	{Token: charge("tok_424", "charges, but responds 424 once", "succeeded"), script: first(after(respondWith(424)))},
	{Token: charge("tok_timeout_after_charge", "charges, but does not respond once", "succeeded"),
		script: first(after(noResponse))},
	{Token: charge("tok_reset_after_charge", "charges, but resets the connection once", "succeeded"),
		script: first(after(connectionReset))},
	{Token: charge("tok_malformed_200", "charges, but responds 200 with half of the JSON document once", "succeeded"),
		script: first(after(malformedJSON))},
	{Token: charge("tok_truncated_200", "charges, but closes the connection in the middle of the body once", "succeeded"),
		script: first(after(truncatedBody))},
	{Token: charge("tok_empty_200", "charges, but responds 200 without a body once", "succeeded"),
		script: first(after(emptyBody))},
	{Token: charge("tok_200_html", "charges, but responds 200 with an HTML page once", "succeeded"),
		script: first(after(htmlPage))},
	{Token: charge("tok_huge_body", "charges, but responds 200 with a body of 11 MiB once", "succeeded"),
		script: first(after(hugeBody))},

	// Faults after the charge that repeating the request does not resolve: the client must look the charge up.
	{Token: charge("tok_500_after_charge", "charges, but always responds 500", "succeeded"),
		script: always(after(respondWith(500)))},
	{Token: charge("tok_timeout_then_401",
		"charges, but does not respond; repeated requests get 401, which does not prove that no money moved", "succeeded"),
		script: always(after(noResponse), before(respondWith(401)))},
	{Token: charge("tok_302", "charges, but always responds with a redirect", "succeeded"), script: always(after(redirect))},
	{Token: charge("tok_418", "charges, but always responds 418, an unexpected status", "succeeded"),
		script: always(after(respondWith(418)))},
	{Token: charge("tok_lookup_late",
		"charges, but always responds 500; the first two lookups by reference find nothing", "succeeded"),
		script: always(after(respondWith(500))), hiddenLookups: 2},
	{Token: charge("tok_lost",
		"charges, but always responds 500, also to lookups; only the ledger has the charge", "needs_reconciliation"),
		script: always(after(respondWith(500))), lookupsFail: true},

	// The processor executes something other than what was requested.
	{Token: charge("tok_wrong_amount", "charges a different amount", "conflicted"),
		effect: effect{alter: func(p *payment) { p.Amount += 100 }}},
	{Token: charge("tok_wrong_currency", "charges in a different currency", "conflicted"),
		effect: effect{alter: func(p *payment) { p.Currency = otherCurrency(p.Currency) }}},
	{Token: charge("tok_wrong_reference", "records the charge under a different reference", "conflicted"),
		effect: effect{alter: func(p *payment) { p.Reference += "-other" }}},

	// The charge succeeds; its captures and voids have these faults.
	{Token: capture("tok_capture_500_twice", "responds 500 twice, then captures", "succeeded"),
		script: first(before(respondWith(500)), before(respondWith(500)))},
	{Token: capture("tok_capture_500_always", "always responds 500; never captures", "needs_reconciliation"),
		script: always(before(respondWith(500)))},
	{Token: capture("tok_capture_500_after", "captures, but always responds 500", "succeeded"),
		script: always(after(respondWith(500)))},
	{Token: capture("tok_capture_timeout_after", "captures, but does not respond once", "succeeded"),
		script: first(after(noResponse))},
	{Token: capture("tok_capture_reset_after", "captures, but resets the connection once", "succeeded"),
		script: first(after(connectionReset))},
	{Token: capture("tok_capture_403", "always responds 403; never captures", "authorized"),
		script: always(before(respondWith(403)))},
	{Token: capture("tok_capture_declined", "responds 402; the payment stays authorized, and a void succeeds", "authorized"),
		effect: declined(http.StatusPaymentRequired, "expired_authorization", "hard")},

	// The charge succeeds; its refunds have these faults.
	{Token: refund("tok_refund_500_twice", "responds 500 twice, then refunds", "succeeded"),
		script: first(before(respondWith(500)), before(respondWith(500)))},
	{Token: refund("tok_refund_500_always", "always responds 500; never refunds", "failed"),
		script: always(before(respondWith(500)))},
	{Token: refund("tok_refund_timeout_after", "refunds, but does not respond once", "succeeded"),
		script: first(after(noResponse))},
	{Token: refund("tok_refund_reset_after", "refunds, but resets the connection once", "succeeded"),
		script: first(after(connectionReset))},
	{Token: refund("tok_refund_declined", "responds 422 refund_declined", "declined"),
		effect: effect{status: statusDeclined, declineCode: "refund_not_accepted", declineStatus: http.StatusUnprocessableEntity}},
	{Token: refund("tok_refund_pending", "responds 202 pending; succeeds later", "succeeded"),
		effect: effect{status: statusPending, finalStatus: statusSucceeded}},
	{Token: refund("tok_refund_lost",
		"refunds, but always responds 500, also to lookups; only the ledger has the refund", "needs_reconciliation"),
		script: always(after(respondWith(500))), lookupsFail: true},
}

func charge(name, description, expected string) Token {
	return Token{Name: name, Scope: scopeCharge, Description: description, ExpectedStatus: expected}
}

func capture(name, description, expected string) Token {
	return Token{Name: name, Scope: scopeCapture, Description: description, ExpectedStatus: expected}
}

func refund(name, description, expected string) Token {
	return Token{Name: name, Scope: scopeRefund, Description: description, ExpectedStatus: expected}
}

func declined(status int, code, kind string) effect {
	return effect{status: statusDeclined, declineCode: code, declineKind: kind, declineStatus: status}
}

// otherCurrency returns a currency that differs from the given one.
func otherCurrency(currency string) string {
	if currency == "USD" {
		return "EUR"
	}
	return "USD"
}
