package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"

	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// check confirms a few differences that have had the given number of lookups, and records those that remain.
func (p *reconciling) check(ctx context.Context, round int) (int, error) {
	checks, err := p.Store.Checks(ctx, p.run.RunID, round, checkPage)
	if err != nil {
		return 0, err
	}
	for _, c := range checks {
		if isStopping(ctx) {
			return 0, nil
		}
		if p.state.Counts.Findings >= maxFindings {
			p.state.Unchecked, err = p.Store.OpenChecks(ctx, p.run.RunID)
			return 0, err
		}
		doubts, err := p.confirm(ctx, c)
		if err != nil {
			return 0, err
		}
		c.Round, c.Doubts = round+1, doubts
		if err := p.Store.RecordCheck(ctx, p.run.RunID, c); err != nil {
			return 0, err
		}
		if len(doubts) > 0 {
			p.state.Doubts++
		}
		p.record(ctx)
	}
	p.state.Done = len(checks) < checkPage
	return len(checks), nil
}

// confirm reads both sides again and records what still contradicts. It returns the ids of the divergences that one more lookup decides.
func (p *reconciling) confirm(ctx context.Context, c store.Check) (doubts []string, err error) {
	if c.RecordID != "" {
		return nil, p.confirmMissingHere(ctx, c)
	}
	s, err := p.read(ctx, c.Operation, c.MerchantID, c.SubjectID)
	if err != nil {
		return nil, err
	}
	listed, err := p.Store.RecordsByReference(ctx, p.run.RunID, c.Operation, []string{s.reference()})
	if err != nil {
		return nil, err
	}
	f, err := s.of(listed[s.reference()])
	if err != nil {
		return nil, err
	}
	for _, r := range f.unreadable {
		if err := p.recordUnreadable(ctx, s.about(payment.DivergenceUnreadable), c.Operation, r); err != nil {
			return nil, err
		}
	}
	for _, other := range f.others {
		d := s.about(payment.DivergenceDuplicateReference)
		d.Processor, d.ProcessorRecordID, d.StatusThere, d.Evidence = p.Name, other.ID, string(other.Status), evidenceOf(other.Result)
		d.Evidence["reference"], d.Evidence["id_of_the_first"] = other.Reference, s.processorID()
		if f.own != nil {
			d.Evidence["id_of_the_first"] = f.own.ID
		}
		if err := p.finding(ctx, d); err != nil {
			return nil, err
		}
	}
	switch {
	case f.own == nil && len(f.unreadable) > 0:
		return nil, nil
	case !s.status().Final() && (f.own != nil || !s.hasMoney()) && p.hurry(ctx, s):
		return nil, nil
	}
	return p.lookUp(ctx, c, s, len(f.others) > 0)
}

// lookUp compares s with the processor's current record. duplicated reports that there is more than one record with its reference.
func (p *reconciling) lookUp(ctx context.Context, c store.Check, s stored, duplicated bool) (doubts []string, err error) {
	call := processor.LookupCall{Operation: s.operation, Reference: s.reference(), ProcessorPaymentID: s.charge.ProcessorPaymentID, NotBefore: s.charge.CreatedAt}
	if s.isRefund() {
		of, err := p.Store.CurrentPayment(ctx, s.refund.MerchantID, s.refund.PaymentID)
		if err != nil {
			return nil, err
		}
		call.ProcessorPaymentID, call.NotBefore = of.ProcessorPaymentID, s.refund.CreatedAt
	}
	byID := call
	byID.ID = s.processorID()
	calls := []processor.LookupCall{call, byID} // the record may have lost its reference
	switch {
	case byID.ID == "":
		calls = calls[:1]
	case duplicated:
		calls = calls[1:]
	}
	for _, call := range calls {
		if err := p.pace(ctx); err != nil {
			return nil, err
		}
		p.state.Counts.Checked++
		there, isFound, err := p.Processor.Lookup(ctx, call)
		var refused *processor.Error
		switch {
		case errors.As(err, &refused) && ctx.Err() == nil && p.isAboutOne(ctx, s.id(), refused):
			d := s.about(payment.DivergenceUnreadable)
			d.Evidence = map[string]string{"failure": string(refused.Class)}
			return nil, p.finding(ctx, d)
		case err != nil:
			return nil, err
		case isFound:
			return p.recordContradictions(ctx, c, there)
		}
	}
	if !s.hasMoney() {
		return nil, nil
	}
	d := s.about(payment.DivergenceMissingThere)
	if s.isRefund() {
		d.Kind = payment.DivergenceRefundMissingThere
	}
	d.Evidence = map[string]string{"reference": s.reference()}
	if id := s.processorID(); id != "" {
		d.Evidence["id_here"] = id
	}
	if id := d.ID(); !slices.Contains(c.Doubts, id) {
		return []string{id}, nil
	}
	return nil, p.finding(ctx, d)
}

