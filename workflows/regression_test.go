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
)

// The result of an early lookup waited while no worker was running. It describes the time of the lookup, not of its arrival.
func TestLookupResultThatArrivesAfterTheGracePeriodIsNoProofOfAbsence(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t, &scriptedProcessor{charges: []response{stateConflict}})
	env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
		Return(activities.LookupResult{}, nil).After(3 * time.Minute).Once()
	env.OnActivity(payment.ActivityProcessorLookup, mock.Anything, mock.Anything).
		Return(activities.LookupResult{Found: true, Result: chargeResponse(payment.Succeeded).result}, nil)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Succeeded, c.Status)
}

func TestAbsenceIsNoProofOnceTheProcessorHasAcknowledgedTheRefund(t *testing.T) {
	t.Parallel()
	otherReference := refundResponse(payment.Succeeded, 500)
	otherReference.result.Reference = "the processor's own"
	for name, p := range map[string]*scriptedProcessor{
		"a lost response, then another reference": {
			refunds: []response{lostResponse, otherReference},
			lookups: refundLookups(notFound, notFound, notFound, notFound, notFound, notFound, notFound, notFound,
				refundResponse(payment.Succeeded, 500)),
		},
		"an unknown outcome, found with another amount": {
			refunds: []response{stateConflict},
			lookups: refundLookups(refundResponse(payment.Succeeded, 499),
				notFound, notFound, notFound, notFound, notFound, notFound, notFound,
				refundResponse(payment.Succeeded, 500)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := newRefundEnvironment(t, p)
			execute(env, payment.WorkflowRefund, refundRequest(500))
			require.NoError(t, env.GetWorkflowError())
			var r payment.Refund
			require.NoError(t, env.GetWorkflowResult(&r))
			require.Equal(t, payment.Succeeded, r.Status)
		})
	}
}

func TestUnknownOutcomeNeedsReconciliationIfTheTermsNeverAllowProofByAbsence(t *testing.T) {
	t.Parallel()
	terms := testTerms
	terms.AbsenceProofAfter = 0
	p := &scriptedProcessor{charges: []response{stateConflict}, lookups: chargeLookups(notFound)}
	env := newEnvironmentWithTerms(t, p, terms)
	var afterTwoDays payment.Charge
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(payment.QueryStatus)
		afterTwoDays = decodeQuery[payment.Charge](t, value, err)
		p.lookups[payment.OperationCharge] = []response{chargeResponse(payment.Declined)}
	}, 48*time.Hour)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, payment.NeedsReconciliation, afterTwoDays.Status)
}

func TestCaptureOtherThanRequestedIsAConflict(t *testing.T) {
	t.Parallel()
	partlyCaptured := chargeResponse(payment.Succeeded)
	partlyCaptured.result.CapturedAmount = 1
	for name, tt := range map[string]struct {
		req      payment.ChargeRequest
		response response
	}{
		"automatic capture, only partly captured":  {req: chargeRequest(), response: partlyCaptured},
		"manual capture, but captured immediately": {req: manualChargeRequest(), response: chargeResponse(payment.Succeeded)},
	} {
		t.Run(name, func(t *testing.T) {
			c := runCharge(t, &scriptedProcessor{charges: []response{tt.response}}, tt.req)
			require.Equal(t, payment.Conflicted, c.Status)
			require.NotEmpty(t, c.Failure.Message)
		})
	}
}

func TestQueryStatusOfARefusedRequestReturnsFailed(t *testing.T) {
	t.Parallel()
	bad := chargeRequest()
	bad.Processor = "nowhere"
	env := newEnvironment(t, &scriptedProcessor{})
	execute(env, payment.WorkflowCharge, bad)
	require.Error(t, env.GetWorkflowError())
	value, err := env.QueryWorkflow(payment.QueryStatus)
	c := decodeQuery[payment.Charge](t, value, err)
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassInvalidRequest, c.Failure.Class)
	require.Equal(t, `invalid request: processor: "nowhere" is not configured: want sim`, c.Failure.Message)

	env = newEnvironmentWithStore(t, &scriptedProcessor{}, testTerms, storeWithPayment(t, payment.Declined, 0))
	execute(env, payment.WorkflowRefund, refundRequest(500))
	require.Error(t, env.GetWorkflowError())
	value, err = env.QueryWorkflow(payment.QueryStatus)
	require.Equal(t, payment.Failed, decodeQuery[payment.Refund](t, value, err).Status)
}

func TestNothingOfAnInvalidRequestGetsIntoSearchAttributes(t *testing.T) {
	t.Parallel()
	charge, refund := chargeRequest(), refundRequest(500)
	charge.Currency, refund.Currency = "4242424242424242", "4242424242424242"
	for name, req := range map[string]any{payment.WorkflowCharge: charge, payment.WorkflowRefund: refund} {
		env := newEnvironment(t, &scriptedProcessor{})
		var upserted []string
		env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
			attributes, ok := args.Get(0).(temporal.SearchAttributes)
			require.True(t, ok)
			for key, value := range attributes.GetUntypedValues() {
				upserted = append(upserted, fmt.Sprint(key.GetName(), "=", value))
			}
		}).Return(nil)
		execute(env, name, req)
		require.Error(t, env.GetWorkflowError())
		require.Contains(t, upserted, "PaymentStatus=failed")
		for _, attribute := range upserted {
			require.NotContains(t, attribute, "4242424242424242")
		}
	}
}

func TestCancelingBeforeAnythingWasSentIsAResultAndReleasesTheReservation(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0)
	charge := chargeRequest()
	charge.IdempotencyKey = "order-2"
	for name, req := range map[string]any{payment.WorkflowCharge: charge, payment.WorkflowRefund: refundRequest(500)} {
		p := &scriptedProcessor{}
		env := newEnvironmentWithStore(t, p, testTerms, db)
		env.RegisterDelayedCallback(env.CancelWorkflow, 0)
		execute(env, name, req)
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
	c, err := db.Payment(t.Context(), "acme", "order-2")
	require.NoError(t, err)
	require.Equal(t, payment.Failed, c.Status)
	// A refund of the whole payment is possible again.
	_, _, created, err := db.ReserveRefund(t.Context(), refundToReserve("all", 1250), "fingerprint")
	require.NoError(t, err)
	require.True(t, created)
}
