package workflows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// resumeCharge runs a charge whose payment the store has already, and checks that its result is what is stored. The
// workflow starts at baseTime + after.
func resumeCharge(t *testing.T, p *scriptedProcessor, db *store.Store, after time.Duration) payment.Charge {
	t.Helper()
	env := newEnvironmentWithStore(t, p, testTerms, db)
	env.SetStartTime(baseTime.Add(after))
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	inStore, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, inStore, c, "the result is what is stored")
	return c
}

func TestFinalPaymentIsReturnedFromTheStore(t *testing.T) {
	t.Parallel()
	for _, status := range []payment.Status{payment.Succeeded, payment.Declined, payment.Failed, payment.Conflicted} {
		p := &scriptedProcessor{}
		require.Equal(t, status, resumeCharge(t, p, storeWithPayment(t, status, 0), 365*24*time.Hour).Status)
		require.Empty(t, p.chargeCalls)
		require.Empty(t, p.lookupCalls)
	}
	db := storeWithPayment(t, payment.Succeeded, 250)
	require.EqualValues(t, 250, resumeCharge(t, &scriptedProcessor{}, db, time.Hour).RefundedAmount)
}

// An earlier workflow began the payment and was terminated.
func TestResumedChargeTreatsEarlierSendsAsAmbiguous(t *testing.T) {
	t.Parallel()
	succeeded, declined := chargeResponse(payment.Succeeded), chargeResponse(payment.Declined)
	pending := chargeResponse(payment.Pending)
	for name, tt := range map[string]struct {
		// status is the stored one.
		status  payment.Status
		after   time.Duration
		charges []response
		lookups []response
		sends   int
		want    payment.Status
	}{
		"a processing charge is sent again under the same key": {
			status: payment.Processing, after: time.Hour, charges: []response{succeeded},
			sends: 1, want: payment.Succeeded,
		},
		"an unknown charge is sent again": {
			status: payment.Unknown, after: time.Hour, charges: []response{declined}, lookups: []response{notFound},
			sends: 1, want: payment.Declined,
		},
		"a refusal of the repeat is no proof": {
			status: payment.Processing, after: time.Hour, charges: []response{forbidden}, lookups: []response{notFound, succeeded},
			sends: 1, want: payment.Succeeded,
		},
		"absence after the grace period is proof": {
			status: payment.Processing, after: time.Hour, charges: []response{forbidden}, lookups: []response{notFound},
			sends: 1, want: payment.Failed,
		},
		"a charge is not sent after the key lifetime": {
			status: payment.Processing, after: 24 * time.Hour, lookups: []response{succeeded},
			sends: 0, want: payment.Succeeded,
		},
		"a charge is not sent if the retries may outlast the key lifetime": {
			status: payment.Unknown, after: 24*time.Hour - 15*time.Minute, lookups: []response{succeeded},
			sends: 0, want: payment.Succeeded,
		},
		"a pending charge is polled": {
			status: payment.Pending, after: time.Hour, lookups: []response{pending, succeeded},
			sends: 0, want: payment.Succeeded,
		},
		"a charge that needs reconciliation is polled": {
			status: payment.NeedsReconciliation, after: time.Hour, lookups: []response{declined},
			sends: 0, want: payment.Declined,
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := storeWithPayment(t, payment.Processing, 0)
			if tt.status != payment.Processing {
				begun, err := db.Payment(t.Context(), "acme", "order-1")
				require.NoError(t, err)
				if tt.status == payment.NeedsReconciliation {
					begun.Status = payment.Unknown
					_, err = db.RecordPayment(t.Context(), begun, activities.Cause{By: "test"})
					require.NoError(t, err)
				}
				begun.Status = tt.status
				_, err = db.RecordPayment(t.Context(), begun, activities.Cause{By: "test"})
				require.NoError(t, err)
			}
			p := &scriptedProcessor{charges: tt.charges, lookups: chargeLookups(tt.lookups...)}
			require.Equal(t, tt.want, resumeCharge(t, p, db, tt.after).Status)
			require.Len(t, p.chargeCalls, tt.sends)
			for _, call := range p.chargeCalls {
				require.Equal(t, chargeKey(), call.Key)
				require.Equal(t, baseTime, call.KeyFirstUsed.UTC(), "the earliest time at which the first workflow may have sent it")
			}
		})
	}
}

// A failover of the database may lose the row of a payment that has been sent. When the workflow begins again, after a reset, the
// processor must not get an old key as a new one.
func TestAgeOfAKeyIsCountedFromTheStartOfTheWorkflow(t *testing.T) {
	t.Parallel()
	t.Run("charge", func(t *testing.T) {
		p := &scriptedProcessor{charges: []response{chargeResponse(payment.Succeeded)}}
		env := newEnvironment(t, p)
		env.SetStartTime(baseTime)
		execute(env, payment.WorkflowCharge, chargeRequest())
		require.NoError(t, env.GetWorkflowError())
		require.Equal(t, baseTime, p.chargeCalls[0].KeyFirstUsed.UTC())
	})
	t.Run("refund", func(t *testing.T) {
		p := &scriptedProcessor{refunds: []response{refundResponse(payment.Succeeded, 500)}}
		env := newEnvironmentWithStore(t, p, testTerms, storeWithPayment(t, payment.Succeeded, 0))
		env.SetStartTime(baseTime)
		execute(env, payment.WorkflowRefund, refundRequest(500))
		require.NoError(t, env.GetWorkflowError())
		require.Equal(t, baseTime, p.refundCalls[0].KeyFirstUsed.UTC())
	})
}

