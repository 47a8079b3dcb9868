package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/activity"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// origin is the workflow that has scheduled an activity. Every client of the Temporal namespace can schedule activities of its own on a
// processor's task queue: a call that the workflow of its payment or refund has not scheduled is never sent.
type origin struct {
	// workflow is the type of the workflow, workflowID its ID; both are empty for an activity that no workflow has scheduled.
	workflow, workflowID string
	// subject is [payment.WorkflowCharge] or [payment.WorkflowRefund], and id and merchantID those of the payment or refund that the
	// workflow is about. All are empty for another program's workflow.
	subject, id, merchantID string
}

func originOf(ctx context.Context) origin {
	info := activity.GetInfo(ctx)
	o := origin{workflowID: info.WorkflowExecution.ID}
	if info.WorkflowType != nil {
		o.workflow = info.WorkflowType.Name
	}
	id, recheck := strings.CutPrefix(o.workflowID, "recheck/")
	if recheck != (o.workflow == payment.WorkflowRecheck) {
		return o
	}
	kind, name, _ := strings.Cut(id, "/")
	merchantID, idempotencyKey, _ := strings.Cut(name, "/")
	switch {
	case kind == "charge" && (recheck || o.workflow == payment.WorkflowCharge):
		o.subject, o.id, o.merchantID = payment.WorkflowCharge, payment.PaymentID(merchantID, idempotencyKey), merchantID
	case kind == "refund" && (recheck || o.workflow == payment.WorkflowRefund):
		o.subject, o.id, o.merchantID = payment.WorkflowRefund, payment.RefundID(merchantID, idempotencyKey), merchantID
	}
	return o
}

// requireCharge returns an error unless the call of this operation comes from the workflow of the payment.
func (o origin) requireCharge(operation payment.Operation, sequence int, paymentID, key string) error {
	switch {
	case o.workflow != payment.WorkflowCharge || o.subject != payment.WorkflowCharge:
		return o.foreign()
	case paymentID != o.id || !isKeyOf(key, o.id, operation, sequence):
		return o.another(operation)
	default:
		return nil
	}
}

// maxUnnamed is how many captures and voids are tried for a call that does not name its sequence.
const maxUnnamed = 1000

// isKeyOf reports whether the key is that of the operation with this sequence. Earlier builds of the workflow did not name the sequence.
func isKeyOf(key, id string, operation payment.Operation, sequence int) bool {
	if key == payment.ProcessorKey(id, operation, sequence) {
		return true
	}
	for n := 1; n < maxUnnamed && sequence == 0 && operation != payment.OperationCharge; n++ {
		if key == payment.ProcessorKey(id, operation, n) {
			return true
		}
	}
	return false
}

// requireRefund returns an error unless the call comes from the workflow of the refund.
func (o origin) requireRefund(refundID, key string) error {
	switch {
	case o.workflow != payment.WorkflowRefund || o.subject != payment.WorkflowRefund:
		return o.foreign()
	case refundID != o.id || key != payment.ProcessorKey(o.id, payment.OperationRefund, 0):
		return o.another(payment.OperationRefund)
	default:
		return nil
	}
}

// requireLookup returns an error unless the lookup comes from a workflow about the payment or refund that is looked up.
func (o origin) requireLookup(call processor.LookupCall) error {
	operation := payment.OperationCharge
	if o.subject == payment.WorkflowRefund {
		operation = payment.OperationRefund
	}
	switch {
	case o.subject == "":
		return o.foreign()
	case call.Operation != operation || call.Reference != payment.ProcessorKey(o.id, operation, 0):
		return o.another("lookup")
	default:
		return nil
	}
}

func (o origin) foreign() error {
	return fmt.Errorf("workflow %q of type %q may not call the processor: only the workflow of a payment or refund may", o.workflowID, o.workflow)
}

func (o origin) another(operation payment.Operation) error {
	return fmt.Errorf("the %s is of another payment or refund than workflow %q", operation, o.workflowID)
}

// refuseForeign ends an activity that another program has scheduled: nothing was sent, and nothing is retried. It counts as a refused
// call, for which there is an alert.
func (p *Processor) refuseForeign(ctx context.Context, foreign error) error {
	activity.GetLogger(ctx).Error("refused a call that no workflow of Florin has scheduled", "reason", foreign)
	if p.guard.Refused != nil {
		p.guard.Refused(activity.GetInfo(ctx).ActivityType.Name, "foreign")
	}
	return p.applicationError(ctx, &processor.Error{
		Class: payment.ClassPermission, Certainty: processor.NotExecuted, Message: foreign.Error(),
	}, ambiguousBefore(ctx)) // what an earlier attempt may have done stays open
}

// requireStoredCharge refuses a charge of something else than was stored when it began. It is compared only if callers have to prove who
// they are: otherwise, a client that can forge the call can as well request the charge.
func (p *Processor) requireStoredCharge(ctx context.Context, from origin, call processor.ChargeCall) error {
	if p.guard.Store == nil || p.guard.Authorizer == nil {
		return nil
	}
	stored, err := p.guard.Store.CurrentPayment(ctx, from.merchantID, call.PaymentID)
	same := stored.Amount == call.Amount && stored.Currency == call.Currency && stored.PaymentMethod == call.PaymentMethod &&
		stored.Processor == p.guard.Processor
	return p.refuseUnlessStored(ctx, from, same, err)
}

// requireStoredPayment refuses a capture or void of another payment of the processor's, or at another processor.
func (p *Processor) requireStoredPayment(ctx context.Context, from origin, paymentID, processorPaymentID string) error {
	if p.guard.Store == nil {
		return nil
	}
	stored, err := p.guard.Store.CurrentPayment(ctx, from.merchantID, paymentID)
	return p.refuseUnlessStored(ctx, from, stored.ProcessorPaymentID == processorPaymentID && stored.Processor == p.guard.Processor, err)
}

// requireStoredRefund refuses a refund of something else than was reserved.
func (p *Processor) requireStoredRefund(ctx context.Context, from origin, call processor.RefundCall) error {
	if p.guard.Store == nil {
		return nil
	}
	stored, err := p.guard.Store.CurrentRefund(ctx, from.merchantID, call.RefundID)
	if err != nil || stored.Amount != call.Amount || stored.Currency != call.Currency {
		return p.refuseUnlessStored(ctx, from, false, err)
	}
	return p.requireStoredPayment(ctx, from, stored.PaymentID, call.ProcessorPaymentID)
}

// refuseUnlessStored refuses a call that differs from what is stored. While the store cannot be read, the call is repeated.
func (p *Processor) refuseUnlessStored(ctx context.Context, from origin, same bool, err error) error {
	switch {
	case err != nil && !errors.Is(err, payment.ErrNotFound):
		return p.applicationError(ctx, &processor.Error{
			Class: payment.ClassUnavailable, Certainty: processor.NotExecuted, Retry: true,
			Message: "not sent: the store cannot be read, with which the call is compared", Err: err,
		}, ambiguousBefore(ctx))
	case err != nil || !same:
		return p.refuseForeign(ctx, fmt.Errorf("the call of workflow %q is not what the store has of its payment or refund", from.workflowID))
	default:
		return nil
	}
}
