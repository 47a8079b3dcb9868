package payment

// Status is the state of a payment or a refund. The statuses are values of the search attribute [AttributePaymentStatus] and of
// metrics.
type Status string

// The statuses of a payment. A refund has those in [RefundTransitions].
const (
	// Processing means that Florin has accepted the request, and that there is no outcome yet. The processor may not have been called,
	// or its responses so far have shown that nothing was executed, and the operation is sent again.
	Processing Status = "processing"
	// RequiresAction means that the customer has to act first, such as with 3-D Secure.
	RequiresAction Status = "requires_action"
	// Pending means that the processor has accepted the operation and reports the outcome later.
	Pending Status = "pending"
	// Authorized means that the issuer has reserved the amount. No money has moved. The payment waits until it is captured,
	// voided or expired.
	Authorized Status = "authorized"
	// Succeeded means that the money was taken or, for a refund, returned.
	Succeeded Status = "succeeded"
	// Declined means that the issuer or the processor has declined the operation. No money moved. See [Decline].
	Declined Status = "declined"
	// Failed means that the operation failed for a technical reason. No money moved. See [Failure].
	Failed Status = "failed"
	// Voided means that the payment was canceled, or the authorized amount released. No money moved.
	Voided Status = "voided"
	// Expired means that the payment was not completed in time, and that it was voided for this reason. No money moved.
	Expired Status = "expired"
	// Unknown means that the latest operation may or may not have been executed. Florin looks it up.
	Unknown Status = "unknown"
	// NeedsReconciliation means that the outcome is still unknown after the time of resolve.for or, for a refund, that the
	// processor did something other than requested. Florin continues to look it up, finally once a day, and an operator can resolve it.
	NeedsReconciliation Status = "needs_reconciliation"
	// Conflicted means that the processor did something other than requested, such as charging another amount. Money may have
	// moved.
	Conflicted Status = "conflicted"
)

// PaymentTransitions are the legal transitions of a payment. A final status of a payment has none. The database of
// the store enforces the same table.
var PaymentTransitions = map[Status][]Status{
	Processing:          {RequiresAction, Pending, Authorized, Succeeded, Declined, Failed, Voided, Unknown, Conflicted},
	Unknown:             {RequiresAction, Pending, Authorized, Succeeded, Declined, Failed, Voided, Expired, NeedsReconciliation, Conflicted},
	RequiresAction:      {Pending, Authorized, Succeeded, Declined, Failed, Voided, Expired, Unknown, Conflicted},
	Pending:             {RequiresAction, Authorized, Succeeded, Declined, Failed, Voided, Expired, Unknown, Conflicted},
	NeedsReconciliation: {RequiresAction, Pending, Authorized, Succeeded, Declined, Failed, Voided, Expired, Conflicted},
	Authorized:          {RequiresAction, Pending, Succeeded, Declined, Voided, Expired, Unknown, NeedsReconciliation, Conflicted},
	Succeeded:           {},
	Declined:            {},
	Failed:              {},
	Voided:              {},
	Expired:             {},
	Conflicted:          {},
}

// RefundTransitions are the legal transitions of a refund, in the form of [PaymentTransitions]. One final status has a transition: the
// processor may report of a succeeded refund, days later, that it failed, for example because the customer's bank returned the money.
// Florin never does this by itself, see [Status.Final].
var RefundTransitions = map[Status][]Status{
	Processing:          {Pending, Succeeded, Declined, Failed, Unknown, NeedsReconciliation},
	Unknown:             {Pending, Succeeded, Declined, Failed, NeedsReconciliation},
	Pending:             {Succeeded, Declined, Failed, Unknown, NeedsReconciliation},
	NeedsReconciliation: {Pending, Succeeded, Declined, Failed},
	Succeeded:           {Failed},
	Declined:            {},
	Failed:              {},
}

// HasOutcome reports whether a caller that waits for the outcome gets this status. The outcome may still change: see
// [Status.Final].
func (s Status) HasOutcome() bool { return s != "" && s != Processing && s != Unknown }

// Final reports whether Florin does not change the status by itself. Only one final status still has a transition: a succeeded
// refund fails if the processor reports so later. An authorized payment is not final: it waits to be captured or voided, or to
// expire.
func (s Status) Final() bool {
	switch s {
	case Succeeded, Declined, Failed, Voided, Expired, Conflicted:
		return true
	default:
		return false
	}
}