func TestEveryTransitionIsStoredWithItsCause(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	p := &scriptedProcessor{
		charges: []response{lostResponse, forbidden},
		lookups: chargeLookups(notFound, chargeResponse(payment.Pending), chargeResponse(payment.Succeeded)),
	}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	events, err := db.Events(t.Context(), payment.PaymentID("acme", "order-1"))
	require.NoError(t, err)
	var transitions []string
	for _, e := range events {
		transitions = append(transitions, string(e.To)+" by "+e.Cause.By)
	}
	require.Equal(t, []string{"processing by request", "unknown by processor", "pending by lookup", "succeeded by lookup"}, transitions)
	require.Equal(t, "req_1", events[3].Cause.Evidence["request_id"])
}

func TestStoreOutageDelaysTheOutcomeAndNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	p := &scriptedProcessor{charges: []response{chargeResponse(payment.Succeeded)}}
	env := newEnvironment(t, p)
	attempts := 0
	env.OnActivity(payment.ActivityRecordPayment, mock.Anything, mock.Anything, mock.Anything).Return(
		func(_ context.Context, c payment.Charge, _ activities.Cause) (payment.Charge, error) {
			if attempts++; attempts < 5 {
				return payment.Charge{}, errors.New("the database is restarting")
			}
			return c, nil
		})
	var outcome updateCallbacks
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateOutcome, "", &outcome) }, 0)
	env.RegisterDelayedCallback(func() {
		require.Nil(t, outcome.value, "an outcome is not returned before it is stored")
	}, 200*time.Millisecond)
	execute(env, payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 5, attempts)
	require.Len(t, p.chargeCalls, 1)
	require.NoError(t, outcome.err)
	require.NotNil(t, outcome.value)
}

func TestProcessorIDOfAnotherPaymentIsAConflict(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0) // has ch_1
	req := chargeRequest()
	req.IdempotencyKey = "order-2"
	other := chargeResponse(payment.Succeeded)
	other.result.Reference = payment.ProcessorKey(payment.PaymentID("acme", "order-2"), payment.OperationCharge, 0)
	env := newEnvironmentWithStore(t, &scriptedProcessor{charges: []response{other}}, testTerms, db)
	execute(env, payment.WorkflowCharge, req)
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Conflicted, c.Status)
	require.Contains(t, c.Failure.Message, "id of another payment")
	events, err := db.Events(t.Context(), c.PaymentID)
	require.NoError(t, err)
	require.Equal(t, "ch_1", events[len(events)-1].Cause.Evidence["processor_payment_id"])
}

func TestRefundWithAnUnknownOutcomeKeepsItsReservation(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 250)
	p := &scriptedProcessor{refunds: []response{lostResponse, forbidden}, lookups: refundLookups(lostResponse)}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	env.RegisterDelayedCallback(func() {
		_, _, _, err := db.ReserveRefund(t.Context(), refundToReserve("more", 501), "fingerprint")
		require.ErrorIs(t, err, payment.ErrRefundExceedsCaptured)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lookups[payment.OperationRefund] = []response{refundResponse(payment.Succeeded, 500)}
	}, 72*time.Hour)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	c, err := db.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.EqualValues(t, 750, c.RefundedAmount)
}

// The processor has acknowledged the refund to an earlier workflow, with another reference than requested. It cannot
// become a refund that was never executed.
func TestAbsenceIsNoProofForAResumedRefundThatTheProcessorHasAcknowledged(t *testing.T) {
	t.Parallel()
	db := storeWithPayment(t, payment.Succeeded, 0)
	r, _, _, err := db.ReserveRefund(t.Context(), refundToReserve("refund-1", 500), refundRequest(500).Fingerprint())
	require.NoError(t, err)
	r.Status, r.ProcessorRefundID = payment.NeedsReconciliation, "re_1"
	r.Failure = &payment.Failure{Class: payment.ClassInvalidResponse, Message: "another reference"}
	_, err = db.SettleRefund(t.Context(), r, activities.Cause{By: "processor"})
	require.NoError(t, err)

	p := &scriptedProcessor{lookups: refundLookups(notFound)}
	env := newEnvironmentWithStore(t, p, testTerms, db)
	env.RegisterDelayedCallback(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lookups[payment.OperationRefund] = []response{refundResponse(payment.Succeeded, 500)}
	}, 72*time.Hour)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	var got payment.Refund
	require.NoError(t, env.GetWorkflowResult(&got))
	require.Equal(t, payment.Succeeded, got.Status)
}

// A terminated run persists its outcome after the next run has started: the store then knows more than the running workflow.
func TestWorkflowAdoptsStoredStatusThatIsAheadOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stored payment.Status
		lookup response
		want   payment.Status
	}{
		"pending":   {stored: payment.Pending, lookup: chargeResponse(payment.Succeeded), want: payment.Succeeded},
		"succeeded": {stored: payment.Succeeded, lookup: lostResponse, want: payment.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			db := storeWithPayment(t, payment.Processing, 0)
			p := &scriptedProcessor{charges: []response{stateConflict}, lookups: chargeLookups(tt.lookup)}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			env.SetStartTime(baseTime)
			env.OnActivity(payment.ActivityProcessorCharge, mock.Anything, mock.Anything, mock.Anything).Return(
				func(context.Context, processor.ChargeCall, activities.Before) (activities.CallResult, error) {
					c, err := db.Payment(t.Context(), "acme", "order-1")
					require.NoError(t, err)
					c.Status, c.ProcessorPaymentID = tt.stored, "ch_1"
					if tt.stored == payment.Succeeded {
						c.CapturedAmount = c.Amount
					}
					_, err = db.RecordPayment(t.Context(), c, activities.Cause{By: "earlier run"})
					require.NoError(t, err)
					return activities.CallResult{}, errors.New("the response is lost")
				})
			execute(env, payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, tt.want, c.Status)
		})
	}
}
