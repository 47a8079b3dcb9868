package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// modification is a capture or a void of a payment that waits.
type modification struct {
	kind payment.Operation
	// amount is what to capture.
	amount int64
	// reason is why Florin voids the payment by itself; empty if a caller has asked for it.
	reason string
	// resumed reports that an earlier run has begun it.
	resumed bool
}

const (
	// byDeadline: the payment has waited for as long as it may.
	byDeadline = "deadline"
	// byCancellation: the workflow was canceled.
	byCancellation = "cancellation"
	// byDecline: the processor has declined the payment, and the customer could still pay it.
	byDecline = "decline"
)

// describe returns the modification with its amount.
func (m *modification) describe(currency string) string {
	if m.kind == payment.OperationCapture {
		return fmt.Sprintf("capture %s", payment.Money{Amount: m.amount, Currency: currency})
	}
	return "void"
}

// handleModifications handles the updates capture and void. A modification that is in flight, or was executed, may be requested again.
func (c *charge) handleModifications(ctx workflow.Context) error {
	err := workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateCapture,
		func(ctx workflow.Context, req payment.CaptureRequest) (payment.Charge, error) {
			return c.await(ctx, &modification{kind: payment.OperationCapture, amount: req.AmountOf(c.value)}, func() error { return c.validateCapture(req) })
		},
		workflow.UpdateHandlerOptions{
			Description: "Captures an authorized payment, or a part of it.",
			Validator: func(_ workflow.Context, req payment.CaptureRequest) error {
				if err := c.modifications.full(maxModificationsWaiting, maxModificationsAccepted); err != nil {
					return err
				}
				if err := req.Validate(); err != nil || !c.hasBegun {
					return applicationError(err)
				}
				return c.validateCapture(req)
			},
		})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateVoid,
		func(ctx workflow.Context) (payment.Charge, error) {
			return c.await(ctx, &modification{kind: payment.OperationVoid}, c.validateVoid)
		},
		workflow.UpdateHandlerOptions{
			Description: "Voids an authorized payment, or cancels a pending one.",
			Validator: func(workflow.Context) error {
				if err := c.modifications.full(maxModificationsWaiting, maxModificationsAccepted); err != nil {
					return err
				}
				if !c.hasBegun {
					return nil
				}
				return c.validateVoid()
			},
		})
}

// await requests the modification, unless the same one is requested or in flight, and waits for its outcome. Canceling the workflow
// does not end the update of a caller.
func (c *charge) await(ctx workflow.Context, m *modification, validate func() error) (payment.Charge, error) {
	c.modifications.enter()
	defer c.modifications.leave()
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := c.validateOnceBegun(ctx, validate); err != nil {
		return c.value, err
	}
	if same := c.unfinished(); same != nil {
		m = same
	} else {
		c.requested = m
	}
	isDone := func() bool {
		return c.isStored() && (slices.Contains(c.ended, m) || c.captureIsPending(m) || c.value.Status == payment.NeedsReconciliation || c.value.Final())
	}
	if err := workflow.Await(ctx, func() bool { return isDone() || c.continuing }); err != nil {
		return c.value, err
	}
	if !isDone() {
		return c.value, errContinued()
	}
	return c.value, nil
}

// captureIsPending reports whether m is the capture in flight, and the processor has accepted it and not executed it yet.
func (c *charge) captureIsPending(m *modification) bool {
	return m == c.current && m.kind == payment.OperationCapture && c.value.Status == payment.Pending
}

// unfinished returns the modification that is in flight or will be next; nil if there is none.
func (c *charge) unfinished() *modification {
	if c.current != nil {
		return c.current
	}
	return c.requested
}

// validateCapture refuses a capture that is not possible, with the reason.
func (c *charge) validateCapture(req payment.CaptureRequest) error {
	if err := req.Validate(); err != nil {
		return applicationError(err)
	}
	amount := req.AmountOf(c.value)
	switch m := c.unfinished(); {
	case c.value.Captured(req):
		return nil
	case req.Currency != "" && req.Currency != c.value.Currency:
		return invalidField("currency", "%q: the payment is in %s", req.Currency, c.value.Currency)
	case amount > c.value.Amount:
		return refuse(payment.ErrCaptureExceedsAuthorized, "capture of %s exceeds the authorized %s",
			payment.Money{Amount: amount, Currency: c.value.Currency}, c.value.Money())
	case m != nil && m.kind == payment.OperationCapture && m.amount == amount:
		return nil
	case m != nil:
		return refuse(payment.ErrNotCapturable, "another modification is in flight: %s", m.describe(c.value.Currency))
	case c.value.Status != payment.Authorized:
		return refuse(payment.ErrNotCapturable, "the payment is %s: only a payment that is %s can be captured", c.value.Status, payment.Authorized)
	}
	return nil
}

