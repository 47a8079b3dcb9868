package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// order is a capture or a void of a payment that waits.
type order struct {
	kind payment.Operation
	// amount is what to capture.
	amount int64
	// expires and cancels: nobody has asked for the order, but time is up, or the workflow was cancelled.
	expires, cancels bool
	// stood is where the payment stands if the order does nothing.
	stood payment.Status
	done  bool
}

// takeOrders answers the updates capture and void. An order that is under way, or was carried out, may be given again.
func (c *charge) takeOrders(ctx workflow.Context) error {
	err := workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateCapture,
		func(ctx workflow.Context, req payment.CaptureRequest) (payment.Charge, error) {
			return c.await(ctx, &order{kind: payment.OperationCapture, amount: req.Of(c.value)})
		},
		workflow.UpdateHandlerOptions{
			Description: "Takes what the payment holds, or a part of it.",
			Validator:   func(_ workflow.Context, req payment.CaptureRequest) error { return c.capturable(req) },
		})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, payment.UpdateVoid,
		func(ctx workflow.Context) (payment.Charge, error) {
			return c.await(ctx, &order{kind: payment.OperationVoid})
		},
		workflow.UpdateHandlerOptions{
			Description: "Lets go of what the payment holds.",
			Validator:   func(workflow.Context) error { return c.voidable() },
		})
}

// await gives the order, unless it was given before, and waits for what becomes of it. Cancelling the workflow does
// not take the answer from who waits.
func (c *charge) await(ctx workflow.Context, o *order) (payment.Charge, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if same := c.asked(); same != nil {
		o = same
	} else {
		c.given = o
	}
	err := workflow.Await(ctx, func() bool {
		return c.told && (o.done || c.value.Status == payment.NeedsReconciliation || c.value.Status.Final())
	})
	return c.value, err
}

// asked is the order that is under way or will be next, nil where there is none.
func (c *charge) asked() *order {
	if c.order != nil {
		return c.order
	}
	return c.given
}

// capturable refuses a capture that cannot be, with the reason.
func (c *charge) capturable(req payment.CaptureRequest) error {
	if err := req.Validate(); err != nil {
		return invalidRequest(err)
	}
	amount := req.Of(c.value)
	switch o := c.asked(); {
	case c.value.Captured(req):
		return nil
	case req.Currency != "" && req.Currency != c.value.Currency:
		return invalidField("currency", "%q: the payment is in %s", req.Currency, c.value.Currency)
	case amount > c.value.Amount:
		return refusal(payment.ErrCaptureExceedsAuthorized, "%s are held, asked were %s",
			c.value.Money(), payment.Money{Amount: amount, Currency: c.value.Currency})
	case o != nil && o.kind == payment.OperationCapture && o.amount == amount:
		return nil
	case o != nil:
		return refusal(payment.ErrNotCapturable, "%s is under way", o.name(c.value.Currency))
	case c.value.Status != payment.Authorized:
		return refusal(payment.ErrNotCapturable, "it is %s: only what is %s can be captured", c.value.Status, payment.Authorized)
	}
	return nil
}

// voidable refuses a void that cannot be, with the reason.
func (c *charge) voidable() error {
	switch o := c.asked(); {
	case c.value.Status == payment.Voided, o != nil && o.kind == payment.OperationVoid:
		return nil
	case o != nil:
		return refusal(payment.ErrNotVoidable, "%s is under way", o.name(c.value.Currency))
	case c.value.Status == payment.Succeeded:
		return refusal(payment.ErrNotVoidable, "the money was taken: refund it instead")
	case !c.waits():
		return refusal(payment.ErrNotVoidable, "it is %s: only what is %s, %s or %s can be voided",
			c.value.Status, payment.Authorized, payment.RequiresAction, payment.Pending)
	}
	return nil
}

func (o *order) name(currency string) string {
	if o.kind == payment.OperationCapture {
		return fmt.Sprintf("a capture of %s", payment.Money{Amount: o.amount, Currency: currency})
	}
	return "a void"
}

