package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/authorize"
	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/internal/divergence"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Payments holds the activities that write and read the store. The writing ones are local activities of the workflows, and nothing else
// may execute them: they believe what they are told. The reading ones are standalone activities for services. Each is safe to repeat:
// what is persisted already is returned.
type Payments struct {
	Store *store.Store
	// Default is the processor of a request that names none.
	Default string
	// Terms are the terms of every configured processor, by its name.
	Terms map[string]Terms
	// Profiles describe what each of them accepts. A processor without one is assumed to accept everything.
	Profiles map[string]processor.Profile
	// Authorizer decides who may begin payments and refunds, and read. Nil: everyone who may use the Temporal namespace.
	Authorizer *authorize.Authorizer
	// Inline makes the first attempt of payments and refunds that are new. Nil: every attempt is queued.
	Inline *Inline
	// Windows are how the windows of reconciliations follow from each other, by the name of the processor.
	Windows map[string]store.Window
}

// Start is how a workflow was started.
type Start struct {
	// At is when. For a run that was reset, it is the start of the run before it.
	At time.Time `json:"at"`
	// Continued reports that another run of Florin's has continued as new, and so had begun.
	Continued bool `json:"continued,omitempty"`
	// Reset reports that the run was reset from another one, which may have been refused.
	Reset bool `json:"reset,omitempty"`
	// Batch reports that the workflow is one of many, and that its first attempt may wait for those of others.
	Batch bool `json:"batch,omitempty"`
	// Proof says who has started it. Nil: the start has no proof.
	Proof *caller.Proof `json:"proof,omitempty"`
}

// allowStart returns an error unless the workflow of the request has the ID that belongs to it, so that no two workflows are about the
// same payment or refund, and its start is permitted. begun returns when the workflow that has begun the payment or refund had started.
//
// What has begun goes on, however old its proof is: in a run that Florin itself has continued as new, and in one that was reset from the run
// that has begun it. A line of a batch needs no proof of its own: the caller who has submitted the batch has proven that it is permitted. Any other run
// has to prove that.
func (p *Payments) allowStart(ctx context.Context, workflow, wantID, merchantID string, req any, start Start, begun func() (time.Time, error)) error {
	if id := activity.GetInfo(ctx).WorkflowExecution.ID; id != wantID {
		return storeError(payment.Refuse(payment.ErrInvalidRequest, "workflow ID %q: want %q, which is that of the request", id, wantID))
	}
	if p.Authorizer == nil {
		return nil
	}
	if start.Continued || start.Reset {
		at, err := begun()
		switch {
		case errors.Is(err, payment.ErrNotFound) && start.Continued: // the workflow task is retried until an operator has restored the row
			return fmt.Errorf("the store has lost what workflow %q has begun: restore it", wantID)
		case errors.Is(err, payment.ErrNotFound):
		case err != nil:
			return err
		case start.Continued, at.Equal(start.At.Truncate(time.Microsecond)):
			return nil
		}
	}
	if start.Proof == nil {
		if accepted, err := p.acceptedInBatch(ctx, req); accepted || err != nil {
			return err
		}
	}
	_, err := p.Authorizer.Allow(start.Proof, caller.Request{
		Kind: caller.Start, Name: workflow, WorkflowID: wantID, Args: []any{req},
	}, merchantID, start.At)
	if err == nil || start.Continued || start.Reset {
		return err
	}
	switch at, readErr := begun(); {
	case errors.Is(readErr, payment.ErrNotFound):
		return err
	case readErr != nil:
		return readErr
	case at.Equal(start.At.Truncate(time.Microsecond)): // this run has begun it, and may have sent it, in a workflow task that was lost
		return nil
	default:
		return err
	}
}

// allowRead returns an error unless the caller may read what belongs to the merchant; an empty merchant means all of them.
func (p *Payments) allowRead(ctx context.Context, activity, merchantID string, args ...any) (caller.Identity, error) {
	return p.Authorizer.Allow(authorize.ProofOfRead(ctx), readRequest(activity, args...), merchantID, time.Now())
}

func readRequest(activity string, args ...any) caller.Request {
	return caller.Request{Kind: caller.Read, Name: activity, Args: args}
}