// validateVoid refuses a void that is not possible, with the reason.
func (c *charge) validateVoid() error {
	switch m := c.unfinished(); {
	case c.value.Status == payment.Voided, m != nil && m.kind == payment.OperationVoid:
		return nil
	case m != nil:
		return refuse(payment.ErrNotVoidable, "another modification is in flight: %s", m.describe(c.value.Currency))
	case c.value.Status == payment.Succeeded:
		return refuse(payment.ErrNotVoidable, "the payment was captured: refund it instead")
	case !c.waits():
		return refuse(payment.ErrNotVoidable, "the payment is %s: only a payment that is %s, %s or %s can be voided",
			c.value.Status, payment.Authorized, payment.RequiresAction, payment.Pending)
	}
	return nil
}

// waits reports whether the processor has the payment, and no money has moved yet.
func (c *charge) waits() bool {
	switch c.value.Status {
	case payment.Authorized, payment.RequiresAction, payment.Pending:
		return true
	default:
		return false
	}
}

// deadline is when the payment is voided if its status has not changed; zero: never. Entering the status again does not extend it, and
// a modification in flight is not cut short.
func (c *charge) deadline() time.Time {
	limit := time.Duration(c.terms.Pending.For)
	if c.value.Status == payment.Authorized {
		limit = time.Duration(c.terms.AuthorizationFor)
	}
	if limit <= 0 || !c.waits() || c.current != nil {
		return time.Time{}
	}
	if deadline := c.firstIn().Add(limit); deadline.After(c.voidAgain) {
		return deadline
	}
	return c.voidAgain
}

// nextModification is the requested one, and otherwise a void of a payment that was canceled or has reached its deadline. Without the
// void, canceling the workflow would leave an authorization that no workflow watches.
func (c *charge) nextModification(ctx, cancellable workflow.Context) *modification {
	deadline := c.deadline()
	switch {
	case !c.waits():
		return nil
	case c.requested != nil:
		return c.requested
	case cancellable.Err() != nil && !c.wasVoidedBy(byCancellation):
		return &modification{kind: payment.OperationVoid, reason: byCancellation}
	case !deadline.IsZero() && !workflow.Now(ctx).Before(deadline):
		return &modification{kind: payment.OperationVoid, reason: byDeadline}
	case c.declineIsOpen && !workflow.Now(ctx).Before(c.voidAgain):
		return &modification{kind: payment.OperationVoid, reason: byDecline}
	default:
		return nil
	}
}

// execute persists the modification, sends it, and returns once its outcome is known, or with true if the workflow continues in a new
// run. A run that finds a modification persisted knows that it may have been sent, and continues it.
func (c *charge) execute(ctx workflow.Context, m *modification) (continues bool) {
	c.requested, c.current = nil, m
	intended := payment.Modification{
		Operation: m.kind, Amount: m.amount, Reason: m.reason, StatusBefore: c.value.Status, BeganAt: workflow.Now(ctx).UTC(),
	}
	c.value.Modification = &intended
	c.persist(ctx, activities.Cause{By: "workflow"})
	if stored := c.value.Modification; stored == nil || !stored.Equal(intended) { // another run of this workflow was faster
		c.ended, c.current = append(c.ended, m), nil
		return c.resume(ctx)
	}
	op := c.modificationOperation(m)
	op.apply(ctx, op.send(ctx, ctx))
	return c.finishModification(ctx, op, false)
}

// resume continues the modification in which an earlier run ended. It may have been executed: it is looked up first.
func (c *charge) resume(ctx workflow.Context) (continues bool) {
	stored := c.value.Modification
	if stored == nil {
		return false
	}
	c.current = &modification{kind: stored.Operation, amount: stored.Amount, reason: stored.Reason, resumed: true}
	op := c.modificationOperation(c.current)
	op.sends = sends{state: ambiguous, last: workflow.Now(ctx), failure: payment.Failure{
		Class: payment.ClassOutcomeUnknown, Message: fmt.Sprintf("an earlier run may have sent the %s", stored.Operation),
	}}
	if c.value.Status == payment.Unknown && c.value.Failure != nil { // the earlier run knew why
		op.sends.failure = *c.value.Failure
	}
	op.apply(ctx, op.undecided(activities.Cause{By: "workflow"}))
	return c.finishModification(ctx, op, true)
}

