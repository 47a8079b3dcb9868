package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/payment"
)

// refundRequest asks for an amount, or, with 0, names none.
func refundRequest(amount int64) payment.RefundRequest {
	req := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: payment.PaymentID("acme", "order-1")}
	if amount != 0 {
		req.Amount = &amount
	}
	return req
}

// refunded is what the processor has once the refund went through.
func refunded(status payment.Status, amount int64) answer {
	return answer{result: processor.Result{
		ID: "re_1", Status: status, Amount: amount, Currency: "USD",
		Reference: payment.ProcessorKey(payment.RefundID("acme", "refund-1"), payment.OperationRefund, 0),
	}}
}

// partlyRefunded is a payment of 12.50 USD of which 2.50 USD went back before.
func partlyRefunded() answer {
	a := charged(payment.Succeeded)
	a.result.RefundedAmount = 250
	return a
}

func TestARefundEndsAsTheProcessorsAnswersSay(t *testing.T) {
	tests := []struct {
		name    string
		amount  int64
		refunds []answer
		lookups []answer
		status  payment.Status
		sent    int64
		sends   int
	}{
		{"a part", 500, []answer{refunded(payment.Succeeded, 500)}, nil, payment.Succeeded, 500, 1},
		{"all that is left", 0, []answer{refunded(payment.Succeeded, 1000)}, nil, payment.Succeeded, 1000, 1},
		{"a decline is a result", 500, []answer{refunded(payment.Declined, 500)}, nil, payment.Declined, 500, 1},
		{"500 is retried", 500, []answer{ambiguous500, refunded(payment.Succeeded, 500)}, nil, payment.Succeeded, 500, 2},
		{"a lost answer is looked up", 500, []answer{lostAnswer, forbidden}, []answer{refunded(payment.Succeeded, 500)}, payment.Succeeded, 500, 2},
		{"absence is proof after the grace period", 500, []answer{lostAnswer, forbidden}, []answer{absent}, payment.Failed, 500, 2},
		{"pending is asked for until it is decided", 500, []answer{refunded(payment.Pending, 500)}, []answer{refunded(payment.Pending, 500), refunded(payment.Succeeded, 500)}, payment.Succeeded, 500, 1},
		{"a refusal is a result", 500, []answer{badRequest}, nil, payment.Failed, 500, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &scripted{refunds: tt.refunds, lookups: map[payment.Operation][]answer{
				payment.OperationCharge: {partlyRefunded()}, payment.OperationRefund: tt.lookups,
			}}
			env := newEnvironment(t, p)
			env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(tt.amount))
			require.NoError(t, env.GetWorkflowError())
			var r payment.Refund
			require.NoError(t, env.GetWorkflowResult(&r))
			require.Equal(t, tt.status, r.Status)
			require.Equal(t, tt.sent, r.Amount)
			require.Equal(t, "USD", r.Currency)
			require.Len(t, p.refundCalls, tt.sends)
			for _, call := range p.refundCalls {
				require.Equal(t, tt.sent, call.Amount)
				require.Equal(t, "ch_1", call.ProcessorPaymentID)
				require.Equal(t, refunded("", 0).result.Reference, call.Key)
			}
		})
	}
}

func TestARefundOfWhatCannotBeRefundedFailsWithATypeOfItsOwn(t *testing.T) {
	othersPayment := charged(payment.Succeeded)
	othersPayment.result.MerchantID = "globex"
	wholeRefunded := charged(payment.Succeeded)
	wholeRefunded.result.RefundedAmount = 1250
	inEuro := refundRequest(500)
	inEuro.Currency = "EUR"
	badID := refundRequest(500)
	badID.PaymentID = "ch_1"
	tests := []struct {
		name string
		req  payment.RefundRequest
		paid answer
		want string
	}{
		{"unknown payment", refundRequest(500), absent, payment.ErrorPaymentNotFound},
		{"another merchant's payment", refundRequest(500), othersPayment, payment.ErrorPaymentNotFound},
		{"declined payment", refundRequest(500), charged(payment.Declined), payment.ErrorPaymentNotRefundable},
		{"authorized payment", refundRequest(500), charged(payment.Authorized), payment.ErrorPaymentNotRefundable},
		{"more than is left", refundRequest(1001), partlyRefunded(), payment.ErrorRefundExceedsCaptured},
		{"nothing left", refundRequest(0), wholeRefunded, payment.ErrorRefundExceedsCaptured},
		{"another currency", inEuro, charged(payment.Succeeded), payment.ErrorInvalidRequest},
		{"not a payment id", badID, charged(payment.Succeeded), payment.ErrorInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &scripted{lookups: map[payment.Operation][]answer{payment.OperationCharge: {tt.paid}}}
			env := newEnvironment(t, p)
			env.ExecuteWorkflow(payment.WorkflowRefund, tt.req)
			var application *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &application)
			require.Equal(t, tt.want, application.Type())
			require.True(t, application.NonRetryable())
			require.Empty(t, p.refundCalls)
		})
	}
}

func TestAProcessorThatGivesNoAnswerIsNoReasonToSayPaymentNotFound(t *testing.T) {
	p := &scripted{
		refunds: []answer{refunded(payment.Succeeded, 500)},
		lookups: map[payment.Operation][]answer{payment.OperationCharge: {ambiguous500, notSent, forbidden, absent, partlyRefunded()}},
	}
	env := newEnvironment(t, p)
	env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, p.refundCalls, 1)
}

func TestARefundOfAnotherAmountNeedsReconciliation(t *testing.T) {
	p := &scripted{
		refunds: []answer{refunded(payment.Succeeded, 499)},
		lookups: map[payment.Operation][]answer{
			payment.OperationCharge: {partlyRefunded()},
			payment.OperationRefund: {refunded(payment.Succeeded, 499), refunded(payment.Succeeded, 499), refunded(payment.Succeeded, 500)},
		},
	}
	env := newEnvironment(t, p)
	env.SetOnTimerScheduledListener(func(_ string, d time.Duration) { require.GreaterOrEqual(t, d, 2*time.Second) })
	var first updateCallbacks
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateOutcome, "", &first) }, 0)
	env.ExecuteWorkflow(payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	reported, ok := first.value.(payment.Refund)
	require.True(t, ok)
	require.Equal(t, payment.NeedsReconciliation, reported.Status)
	require.Contains(t, reported.Failure.Message, "4.99 USD")
}