// RegisterWrites registers the local activities of the workflows, under their names in package payment. A worker that executes activities
// from a task queue must not have them: a client that can schedule an activity could forge a payment's outcome.
func (p *Payments) RegisterWrites(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(p.ChargeInline, activity.RegisterOptions{Name: payment.ActivityChargeInline})
	r.RegisterActivityWithOptions(p.RefundInline, activity.RegisterOptions{Name: payment.ActivityRefundInline})
	r.RegisterActivityWithOptions(p.BeginPayment, activity.RegisterOptions{Name: payment.ActivityBeginPayment})
	r.RegisterActivityWithOptions(p.RecordPayment, activity.RegisterOptions{Name: payment.ActivityRecordPayment})
	r.RegisterActivityWithOptions(p.ReserveRefund, activity.RegisterOptions{Name: payment.ActivityReserveRefund})
	r.RegisterActivityWithOptions(p.SettleRefund, activity.RegisterOptions{Name: payment.ActivitySettleRefund})
	r.RegisterActivityWithOptions(p.BeginRecheck, activity.RegisterOptions{Name: payment.ActivityBeginRecheck})
	r.RegisterActivityWithOptions(p.RecordRecheck, activity.RegisterOptions{Name: payment.ActivityRecordRecheck})
	r.RegisterActivityWithOptions(p.BeginReconciliation, activity.RegisterOptions{Name: payment.ActivityBeginReconciliation})
	r.RegisterActivityWithOptions(p.EndReconciliation, activity.RegisterOptions{Name: payment.ActivityEndReconciliation})
}

// RegisterReads registers the standalone activities, under their names in package payment.
func (p *Payments) RegisterReads(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(p.GetPayment, activity.RegisterOptions{Name: payment.ActivityGetPayment})
	r.RegisterActivityWithOptions(p.GetRefund, activity.RegisterOptions{Name: payment.ActivityGetRefund})
	r.RegisterActivityWithOptions(p.GetIdentity, activity.RegisterOptions{Name: payment.ActivityGetIdentity})
	r.RegisterActivityWithOptions(p.ListPayments, activity.RegisterOptions{Name: payment.ActivityListPayments})
	r.RegisterActivityWithOptions(p.ListRefunds, activity.RegisterOptions{Name: payment.ActivityListRefunds})
	r.RegisterActivityWithOptions(p.ListDivergences, activity.RegisterOptions{Name: payment.ActivityListDivergences})
	r.RegisterActivityWithOptions(p.AcknowledgeDivergence, activity.RegisterOptions{Name: payment.ActivityAcknowledgeDivergence})
	r.RegisterActivityWithOptions(p.ControlProcessor, activity.RegisterOptions{Name: payment.ActivityControlProcessor})
	r.RegisterActivityWithOptions(p.ListProcessors, activity.RegisterOptions{Name: payment.ActivityListProcessors})
	r.RegisterActivityWithOptions(p.ListReconciliations, activity.RegisterOptions{Name: payment.ActivityListReconciliations})
}

// Cause is the actor behind a transition, and the evidence for it.
type Cause = store.Cause

// BeginResult is a payment that may be processed.
type BeginResult struct {
	// Terms are zero if the first attempt has brought the final outcome.
	Terms Terms `json:"terms,omitzero"`
	// Charge is the persisted payment, with the outcome if there is one.
	Charge payment.Charge `json:"charge"`
	// Resumed reports that the payment was begun before, so that its processor may have been called.
	Resumed bool `json:"resumed,omitempty"`
	// Since is when the payment first had each status, if it was begun before: deadlines and schedules continue.
	Since map[payment.Status]time.Time `json:"since,omitempty"`
	// First is the first attempt at the processor, if [Payments.ChargeInline] has made it.
	First *FirstAttempt `json:"first_attempt,omitempty"`
}

