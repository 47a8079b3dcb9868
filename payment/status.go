package payment

// Status is where a payment or a refund stands. Services and dashboards rely on the names.
type Status string

// The statuses of a payment; a refund knows those of RefundTransitions.
const (
	// Processing: accepted by Florin, no answer of the processor yet.
	Processing Status = "processing"
	// RequiresAction: the customer has to do something first, such as 3-D Secure.
	RequiresAction Status = "requires_action"
	// Pending: the processor has it and will say later how it ends.
	Pending Status = "pending"
	// Authorized: the money is held, not taken, until it is captured or voided, or the authorization expires.
	Authorized Status = "authorized"
	// Succeeded: the money moved.
	Succeeded Status = "succeeded"
	// Declined: the issuer or the processor said no. No money moved.
	Declined Status = "declined"
	// Failed: no money moved, for a technical reason that Failure names.
	Failed Status = "failed"
	// Voided: the held money was released.
	Voided Status = "voided"
	// Expired: nobody acted in time, and the processor has let go of it. No money moved.
	Expired Status = "expired"
	// Unknown: the answer was lost; Florin is finding out.
	Unknown Status = "unknown"
	// NeedsReconciliation: Florin could not find out in time and still asks now and then.
	NeedsReconciliation Status = "needs_reconciliation"
	// Conflicted: the processor did something else than it was asked to.
	Conflicted Status = "conflicted"
)

// PaymentTransitions are the legal transitions of a payment. A final status has none.
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

// RefundTransitions are the legal transitions of a refund. A succeeded refund is final, see [Status.Final], but the processor may report
// days later that it failed, for example because the customer's bank returned the money.
var RefundTransitions = map[Status][]Status{
	Processing:          {Pending, Succeeded, Declined, Failed, Unknown, NeedsReconciliation},
	Unknown:             {Pending, Succeeded, Declined, Failed, NeedsReconciliation},
	Pending:             {Succeeded, Declined, Failed, Unknown, NeedsReconciliation},
	NeedsReconciliation: {Pending, Succeeded, Declined, Failed},
	Succeeded:           {Failed},
	Declined:            {},
	Failed:              {},
}

// HasOutcome reports whether there is something to tell a caller that waits: everything but "still working
// on it". It may not be the last word; see Final.
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
