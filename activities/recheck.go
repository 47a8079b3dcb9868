package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/divergence"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// RecheckTarget is what a recheck looks up.
type RecheckTarget struct {
	// Skip is why there is nothing to look up; empty if there is.
	Skip   string               `json:"skip,omitempty"`
	Status payment.Status       `json:"status,omitempty"`
	Terms  Terms                `json:"terms,omitzero"`
	Call   processor.LookupCall `json:"call,omitzero"`
}

// BeginRecheck reads a final payment or refund, and returns the call that looks it up at its processor, unless the lookup
// was prompted by signals of which none is permitted.
func (p *Payments) BeginRecheck(ctx context.Context, req payment.RecheckRequest) (RecheckTarget, error) {
	of, refund, err := p.rechecked(ctx, req)
	switch {
	case errors.Is(err, payment.ErrNotFound):
		return RecheckTarget{Skip: "the store does not have it"}, nil
	case err != nil:
		return RecheckTarget{}, err
	}
	status := of.Status
	call := processor.LookupCall{
		Operation: payment.OperationCharge, Reference: payment.ProcessorKey(of.PaymentID, payment.OperationCharge, 0),
		ProcessorPaymentID: of.ProcessorPaymentID, NotBefore: of.CreatedAt,
	}
	if req.Refund {
		status = refund.Status
		call.Operation, call.Reference = payment.OperationRefund, payment.ProcessorKey(refund.RefundID, payment.OperationRefund, 0)
		call.NotBefore = refund.CreatedAt
	}
	terms, configured := p.Terms[of.Processor]
	switch {
	case !status.Final():
		return RecheckTarget{Skip: fmt.Sprintf("it is %s, and its own workflow looks it up", status)}, nil
	case !configured:
		return RecheckTarget{Skip: fmt.Sprintf("its processor %q is no longer configured", of.Processor)}, nil
	}
	if !p.Authorizer.AllowsPrompt(authorize.PromptOf(ctx), payment.RecheckWorkflowID(req), req.MerchantID, of.Processor) {
		return RecheckTarget{Skip: "no permitted signal asks for it"}, nil
	}
	return RecheckTarget{Status: status, Terms: terms, Call: call}, nil
}

// rechecked reads the payment or, if req is about one, the refund and its payment.
func (p *Payments) rechecked(ctx context.Context, req payment.RecheckRequest) (of payment.Charge, r payment.Refund, err error) {
	if !req.Refund {
		of, err = p.Store.CurrentPayment(ctx, req.MerchantID, payment.PaymentID(req.MerchantID, req.IdempotencyKey))
		return of, r, err
	}
	if r, err = p.Store.CurrentRefund(ctx, req.MerchantID, payment.RefundID(req.MerchantID, req.IdempotencyKey)); err != nil {
		return of, r, err
	}
	of, err = p.Store.CurrentPayment(ctx, req.MerchantID, r.PaymentID)
	return of, r, err
}

// RecheckOutcome is how a processor's record contradicts a final payment or refund.
type RecheckOutcome struct {
	// Status is the status in the store, after FailedLate.
	Status payment.Status `json:"status"`
	// Recorded are the divergences that were not recorded before, without their evidence: the store has it.
	Recorded []payment.Divergence `json:"recorded,omitempty"`
	// Unconfirmed are the ids of divergences that a lagging record would show, too. They are recorded if the next lookup shows them.
	Unconfirmed []string `json:"unconfirmed,omitempty"`
	// FailedLate reports that the succeeded refund has failed.
	FailedLate bool `json:"failed_late,omitempty"`
}

// RecordRecheck compares the record that a lookup has found with the final payment or refund, and persists each contradiction as
// a divergence. A succeeded refund that has failed at the processor becomes failed, and its amount can be refunded again. Nothing
// else changes, and no money moves. It is safe to repeat.
func (p *Payments) RecordRecheck(ctx context.Context, req payment.RecheckRequest, there processor.Result) (RecheckOutcome, error) {
	of, r, err := p.rechecked(ctx, req)
	if err != nil {
		return RecheckOutcome{}, storeError(err)
	}
	found := finder{store: p.Store, by: byLookup, unconfirmed: req.Unconfirmed}
	if req.Refund {
		return found.recordRefund(ctx, r, there)
	}
	return found.recordPayment(ctx, of, there)
}

// byLookup names the actor behind what a recheck finds.
const byLookup = "lookup"

// finder persists how records of a processor contradict what is final.
type finder struct {
	store *store.Store
	// by names the actor. unconfirmed are the ids of the divergences that an earlier lookup has shown and that may be due to a lagging
	// record.
	by          string
	unconfirmed []string
}