// BeginPayment chooses the processor of a charge, persists the payment and freezes its terms. start says when the workflow started,
// from which the age of the payment's idempotency key is counted: the payment is at least as old, even if its row was lost, for
// example by a failover of the database. BeginPayment returns [payment.ErrInvalidRequest] for a new payment whose request is invalid, or
// whose processor is not configured or does not accept it, [payment.ErrIdempotencyMismatch] for a key that was used for a different
// request, and [payment.ErrNotAuthorized] for a start that is not permitted.
func (p *Payments) BeginPayment(ctx context.Context, req payment.ChargeRequest, start Start) (BeginResult, error) {
	workflowID, started := payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey), start.At
	if err := p.allowStart(ctx, payment.WorkflowCharge, workflowID, req.MerchantID, req, start, func() (time.Time, error) {
		stored, err := p.Store.CurrentPayment(ctx, req.MerchantID, payment.PaymentID(req.MerchantID, req.IdempotencyKey))
		return stored.CreatedAt, err
	}); err != nil {
		return BeginResult{}, err
	}
	name := req.Processor
	if name == "" {
		name = p.Default
	}
	if problems := p.problems(name, req); len(problems) > 0 && !p.isBegun(ctx, req) {
		if start.Continued { // it was accepted once, and the processor may have been called: an operator has to look
			return BeginResult{}, fmt.Errorf("the store has lost the payment of workflow %q: restore it", workflowID)
		}
		err := &payment.InvalidRequestError{Fields: problems}
		return BeginResult{}, storeError(err, err)
	}
	stored, created, err := p.Store.BeginPayment(ctx, payment.Charge{
		PaymentID:      payment.PaymentID(req.MerchantID, req.IdempotencyKey),
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Amount:         req.Amount,
		Currency:       req.Currency,
		Processor:      name,
		PaymentMethod:  req.PaymentMethod,
		CreatedAt:      started,
		UpdatedAt:      started,
	}, req.Fingerprint())
	if err != nil {
		return BeginResult{}, requestError(err, payment.RefusedRequest{
			MerchantID: req.MerchantID, IdempotencyKey: req.IdempotencyKey, Amount: req.Amount, Currency: req.Currency,
			PaymentID: payment.PaymentID(req.MerchantID, req.IdempotencyKey),
		})
	}
	stored.CreatedAt = earliest(stored.CreatedAt, started)
	terms, err := p.terms(stored.Processor, stored.Status)
	if err != nil || created {
		return BeginResult{Terms: terms, Charge: stored}, err
	}
	since, err := p.since(ctx, stored.PaymentID)
	return BeginResult{Terms: terms, Charge: stored, Resumed: true, Since: since}, err
}

// since returns when the payment or refund first had each of its statuses.
func (p *Payments) since(ctx context.Context, id string) (map[payment.Status]time.Time, error) {
	events, err := p.Store.Events(ctx, id)
	since := map[payment.Status]time.Time{}
	for _, event := range events {
		if _, known := since[event.To]; !known {
			since[event.To] = event.At
		}
	}
	return since, storeError(err)
}

// earliest returns the earlier of the time at which a record was stored and the one at which its workflow started, in the precision
// of the store. started may be zero.
func earliest(stored, started time.Time) time.Time {
	if started = started.Truncate(time.Microsecond).UTC(); !started.IsZero() && started.Before(stored) {
		return started
	}
	return stored
}

// problems returns why the charge cannot begin, at the named processor.
func (p *Payments) problems(name string, req payment.ChargeRequest) []payment.FieldError {
	if problems := invalidFields(req.Validate()); len(problems) > 0 {
		return problems
	}
	if _, ok := p.Terms[name]; !ok {
		return []payment.FieldError{{
			Field:   "processor",
			Problem: fmt.Sprintf("%q is not configured: want %s", name, strings.Join(slices.Sorted(maps.Keys(p.Terms)), " or ")),
		}}
	}
	return p.Profiles[name].CheckCharge(req)
}

// invalidFields returns the fields that a validation refuses. The workflow accepts more than a new request may have: it also executes those
// that began with an earlier release.
func invalidFields(err error) []payment.FieldError {
	var invalid *payment.InvalidRequestError
	if errors.As(err, &invalid) {
		return invalid.Fields
	}
	return nil
}

