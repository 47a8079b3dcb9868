package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Charge takes money from a customer exactly once and returns the truth about it. Declined, failed and
// conflicted payments are results; it fails only for a request that cannot be worked on. Money that is only held keeps it
// open until that is captured, voided or expired; orders.go says how.
func Charge(ctx workflow.Context, req payment.ChargeRequest) (payment.Charge, error) {
	c := newCharge(ctx, req)
	if err := c.serve(ctx, func() bool { return c.value.Status.HasOutcome() }); err != nil {
		return c.value, err
	}
	if err := c.hear(ctx, c, payment.ResolvedPayment, c.doubt); err != nil {
		return c.value, err
	}
	if err := c.takeOrders(ctx); err != nil {
		return c.value, err
	}
	return c.finish(ctx, c.run(ctx), c)
}

type charge struct {
	record[payment.Charge]
	req   payment.ChargeRequest
	terms activities.Terms
	// given is the capture or void that somebody has asked for, order the one that is under way.
	given, order *order
	// held: the processor has, or may have, held the money, so that it may be captured.
	held bool
	// captured is what was asked to be captured, unless that provably did not happen; 0 where nothing was.
	captured int64
	// orders counts those that were carried out, so that the next one has another key.
	orders map[payment.Operation]int
	// deadlines are when the money is let go, by the status that the payment waits in.
	deadlines map[payment.Status]time.Time
	// wasLost: the answer to a call was lost, at least once.
	wasLost bool
	// released: the workflow was cancelled, and the payment therefore voided as far as it could be.
	released bool
}