// finishModification polls until the outcome of the modification in flight is known, and ends it.
func (c *charge) finishModification(ctx workflow.Context, op *operation, soon bool) (continues bool) {
	m := c.current
	if op.pollUntilResolved(ctx, func() bool { return c.value.Modification == nil }, soon) {
		return true
	}
	if (m.reason == byDeadline || m.reason == byDecline) && c.waits() {
		c.voidAgain = workflow.Now(ctx).Add(slowest)
	}
	c.ended, c.current = append(c.ended, m), nil
	return false
}

// modificationOperation is the modification in flight at the processor. Its key is numbered by the modifications that have ended, which
// the store counts: each has a key of its own, in whichever run, so that the processor never repeats its response to another one; and
// one that was interrupted continues under its own key.
func (c *charge) modificationOperation(m *modification) *operation {
	sequence, began := int(c.value.Modifications), c.value.Modification.BeganAt
	key := payment.ProcessorKey(c.value.PaymentID, m.kind, sequence)
	op := &operation{
		terms: c.terms, subject: c, resolutions: &c.resolutions,
		kind: payment.OperationCharge, reference: c.reference(), modifies: true,
		summary:       fmt.Sprintf("%s via %s", m.describe(c.value.Currency), c.terms.Processor),
		recordedSince: c.value.CreatedAt, firstUsed: began,
	}
	if m.kind == payment.OperationCapture {
		c.capturable = capturable{amount: m.amount}
		op.activity = payment.ActivityProcessorCapture
		op.call = processor.CaptureCall{
			Key: key, KeyFirstUsed: began, PaymentID: c.value.PaymentID, Sequence: sequence, ProcessorPaymentID: c.value.ProcessorPaymentID,
			Amount: m.amount, Currency: c.value.Currency,
		}
		return op
	}
	op.activity = payment.ActivityProcessorVoid
	op.call = processor.VoidCall{
		Key: key, KeyFirstUsed: began, PaymentID: c.value.PaymentID, Sequence: sequence, ProcessorPaymentID: c.value.ProcessorPaymentID,
	}
	return op
}

// endModification notes that the modification in flight has ended: the next one has another key.
func (c *charge) endModification() {
	if c.value.Modification != nil {
		c.value.Modification = nil
		c.value.Modifications++
	}
}

// notExecuted takes over that the operation in flight provably did nothing: a charge has failed, and a modification has ended without
// changing the payment. found is the status of the record that proves it; empty: there is none.
func (c *charge) notExecuted(ctx workflow.Context, failure payment.Failure, found payment.Status) {
	status := payment.Failed
	if m := c.value.Modification; m != nil {
		status = cmp.Or(found, m.StatusBefore)
		switch {
		case found == payment.Declined: // it is not final, see isUnchanged
			status = m.StatusBefore
		case m.Reason == byDecline && found != "": // the customer has paid
			c.endModification()
			c.value.Decline = nil
			c.transition(ctx, status, nil)
			return
		case found == payment.Authorized && m.StatusBefore != payment.Authorized:
			c.value.Decline = nil
		}
	}
	c.endModification()
	c.transition(ctx, status, &failure)
}

// isUnchanged reports whether the processor's record shows nothing of the modification in flight.
func (c *charge) isUnchanged(found processor.Result) bool {
	switch {
	case c.current == nil:
		return false
	case c.current.kind == payment.OperationCapture:
		return found.Status == payment.Authorized
	default:
		return found.Status == payment.Authorized || found.Status == payment.RequiresAction || found.Status == payment.Pending ||
			found.Status == payment.Declined && found.CanStillSucceed
	}
}

// outcomeStatus is what the processor's status means for the payment: what was voided at its deadline is expired, and what was voided
// because of a decline is declined.
func (c *charge) outcomeStatus(status payment.Status) payment.Status {
	switch {
	case status != payment.Voided || c.current == nil:
		return status
	case c.current.reason == byDeadline:
		return payment.Expired
	case c.current.reason == byDecline && c.value.Decline != nil:
		return payment.Declined
	default:
		return status
	}
}