// isBegun reports whether the payment is persisted: then its request was accepted and its processor configured when it began. While the store is down,
// isBegun reports true, so that the caller reads the store and gets its error.
func (p *Payments) isBegun(ctx context.Context, req payment.ChargeRequest) bool {
	_, err := p.Store.CurrentPayment(ctx, req.MerchantID, payment.PaymentID(req.MerchantID, req.IdempotencyKey))
	return !errors.Is(err, payment.ErrNotFound)
}

// terms returns the terms of a payment's processor. If that is no longer configured, terms returns an error unless the status is
// final: an outcome that is not known could not be looked up.
func (p *Payments) terms(name string, status payment.Status) (Terms, error) {
	terms, ok := p.Terms[name]
	if !ok && !status.Final() {
		return Terms{}, fmt.Errorf("processor %q of this payment is no longer configured: add it to the configuration again", name)
	}
	return terms, nil
}

// RecordPayment persists a payment and returns the persisted one, with the refunded amount. If another run of the workflow, which
// was terminated or reset meanwhile, has persisted a later status, a status that is not final is ignored, and so is a final one if
// both mean that no money moved.
func (p *Payments) RecordPayment(ctx context.Context, c payment.Charge, cause Cause) (payment.Charge, error) {
	if c.Modification != nil && c.Modification.RunID == "" { // a new one
		began := *c.Modification
		began.RunID = activity.GetInfo(ctx).WorkflowExecution.RunID
		c.Modification = &began
	}
	stored, err := p.Store.RecordPayment(ctx, c, cause)
	if errors.Is(err, store.ErrIllegalTransition) {
		later, readErr := p.Store.CurrentPayment(ctx, c.MerchantID, c.PaymentID)
		switch {
		case readErr != nil:
			err = readErr
		case !c.Status.Final(), divergence.MovedNothing(c.Status) && divergence.MovedNothing(later.Status):
			return later, nil
		}
	}
	return stored, storeError(err)
}

// ReserveResult is a refund that may be processed.
type ReserveResult struct {
	// Terms and Payment are zero if the first attempt has brought the final outcome.
	Terms Terms `json:"terms,omitzero"`
	// Refund is the persisted refund, with the outcome if there is one.
	Refund payment.Refund `json:"refund"`
	// Payment is the payment to refund.
	Payment payment.Charge `json:"of,omitzero"`
	// Resumed reports that the refund was reserved before, so that its processor may have been called.
	Resumed bool `json:"resumed,omitempty"`
	// Since is when the refund first had each status, if it was reserved before.
	Since map[payment.Status]time.Time `json:"since,omitempty"`
	// First is the first attempt at the processor, if [Payments.RefundInline] has made it.
	First *FirstAttempt `json:"first_attempt,omitempty"`
}

// ReserveRefund persists a refund and reserves its amount. started is as for [Payments.BeginPayment]. ReserveRefund returns [payment.ErrPaymentNotFound],
// [payment.ErrPaymentNotRefundable], [payment.ErrRefundExceedsCaptured] or [payment.ErrInvalidRequest] if there is nothing to
// refund, and [payment.ErrIdempotencyMismatch] for a key that was used for a different request.
func (p *Payments) ReserveRefund(ctx context.Context, req payment.RefundRequest, start Start) (ReserveResult, error) {
	workflowID, started := payment.RefundWorkflowID(req.MerchantID, req.IdempotencyKey), start.At
	if err := p.allowStart(ctx, payment.WorkflowRefund, workflowID, req.MerchantID, req, start, func() (time.Time, error) {
		stored, err := p.Store.CurrentRefund(ctx, req.MerchantID, payment.RefundID(req.MerchantID, req.IdempotencyKey))
		return stored.CreatedAt, err
	}); err != nil {
		return ReserveResult{}, err
	}
	r := payment.Refund{
		RefundID:       payment.RefundID(req.MerchantID, req.IdempotencyKey),
		PaymentID:      req.PaymentID,
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Currency:       req.Currency,
		CreatedAt:      started,
		UpdatedAt:      started,
	}
	if req.Amount != nil {
		r.Amount = *req.Amount
	}
	if err := p.checkRefund(ctx, req); err != nil {
		return ReserveResult{}, err
	}
	stored, of, created, err := p.Store.ReserveRefund(ctx, r, req.Fingerprint())
	if err != nil {
		return ReserveResult{}, requestError(err, payment.RefusedRequest{
			MerchantID: req.MerchantID, IdempotencyKey: req.IdempotencyKey, PaymentID: req.PaymentID,
			Amount: r.Amount, Currency: req.Currency,
		})
	}
	stored.CreatedAt = earliest(stored.CreatedAt, started)
	terms, err := p.terms(of.Processor, stored.Status)
	if err != nil || created {
		return ReserveResult{Terms: terms, Refund: stored, Payment: of}, err
	}
	since, err := p.since(ctx, stored.RefundID)
	return ReserveResult{Terms: terms, Refund: stored, Payment: of, Resumed: true, Since: since}, err
}

