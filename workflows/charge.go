package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Charge charges a customer exactly once and returns the outcome. Declined, failed and conflicted payments are results; it fails only
// for a request that is refused. An authorized payment keeps it running until that is captured, voided or expired; see
// modification.go.
func Charge(ctx workflow.Context, req payment.ChargeRequest) (payment.Charge, error) {
	return Hosted{}.charge(ctx, req)
}

func (h Hosted) charge(ctx workflow.Context, req payment.ChargeRequest) (payment.Charge, error) {
	c := newCharge(ctx, req)
	if err := c.handleReads(ctx); err != nil {
		return c.value, err
	}
	if err := c.handleResolve(ctx, payment.ResolvedPaymentStatuses, c.validateResolution); err != nil {
		return c.value, err
	}
	if err := c.handleModifications(ctx); err != nil {
		return c.value, err
	}
	return c.finish(ctx, c.run(ctx, h.firstCharge(req)))
}

type charge struct {
	machine[payment.Charge]
	req   payment.ChargeRequest
	terms activities.Terms
	// capturable is which captured amount is as requested.
	capturable capturable
	// earlierRun reports that another run may have sent the charge or a modification.
	earlierRun bool
	// cancellable is the context that canceling the workflow cancels.
	cancellable workflow.Context
	// requested is the capture or void that an update asks for, current the one in flight, ended those before it, whether or not they were executed.
	requested, current *modification
	ended              []*modification
	// modifications are the updates that wait for a capture or a void.
	modifications waiters
	// declineIsOpen reports that the processor has declined the payment, and that the customer could still pay it: it has to be voided
	// before the decline is reported.
	declineIsOpen bool
	// voidAgain is when a void by Florin itself that did not succeed is tried again.
	voidAgain time.Time
}

func newCharge(ctx workflow.Context, req payment.ChargeRequest) *charge {
	c := &charge{req: req, capturable: capturableAtFirst(req)}
	c.definition = definition[payment.Charge]{
		name:        "payment",
		fingerprint: req.Fingerprint(),
		transitions: payment.PaymentTransitions,
		activity:    payment.ActivityRecordPayment,
		conflicted:  payment.Conflicted,
		fields:      chargeFields,
		entered:     c.entered,
		attributes:  c.attributes,
		details:     c.details,
	}
	c.value = payment.Charge{
		PaymentID:      payment.PaymentID(req.MerchantID, req.IdempotencyKey),
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Amount:         req.Amount,
		Currency:       req.Currency,
		PaymentMethod:  req.PaymentMethod,
		CreatedAt:      workflow.Now(ctx).UTC(),
		UpdatedAt:      workflow.Now(ctx).UTC(),
	}
	return c
}

func chargeFields(c *payment.Charge) fields {
	return fields{
		id: c.PaymentID, processor: c.Processor, processorID: c.ProcessorPaymentID,
		status: &c.Status, failure: &c.Failure, updatedAt: &c.UpdatedAt,
	}
}

func (c *charge) run(ctx workflow.Context, summary string) error {
	if err := c.req.ValidateBegun(); err != nil {
		return applicationError(err)
	}
	var begun activities.BeginResult
	how := beginning{inline: payment.ActivityChargeInline, only: payment.ActivityBeginPayment, summary: summary}
	if err := begin(ctx, how, c.req, &begun); err != nil {
		return err
	}
	if begun.Resumed && begun.Charge.Status == payment.Processing && !isContinued(workflow.GetInfo(ctx)) {
		c.begin(ctx, begun.Charge, begun.Since)
		c.terms = begun.Terms
		c.describe(ctx)
		begun = activities.BeginResult{}
		if err := beginAfter(ctx, how, c.req, &begun); err != nil {
			return err
		}
		begun.Resumed = true // also if the store has lost it meanwhile
	}
	c.earlierRun = begun.Resumed
	c.terms = begun.Terms
	if begun.First.IsPersisted() {
		before := begun.Charge
		before.Status, before.ProcessorPaymentID, before.CapturedAmount, before.Decline = payment.Processing, "", 0, nil
		c.begin(ctx, before, nil)
		c.advance(ctx, begun.Charge)
	} else {
		c.begin(ctx, begun.Charge, begun.Since)
	}
	if c.earlierRun {
		c.capturable = capturableOnceAuthorized(c.req)
	}
	switch {
	case c.value.Final():
		if begun.Resumed {
			c.publish(ctx)
		}
		return nil
	case ctx.Err() != nil && !begun.Resumed && begun.First == nil:
		c.transition(ctx, payment.Failed, &canceledInTime)
		c.persist(ctx, activities.Cause{By: "cancellation"})
		return nil
	}
	c.describe(ctx)
	op := c.operation()
	cancellable := ctx
	c.cancellable = cancellable
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	continues := c.resume(ctx)
	if !continues {
		op.start(ctx, cancellable, c.earlierRun, begun.First, c.value.Failure)
	}
	for !c.value.Final() && !continues {
		// The processor may soon have news of what an earlier run or a modification has sent.
		soon := c.earlierRun || len(c.ended) > 0
		continues = op.pollUntilResolved(ctx, func() bool {
			return c.value.Final() || c.value.Modification != nil || c.nextModification(ctx, cancellable) != nil
		}, soon)
		if continues {
			break
		}
		if c.value.Modification != nil { // another run has stored it
			continues = c.resume(ctx)
		} else if next := c.nextModification(ctx, cancellable); next != nil {
			continues = c.execute(ctx, next)
		}
	}
	if continues {
		return c.continueAsNew(ctx, payment.WorkflowCharge, c.req)
	}
	return nil
}

