package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/payment"
)

// Refund gives back all or a part of a captured payment, exactly once. Declined and failed refunds are
// results; it fails where there is nothing to refund: PaymentNotFound, PaymentNotRefundable,
// RefundExceedsCaptured, InvalidRequest.
func Refund(ctx workflow.Context, req payment.RefundRequest) (payment.Refund, error) {
	r := newRefund(ctx, req)
	if err := r.serve(ctx, func() bool { return r.value.Status.HasOutcome() }); err != nil {
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
	var candidates []activities.Terms
	if err := workflow.ExecuteLocalActivity(beginOptions(ctx), payment.ActivityReserveRefund, r.req, workflow.GetInfo(ctx).OriginalRunID).Get(ctx, &candidates); err != nil {
		return err
	}
	paid, terms, err := r.findPayment(ctx, candidates)
	if err != nil {
		return err
	}
	if err := r.check(paid); err != nil {
		return err
	}
	r.paidAs = paid.ID
	r.value.Processor = terms.Processor
	r.value.Currency = paid.Currency
	r.value.Amount = r.asked(paid)
	op := &operation{terms: terms, kind: payment.OperationRefund, reference: r.key(), subject: r}
	op.run(ctx, payment.ActivityProcessorRefund, fmt.Sprintf("refund %s via %s", r.value.Money(), terms.Processor), processor.RefundCall{
		Key:                r.key(),
		KeyFirstUsed:       workflow.Now(ctx),
		RefundID:           r.value.RefundID,
		MerchantID:         r.req.MerchantID,
		ProcessorPaymentID: paid.ID,
		Amount:             r.value.Amount,
		Currency:           r.value.Currency,
		Metadata:           r.req.Metadata,
	})
	return nil
}

func (r *refund) key() string {
	return payment.ProcessorKey(r.value.RefundID, payment.OperationRefund, 0)
}

// findPayment asks the processors for the payment. It does not give up while one of them gives no answer:
// PaymentNotFound is a fact, not a guess. A payment that was made a moment ago may take a processor as long
// to find as its profile says, a minute where that says nothing.
func (r *refund) findPayment(ctx workflow.Context, candidates []activities.Terms) (processor.Result, activities.Terms, error) {
	call := processor.LookupCall{
		Operation: payment.OperationCharge,
		Reference: payment.ProcessorKey(r.req.PaymentID, payment.OperationCharge, 0),
	}
	began := workflow.Now(ctx)
	for pause := time.Second; ; pause = min(2*pause, time.Hour) {
		certain := true
		for _, terms := range candidates {
			grace := time.Duration(terms.AbsenceProofAfter)
			if grace == 0 {
				grace = time.Minute
			}
			early := workflow.Now(ctx).Sub(began) < grace
			found, err := lookup(ctx, terms, call)
			if ctx.Err() != nil {
				return processor.Result{}, activities.Terms{}, ctx.Err()
			}
			switch {
			case err != nil || !found.Found && early:
				certain = false
			case found.Found:
				return found.Result, terms, nil
			}
		}
		if certain {
			return processor.Result{}, activities.Terms{}, r.fail(payment.ErrorPaymentNotFound, "no processor knows payment %s", r.req.PaymentID)
		}
		if err := workflow.Sleep(ctx, pause); err != nil {
			return processor.Result{}, activities.Terms{}, err
		}
	}
}

// check refuses what can be known to be impossible. The processor has the last word.
func (r *refund) check(paid processor.Result) error {
	left := payment.Money{Amount: paid.CapturedAmount - paid.RefundedAmount, Currency: paid.Currency}
	switch {
	case paid.MerchantID != "" && paid.MerchantID != r.req.MerchantID:
		// No word about whose it is.
		return r.fail(payment.ErrorPaymentNotFound, "merchant %s has no payment %s", r.req.MerchantID, r.req.PaymentID)
	case paid.Status != payment.Succeeded:
		return r.fail(payment.ErrorPaymentNotRefundable, "payment %s is %s: only a succeeded payment can be refunded", r.req.PaymentID, paid.Status)
	case r.req.Currency != "" && r.req.Currency != paid.Currency:
		return r.fail(payment.ErrorInvalidRequest, "currency: %s, but payment %s is in %s", r.req.Currency, r.req.PaymentID, paid.Currency)
	case left.Amount <= 0:
		return r.fail(payment.ErrorRefundExceedsCaptured, "nothing is left to refund of payment %s", r.req.PaymentID)
	case r.asked(paid) > left.Amount:
		asked := payment.Money{Amount: r.asked(paid), Currency: paid.Currency}
		return r.fail(payment.ErrorRefundExceedsCaptured, "%s asked, but of payment %s only %s is left to refund", asked, r.req.PaymentID, left)
	}
	return nil
}

// asked is the amount of the request, all that is left where it names none.
func (r *refund) asked(paid processor.Result) int64 {
	if r.req.Amount != nil {
		return *r.req.Amount
	}
	return paid.CapturedAmount - paid.RefundedAmount
}

func (r *refund) fail(errorType, format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), errorType, nil)
}

func (r *refund) status() payment.Status { return r.value.Status }

func (r *refund) processorPayment() string { return r.paidAs }

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
	mustBeLegal(payment.RefundTransitions, r.value.Status, to)
	r.value.Status = to
	r.value.Failure = failure
	r.value.UpdatedAt = workflow.Now(ctx).UTC()
	if to.HasOutcome() {
		attributes := outcomeAttributes(r.value.Processor, to, failure)
		if r.valid {
			attributes = append(attributes, RefundAttributes(r.req)...)
			attributes = append(attributes, attributeAmount.ValueSet(r.value.Amount), attributeCurrency.ValueSet(r.value.Currency))
		}
		upsert(ctx, attributes)
	}
	workflow.GetLogger(ctx).Info("refund moved", "refund_id", r.value.RefundID, "status", to, "failure", failure.String())
}
