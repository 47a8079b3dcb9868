package payment

// OutcomeRequest is the argument of the update [UpdateOutcome]. It may be omitted.
type OutcomeRequest struct {
	// Fingerprint is that of the caller's request. If it differs from the workflow's own request, the caller reuses the
	// idempotency key for another purchase, and the update is refused with [ErrIdempotencyMismatch].
	Fingerprint string `json:"fingerprint,omitempty"`
}