// shouldContinue also waits for a modification that was requested, and for the void of a payment that was canceled: the next run is not
// canceled.
func (c *charge) shouldContinue(ctx workflow.Context) bool {
	return c.requested == nil && (c.cancellable.Err() == nil || c.wasVoidedBy(byCancellation)) && c.machine.shouldContinue(ctx)
}

// wasVoidedBy reports whether this run has tried to void the payment for the reason.
func (c *charge) wasVoidedBy(reason string) bool {
	return slices.ContainsFunc(c.ended, func(m *modification) bool { return m.reason == reason && !m.resumed })
}

// pollingSince is when the lookups of the current status began. A payment that waits for the customer or the processor continues the
// series of lookups that it had before a modification which did not succeed; a capture that is pending has a series of its own.
func (c *charge) pollingSince() time.Time {
	if c.current == nil && c.waits() {
		return c.firstIn()
	}
	return c.enteredAt
}

// operation is the charge at the processor.
func (c *charge) operation() *operation {
	return &operation{
		terms: c.terms, subject: c, resolutions: &c.resolutions,
		kind: payment.OperationCharge, reference: c.reference(),
		activity: payment.ActivityProcessorCharge, summary: fmt.Sprintf("charge %s via %s", c.value.Money(), c.terms.Processor),
		recordedSince: c.value.CreatedAt, firstUsed: c.value.CreatedAt, sendBy: c.req.SendBy,
		call: activities.ChargeCall(c.req, c.value),
	}
}

// reference is the idempotency key of the charge, and the reference of its record at the processor.
func (c *charge) reference() string {
	return payment.ProcessorKey(c.value.PaymentID, payment.OperationCharge, 0)
}

func (c *charge) acknowledged() bool { return c.value.ProcessorPaymentID != "" }

func (c *charge) processorPaymentID() string { return c.value.ProcessorPaymentID }

// entered updates what depends on the status.
func (c *charge) entered() {
	if c.value.Status.Final() {
		c.endModification()
	}
	if c.value.Status == payment.Authorized {
		c.capturable = capturableOnceAuthorized(c.req)
	}
}

func (c *charge) attributes() []temporal.SearchAttributeUpdate {
	if c.req.ValidateBegun() != nil {
		return nil // an invalid request must not get into search attributes
	}
	return temporalweb.ChargeAttributes(c.req)
}

