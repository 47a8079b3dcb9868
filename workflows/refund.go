package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Refund gives back all or a part of a captured payment, exactly once. Declined and failed refunds are
// results; it fails where there is nothing to refund: PaymentNotFound, PaymentNotRefundable,
// RefundExceedsCaptured, InvalidRequest.
func Refund(ctx workflow.Context, req payment.RefundRequest) (payment.Refund, error) {
	r := newRefund(ctx, req)
	if err := r.serve(ctx, func() bool { return r.value.Status.HasOutcome() }); err != nil {
		return r.value, err
	}
	if err := r.hear(ctx, r, payment.ResolvedRefund, r.doubt); err != nil {
		return r.value, err
	}
	return r.finish(ctx, r.run(ctx), r)
}

type refund struct {
	record[payment.Refund]
	req payment.RefundRequest
	// paidAs is the processor's id of the payment.
	paidAs string
}

func newRefund(ctx workflow.Context, req payment.RefundRequest) *refund {
	r := &refund{req: req}
	r.fingerprint = req.Fingerprint()
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

func (r *refund) run(ctx workflow.Context) error {
	if err := r.req.Validate(); err != nil {
		return invalidRequest(err)
	}
	r.valid = true
	var reserved activities.Reserved
	if err := inStore(ctx, payment.ActivityReserveRefund, r.req, &reserved); err != nil {
		return err
	}
	r.value, r.told = reserved.Refund, true
	r.tellPeople(ctx)
	switch {
	case r.value.Status.Final():
		r.show(ctx)
		return nil
	case ctx.Err() != nil && !reserved.Resumed:
		r.move(ctx, payment.Failed, &cancelledInTime)
		r.tell(ctx, activities.Cause{By: "cancellation"})
		return nil
	}
	r.paidAs = reserved.Of.ProcessorPaymentID
	terms := reserved.Terms
	op := &operation{
		terms: terms, kind: payment.OperationRefund, subject: r, word: &r.word, firstUsed: r.value.CreatedAt,
		open: reserved.Resumed || wasReset(ctx), failure: known(r.value.Failure),
		activity: payment.ActivityProcessorRefund, summary: fmt.Sprintf("refund %s via %s", r.value.Money(), terms.Processor), reference: r.key(),
		call: processor.RefundCall{
			Key:                r.key(),
			KeyFirstUsed:       r.value.CreatedAt,
			RefundID:           r.value.RefundID,
			MerchantID:         r.req.MerchantID,
			ProcessorPaymentID: r.paidAs,
			Amount:             r.value.Amount,
			Currency:           r.value.Currency,
			Metadata:           r.req.Metadata,
		},
	}
	cancellable := ctx
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	op.begin(ctx, cancellable)
	op.settle(ctx, func() bool { return r.value.Status.Final() })
	return nil
}

// tell records the refund as it stands. A processor's id that another refund has is for a human: the processor answered
// for the wrong one.
func (r *refund) tell(ctx workflow.Context, cause activities.Cause) {
	before := r.value.Status
	if r.store(ctx, payment.ActivitySettleRefund, r.value.Status, cause) == nil {
		if r.value.Status != before {
			r.show(ctx)
			r.tellPeople(ctx)
		}
		return
	}
	cause.Evidence = map[string]string{"processor_refund_id": r.value.ProcessorRefundID}
	r.value.ProcessorRefundID = ""
	r.value.Status = payment.Unknown
	r.move(ctx, payment.NeedsReconciliation, &payment.Failure{
		Class: payment.ClassInvalidResponse, Message: "the processor answered with the id of another refund: settle it with the processor",
	})
	if err := r.store(ctx, payment.ActivitySettleRefund, r.value.Status, cause); err != nil {
		panic(err)
	}
}

func (r *refund) key() string {
	return payment.ProcessorKey(r.value.RefundID, payment.OperationRefund, 0)
}

func (r *refund) status() payment.Status { return r.value.Status }

func (r *refund) undone() payment.Status { return payment.Failed }

func (r *refund) deadline() time.Time { return time.Time{} }

func (r *refund) unchanged(processor.Result) bool { return false }

func (r *refund) acknowledged() bool { return r.value.ProcessorRefundID != "" }

func (r *refund) processorPayment() string { return r.paidAs }

// doubt refuses a resolution that does not fit the refund.
func (r *refund) doubt(said payment.Resolution) error {
	if said.CapturedAmount != 0 {
		return invalidField("captured_amount", "a refund captures nothing")
	}
	return anotherID(said, r.value.ProcessorRefundID)
}

func (r *refund) resolve(ctx workflow.Context, said payment.Resolution) {
	if said.ProcessorID != "" {
		r.value.ProcessorRefundID = said.ProcessorID
	}
	var failure *payment.Failure
	switch said.Status {
	case payment.Declined:
		r.value.Decline = resolvedDecline(said)
	case payment.Failed:
		failure = resolvedFailure(said)
	default:
	}
	r.move(ctx, said.Status, failure)
}

func (r *refund) adopt(ctx workflow.Context, result processor.Result) {
	r.value.ProcessorRefundID = result.ID
	want := processor.Result{Amount: r.value.Amount, Currency: r.value.Currency, Reference: r.key()}
	if failure := conflict(result, want); failure != nil {
		r.move(ctx, payment.NeedsReconciliation, failure)
		return
	}
	r.value.Decline = result.Decline
	r.move(ctx, result.Status, nil)
}

func (r *refund) move(ctx workflow.Context, to payment.Status, failure *payment.Failure) {
	if r.value.Status == to {
		return
	}
	from := r.value.Status
	mustBeLegal(payment.RefundTransitions, from, to)
	r.value.Status, r.told = to, false
	r.value.Failure = failure
	r.value.UpdatedAt = workflow.Now(ctx).UTC()
	r.show(ctx)
	r.tellPeople(ctx)
	moved(ctx, "refund", r.value.RefundID, from, to, failure)
}

// show tells Temporal's visibility whatever a person would search for, once there is an outcome.
func (r *refund) show(ctx workflow.Context) {
	if !r.value.Status.HasOutcome() {
		return
	}
	attributes := temporalweb.OutcomeAttributes(r.value.Processor, r.value.Status, r.value.Failure)
	if r.valid {
		attributes = append(attributes, temporalweb.RefundAttributes(r.req)...)
		attributes = append(attributes, temporalweb.MoneyAttributes(r.value.Money())...)
	}
	upsert(ctx, attributes)
}
