package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// modification is a capture or a void of a payment that waits.
type modification struct {
	kind payment.Operation
	// amount is what to capture.
	amount int64
	reason reason
	// statusBefore is the status of the payment if the modification does nothing.
	statusBefore payment.Status
}

// reason is why a modification is executed.
type reason int

const (
	// byUpdate: a caller has asked for it.
	byUpdate reason = iota
	// byDeadline: the payment has waited for as long as it may.
	byDeadline
	// byCancellation: the workflow was canceled.
	byCancellation
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
			return c.await(ctx, &modification{kind: payment.OperationCapture, amount: req.AmountOf(c.value), reason: byUpdate})
		},
		workflow.UpdateHandlerOptions{
			Description: "Captures an authorized payment, or a part of it.",
			Validator:   func(_ workflow.Context, req payment.CaptureRequest) error { return c.validateCapture(req) },
		})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateVoid,
		func(ctx workflow.Context) (payment.Charge, error) {
			return c.await(ctx, &modification{kind: payment.OperationVoid, reason: byUpdate})
		},
		workflow.UpdateHandlerOptions{
			Description: "Voids an authorized payment, or cancels a pending one.",
			Validator:   func(workflow.Context) error { return c.validateVoid() },
		})
}

// await requests the modification, unless the same one is requested or in flight, and waits for its outcome. Canceling the workflow
// does not end the update of a caller.
func (c *charge) await(ctx workflow.Context, m *modification) (payment.Charge, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if same := c.unfinished(); same != nil {
		m = same
	} else {
		c.requested = m
	}
	err := workflow.Await(ctx, func() bool {
		return c.isStored() && (slices.Contains(c.executed, m) || c.value.Status == payment.NeedsReconciliation || c.value.Final())
	})
	return c.value, err
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

// startDeadline sets the deadline of a status in which the payment waits. Entering the status again does not extend it.
func (c *charge) startDeadline() {
	limit := time.Duration(c.terms.Pending.For)
	if c.value.Status == payment.Authorized {
		limit = time.Duration(c.terms.AuthorizationFor)
	}
	if _, set := c.deadlines[c.value.Status]; !set && limit > 0 && c.waits() {
		c.deadlines[c.value.Status] = c.value.UpdatedAt.Add(limit)
	}
}

// deadline is when the payment is voided if its status has not changed; zero: never.
func (c *charge) deadline() time.Time { return c.deadlines[c.value.Status] }

// nextModification is the requested one, and otherwise a void of a payment that was canceled or has reached its deadline. Without the
// void, canceling the workflow would leave an authorization that no workflow watches.
func (c *charge) nextModification(ctx, cancellable workflow.Context) *modification {
	deadline := c.deadline()
	switch {
	case !c.waits():
		return nil
	case c.requested != nil:
		return c.requested
	case cancellable.Err() != nil && !slices.ContainsFunc(c.executed, func(m *modification) bool { return m.reason == byCancellation }):
		return &modification{kind: payment.OperationVoid, reason: byCancellation}
	case !deadline.IsZero() && !workflow.Now(ctx).Before(deadline):
		return &modification{kind: payment.OperationVoid, reason: byDeadline}
	default:
		return nil
	}
}

// execute returns once the outcome of the modification is known.
func (c *charge) execute(ctx workflow.Context, m *modification) {
	c.requested, c.current, m.statusBefore = nil, m, c.value.Status
	op := c.modificationOperation(ctx, m)
	op.apply(ctx, op.send(ctx, ctx))
	op.pollUntilResolved(ctx, func() bool {
		return c.value.Status != payment.Unknown && c.value.Status != payment.NeedsReconciliation
	}, false)
	if m.reason == byDeadline {
		c.deadlines[m.statusBefore] = workflow.Now(ctx).Add(slowest)
	}
	c.executed, c.current = append(c.executed, m), nil
}

// modificationOperation is the modification at the processor.
func (c *charge) modificationOperation(ctx workflow.Context, m *modification) *operation {
	key := c.modificationKey(m.kind)
	op := &operation{
		terms: c.terms, subject: c, resolutions: &c.resolutions,
		kind: payment.OperationCharge, reference: c.reference(),
		summary:   fmt.Sprintf("%s via %s", m.describe(c.value.Currency), c.terms.Processor),
		firstUsed: workflow.Now(ctx),
	}
	if m.kind == payment.OperationCapture {
		c.capturable = capturable{amount: m.amount}
		op.activity = payment.ActivityProcessorCapture
		op.call = processor.CaptureCall{
			Key: key, KeyFirstUsed: op.firstUsed, PaymentID: c.value.PaymentID, ProcessorPaymentID: c.value.ProcessorPaymentID,
			Amount: m.amount, Currency: c.value.Currency,
		}
		return op
	}
	op.activity = payment.ActivityProcessorVoid
	op.call = processor.VoidCall{
		Key: key, KeyFirstUsed: op.firstUsed, PaymentID: c.value.PaymentID, ProcessorPaymentID: c.value.ProcessorPaymentID,
	}
	return op
}

// modificationKey is the idempotency key of the next modification of this kind. It differs from those of modifications that have
// ended, also in an earlier run, whose responses the processor would repeat; and it is the key of a modification in which an earlier
// run was terminated. The stored revision, which counts what was recorded, has both properties.
func (c *charge) modificationKey(kind payment.Operation) string {
	ended := 0
	for _, m := range c.executed {
		if m.kind == kind {
			ended++
		}
	}
	return payment.ProcessorKey(c.value.PaymentID, kind, int(c.value.Revision)+ended)
}

// statusIfNotExecuted is the status of the payment if the operation in flight provably did nothing.
func (c *charge) statusIfNotExecuted() payment.Status {
	if c.current == nil {
		return payment.Failed
	}
	return c.current.statusBefore
}

// isUnchanged reports whether the processor's record shows nothing of the modification in flight.
func (c *charge) isUnchanged(found processor.Result) bool {
	switch {
	case c.current == nil:
		return false
	case c.current.kind == payment.OperationCapture:
		return found.Status == payment.Authorized
	default:
		return found.Status == payment.Authorized || found.Status == payment.RequiresAction || found.Status == payment.Pending
	}
}

// outcomeStatus is what the processor's status means for the payment: what was voided at its deadline is expired.
func (c *charge) outcomeStatus(status payment.Status) payment.Status {
	if status == payment.Voided && c.current != nil && c.current.reason == byDeadline {
		return payment.Expired
	}
	return status
}
