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
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// run charges over a store that has something in it, a moment after long by the workflow's clock.
func run(t *testing.T, p *scripted, books *store.Store, after time.Duration) payment.Charge {
	t.Helper()
	env := newEnvironmentOver(t, p, testTerms, books)
	env.SetStartTime(long.Add(after))
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	inStore, err := books.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, inStore, c, "the result is what is stored")
	return c
}

func TestAPaymentThatEndedIsToldFromTheStore(t *testing.T) {
	for _, status := range []payment.Status{payment.Succeeded, payment.Declined, payment.Failed, payment.Conflicted} {
		p := &scripted{}
		require.Equal(t, status, run(t, p, stored(t, status, 0), 365*24*time.Hour).Status)
		require.Empty(t, p.chargeCalls)
		require.Empty(t, p.lookupCalls)
	}
	books := stored(t, payment.Succeeded, 250)
	require.EqualValues(t, 250, run(t, &scripted{}, books, time.Hour).RefundedAmount)
}

// An earlier workflow was terminated, or lost its worker, after the payment had begun.
func TestAPaymentThatHadBegunGoesOnAsOneThatMayHaveMovedMoney(t *testing.T) {
	lookups := func(a ...answer) map[payment.Operation][]answer {
		return map[payment.Operation][]answer{payment.OperationCharge: a}
	}
	for name, tt := range map[string]struct {
		status payment.Status
		after  time.Duration
		p      *scripted
		sends  int
		want   payment.Status
	}{
		"sent again under the same key":           {payment.Processing, time.Hour, &scripted{charges: []answer{charged(payment.Succeeded)}}, 1, payment.Succeeded},
		"unknown, sent again":                     {payment.Unknown, time.Hour, &scripted{charges: []answer{charged(payment.Declined)}}, 1, payment.Declined},
		"a refusal proves nothing":                {payment.Processing, time.Hour, &scripted{charges: []answer{forbidden}, lookups: lookups(absent, charged(payment.Succeeded))}, 1, payment.Succeeded},
		"absence does":                            {payment.Processing, time.Hour, &scripted{charges: []answer{forbidden}, lookups: lookups(absent)}, 1, payment.Failed},
		"too old to be sent":                      {payment.Processing, 24 * time.Hour, &scripted{lookups: lookups(charged(payment.Succeeded))}, 0, payment.Succeeded},
		"just too old":                            {payment.Unknown, 24*time.Hour - 15*time.Minute, &scripted{lookups: lookups(charged(payment.Succeeded))}, 0, payment.Succeeded},
		"pending is asked for":                    {payment.Pending, time.Hour, &scripted{lookups: lookups(charged(payment.Pending), charged(payment.Succeeded))}, 0, payment.Succeeded},
		"one that a human was asked about, found": {payment.NeedsReconciliation, time.Hour, &scripted{lookups: lookups(charged(payment.Declined))}, 0, payment.Declined},
	} {
		t.Run(name, func(t *testing.T) {
			books := stored(t, payment.Processing, 0)
			if tt.status != payment.Processing {
				begun, err := books.Payment(t.Context(), "acme", "order-1")
				require.NoError(t, err)
				if tt.status == payment.NeedsReconciliation {
					begun.Status = payment.Unknown
					_, err = books.RecordPayment(t.Context(), begun, activities.Cause{By: "test"})
					require.NoError(t, err)
				}
				begun.Status = tt.status
				_, err = books.RecordPayment(t.Context(), begun, activities.Cause{By: "test"})
				require.NoError(t, err)
			}
			require.Equal(t, tt.want, run(t, tt.p, books, tt.after).Status)
			require.Len(t, tt.p.chargeCalls, tt.sends)
			for _, call := range tt.p.chargeCalls {
				require.Equal(t, chargeKey(), call.Key)
				require.Equal(t, long, call.KeyFirstUsed.UTC(), "when the first workflow may have sent it")
			}
		})
	}
}

func TestEveryMoveIsInTheStoreWithItsCause(t *testing.T) {
	books := newStore(t)
	p := &scripted{charges: []answer{lostAnswer, forbidden}, lookups: map[payment.Operation][]answer{payment.OperationCharge: {absent, charged(payment.Pending), charged(payment.Succeeded)}}}
	env := newEnvironmentOver(t, p, testTerms, books)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	events, err := books.Events(t.Context(), payment.PaymentID("acme", "order-1"))
	require.NoError(t, err)
	var moves []string
	for _, e := range events {
		moves = append(moves, string(e.To)+" by "+e.Cause.By)
	}
	require.Equal(t, []string{"processing by request", "unknown by processor", "pending by lookup", "succeeded by lookup"}, moves)
	require.Equal(t, "req_1", events[3].Cause.Evidence["request_id"])
}

func TestWhileTheStoreIsDownTheAnswerIsLateAndNothingIsSentTwice(t *testing.T) {
	p := &scripted{charges: []answer{charged(payment.Succeeded)}}
	env := newEnvironment(t, p)
	tries := 0
	env.OnActivity(payment.ActivityRecordPayment, mock.Anything, mock.Anything, mock.Anything).Return(
		func(_ context.Context, c payment.Charge, _ activities.Cause) (payment.Charge, error) {
			if tries++; tries < 5 {
				return payment.Charge{}, errors.New("the database is restarting")
			}
			return c, nil
		})
	var told updateCallbacks
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateOutcome, "", &told) }, 0)
	env.RegisterDelayedCallback(func() { require.Nil(t, told.value, "nobody hears of what is not recorded") }, 200*time.Millisecond)
	env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 5, tries)
	require.Len(t, p.chargeCalls, 1)
	require.NoError(t, told.err)
	require.NotNil(t, told.value)
}