// adopt takes over the processor's record, unless it is of another payment than requested.
func (c *charge) adopt(ctx workflow.Context, r processor.Result) {
	if c.current != nil && r.Status == payment.Declined && r.ID == "" {
		// The modification was declined. The payment is what it was.
		c.value.Decline = r.Decline
		c.notExecuted(ctx, payment.Failure{
			Class: payment.ClassStateConflict, Message: fmt.Sprintf("the processor declined the %s", c.current.kind), ProcessorCode: r.Decline.Code,
		}, "")
		return
	}
	// The customer can only act on a payment that was reported before.
	c.declineIsOpen = r.Status == payment.Declined && r.CanStillSucceed && c.acknowledged()
	if r.ID != "" {
		c.value.ProcessorPaymentID = r.ID
	}
	want := processor.Result{Amount: c.req.Amount, Currency: c.req.Currency, Reference: c.reference()}
	failure := activities.Mismatch(r, want)
	if failure == nil && r.Status != payment.Succeeded && r.CapturedAmount > 0 {
		failure = activities.ConflictFailure("the processor reports that the payment is %s, and that %s were captured", r.Status, payment.Money{Amount: r.CapturedAmount, Currency: r.Currency})
	}
	if failure == nil && r.Status == payment.Succeeded {
		captured := payment.Money{Amount: r.CapturedAmount, Currency: r.Currency}
		if failure = c.capturable.mismatch(captured); failure != nil && wasReset(ctx) { // the other run may have captured
			failure = capturableOnceAuthorized(c.req).mismatch(captured)
		}
	}
	switch {
	case failure != nil:
		c.endModification()
		c.value.ProcessorRequestID = r.RequestID
		c.transition(ctx, payment.Conflicted, failure)
	case r.Status == c.value.Status && c.current == nil && r.Status != payment.Authorized:
		c.value.Decline = nil // the customer acts again
	case c.declineIsOpen:
		c.value.Decline = r.Decline
		if c.current != nil { // a capture: it cannot be executed any more
			c.notExecuted(ctx, payment.Failure{
				Class: payment.ClassStateConflict, Message: "the processor declined the payment", ProcessorCode: r.Decline.Code,
			}, "")
		}
	case r.Status != c.value.Status:
		// A capture that the processor has accepted and not executed yet stays in flight: a record without it may be outdated.
		if c.current == nil || c.current.kind != payment.OperationCapture || r.Status != payment.Pending {
			c.endModification()
		}
		status := c.outcomeStatus(r.Status)
		c.value.ProcessorRequestID, c.value.CapturedAmount = r.RequestID, r.CapturedAmount
		if status != payment.Declined || r.Decline != nil { // what was voided keeps its decline
			c.value.Decline = r.Decline
		}
		c.transition(ctx, status, nil)
	}
}

// validateResolution refuses a resolution that contradicts the payment, or leaves out what later operations need: the captured amount of a
// payment that was to be authorized, because a part may have been captured, and the processor's id to capture, void or refund.
func (c *charge) validateResolution(r payment.Resolution) error {
	switch {
	case r.Status == payment.Authorized && c.value.ProcessorPaymentID == "" && r.ProcessorID == "":
		return invalidField("processor_id", "is missing: without it, the authorized amount can be neither captured nor voided")
	case r.Status == payment.Succeeded && r.CapturedAmount == 0 && c.req.Capture == payment.CaptureManual:
		return invalidField("captured_amount", "is missing: the payment was to be authorized, so the captured amount is not known")
	case r.CapturedAmount > c.value.Amount:
		return invalidField("captured_amount", "%d exceeds the payment's amount of %d", r.CapturedAmount, c.value.Amount)
	case r.Status == payment.Succeeded && c.value.ProcessorPaymentID == "" && r.ProcessorID == "" && !r.WithoutProcessorID:
		return invalidField("processor_id", "is missing: without it, the payment cannot be refunded: give it, or set without_processor_id")
	default:
		return checkProcessorID(r, c.value.ProcessorPaymentID)
	}
}

func (c *charge) applyResolution(ctx workflow.Context, r payment.Resolution, cause activities.Cause) error {
	if r.ProcessorID != "" {
		c.value.ProcessorPaymentID = r.ProcessorID
	}
	c.endModification()
	var failure *payment.Failure
	switch r.Status {
	case payment.Succeeded:
		c.value.CapturedAmount = c.value.Amount
		if r.CapturedAmount > 0 {
			c.value.CapturedAmount = r.CapturedAmount
		}
	case payment.Declined:
		c.value.Decline = resolvedDecline(r)
	default:
		failure = resolvedFailure(r)
	}
	c.transition(ctx, r.Status, failure)
	return c.persistResolution(ctx, cause)
}

// capturable is which captured amount of a succeeded payment is as requested.
type capturable struct {
	// amount is the only one, unless any is true. 0: none.
	amount int64
	// any: the payment was, or may have been, authorized, and whatever was captured may be right.
	any bool
}

// capturableAtFirst is the whole amount of an automatic capture, and nothing of a manual one.
func capturableAtFirst(req payment.ChargeRequest) capturable {
	if req.Capture == payment.CaptureManual {
		return capturable{}
	}
	return capturable{amount: req.Amount}
}

// capturableOnceAuthorized is for a payment that is or may be authorized, with no capture of ours in flight.
func capturableOnceAuthorized(req payment.ChargeRequest) capturable {
	if req.Capture == payment.CaptureManual {
		return capturable{any: true}
	}
	return capturable{amount: req.Amount}
}

// mismatch returns the failure of a payment of which another amount was captured than requested.
func (a capturable) mismatch(captured payment.Money) *payment.Failure {
	switch {
	case a.any, captured.Amount == a.amount:
		return nil
	case a.amount == 0:
		return activities.ConflictFailure("the processor captured %s of a payment that was only to be authorized", captured)
	default:
		return activities.ConflictFailure("the processor captured %s instead of %s", captured, payment.Money{Amount: a.amount, Currency: captured.Currency})
	}
}
