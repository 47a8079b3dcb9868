package tokens

// table is the table of tokens. "Once" and "twice" count the requests with one idempotency key; "always" means every request with it.
var table = []Token{
	// Successes.
	charge("tok_visa", "succeeds", "succeeded"),
	charge("tok_success", "succeeds; spells the status \"success\"", "succeeded"),
	charge("tok_pending", "responds 202 pending; succeeds later", "succeeded").first("pending"),
	charge("tok_pending_declined", "responds 202 pending; is declined later", "declined").
		first("pending").decline("insufficient_funds", "soft"),
	charge("tok_requires_action", "requires 3-D Secure; the customer completes it later", "succeeded").
		first("requires_action"),
	charge("tok_action_declined_open",
		"requires 3-D Secure; is declined later, but the customer can still pay with another card until it is voided", "declined").
		first("requires_action").decline("authentication_failed", "action"),
	charge("tok_action_declined_then_paid", "requires 3-D Secure; is declined later; after that, at the latest when a void arrives, "+
		"the customer pays with another card, and the void is refused", "succeeded").
		first("requires_action").decline("authentication_failed", "action"),

	// Declines. They are results of a charge, not errors.
	charge("tok_insufficient_funds", "responds 402; a soft decline", "declined").decline("insufficient_funds", "soft"),
	charge("tok_stolen_card", "responds 402; a hard decline", "declined").decline("stolen_card", "hard"),
	charge("tok_authentication_required", "responds 402; a decline that requires an action of the customer", "declined").
		decline("authentication_required", "action"),
	charge("tok_declined_200", "responds 200 with the status declined", "declined").decline("do_not_honor", "soft"),
	charge("tok_declined_open", "responds 200 with the status declined, but the customer can still pay with another card "+
		"until it is voided", "declined").decline("do_not_honor", "soft"),
	charge("tok_declined_422", "responds 422 with a decline code", "declined").decline("expired_card", "hard"),

	// Refusals: nothing is charged, and repeating the request does not help.
	charge("tok_400", "always responds 400; never charges", "failed"),
	charge("tok_401_always", "always responds 401; never charges", "failed"),
	charge("tok_403", "always responds 403; never charges", "failed"),
	charge("tok_404", "always responds 404; never charges", "failed"),
	charge("tok_422", "always responds 422 without a decline code; never charges", "failed"),
	charge("tok_501", "always responds 501; never charges", "failed"),
	charge("tok_mismatch", "always responds 422 idempotency_mismatch; never charges", "failed"),

	// Faults before the charge: the repeated request charges.
	charge("tok_500_twice", "responds 500 twice, then charges", "succeeded"),
	charge("tok_500_always", "always responds 500; never charges", "failed"),
	charge("tok_503_then_ok", "responds 503 once, then charges", "succeeded"),
	charge("tok_401_once", "responds 401 once, as after a key rotation, then charges", "succeeded"),
	charge("tok_409_in_flight", "responds 409 idempotency_in_flight once, then charges", "succeeded"),
	charge("tok_423", "responds 423 once, then charges", "succeeded"),
	charge("tok_425", "responds 425 once, then charges", "succeeded"),
	charge("tok_timeout_before_charge", "does not respond once, then charges", "succeeded"),
	charge("tok_reset_before_charge", "resets the connection once, then charges", "succeeded"),

	// Rate limits.
	charge("tok_429_retry_after", "responds 429 once with Retry-After: 1, then charges", "succeeded"),
	charge("tok_429_http_date",
		"responds 429 once with an HTTP date two seconds ahead in Retry-After, then charges", "succeeded"),
	charge("tok_429_long", "responds 429 once with a Retry-After of 8 seconds, then charges", "succeeded"),
	charge("tok_429_bad_retry_after", "responds 429 once with the invalid Retry-After: soon, then charges", "succeeded"),
	charge("tok_429_fraction", "responds 429 once with Retry-After: 0.5, then charges", "succeeded"),
	charge("tok_429_object",
		"responds 429 lock_timeout once, which is about one object and not about the processor, then charges", "succeeded"),
	charge("tok_429_always", "always responds 429 with Retry-After: 1; never charges", "failed"),

	// Faults after the charge: money has moved, but the client cannot know it. The repeated request gets the stored success.
	charge("tok_500_once_after_charge", "charges, but responds 500 once", "succeeded"),
	charge("tok_504_after_charge", "charges, but responds 504 once", "succeeded"),
	charge("tok_408", "charges, but responds 408 once", "succeeded"),
	charge("tok_424", "charges, but responds 424 once", "succeeded"),
	charge("tok_timeout_after_charge", "charges, but does not respond once", "succeeded"),
	charge("tok_reset_after_charge", "charges, but resets the connection once", "succeeded"),
	charge("tok_malformed_200", "charges, but responds 200 with half of the JSON document once", "succeeded"),
	charge("tok_truncated_200", "charges, but closes the connection in the middle of the body once", "succeeded"),
	charge("tok_empty_200", "charges, but responds 200 without a body once", "succeeded"),
	charge("tok_200_html", "charges, but responds 200 with an HTML page once", "succeeded"),
	charge("tok_huge_body", "charges, but responds 200 with a body of 11 MiB once", "succeeded"),

	// Faults after the charge that repeating the request does not resolve: the client must look the charge up.
	charge("tok_500_after_charge", "charges, but always responds 500", "succeeded"),
	charge("tok_timeout_then_401",
		"charges, but does not respond; repeated requests get 401, which does not prove that no money moved", "succeeded"),
	charge("tok_302", "charges, but always responds with a redirect", "succeeded"),
	charge("tok_418", "charges, but always responds 418, an unexpected status", "succeeded"),
	charge("tok_lookup_late",
		"charges, but always responds 500; the first two lookups by reference find nothing", "succeeded"),
	charge("tok_lookup_unavailable",
		"charges, but always responds 500; the first three lookups by reference get 503", "succeeded"),
	charge("tok_duplicate_after_timeout", "charges, but does not respond; repeated requests get 402 duplicate_transaction, and the "+
		"first two lookups by reference find nothing", "succeeded"),
	charge("tok_id_control",
		"charges, but always responds 200 with a control character in the id; lookups return the id without it", "succeeded"),
	charge("tok_lost",
		"charges, but always responds 500, also to lookups; only the ledger has the charge", "needs_reconciliation"),

	// The processor executes something other than what was requested.
	charge("tok_wrong_amount", "charges a different amount", "conflicted"),
	charge("tok_wrong_currency", "charges in a different currency", "conflicted"),
	charge("tok_wrong_reference", "records the charge under a different reference", "conflicted"),

	// The processor changes a payment later, without a request.
	charge("tok_refunded_in_dashboard",
		"succeeds; later, a person refunds the whole amount in the processor's dashboard", "succeeded"),

	// The charge succeeds; its captures and voids have these faults.
	capture("tok_capture_500_twice", "responds 500 twice, then captures", "succeeded"),
	capture("tok_capture_500_always", "always responds 500; never captures", "needs_reconciliation"),
	capture("tok_capture_500_after", "captures, but always responds 500", "succeeded"),
	capture("tok_capture_timeout_after", "captures, but does not respond once", "succeeded"),
	capture("tok_capture_reset_after", "captures, but resets the connection once", "succeeded"),
	capture("tok_capture_403", "always responds 403; never captures", "authorized"),
	capture("tok_capture_declined", "responds 402; the payment stays authorized, and a void succeeds", "authorized").
		decline("expired_authorization", "hard"),

	// The charge succeeds; its refunds have these faults.
	refund("tok_refund_500_twice", "responds 500 twice, then refunds", "succeeded"),
	refund("tok_refund_500_always", "always responds 500; never refunds", "failed"),
	refund("tok_refund_timeout_after", "refunds, but does not respond once", "succeeded"),
	refund("tok_refund_reset_after", "refunds, but resets the connection once", "succeeded"),
	refund("tok_refund_declined", "responds 422 refund_declined", "declined").decline("refund_not_accepted", ""),
	refund("tok_refund_pending", "responds 202 pending; succeeds later", "succeeded").first("pending"),
	refund("tok_refund_fails_late", "succeeds; fails later", "succeeded").decline("account_closed", ""),
	refund("tok_refund_lost",
		"refunds, but always responds 500, also to lookups; only the ledger has the refund", "needs_reconciliation"),
}

func charge(name, description, expected string) Token {
	return Token{Name: name, Scope: Charge, Description: description, ExpectedStatus: expected}
}

func capture(name, description, expected string) Token {
	return Token{Name: name, Scope: Capture, Description: description, ExpectedStatus: expected}
}

func refund(name, description, expected string) Token {
	return Token{Name: name, Scope: Refund, Description: description, ExpectedStatus: expected}
}

func (t Token) first(status string) Token {
	t.FirstStatus = status
	return t
}

func (t Token) decline(code, kind string) Token {
	t.DeclineCode, t.DeclineKind = code, kind
	return t
}
