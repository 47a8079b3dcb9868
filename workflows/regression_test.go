package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// The worker was away while the answer to an early lookup waited: it says what was so when it was asked.
func TestAnAbsenceThatArrivesLateIsNoProof(t *testing.T) {
	env := newEnvironment(t, &scripted{charges: []answer{stateConflict}})
	env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
		Return(activities.LookupResult{}, nil).After(3 * time.Minute).Once()
	env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
		Return(activities.LookupResult{Found: true, Result: charged(payment.Succeeded).result}, nil)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
}

func TestARefundThatTheProcessorOnceAcknowledgedDoesNotVanish(t *testing.T) {
	otherReference := refunded(payment.Succeeded, 500)
	otherReference.result.Reference = "the processor's own"
	lostForLong := answer{err: &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Retry: true, RetryAfter: 10 * time.Minute}}
	for name, p := range map[string]*scripted{
		"lost, then another reference": {refunds: []answer{lostForLong, otherReference}, lookups: map[payment.Operation][]answer{
			payment.OperationRefund: {absent, absent, absent, absent, absent, absent, absent, absent, refunded(payment.Succeeded, 500)}}},
		"lost, found with another amount": {refunds: []answer{stateConflict}, lookups: map[payment.Operation][]answer{
			payment.OperationRefund: {refunded(payment.Succeeded, 499), absent, absent, absent, absent, absent, absent, absent, refunded(payment.Succeeded, 500)}}},
	} {
		t.Run(name, func(t *testing.T) {
			env := refunding(t, p)
			env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(500))
			require.NoError(t, env.GetWorkflowError())
			var r payment.Refund
			require.NoError(t, env.GetWorkflowResult(&r))
			require.Equal(t, payment.Succeeded, r.Status)
		})
	}
}

func TestWhereAbsenceProvesNothingALostAnswerWaitsForAHuman(t *testing.T) {
	terms := testTerms
	terms.AbsenceProofAfter = 0
	p := &scripted{charges: []answer{stateConflict}, lookups: map[payment.Operation][]answer{payment.OperationCharge: {absent}}}
	env := newEnvironmentOn(t, p, terms)
	var after payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		after = queried[payment.Charge](t, value, err)
		p.lookups[payment.OperationCharge] = []answer{charged(payment.Declined)}
	}, 48*time.Hour)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, payment.NeedsReconciliation, after.Status)
}

func TestMoneyThatWasTakenInAnotherWayThanAskedIsAConflict(t *testing.T) {
	partly := charged(payment.Succeeded)
	partly.result.CapturedAmount = 1
	manual := chargeRequest()
	manual.Capture = payment.CaptureManual
	for name, tt := range map[string]struct {
		req  payment.ChargeRequest
		says answer
	}{
		"a part of an automatic charge": {chargeRequest(), partly},
		"at once instead of held":       {manual, charged(payment.Succeeded)},
	} {
		t.Run(name, func(t *testing.T) {
			c := runCharge(t, &scripted{charges: []answer{tt.says}}, tt.req)
			require.Equal(t, payment.Conflicted, c.Status)
			require.NotEmpty(t, c.Failure.Message)
		})
	}
}

func TestWhatWasRefusedDoesNotLookAsIfItWereStillAtWork(t *testing.T) {
	bad := chargeRequest()
	bad.Processor = "nowhere"
	env := newEnvironment(t, &scripted{})
	env.ExecuteWorkflow(payment.WorkflowCharge, bad)
	require.Error(t, env.GetWorkflowError())
	value, err := env.QueryWorkflow(payment.QueryStatus)
	c := queried[payment.Charge](t, value, err)
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassInvalidRequest, c.Failure.Class)
	require.Equal(t, `invalid request: processor: "nowhere" is not configured: want sim`, c.Failure.Message)

	env = newEnvironmentOver(t, &scripted{}, testTerms, stored(t, payment.Declined, 0))
	env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(500))
	require.Error(t, env.GetWorkflowError())
	value, err = env.QueryWorkflow(payment.QueryStatus)
	require.Equal(t, payment.Failed, queried[payment.Refund](t, value, err).Status)
}

func TestNothingOfAnUncheckedRequestGoesToWherePeopleSearch(t *testing.T) {
	charge, refund := chargeRequest(), refundRequest(500)
	charge.Currency, refund.Currency = "4242424242424242", "4242424242424242"
	for name, req := range map[string]any{payment.WorkflowCharge: charge, payment.WorkflowRefund: refund} {
		env := newEnvironment(t, &scripted{})
		var upserted []string
		env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
			attributes, ok := args.Get(0).(temporal.SearchAttributes)
			require.True(t, ok)
			for key, value := range attributes.GetUntypedValues() {
				upserted = append(upserted, fmt.Sprint(key.GetName(), "=", value))
			}
		}).Return(nil)
		env.ExecuteWorkflow(name, req)
		require.Error(t, env.GetWorkflowError())
		require.Contains(t, upserted, "PaymentStatus=failed")
		for _, attribute := range upserted {
			require.NotContains(t, attribute, "4242424242424242")
		}
	}
}

func TestCancellingBeforeAnythingWasSentIsAResult(t *testing.T) {
	books := stored(t, payment.Succeeded, 0)
	charge := chargeRequest()
	charge.IdempotencyKey = "order-2"
	for name, req := range map[string]any{payment.WorkflowCharge: charge, payment.WorkflowRefund: refundRequest(500)} {
		p := &scripted{}
		env := newEnvironmentOver(t, p, testTerms, books)
		env.RegisterDelayedCallback(env.CancelWorkflow, 0)
		env.ExecuteWorkflow(name, req)
		require.NoError(t, env.GetWorkflowError())
		var r struct {
			Status  payment.Status
			Failure payment.Failure
		}
		require.NoError(t, env.GetWorkflowResult(&r))
		require.Equal(t, payment.Failed, r.Status)
		require.Equal(t, payment.ClassNotSent, r.Failure.Class)
		require.Empty(t, p.refundCalls)
		require.Empty(t, p.chargeCalls)
	}
	c, err := books.Payment(t.Context(), "acme", "order-2")
	require.NoError(t, err)
	require.Equal(t, payment.Failed, c.Status)
	// What was set aside is free again.
	_, _, created, err := books.ReserveRefund(t.Context(), payment.Refund{
		RefundID: payment.RefundID("acme", "all"), PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "all", Amount: 1250,
	}, "fingerprint")
	require.NoError(t, err)
	require.True(t, created)
}