// recordPayment compares a final payment with its processor's record, and persists the contradictions.
func (f finder) recordPayment(ctx context.Context, of payment.Charge, there processor.Result) (RecheckOutcome, error) {
	refunds, err := f.store.Refunds(ctx, of.MerchantID, of.PaymentID)
	if err != nil {
		return RecheckOutcome{}, err
	}
	// What is refunded is taken from the refunds, too: one that has ended since of was read would be in neither of the two amounts.
	var open, failed int64
	of.RefundedAmount = 0
	for _, r := range refunds {
		switch {
		case r.Status == payment.Succeeded:
			of.RefundedAmount += r.Amount
		case !r.Final():
			open += r.Amount
		default:
			failed += r.Amount
		}
	}
	contradictions := divergence.OfPayment(of, open, there)
	for i, c := range contradictions {
		if c.Kind == payment.DivergenceRefunded && there.RefundedAmount <= of.RefundedAmount+open+failed {
			contradictions[i].MayLag = true // a lagging record still counts what has failed
		}
	}
	about := payment.Divergence{PaymentID: of.PaymentID, MerchantID: of.MerchantID, StatusHere: of.Status}
	return f.record(ctx, about, contradictions, there)
}

// recordRefund is recordPayment for a refund. A succeeded one that has failed since becomes failed.
func (f finder) recordRefund(ctx context.Context, r payment.Refund, there processor.Result) (RecheckOutcome, error) {
	contradictions, failedLate := divergence.OfRefund(r, there)
	if failedLate {
		r.Status, r.ProcessorRefundID, r.Failure = payment.Failed, there.ID, lateFailure(there)
		stored, err := f.store.SettleRefund(ctx, r, Cause{By: f.by, Evidence: requestEvidence(there)})
		return RecheckOutcome{Status: stored.Status, FailedLate: true}, storeError(err)
	}
	about := payment.Divergence{PaymentID: r.PaymentID, RefundID: r.RefundID, MerchantID: r.MerchantID, StatusHere: r.Status}
	return f.record(ctx, about, contradictions, there)
}

// record persists the contradictions that are certain. about has the payment or refund.
func (f finder) record(
	ctx context.Context, about payment.Divergence, all []divergence.Contradiction, there processor.Result,
) (RecheckOutcome, error) {
	out := RecheckOutcome{Status: about.StatusHere}
	for _, c := range all {
		d := about
		d.Kind, d.StatusThere, d.DetectedBy = c.Kind, string(c.StatusThere), f.by
		d.Evidence = requestEvidence(there)
		maps.Copy(d.Evidence, c.Evidence)
		d.DivergenceID = d.ID()
		if c.MayLag && !slices.Contains(f.unconfirmed, d.DivergenceID) {
			out.Unconfirmed = append(out.Unconfirmed, d.DivergenceID)
			continue
		}
		created, err := f.store.RecordDivergence(ctx, d)
		if err != nil {
			return out, storeError(err)
		}
		if created {
			d.Evidence = nil
			out.Recorded = append(out.Recorded, d)
		}
	}
	return out, nil
}

func requestEvidence(there processor.Result) map[string]string {
	evidence := map[string]string{}
	if there.RequestID != "" {
		evidence[payment.EvidenceRequestID] = there.RequestID
	}
	return evidence
}

// lateFailure is the failure of a refund that had succeeded.
func lateFailure(there processor.Result) *payment.Failure {
	failure := &payment.Failure{Class: payment.ClassStateConflict,
		Message: "the processor reported that the refund succeeded, and later that it failed: the customer did not get the money"}
	if there.Decline != nil {
		failure.ProcessorCode = there.Decline.Code
	}
	return failure
}

// ListDivergences returns a page of divergences, the latest first, or [payment.ErrInvalidRequest] for an invalid filter.
func (p *Payments) ListDivergences(ctx context.Context, f payment.DivergenceFilter) (payment.DivergencePage, error) {
	if _, err := p.allowRead(ctx, payment.ActivityListDivergences, f.MerchantID, f); err != nil {
		return payment.DivergencePage{}, err
	}
	page, err := p.Store.Divergences(ctx, f)
	return page, requestError(err, f)
}

// AcknowledgeDivergence persists that an operator has dealt with a divergence, and returns it. If callers have to prove who they are, the
// operator is the caller. It returns [payment.ErrNotFound] if there is no such divergence of a merchant of his, and [payment.ErrInvalidRequest] if the operator is missing.
func (p *Payments) AcknowledgeDivergence(ctx context.Context, a payment.Acknowledgement) (payment.Divergence, error) {
	if err := a.Validate(); err != nil {
		return payment.Divergence{}, storeError(payment.Refuse(payment.ErrInvalidRequest, "%v", err), a)
	}
	if p.Authorizer != nil {
		operator, err := p.Authorizer.AllowForSome(authorize.ProofOfRead(ctx), readRequest(payment.ActivityAcknowledgeDivergence, a), time.Now())
		if err != nil {
			return payment.Divergence{}, err
		}
		about, err := p.Store.Divergence(ctx, a.DivergenceID)
		if err == nil && !operator.ActsFor(about.MerchantID) {
			err = payment.ErrNotFound
		}
		if err != nil {
			return payment.Divergence{}, requestError(err, a)
		}
		a.By = operator.Subject
	}
	d, err := p.Store.AcknowledgeDivergence(ctx, a.DivergenceID, a.By, a.Reason)
	return d, requestError(err, a)
}