func TestAProcessorsIDThatAnotherPaymentHasIsAConflict(t *testing.T) {
	books := stored(t, payment.Succeeded, 0) // has ch_1
	req := chargeRequest()
	req.IdempotencyKey = "order-2"
	other := charged(payment.Succeeded)
	other.result.Reference = payment.ProcessorKey(payment.PaymentID("acme", "order-2"), payment.OperationCharge, 0)
	env := newEnvironmentOver(t, &scripted{charges: []answer{other}}, testTerms, books)
	env.ExecuteWorkflow(payment.WorkflowCharge, req)
	require.NoError(t, env.GetWorkflowError())
	var c payment.Charge
	require.NoError(t, env.GetWorkflowResult(&c))
	require.Equal(t, payment.Conflicted, c.Status)
	require.Contains(t, c.Failure.Message, "id of another payment")
	events, err := books.Events(t.Context(), c.PaymentID)
	require.NoError(t, err)
	require.Equal(t, "ch_1", events[len(events)-1].Cause.Evidence["processor_payment_id"])
}

func TestARefundThatIsUnknownKeepsItsReservation(t *testing.T) {
	books := stored(t, payment.Succeeded, 250)
	p := &scripted{refunds: []answer{lostAnswer, forbidden}, lookups: map[payment.Operation][]answer{payment.OperationRefund: {lostAnswer}}}
	env := newEnvironmentOver(t, p, testTerms, books)
	env.RegisterDelayedCallback(func() {
		_, _, _, err := books.ReserveRefund(t.Context(), payment.Refund{
			RefundID: payment.RefundID("acme", "more"), PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "more", Amount: 501,
		}, "fingerprint")
		require.ErrorIs(t, err, payment.ErrRefundExceedsCaptured)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lookups[payment.OperationRefund] = []answer{refunded(payment.Succeeded, 500)}
	}, 72*time.Hour)
	env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	c, err := books.Payment(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.EqualValues(t, 750, c.RefundedAmount)
}

// An earlier workflow saw the processor make it, in another way than asked: it cannot become one that never was.
func TestAResumedRefundThatTheProcessorOnceAcknowledgedDoesNotVanish(t *testing.T) {
	books := stored(t, payment.Succeeded, 0)
	keeping := &activities.Payments{Store: books, Default: "sim", Processors: map[string]activities.Terms{"sim": testTerms}}
	reserved, err := keeping.ReserveRefund(t.Context(), refundRequest(500))
	require.NoError(t, err)
	r := reserved.Refund
	r.Status, r.ProcessorRefundID = payment.NeedsReconciliation, "re_1"
	r.Failure = &payment.Failure{Class: payment.ClassInvalidResponse, Message: "another reference"}
	_, err = books.SettleRefund(t.Context(), r, activities.Cause{By: "processor"})
	require.NoError(t, err)

	p := &scripted{lookups: map[payment.Operation][]answer{payment.OperationRefund: {absent}}}
	env := newEnvironmentOver(t, p, testTerms, books)
	env.RegisterDelayedCallback(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lookups[payment.OperationRefund] = []answer{refunded(payment.Succeeded, 500)}
	}, 72*time.Hour)
	env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	var got payment.Refund
	require.NoError(t, env.GetWorkflowResult(&got))
	require.Equal(t, payment.Succeeded, got.Status)
}

// The record of a run that was stopped arrives late: it knows more than the run after it.
func TestAStoreThatIsAheadOfTheWorkflowIsBelieved(t *testing.T) {
	for name, tt := range map[string]struct {
		ahead payment.Status
		found answer
		want  payment.Status
	}{
		"pending":   {payment.Pending, charged(payment.Succeeded), payment.Succeeded},
		"succeeded": {payment.Succeeded, lostAnswer, payment.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			books := stored(t, payment.Processing, 0)
			p := &scripted{charges: []answer{stateConflict}, lookups: map[payment.Operation][]answer{payment.OperationCharge: {tt.found}}}
			env := newEnvironmentOver(t, p, testTerms, books)
			env.SetStartTime(long)
			env.OnActivity(payment.ActivityProcessorCharge, mock.Anything, mock.Anything).Return(
				func(context.Context, processor.ChargeCall) (processor.Result, error) {
					c, err := books.Payment(t.Context(), "acme", "order-1")
					require.NoError(t, err)
					c.Status, c.ProcessorPaymentID = tt.ahead, "ch_1"
					if tt.ahead == payment.Succeeded {
						c.CapturedAmount = c.Amount
					}
					_, err = books.RecordPayment(t.Context(), c, activities.Cause{By: "late"})
					require.NoError(t, err)
					return processor.Result{}, errors.New("the answer is lost")
				})
			env.ExecuteWorkflow(payment.WorkflowCharge, chargeRequest())
			require.NoError(t, env.GetWorkflowError())
			var c payment.Charge
			require.NoError(t, env.GetWorkflowResult(&c))
			require.Equal(t, tt.want, c.Status)
		})
	}
}
