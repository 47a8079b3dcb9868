package payment

// OutcomeRequest is the argument of the update [UpdateOutcome]. It may be omitted. Temporal stores it in the workflow's history.
type OutcomeRequest struct {
	// Fingerprint is that of the caller's request, see [ChargeRequest.Fingerprint]. The update is refused with
	// [ErrIdempotencyMismatch] if it is not the fingerprint of the workflow's own request: the caller has used the idempotency
	// key for another request. An empty one is not compared.
	Fingerprint string `json:"fingerprint,omitempty"`
}
