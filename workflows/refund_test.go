package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
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

// refunding is where a payment of 12.50 USD succeeded, of which 2.50 USD went back before.
func refunding(t *testing.T, p *scripted) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	return newEnvironmentOver(t, p, testTerms, stored(t, payment.Succeeded, 250))
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
			p := &scripted{refunds: tt.refunds, lookups: map[payment.Operation][]answer{payment.OperationRefund: tt.lookups}}
			env := refunding(t, p)
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
	others := refundRequest(500)
	others.MerchantID = "globex"
	inEuro := refundRequest(500)
	inEuro.Currency = "EUR"
	badID := refundRequest(500)
	badID.PaymentID = "ch_1"
	tests := []struct {
		name string
		req  payment.RefundRequest
		paid func(*testing.T) *store.Store
		want payment.RefusalCode
	}{
		{"unknown payment", refundRequest(500), newStore, payment.ErrPaymentNotFound},
		{"another merchant's payment", others, has(payment.Succeeded, 0), payment.ErrPaymentNotFound},
		{"declined payment", refundRequest(500), has(payment.Declined, 0), payment.ErrPaymentNotRefundable},
		{"authorized payment", refundRequest(500), has(payment.Authorized, 0), payment.ErrPaymentNotRefundable},
		{"payment of which nobody knows", refundRequest(500), has(payment.Unknown, 0), payment.ErrPaymentNotRefundable},
		{"more than is left", refundRequest(1001), has(payment.Succeeded, 250), payment.ErrRefundExceedsCaptured},
		{"nothing left", refundRequest(0), has(payment.Succeeded, 1250), payment.ErrRefundExceedsCaptured},
		{"another currency", inEuro, has(payment.Succeeded, 0), payment.ErrInvalidRequest},
		{"not a payment id", badID, has(payment.Succeeded, 0), payment.ErrInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &scripted{}
			env := newEnvironmentOver(t, p, testTerms, tt.paid(t))
			env.ExecuteWorkflow(payment.WorkflowRefund, tt.req)
			var application *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &application)
			require.EqualValues(t, tt.want, application.Type())
			require.True(t, application.NonRetryable())
			require.Empty(t, p.refundCalls)
			var workflowError *temporal.WorkflowExecutionError
			require.ErrorAs(t, env.GetWorkflowError(), &workflowError)
			_, plain := workflowError.Unwrap().(*temporal.ApplicationError) //nolint:errorlint // what Temporal Web shows is the outermost
			require.True(t, plain, "no activity's error around it")
			if tt.want != payment.ErrInvalidRequest {
				var asked payment.RefusedRequest
				require.NoError(t, application.Details(&asked))
				require.Equal(t, tt.req.PaymentID, asked.PaymentID)
			}
		})
	}
}

// has is stored, for a table.
func has(status payment.Status, refunded int64) func(*testing.T) *store.Store {
	return func(t *testing.T) *store.Store {
		t.Helper()
		return stored(t, status, refunded)
	}
}

func TestARefundOfAnotherAmountNeedsReconciliation(t *testing.T) {
	p := &scripted{
		refunds: []answer{refunded(payment.Succeeded, 499)},
		lookups: map[payment.Operation][]answer{
			payment.OperationRefund: {refunded(payment.Succeeded, 499), refunded(payment.Succeeded, 499), refunded(payment.Succeeded, 500)},
		},
	}
	env := refunding(t, p)
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
