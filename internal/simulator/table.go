package simulator

import "net/http"

// rows is the table itself. "Once" and "twice" count the requests of one idempotency key; "always" never ends.
var rows = []row{
	// What a processor answers when all is well.
	{Token: charge("tok_visa", "succeeds", "succeeded")},
	{Token: charge("tok_success", "succeeds, and spells the status \"success\"", "succeeded"),
		books: booking{spelling: "success"}},
	{Token: charge("tok_pending", "202 pending, succeeds later", "succeeded"),
		books: booking{status: statusPending, settlesTo: statusSucceeded}},
	{Token: charge("tok_pending_declined", "202 pending, is declined later", "declined"),
		books: booking{status: statusPending, settlesTo: statusDeclined, declineCode: "insufficient_funds", declineKind: "soft"}},
	{Token: charge("tok_requires_action", "wants 3-D Secure, which the customer passes later", "succeeded"),
		books: booking{status: statusRequiresAction, settlesTo: statusSucceeded}},

	// Declines: answers, not errors.
	{Token: charge("tok_insufficient_funds", "402, soft decline", "declined"),
		books: declined(http.StatusPaymentRequired, "insufficient_funds", "soft")},
	{Token: charge("tok_stolen_card", "402, hard decline", "declined"),
		books: declined(http.StatusPaymentRequired, "stolen_card", "hard")},
	{Token: charge("tok_authentication_required", "402, a decline that asks the customer to act", "declined"),
		books: declined(http.StatusPaymentRequired, "authentication_required", "action")},
	{Token: charge("tok_declined_200", "200 with status declined", "declined"),
		books: declined(http.StatusOK, "do_not_honor", "soft")},
	{Token: charge("tok_declined_422", "422 with a decline code", "declined"),
		books: declined(http.StatusUnprocessableEntity, "expired_card", "hard")},

	// Refusals: nothing is charged, and a repeat changes nothing.
	{Token: charge("tok_400", "always 400", "failed"), script: always(before(failing(400)))},
	{Token: charge("tok_401_always", "always 401", "failed"), script: always(before(failing(401)))},
	{Token: charge("tok_403", "always 403", "failed"), script: always(before(failing(403)))},
	{Token: charge("tok_404", "always 404", "failed"), script: always(before(failing(404)))},
	{Token: charge("tok_422", "always 422, no decline", "failed"), script: always(before(failing(422)))},
	{Token: charge("tok_501", "always 501", "failed"), script: always(before(failing(501)))},
	{Token: charge("tok_mismatch", "always 422 idempotency_mismatch", "failed"),
		script: always(before(refusing(422, "idempotency_mismatch", "a simulated mismatch: this key was used with another request")))},

	// Failures before the charge: the repeat charges.
	{Token: charge("tok_500_twice", "500 twice, then charges", "succeeded"),
		script: first(before(failing(500)), before(failing(500)))},
	{Token: charge("tok_500_always", "always 500, never charges", "failed"), script: always(before(failing(500)))},
	{Token: charge("tok_503_then_ok", "503 once, then charges", "succeeded"), script: first(before(failing(503)))},
	{Token: charge("tok_401_once", "401 once, as if the key had just been rotated, then charges", "succeeded"),
		script: first(before(failing(401)))},
	{Token: charge("tok_409_in_flight", "409 idempotency_in_flight once, then charges", "succeeded"),
		script: first(before(failing(409)))},
	{Token: charge("tok_423", "423 once, then charges", "succeeded"), script: first(before(failing(423)))},
	{Token: charge("tok_425", "425 once, then charges", "succeeded"), script: first(before(failing(425)))},
	{Token: charge("tok_timeout_before_charge", "does not answer once, then charges", "succeeded"),
		script: first(before(hanging))},
	{Token: charge("tok_reset_before_charge", "resets the connection once, then charges", "succeeded"),
		script: first(before(resetting))},

	// Rate limits.
	{Token: charge("tok_429_retry_after", "429 once with Retry-After: 1, then charges", "succeeded"),
		script: first(before(limited("1")))},
	{Token: charge("tok_429_http_date", "429 once with an HTTP date two seconds ahead, then charges", "succeeded"),
		script: first(before(limitedUntilDate))},
	{Token: charge("tok_429_long", "429 once with a Retry-After of 8 seconds, then charges", "succeeded"),
		script: first(before(limitedFor(LongRetryAfter)))},
	{Token: charge("tok_429_bad_retry_after", "429 once with Retry-After: soon, then charges", "succeeded"),
		script: first(before(limited("soon")))},
	{Token: charge("tok_429_always", "always 429 with Retry-After: 1", "failed"), script: always(before(limited("1")))},

	// Failures after the charge: the money has moved and the caller does not know. The repeat replays the success.
	{Token: charge("tok_500_once_after_charge", "charges, answers 500 once", "succeeded"),
		script: first(after(failing(500)))},
	{Token: charge("tok_504_after_charge", "charges, answers 504 once", "succeeded"),
		script: first(after(failing(504)))},
	{Token: charge("tok_408", "charges, answers 408 once", "succeeded"), script: first(after(failing(408)))},
	{Token: charge("tok_424", "charges, answers 424 once", "succeeded"), script: first(after(failing(424)))},
	{Token: charge("tok_timeout_after_charge", "charges, does not answer once", "succeeded"),
		script: first(after(hanging))},
	{Token: charge("tok_reset_after_charge", "charges, resets the connection once", "succeeded"),
		script: first(after(resetting))},
	{Token: charge("tok_malformed_200", "charges, answers 200 with half of the JSON once", "succeeded"),
		script: first(after(malformed))},
	{Token: charge("tok_truncated_200", "charges, breaks off in the middle of the body once", "succeeded"),
		script: first(after(cutOff))},
	{Token: charge("tok_empty_200", "charges, answers 200 without a body once", "succeeded"),
		script: first(after(empty))},
	{Token: charge("tok_200_html", "charges, answers 200 with an HTML page once", "succeeded"),
		script: first(after(html))},
	{Token: charge("tok_huge_body", "charges, answers 200 with 11 MiB once", "succeeded"),
		script: first(after(huge))},

	// Failures after the charge that a repeat does not get past: only a lookup tells.
	{Token: charge("tok_500_after_charge", "charges, answers 500 always", "succeeded"),
		script: always(after(failing(500)))},
	{Token: charge("tok_timeout_then_401", "charges, does not answer; every repeat gets 401, which proves nothing", "succeeded"),
		script: always(after(hanging), before(failing(401)))},
	{Token: charge("tok_302", "charges, answers a redirect always", "succeeded"), script: always(after(redirecting))},
	{Token: charge("tok_418", "charges, answers 418 always, which nobody expects", "succeeded"),
		script: always(after(failing(418)))},
	{Token: charge("tok_lookup_late", "charges, answers 500 always; the first two lookups by reference find nothing", "succeeded"),
		script: always(after(failing(500))), hidden: 2},
	{Token: charge("tok_lost", "charges, answers 500 always, also to lookups; only the ledger knows", "needs_reconciliation"),
		script: always(after(failing(500))), lost: true},

	// A processor that does something else than it was asked for.
	{Token: charge("tok_wrong_amount", "charges another amount", "conflicted"),
		books: booking{alters: func(p *payment) { p.Amount += 100 }}},
	{Token: charge("tok_wrong_currency", "charges another currency", "conflicted"),
		books: booking{alters: func(p *payment) { p.Currency = otherCurrency(p.Currency) }}},
	{Token: charge("tok_wrong_reference", "books the charge under another reference", "conflicted"),
		books: booking{alters: func(p *payment) { p.Reference += "-other" }}},

	// The charge succeeds, its captures and voids do this.
	{Token: capture("tok_capture_500_twice", "500 twice, then captures", "succeeded"),
		script: first(before(failing(500)), before(failing(500)))},
	{Token: capture("tok_capture_500_always", "always 500, never captures", "needs_reconciliation"),
		script: always(before(failing(500)))},
	{Token: capture("tok_capture_500_after", "captures, answers 500 always", "succeeded"),
		script: always(after(failing(500)))},
	{Token: capture("tok_capture_timeout_after", "captures, does not answer once", "succeeded"),
		script: first(after(hanging))},
	{Token: capture("tok_capture_reset_after", "captures, resets the connection once", "succeeded"),
		script: first(after(resetting))},
	{Token: capture("tok_capture_403", "always 403", "authorized"), script: always(before(failing(403)))},
	{Token: capture("tok_capture_declined", "402, still holds the money; a void works", "authorized"),
		books: booking{status: statusDeclined, declineCode: "expired_authorization", declineKind: "hard", declineStatus: http.StatusPaymentRequired}},

	// The charge succeeds, its refunds do this.
	{Token: refund("tok_refund_500_twice", "500 twice, then refunds", "succeeded"),
		script: first(before(failing(500)), before(failing(500)))},
	{Token: refund("tok_refund_500_always", "always 500, never refunds", "failed"),
		script: always(before(failing(500)))},
	{Token: refund("tok_refund_timeout_after", "refunds, does not answer once", "succeeded"),
		script: first(after(hanging))},
	{Token: refund("tok_refund_reset_after", "refunds, resets the connection once", "succeeded"),
		script: first(after(resetting))},
	{Token: refund("tok_refund_declined", "422 refund_declined", "declined"),
		books: booking{status: statusDeclined, declineCode: "refund_not_accepted", declineStatus: http.StatusUnprocessableEntity}},
	{Token: refund("tok_refund_pending", "202 pending, succeeds later", "succeeded"),
		books: booking{status: statusPending, settlesTo: statusSucceeded}},
	{Token: refund("tok_refund_lost", "refunds, answers 500 always, also to lookups; only the ledger knows", "needs_reconciliation"),
		script: always(after(failing(500))), lost: true},
}

func charge(name, does, ends string) Token  { return Token{name, scopeCharge, does, ends} }
func capture(name, does, ends string) Token { return Token{name, scopeCapture, does, ends} }
func refund(name, does, ends string) Token  { return Token{name, scopeRefund, does, ends} }

func declined(status int, code, kind string) booking {
	return booking{status: statusDeclined, declineCode: code, declineKind: kind, declineStatus: status}
}

func otherCurrency(currency string) string {
	if currency == "USD" {
		return "EUR"
	}
	return "USD"
}