// checkRefund refuses a refund whose request is invalid, or that the processor of its payment does not accept, unless it is reserved
// already. It leaves it to the store to refuse a payment that does not exist.
func (p *Payments) checkRefund(ctx context.Context, req payment.RefundRequest) error {
	problems := invalidFields(req.Validate())
	of, err := p.Store.CurrentPayment(ctx, req.MerchantID, req.PaymentID)
	switch {
	case err == nil:
		problems = append(problems, p.Profiles[of.Processor].CheckRefund(req, of.Currency)...)
	case !errors.Is(err, payment.ErrNotFound):
		return storeError(err)
	}
	if len(problems) == 0 {
		return nil
	}
	if _, err := p.Store.CurrentRefund(ctx, req.MerchantID, payment.RefundID(req.MerchantID, req.IdempotencyKey)); !errors.Is(err, payment.ErrNotFound) {
		return storeError(err)
	}
	invalid := &payment.InvalidRequestError{Fields: problems}
	return storeError(invalid, invalid)
}

// SettleRefund persists a refund, and with it what remains of its payment, as [Payments.RecordPayment] does.
func (p *Payments) SettleRefund(ctx context.Context, r payment.Refund, cause Cause) (payment.Refund, error) {
	stored, err := p.Store.SettleRefund(ctx, r, cause)
	if errors.Is(err, store.ErrIllegalTransition) && !r.Status.Final() {
		stored, err = p.Store.CurrentRefund(ctx, r.MerchantID, r.RefundID)
	}
	return stored, storeError(err)
}

// GetPayment returns a payment by its merchant's key, or [payment.ErrNotFound].
func (p *Payments) GetPayment(ctx context.Context, merchantID, idempotencyKey string) (payment.Charge, error) {
	if _, err := p.allowRead(ctx, payment.ActivityGetPayment, merchantID, merchantID, idempotencyKey); err != nil {
		return payment.Charge{}, err
	}
	stored, err := p.Store.Payment(ctx, merchantID, idempotencyKey)
	return stored, storeError(err)
}

// GetRefund returns a refund by its merchant's key, or [payment.ErrNotFound].
func (p *Payments) GetRefund(ctx context.Context, merchantID, idempotencyKey string) (payment.Refund, error) {
	if _, err := p.allowRead(ctx, payment.ActivityGetRefund, merchantID, merchantID, idempotencyKey); err != nil {
		return payment.Refund{}, err
	}
	stored, err := p.Store.Refund(ctx, merchantID, idempotencyKey)
	return stored, storeError(err)
}

// GetIdentity returns the merchant and the key of the payment or refund with an id, or [payment.ErrNotFound]. If callers have to prove who they
// are, it does not find those of merchants for which the caller may not act.
func (p *Payments) GetIdentity(ctx context.Context, id string) (payment.Identity, error) {
	reader, err := p.Authorizer.AllowForSome(authorize.ProofOfRead(ctx), readRequest(payment.ActivityGetIdentity, id), time.Now())
	if err != nil {
		return payment.Identity{}, err
	}
	identity, err := p.Store.Identity(ctx, id)
	if err == nil && !reader.ActsFor(identity.MerchantID) {
		identity, err = payment.Identity{}, payment.ErrNotFound
	}
	return identity, storeError(err)
}

