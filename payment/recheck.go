package payment

// RecheckRequest is the input of the workflow [WorkflowRecheck]: a final payment or refund about which its processor has sent an
// event.
type RecheckRequest struct {
	// MerchantID and IdempotencyKey are those of the charge or, if Refund is true, of the refund.
	MerchantID     string `json:"merchant_id"`
	IdempotencyKey string `json:"idempotency_key"`
	Refund         bool   `json:"refund,omitempty"`

	// Earlier is what the runs before this one found, if the workflow has continued as new.
	Earlier Recheck `json:"earlier,omitzero"`
	// Unconfirmed are the ids of the divergences that the last lookup showed and that may be due to a lagging record.
	Unconfirmed []string `json:"unconfirmed,omitempty"`
}

// Recheck is the result of the workflow [WorkflowRecheck].
type Recheck struct {
	// Lookups counts the lookups that brought a response.
	Lookups int `json:"lookups,omitempty"`
	// Divergences are the ids of the divergences that were recorded.
	Divergences []string `json:"divergences,omitempty"`
	// FailedLate reports that a succeeded refund turned out to have failed.
	FailedLate bool `json:"failed_late,omitempty"`
}
