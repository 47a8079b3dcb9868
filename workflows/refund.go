package workflows

import (
	"cmp"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Refund refunds all or a part of a captured payment, exactly once. Declined and failed refunds are results; it fails only if there is
// nothing to refund: PaymentNotFound, PaymentNotRefundable, RefundExceedsCaptured, InvalidRequest.
func Refund(ctx workflow.Context, req payment.RefundRequest) (payment.Refund, error) {
	return Hosted{}.refund(ctx, req)
}

func (h Hosted) refund(ctx workflow.Context, req payment.RefundRequest) (payment.Refund, error) {
	r := newRefund(ctx, req)
	if err := r.handleReads(ctx); err != nil {
		return r.value, err
	}
	if err := r.handleResolve(ctx, payment.ResolvedRefundStatuses, r.validateResolution); err != nil {
		return r.value, err
	}
	return r.finish(ctx, r.run(ctx, h.firstRefund(req)))
}

type refund struct {
	machine[payment.Refund]
	req payment.RefundRequest
	// ofPayment is the processor's id of the payment.
	ofPayment string
}

func newRefund(ctx workflow.Context, req payment.RefundRequest) *refund {
	r := &refund{req: req}
	r.definition = definition[payment.Refund]{
		name:        "refund",
		fingerprint: req.Fingerprint(),
		transitions: payment.RefundTransitions,
		activity:    payment.ActivitySettleRefund,
		conflicted:  payment.NeedsReconciliation,
		fields:      refundFields,
		entered:     func() {},
		attributes:  r.attributes,
		details:     r.details,
	}
	r.value = payment.Refund{
		RefundID:       payment.RefundID(req.MerchantID, req.IdempotencyKey),
		PaymentID:      req.PaymentID,
		MerchantID:     req.MerchantID,
		IdempotencyKey: req.IdempotencyKey,
		Status:         payment.Processing,
		Currency:       req.Currency,
		CreatedAt:      workflow.Now(ctx).UTC(),
		UpdatedAt:      workflow.Now(ctx).UTC(),
	}
	if req.Amount != nil {
		r.value.Amount = *req.Amount
	}
	return r
}

func refundFields(r *payment.Refund) fields {
	return fields{
		id: r.RefundID, processor: r.Processor, processorID: r.ProcessorRefundID,
		status: &r.Status, failure: &r.Failure, updatedAt: &r.UpdatedAt,
	}
}

func (r *refund) run(ctx workflow.Context, summary string) error {
	if err := r.req.ValidateBegun(); err != nil {
		return applicationError(err)
	}
	var reserved activities.ReserveResult
	how := beginning{inline: payment.ActivityRefundInline, only: payment.ActivityReserveRefund, summary: summary}
	if err := begin(ctx, how, r.req, &reserved); err != nil {
		return err
	}
	if reserved.Resumed && reserved.Refund.Status == payment.Processing && !isContinued(workflow.GetInfo(ctx)) {
		r.begin(ctx, reserved.Refund, reserved.Since)
		r.describe(ctx)
		reserved = activities.ReserveResult{}
		if err := beginAfter(ctx, how, r.req, &reserved); err != nil {
			return err
		}
		reserved.Resumed = true // also if the store has lost it meanwhile
	}
	if reserved.First.IsPersisted() {
		begun := reserved.Refund
		begun.Status, begun.ProcessorRefundID, begun.Decline, begun.UpdatedAt = payment.Processing, "", nil, begun.CreatedAt
		r.begin(ctx, begun, nil)
		r.advance(ctx, reserved.Refund)
	} else {
		r.begin(ctx, reserved.Refund, reserved.Since)
	}
	r.ofPayment = reserved.Payment.ProcessorPaymentID
	switch {
	case r.value.Final():
		if reserved.Resumed {
			r.publish(ctx)
		}
		return nil
	case ctx.Err() != nil && !reserved.Resumed && reserved.First == nil:
		r.transition(ctx, payment.Failed, &canceledInTime)
		r.persist(ctx, activities.Cause{By: "cancellation"})
		return nil
	}
	r.describe(ctx)
	op := r.operation(reserved.Terms)
	cancellable := ctx
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	op.start(ctx, cancellable, reserved.Resumed, reserved.First, r.value.Failure)
	if op.pollUntilResolved(ctx, func() bool { return r.value.Final() }, reserved.Resumed) {
		return r.continueAsNew(ctx, payment.WorkflowRefund, r.req)
	}
	return nil
}

func (r *refund) pollingSince() time.Time { return r.enteredAt }

// operation is the refund at the processor.
func (r *refund) operation(terms activities.Terms) *operation {
	return &operation{
		terms: terms, subject: r, resolutions: &r.resolutions,
		kind: payment.OperationRefund, reference: r.reference(),
		activity: payment.ActivityProcessorRefund, summary: fmt.Sprintf("refund %s via %s", r.value.Money(), terms.Processor),
		recordedSince: r.value.CreatedAt, firstUsed: r.value.CreatedAt, sendBy: r.req.SendBy,
		call: activities.RefundCall(r.req, r.value, r.ofPayment),
	}
}

// reference is the idempotency key of the refund, and the reference of its record at the processor.
func (r *refund) reference() string {
	return payment.ProcessorKey(r.value.RefundID, payment.OperationRefund, 0)
}

func (r *refund) notExecuted(ctx workflow.Context, failure payment.Failure, _ payment.Status) {
	r.transition(ctx, payment.Failed, &failure)
}

func (r *refund) deadline() time.Time { return time.Time{} }

func (r *refund) isUnchanged(processor.Result) bool { return false }

func (r *refund) acknowledged() bool { return r.value.ProcessorRefundID != "" }

func (r *refund) processorPaymentID() string { return r.ofPayment }

func (r *refund) attributes() []temporal.SearchAttributeUpdate {
	if r.req.ValidateBegun() != nil {
		return nil // an invalid request must not get into search attributes
	}
	return append(temporalweb.RefundAttributes(r.req), temporalweb.MoneyAttributes(r.value.Money())...)
}

// adopt takes over the processor's record, unless it is of another refund than requested: then the refund needs reconciliation, since
// refunds have no status conflicted.
func (r *refund) adopt(ctx workflow.Context, result processor.Result) {
	want := processor.Result{Amount: r.value.Amount, Currency: r.value.Currency, Reference: r.reference()}
	failure := activities.Mismatch(result, want)
	switch {
	case failure != nil:
		r.value.ProcessorRefundID = cmp.Or(r.value.ProcessorRefundID, result.ID)
		if known := r.value.Failure; r.value.Status != payment.NeedsReconciliation || known == nil || *known != *failure {
			r.transition(ctx, payment.NeedsReconciliation, failure)
		}
	case result.Status != r.value.Status:
		r.value.ProcessorRefundID, r.value.Decline = result.ID, result.Decline
		r.transition(ctx, result.Status, nil)
	}
}

// validateResolution refuses a resolution that contradicts the refund, or leaves out by which id the processor has it.
func (r *refund) validateResolution(resolution payment.Resolution) error {
	switch {
	case resolution.CapturedAmount != 0:
		return invalidField("captured_amount", "a refund captures nothing")
	case resolution.Status == payment.Succeeded && r.value.ProcessorRefundID == "" && resolution.ProcessorID == "" && !resolution.WithoutProcessorID:
		return invalidField("processor_id", "is missing: the processor has a succeeded refund under an id: give it, or set without_processor_id")
	default:
		return checkProcessorID(resolution, r.value.ProcessorRefundID)
	}
}

func (r *refund) applyResolution(ctx workflow.Context, resolution payment.Resolution, cause activities.Cause) error {
	if resolution.ProcessorID != "" {
		r.value.ProcessorRefundID = resolution.ProcessorID
	}
	var failure *payment.Failure
	switch resolution.Status {
	case payment.Declined:
		r.value.Decline = resolvedDecline(resolution)
	case payment.Failed:
		failure = resolvedFailure(resolution)
	default:
	}
	r.transition(ctx, resolution.Status, failure)
	return r.persistResolution(ctx, cause)
}