// ListPayments returns a page of payments, newest first, or [payment.ErrInvalidRequest] for an invalid filter.
func (p *Payments) ListPayments(ctx context.Context, f payment.Filter) (payment.Page, error) {
	if _, err := p.allowRead(ctx, payment.ActivityListPayments, f.MerchantID, f); err != nil {
		return payment.Page{}, err
	}
	page, err := p.Store.Payments(ctx, f)
	return page, requestError(err, f)
}

// ListRefunds returns a page of the refunds at a processor, newest first, or [payment.ErrInvalidRequest] for an invalid filter. They are those
// of all merchants.
func (p *Payments) ListRefunds(ctx context.Context, f payment.RefundFilter) (payment.RefundPage, error) {
	if _, err := p.allowRead(ctx, payment.ActivityListRefunds, "", f); err != nil {
		return payment.RefundPage{}, err
	}
	page, err := p.Store.RefundsAt(ctx, f)
	return page, requestError(err, f)
}

// ErrorProcessorIDTaken is the type of the application error for a processor's id that another payment or refund has: the
// processor responded for the wrong one.
const ErrorProcessorIDTaken = "ProcessorIDTaken"

// storeError turns an error of the store into an application error of Temporal. A refusal is not retried. Any other error is: the
// store may be down, and the payment waits for it.
func storeError(err error, details ...any) error {
	var refusal payment.RefusalCode
	switch {
	case errors.As(err, &refusal):
		return temporal.NewNonRetryableApplicationError(err.Error(), string(refusal), nil, details...)
	case errors.Is(err, store.ErrProcessorIDTaken):
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrorProcessorIDTaken, nil, details...)
	default:
		return err
	}
}

// requestError is storeError for a caller's request, which is the detail of the error. A request with a value that the store
// never accepts is refused. In an outcome such a value would be a bug of Florin: storeError returns an error that is retried
// until the code is corrected.
func requestError(err error, requested any) error {
	if errors.Is(err, store.ErrInvalid) {
		err = payment.Refuse(payment.ErrInvalidRequest, "%s", strings.TrimPrefix(err.Error(), store.ErrInvalid.Error()+": "))
	}
	return storeError(err, requested)
}

// BeginReconciliation persists that a run of the workflow [payment.WorkflowReconcile] has begun, and returns it with its window, which
// only the store and the configuration decide. It returns [payment.ErrInvalidRequest] for a processor that is not configured, and for a
// workflow whose ID is not of the processor. It is safe to repeat.
func (p *Payments) BeginReconciliation(ctx context.Context, processorName, runID string) (payment.Reconciliation, error) {
	id := activity.GetInfo(ctx).WorkflowExecution.ID
	switch _, configured := p.Terms[processorName]; {
	case !configured:
		return payment.Reconciliation{}, storeError(payment.Refuse(payment.ErrInvalidRequest, "processor %q is not configured", processorName))
	case !payment.IsReconcileWorkflowID(id, processorName):
		return payment.Reconciliation{}, storeError(payment.Refuse(payment.ErrInvalidRequest,
			"workflow ID %q: want one that begins with %q", id, payment.ReconcileScheduleID(processorName)))
	}
	r, err := p.Store.BeginReconciliation(ctx, payment.Reconciliation{RunID: runID, Processor: processorName, WorkflowID: id}, p.Windows[processorName])
	return r, storeError(err)
}

// EndReconciliation persists how a run has ended, and returns it. reason is why it is not complete. It is safe to repeat.
func (p *Payments) EndReconciliation(
	ctx context.Context, runID, reason string, counts payment.ReconcileCounts,
) (payment.Reconciliation, error) {
	r, err := p.Store.EndReconciliation(ctx, runID, reason == "", reason, counts)
	return r, storeError(err)
}

// ListReconciliations returns a page of reconciliations, the latest first. If callers have to prove who they are, the caller must act for
// all merchants.
func (p *Payments) ListReconciliations(ctx context.Context, f payment.ReconciliationFilter) (payment.ReconciliationPage, error) {
	if _, err := p.allowRead(ctx, payment.ActivityListReconciliations, "", f); err != nil {
		return payment.ReconciliationPage{}, err
	}
	page, err := p.Store.Reconciliations(ctx, f)
	return page, requestError(err, f)
}