// recordContradictions compares the processor's record with the store, which is read only now: what has changed on both sides before the
// lookup is no contradiction.
func (p *reconciling) recordContradictions(ctx context.Context, c store.Check, there processor.Result) (doubts []string, err error) {
	s, err := p.read(ctx, c.Operation, c.MerchantID, c.SubjectID)
	if err != nil {
		return nil, err
	}
	if !s.status().Final() {
		if !s.differs(there) || p.hurry(ctx, s) {
			return nil, nil
		}
		if s, err = p.read(ctx, c.Operation, c.MerchantID, c.SubjectID); err != nil {
			return nil, err
		}
	}
	if !s.status().Final() { // its workflow was terminated, for example
		d := s.about(payment.DivergenceStatus)
		if s.isRefund() {
			d.Kind = payment.DivergenceRefundStatus
		}
		d.StatusThere, d.Evidence = string(there.Status), evidenceOf(there)
		d.Evidence["workflow"] = "not running"
		return nil, p.finding(ctx, d)
	}
	f := finder{store: p.Store, by: byReconcile, unconfirmed: c.Doubts}
	var out RecheckOutcome
	if s.isRefund() {
		out, err = f.recordRefund(ctx, s.refund, there)
	} else {
		out, err = f.recordPayment(ctx, s.charge, there)
	}
	for _, d := range out.Recorded {
		p.log(ctx, d)
	}
	p.state.Counts.Findings += int64(len(out.Recorded))
	return out.Unconfirmed, err
}

// confirmMissingHere records a record that the store still does not know.
func (p *reconciling) confirmMissingHere(ctx context.Context, c store.Check) error {
	listed, err := p.Store.RecordByID(ctx, p.run.RunID, c.Operation, c.RecordID)
	if err != nil {
		return err
	}
	record, err := decodeRecord(listed)
	if err != nil {
		return err
	}
	if _, err = p.search(ctx, c.Operation, record); !errors.Is(err, payment.ErrNotFound) {
		return err
	}
	if record.Unreadable != "" {
		return p.recordUnreadable(ctx, payment.Divergence{}, c.Operation, listed)
	}
	d := payment.Divergence{Kind: payment.DivergenceMissingHere}
	if c.Operation == payment.OperationRefund {
		d.Kind = payment.DivergenceRefundMissingHere
	}
	d.Processor, d.ProcessorRecordID, d.StatusThere, d.Evidence = p.Name, c.RecordID, string(record.Status), evidenceOf(record.Result)
	if record.ProcessorPaymentID != "" {
		d.Evidence["payment_there"] = record.ProcessorPaymentID
	}
	if !record.CreatedAt.IsZero() {
		d.Evidence["created_there"] = record.CreatedAt.UTC().Format(time.RFC3339)
	}
	return p.finding(ctx, d)
}

