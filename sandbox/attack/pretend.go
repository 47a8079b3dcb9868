package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/payment"
)

// pretended is the merchant whose payments these attacks are about. The books are not compared for it.
const pretended = "pretended"

// pretendAttacks pretend to be a part of Florin: the workflow of a payment, or the processor's worker.
var pretendAttacks = []attack{
	{name: "pretend: own workflow captures another payment", try: captureUnderOwnName},
	{name: "pretend: own workflow voids another payment", try: voidUnderOwnName},
	{name: "pretend: own workflow refunds another payment", try: refundUnderOwnName},
	{name: "pretend: own workflow reconciles", try: reconcileUnderOwnName},
	{name: "pretend: answer a call in flight by its ID", try: answerByID, documented: true},
	{name: "pretend: fail a call in flight by its ID", try: failByID, documented: true},
}

// underOwnName schedules one call from a workflow of the attacker's that has the ID and the keys of a payment of his own, which was never begun,
// and names the processor's id of the victim.
func (t *target) underOwnName(ctx context.Context, kind, id string, s step) (result, error) {
	if s.Queue == "" {
		s.Queue = "processor-simulator"
	}
	var executed []string
	unmoved, err := t.unmoved(ctx, func() error {
		return t.withWorker(func() (err error) {
			executed, err = t.obeyed(ctx, kind, id, []step{s})
			return err
		})
	})
	return verdictOfCalls(unmoved, 1, executed, err)
}

func captureUnderOwnName(ctx context.Context, t *target) (result, error) {
	victim, err := t.authorized(ctx, pretended, "captured by another")
	if err != nil {
		return result{}, err
	}
	own := payment.PaymentID("globex", "capture")
	return t.underOwnName(ctx, "Charge", chargeID("globex", "capture"), step{Activity: "ProcessorCapture", Args: []any{object{
		"key": payment.ProcessorKey(own, payment.OperationCapture, 0), "payment_id": own, "processor_payment_id": victim.ProcessorPaymentID,
		"amount": 1, "currency": "USD",
	}}})
}

func voidUnderOwnName(ctx context.Context, t *target) (result, error) {
	victim, err := t.authorized(ctx, pretended, "voided by another")
	if err != nil {
		return result{}, err
	}
	own := payment.PaymentID("globex", "void")
	return t.underOwnName(ctx, "Charge", chargeID("globex", "void"), step{Activity: "ProcessorVoid", Args: []any{object{
		"key": payment.ProcessorKey(own, payment.OperationVoid, 0), "payment_id": own, "processor_payment_id": victim.ProcessorPaymentID,
	}}})
}

func refundUnderOwnName(ctx context.Context, t *target) (result, error) {
	victim, err := t.succeeded(ctx, pretended, "refunded by another")
	if err != nil {
		return result{}, err
	}
	own := payment.RefundID(pretended, "refund")
	return t.underOwnName(ctx, "Refund", "refund/"+pretended+"/refund", step{Activity: "ProcessorRefund", Args: []any{object{
		"key": payment.ProcessorKey(own, payment.OperationRefund, 0), "refund_id": own, "merchant_id": pretended,
		"processor_payment_id": victim.ProcessorPaymentID, "amount": 1250, "currency": "USD",
	}}})
}

// reconcileUnderOwnName works on a run that no workflow of Florin's has begun.
func reconcileUnderOwnName(ctx context.Context, t *target) (result, error) {
	return t.underOwnName(ctx, payment.WorkflowReconcile, "reconcile/simulator/pretended", step{
		Queue: payment.ReconcileTaskQueue("simulator"), Activity: payment.ActivityReconcileRecords,
		Args: []any{object{"run_id": "pretended", "progress": object{"phase": payment.ReconcileListPayments}}},
	})
}

// inFlight starts a charge whose call stays in flight, and returns the ID of the activity.
func (t *target) inFlight(ctx context.Context, key string) (workflowID, activityID string, err error) {
	workflowID = chargeID(pretended, key)
	if _, err := t.start(ctx, "Charge", workflowID, chargeOf(pretended, key, "tok_500_after_charge")); err != nil {
		return "", "", err
	}
	err = until(ctx, func() (bool, error) {
		described, err := t.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
		for _, pending := range described.GetPendingActivities() {
			activityID = pending.GetActivityId()
			return true, nil
		}
		return false, err
	})
	return workflowID, activityID, err
}

func answerByID(ctx context.Context, t *target) (result, error) {
	const key = "answered by id"
	id, activity, err := t.inFlight(ctx, key)
	if err != nil {
		return result{}, err
	}
	answer := t.temporal.CompleteActivityByID(ctx, "default", id, "", activity, object{
		"id": "forged_by_mallory", "status": "succeeded", "amount": 1250, "currency": "USD", "captured_amount": 1250,
		"reference": payment.ProcessorKey(payment.PaymentID(pretended, key), payment.OperationCharge, 0),
	}, nil)
	return t.outcomeOfForgery(ctx, id, key, answer)
}

func failByID(ctx context.Context, t *target) (result, error) {
	const key = "failed by id"
	id, activity, err := t.inFlight(ctx, key)
	if err != nil {
		return result{}, err
	}
	answer := t.temporal.CompleteActivityByID(ctx, "default", id, "", activity, nil, temporal.NewNonRetryableApplicationError(
		"forged", "invalid_request", nil, object{"class": "invalid_request", "message": "forged", "ambiguous": false}))
	return t.outcomeOfForgery(ctx, id, key, answer)
}

// outcomeOfForgery compares how a payment ended with the ledger, which has it captured.
func (t *target) outcomeOfForgery(ctx context.Context, id, key string, answer error) (result, error) {
	ended, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var c payment.Charge
	if err := t.temporal.GetWorkflow(ctx, id, "").Get(ended, &c); err != nil {
		return result{}, fmt.Errorf("answer %w, outcome %w", answer, err)
	}
	if c.ProcessorPaymentID == "forged_by_mallory" || c.Status == payment.Failed {
		return succeeded("%s is %s, with id %q and failure %+v", key, c.Status, c.ProcessorPaymentID, c.Failure), nil
	}
	return repelled("it is %s, with the processor's id", c.Status), nil
}