// waits holds while the processor has the payment, and no money has moved yet.
func (c *charge) waits() bool {
	switch c.value.Status {
	case payment.Authorized, payment.RequiresAction, payment.Pending:
		return true
	default:
		return false
	}
}

// waitsSince sets the deadline of a status that the payment has come to wait in. Waiting there again does not extend it.
func (c *charge) waitsSince(began time.Time) {
	limit := time.Duration(c.terms.Pending.For)
	if c.value.Status == payment.Authorized {
		limit = time.Duration(c.terms.AuthorizationFor)
	}
	if _, set := c.deadlines[c.value.Status]; !set && limit > 0 && c.waits() {
		c.deadlines[c.value.Status] = began.Add(limit)
	}
}

// deadline is when the payment has waited for long enough where it stands; zero is never.
func (c *charge) deadline() time.Time { return c.deadlines[c.value.Status] }

// nextOrder is what somebody has asked for, and otherwise a void of a payment that nobody wants or waits for any more.
func (c *charge) nextOrder(ctx, cancellable workflow.Context) *order {
	deadline := c.deadline()
	switch {
	case !c.waits():
		return nil
	case c.given != nil:
		return c.given
	case cancellable.Err() != nil && !c.released:
		return &order{kind: payment.OperationVoid, cancels: true}
	case !deadline.IsZero() && !workflow.Now(ctx).Before(deadline):
		return &order{kind: payment.OperationVoid, expires: true}
	default:
		return nil
	}
}

// carryOut does not return before it is known what became of the order.
func (c *charge) carryOut(ctx workflow.Context, o *order) {
	c.given, c.order, o.stood = nil, o, c.value.Status
	key := c.orderKey(o.kind)
	op := &operation{
		terms: c.terms, kind: payment.OperationCharge, subject: c, word: &c.word, firstUsed: workflow.Now(ctx),
		reference: c.chargeKey(),
	}
	if o.kind == payment.OperationCapture {
		c.captured = o.amount
		op.activity = payment.ActivityProcessorCapture
		op.call = processor.CaptureCall{
			Key: key, KeyFirstUsed: op.firstUsed, PaymentID: c.value.PaymentID, ProcessorPaymentID: c.value.ProcessorPaymentID,
			Amount: o.amount, Currency: c.value.Currency,
		}
	} else {
		op.activity = payment.ActivityProcessorVoid
		op.call = processor.VoidCall{
			Key: key, KeyFirstUsed: op.firstUsed, PaymentID: c.value.PaymentID, ProcessorPaymentID: c.value.ProcessorPaymentID,
		}
	}
	op.summary = fmt.Sprintf("%s via %s", o.name(c.value.Currency), c.terms.Processor)
	op.send(ctx, ctx)
	op.settle(ctx, func() bool {
		return c.value.Status != payment.Unknown && c.value.Status != payment.NeedsReconciliation
	})
	c.orders[o.kind]++
	c.released = c.released || o.cancels
	if o.expires {
		c.deadlines[o.stood] = workflow.Now(ctx).Add(slowest)
	}
	o.done, c.order = true, nil
}

// undone is where the payment stands if the call that is under way provably did nothing.
func (c *charge) undone() payment.Status {
	if c.order == nil {
		return payment.Failed
	}
	return c.order.stood
}

// unchanged holds for a record that shows nothing of the order that is under way.
func (c *charge) unchanged(found processor.Result) bool {
	switch {
	case c.order == nil:
		return false
	case c.order.kind == payment.OperationCapture:
		return found.Status == payment.Authorized
	default:
		return found.Status == payment.Authorized || found.Status == payment.RequiresAction || found.Status == payment.Pending
	}
}

// outcome is what the processor's status means: what was voided because time was up is expired.
func (c *charge) outcome(said payment.Status) payment.Status {
	if said == payment.Voided && c.order != nil && c.order.expires {
		return payment.Expired
	}
	return said
}