// recordUnreadable records a record that cannot be read. about has the payment or refund, if one has its reference.
func (p *reconciling) recordUnreadable(
	ctx context.Context, about payment.Divergence, operation payment.Operation, listed store.ListedRecord,
) error {
	record, err := decodeRecord(listed)
	if err != nil {
		return err
	}
	about.Kind, about.Processor, about.ProcessorRecordID = payment.DivergenceUnreadable, p.Name, listed.ID
	about.Evidence = map[string]string{"why": record.Unreadable, payment.EvidenceOperation: string(operation)}
	if record.Reference != "" {
		about.Evidence["reference"] = record.Reference
	}
	return p.finding(ctx, about)
}

// evidenceOf returns what a record shows.
func evidenceOf(there processor.Result) map[string]string {
	evidence := map[string]string{"amount_there": payment.Money{Amount: there.Amount, Currency: there.Currency}.String()}
	if there.CapturedAmount != 0 {
		evidence["captured_there"] = payment.Money{Amount: there.CapturedAmount, Currency: there.Currency}.String()
	}
	if there.Reference != "" {
		evidence["reference"] = there.Reference
	}
	return evidence
}

// finding records a divergence, and counts it if it is new. Texts of a processor are cleaned, because an operator will read them.
func (p *reconciling) finding(ctx context.Context, d payment.Divergence) error {
	d.DetectedBy = byReconcile
	for key, value := range d.Evidence {
		d.Evidence[key] = printable.Clean(value, maxText)
	}
	created, err := p.Store.RecordDivergence(ctx, d)
	if err != nil || !created {
		return err
	}
	d.DivergenceID = d.ID()
	p.log(ctx, d)
	p.state.Counts.Findings++
	return nil
}

func (p *reconciling) log(ctx context.Context, d payment.Divergence) {
	activity.GetLogger(ctx).Error("reconciliation has found a divergence", "processor", p.Name, "divergence_id", d.DivergenceID, "kind", d.Kind,
		"payment_id", d.PaymentID, "refund_id", d.RefundID, "status_here", d.StatusHere, "status_there", d.StatusThere)
}

// hurry notifies the workflow of what is not final: it looks it up now instead of later. If that fails, it will do so later, unless it does
// not run: then it is not found out, and hurry returns false.
func (p *reconciling) hurry(ctx context.Context, s stored) (mayRun bool) {
	runs, err := p.notify(ctx, s.workflowID())
	if err != nil {
		activity.GetLogger(ctx).Warn("failed to notify a workflow of a difference: it finds out by itself", "about", s.id(), "error", err)
	}
	return runs || err != nil
}

// notify calls Hurry, unless the run has notified too many, and reports whether the workflow runs.
func (p *reconciling) notify(ctx context.Context, workflowID string) (runs bool, err error) {
	if p.Hurry == nil || p.hurried+p.state.Counts.Hurried >= maxHurried {
		return p.Runs(ctx, workflowID)
	}
	err = p.Hurry(ctx, workflowID)
	var notRunning *serviceerror.NotFound
	switch {
	case errors.As(err, &notRunning):
		return false, nil
	case err != nil:
		return false, err
	}
	p.state.Counts.Hurried++
	return true, nil
}

// unreadableAfter is how often a record is looked up before a response that cannot be read counts as one about the record, and not as a
// fault of the processor that passes.
const unreadableAfter = 5

// isAboutOne reports whether an error of a lookup is about the record that is looked up: the processor does not refuse every call, and
// another attempt would not help. Such a record must not hold up all others, run after run.
func (p *reconciling) isAboutOne(ctx context.Context, id string, e *processor.Error) bool {
	switch e.Class {
	case payment.ClassAuthentication, payment.ClassPermission, payment.ClassConfig:
		return false
	case payment.ClassInvalidResponse:
		if p.state.Invalid != id {
			p.state.Invalid, p.state.InvalidTimes = id, 0
		}
		p.state.InvalidTimes++
		p.record(ctx) // for the next attempt
		return !e.Retry || p.state.InvalidTimes > unreadableAfter
	default:
		return !e.Retry
	}
}