func newCharge(ctx workflow.Context, req payment.ChargeRequest) *charge {
	c := &charge{req: req, orders: map[payment.Operation]int{}, deadlines: map[payment.Status]time.Time{}}
	c.fingerprint = req.Fingerprint()
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

func (c *charge) run(ctx workflow.Context) error {
	if err := c.req.Validate(); err != nil {
		return invalidRequest(err)
	}
	c.valid = true
	var begun activities.Begun
	if err := inStore(ctx, payment.ActivityBeginPayment, c.req, &begun); err != nil {
		return err
	}
	c.value, c.told = begun.Charge, true
	c.terms = begun.Terms
	c.held = begun.Resumed || wasReset(ctx)
	c.waitsSince(c.value.UpdatedAt)
	c.tellPeople(ctx)
	switch {
	case c.value.Status.Final():
		c.show(ctx)
		return nil
	case ctx.Err() != nil && !begun.Resumed:
		c.move(ctx, payment.Failed, &cancelledInTime)
		c.tell(ctx, activities.Cause{By: "cancellation"})
		return nil
	}
	key := c.chargeKey()
	op := &operation{
		terms: c.terms, kind: payment.OperationCharge, subject: c, word: &c.word, firstUsed: c.value.CreatedAt,
		open: c.held, alert: c.held, failure: known(c.value.Failure),
		activity: payment.ActivityProcessorCharge, summary: fmt.Sprintf("charge %s via %s", c.value.Money(), c.terms.Processor), reference: key,
		call: processor.ChargeCall{
			Key:           key,
			KeyFirstUsed:  c.value.CreatedAt,
			PaymentID:     c.value.PaymentID,
			MerchantID:    c.req.MerchantID,
			Amount:        c.req.Amount,
			Currency:      c.req.Currency,
			PaymentMethod: c.req.PaymentMethod,
			Capture:       c.req.Capture,
			CustomerID:    c.req.CustomerID,
			Description:   c.req.Description,
			Metadata:      c.req.Metadata,
		},
	}
	cancellable := ctx
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	op.begin(ctx, cancellable)
	for !c.value.Status.Final() {
		op.settle(ctx, func() bool { return c.value.Status.Final() || c.nextOrder(ctx, cancellable) != nil })
		if next := c.nextOrder(ctx, cancellable); next != nil {
			c.carryOut(ctx, next)
			op.alert = true
		}
	}
	return nil
}

func (c *charge) status() payment.Status { return c.value.Status }

func (c *charge) acknowledged() bool { return c.value.ProcessorPaymentID != "" }

func (c *charge) processorPayment() string { return c.value.ProcessorPaymentID }

// orderKey is the one of the next order of this kind. It differs from those of orders that have ended, also of an earlier
// workflow's, and is the one of an order that an earlier workflow was stopped in.
func (c *charge) orderKey(kind payment.Operation) string {
	return payment.ProcessorKey(c.value.PaymentID, kind, int(c.value.Revision)+c.orders[kind])
}

// chargeKey is the one of the charge, and the reference of all that becomes of it.
func (c *charge) chargeKey() string {
	return payment.ProcessorKey(c.value.PaymentID, payment.OperationCharge, 0)
}

// tell records the payment as it stands. A processor's id that another payment has makes it a conflict: the processor
// answered for the wrong one.
func (c *charge) tell(ctx workflow.Context, cause activities.Cause) {
	before := c.value.Status
	if c.store(ctx, payment.ActivityRecordPayment, c.value.Status, cause) == nil {
		if c.value.Status != before {
			c.show(ctx)
			c.tellPeople(ctx)
		}
		return
	}
	cause.Evidence = map[string]string{"processor_payment_id": c.value.ProcessorPaymentID}
	c.value.ProcessorPaymentID, c.value.CapturedAmount, c.value.Status = "", 0, payment.Unknown
	c.move(ctx, payment.Conflicted, &payment.Failure{
		Class: payment.ClassInvalidResponse, Message: "the processor answered with the id of another payment: settle it with the processor",
	})
	if err := c.store(ctx, payment.ActivityRecordPayment, c.value.Status, cause); err != nil {
		panic(err)
	}
}

// doubt refuses a resolution that does not fit the payment.
func (c *charge) doubt(r payment.Resolution) error {
	switch {
	case r.Status == payment.Authorized && c.value.ProcessorPaymentID == "" && r.ProcessorID == "":
		return invalidField("processor_id", "is missing: without it, nobody can capture or void what is held")
	case r.Status == payment.Succeeded && r.CapturedAmount == 0 && c.req.Capture == payment.CaptureManual:
		return invalidField("captured_amount", "is missing: the money was to be held, so how much was taken?")
	case r.CapturedAmount > c.value.Amount:
		return invalidField("captured_amount", "%d: the payment is of %d", r.CapturedAmount, c.value.Amount)
	default:
		return anotherID(r, c.value.ProcessorPaymentID)
	}
}

func (c *charge) resolve(ctx workflow.Context, r payment.Resolution) {
	if r.ProcessorID != "" {
		c.value.ProcessorPaymentID = r.ProcessorID
	}
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
	c.move(ctx, r.Status, failure)
}

// adopt takes over the processor's view, unless it is of another payment than the one asked for.
func (c *charge) adopt(ctx workflow.Context, r processor.Result) {
	if c.order != nil && r.Status == payment.Declined && r.ID == "" {
		// The order was declined. The payment is what it was.
		c.value.Decline = r.Decline
		c.move(ctx, c.undone(), &payment.Failure{
			Class: payment.ClassStateConflict, Message: fmt.Sprintf("the processor declined the %s", c.order.kind), ProcessorCode: r.Decline.Code,
		})
		return
	}
	if r.ID != "" && r.ID != c.value.ProcessorPaymentID {
		c.value.ProcessorPaymentID, c.told = r.ID, false
	}
	c.value.ProcessorRequestID = r.RequestID
	want := processor.Result{
		Amount: c.req.Amount, Currency: c.req.Currency,
		Reference: c.chargeKey(),
	}
	failure := conflict(r, want)
	if failure == nil {
		failure = c.miscaptured(r)
	}
	switch {
	case failure != nil:
		c.move(ctx, payment.Conflicted, failure)
	case r.Status != c.value.Status:
		c.value.CapturedAmount = r.CapturedAmount
		c.value.Decline = r.Decline
		c.move(ctx, c.outcome(r.Status), nil)
	}
}

// miscaptured finds money that was taken in another way than asked: another amount, or at once where it was to be held.
func (c *charge) miscaptured(r processor.Result) *payment.Failure {
	if r.Status != payment.Succeeded {
		return nil
	}
	took := payment.Money{Amount: r.CapturedAmount, Currency: r.Currency}
	want := c.captured
	if want == 0 && c.req.Capture != payment.CaptureManual {
		want = c.req.Amount
	}
	switch {
	case want == 0 && !c.held:
		return &payment.Failure{Class: payment.ClassInvalidResponse,
			Message: fmt.Sprintf("the processor took %s that were only to be held: settle it with the processor", took)}
	case want != 0 && r.CapturedAmount != want:
		return &payment.Failure{Class: payment.ClassInvalidResponse,
			Message: fmt.Sprintf("the processor took %s of %s: settle it with the processor", took, payment.Money{Amount: want, Currency: c.req.Currency})}
	}
	return nil
}

func (c *charge) move(ctx workflow.Context, to payment.Status, failure *payment.Failure) {
	if to == payment.Authorized {
		c.held, c.captured = true, 0
	}
	c.wasLost = c.wasLost || to == payment.Unknown
	if c.value.Status == to {
		if failure != nil { // of an order that did nothing
			c.value.Failure, c.told = failure, false
			c.tellPeople(ctx)
		}
		return
	}
	from := c.value.Status
	mustBeLegal(payment.PaymentTransitions, from, to)
	c.value.Status, c.told = to, false
	c.value.Failure = failure
	c.value.UpdatedAt = workflow.Now(ctx).UTC()
	c.waitsSince(c.value.UpdatedAt)
	c.show(ctx)
	c.tellPeople(ctx)
	moved(ctx, "payment", c.value.PaymentID, from, to, failure)
}

// show tells Temporal's visibility whatever a person would search for, once there is an outcome.
func (c *charge) show(ctx workflow.Context) {
	if !c.value.Status.HasOutcome() {
		return
	}
	attributes := temporalweb.OutcomeAttributes(c.value.Processor, c.value.Status, c.value.Failure)
	if c.valid {
		attributes = append(attributes, temporalweb.ChargeAttributes(c.req)...)
	}
	upsert(ctx, attributes)
}

// conflict compares what the processor did with what it was asked to do. A decline without a record of its
// own has no amount.
func conflict(got, want processor.Result) *payment.Failure {
	message := ""
	switch {
	case got.Reference != want.Reference:
		message = fmt.Sprintf("the processor answered for reference %q, asked was %q", got.Reference, want.Reference)
	case got.Status == payment.Declined && got.ID == "":
	case got.Amount != want.Amount || got.Currency != want.Currency:
		message = fmt.Sprintf("the processor has %s, asked were %s",
			payment.Money{Amount: got.Amount, Currency: got.Currency}, payment.Money{Amount: want.Amount, Currency: want.Currency})
	case got.CapturedAmount > want.Amount:
		message = fmt.Sprintf("the processor captured %s of %s",
			payment.Money{Amount: got.CapturedAmount, Currency: got.Currency}, payment.Money{Amount: want.Amount, Currency: want.Currency})
	}
	if message == "" {
		return nil
	}
	return &payment.Failure{Class: payment.ClassInvalidResponse, Message: message + ": settle it with the processor"}
}

// upsert panics where Temporal refuses, as on any bug: an attribute that is not registered is found by the
// worker when it starts.
func upsert(ctx workflow.Context, attributes []temporal.SearchAttributeUpdate) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
		panic(fmt.Sprintf("search attributes: %v", err))
	}
}
