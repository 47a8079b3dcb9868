package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// refundRequest is a refund of the payment of [chargeRequest]. The amount 0 is left out: the request is for all that remains.
func refundRequest(amount int64) payment.RefundRequest {
	req := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund-1", PaymentID: payment.PaymentID("acme", "order-1")}
	if amount != 0 {
		req.Amount = &amount
	}
	return req
}

// refundResponse is a response with the processor's record of the refund of [refundRequest].
func refundResponse(status payment.Status, amount int64) response {
	return response{result: processor.Result{
		ID: "re_1", Status: status, Amount: amount, Currency: "USD",
		Reference: payment.ProcessorKey(payment.RefundID("acme", "refund-1"), payment.OperationRefund, 0),
	}}
}

// newRefundEnvironment returns an environment whose store has a payment of 12.50 USD, of which 2.50 USD were refunded.
func newRefundEnvironment(t *testing.T, p *scriptedProcessor) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	return newEnvironmentWithStore(t, p, testTerms, storeWithPayment(t, payment.Succeeded, 250))
}

func TestRefundEndsAsTheProcessorResponds(t *testing.T) {
	t.Parallel()
	succeeded, pending := refundResponse(payment.Succeeded, 500), refundResponse(payment.Pending, 500)
	tests := []struct {
		name    string
		amount  int64
		refunds []response
		lookups []response
		status  payment.Status
		// sent is the amount of each call to the processor.
		sent  int64
		sends int
	}{
		{
			name: "a part", amount: 500, refunds: []response{succeeded},
			status: payment.Succeeded, sent: 500, sends: 1,
		},
		{
			name: "all that remains", amount: 0, refunds: []response{refundResponse(payment.Succeeded, 1000)},
			status: payment.Succeeded, sent: 1000, sends: 1,
		},
		{
			name: "a decline is a result", amount: 500, refunds: []response{refundResponse(payment.Declined, 500)},
			status: payment.Declined, sent: 500, sends: 1,
		},
		{
			name: "500 is retried", amount: 500, refunds: []response{ambiguous500, succeeded},
			status: payment.Succeeded, sent: 500, sends: 2,
		},
		{
			name: "an unknown outcome is looked up", amount: 500,
			refunds: []response{lostResponse, forbidden}, lookups: []response{succeeded},
			status: payment.Succeeded, sent: 500, sends: 2,
		},
		{
			name: "absence is proof after the grace period", amount: 500,
			refunds: []response{lostResponse, forbidden}, lookups: []response{notFound},
			status: payment.Failed, sent: 500, sends: 2,
		},
		{
			name: "a pending refund is polled until it is decided", amount: 500,
			refunds: []response{pending}, lookups: []response{pending, succeeded},
			status: payment.Succeeded, sent: 500, sends: 1,
		},
		{
			name: "a refusal is a result", amount: 500, refunds: []response{badRequest},
			status: payment.Failed, sent: 500, sends: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &scriptedProcessor{refunds: tt.refunds, lookups: refundLookups(tt.lookups...)}
			env := newRefundEnvironment(t, p)
			execute(env, payment.WorkflowRefund, refundRequest(tt.amount))
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
				require.Equal(t, refundResponse("", 0).result.Reference, call.Key)
			}
		})
	}
}

func TestRefundThatIsNotPossibleFailsTheWorkflowWithTheReason(t *testing.T) {
	t.Parallel()
	otherMerchant := refundRequest(500)
	otherMerchant.MerchantID = "globex"
	inEuro := refundRequest(500)
	inEuro.Currency = "EUR"
	badID := refundRequest(500)
	badID.PaymentID = "ch_1"
	tests := []struct {
		name string
		req  payment.RefundRequest
		// status is that of the payment, of which the amount refunded was refunded. Without a status the store is empty.
		status   payment.Status
		refunded int64
		want     payment.RefusalCode
	}{
		{name: "unknown payment", req: refundRequest(500), want: payment.ErrPaymentNotFound},
		{name: "another merchant's payment", req: otherMerchant, status: payment.Succeeded, want: payment.ErrPaymentNotFound},
		{name: "declined payment", req: refundRequest(500), status: payment.Declined, want: payment.ErrPaymentNotRefundable},
		{name: "authorized payment", req: refundRequest(500), status: payment.Authorized, want: payment.ErrPaymentNotRefundable},
		{name: "payment with an unknown outcome", req: refundRequest(500), status: payment.Unknown, want: payment.ErrPaymentNotRefundable},
		{
			name: "more than remains", req: refundRequest(1001), status: payment.Succeeded, refunded: 250,
			want: payment.ErrRefundExceedsCaptured,
		},
		{
			name: "nothing remains", req: refundRequest(0), status: payment.Succeeded, refunded: 1250,
			want: payment.ErrRefundExceedsCaptured,
		},
		{name: "another currency", req: inEuro, status: payment.Succeeded, want: payment.ErrInvalidRequest},
		{name: "not a payment id", req: badID, status: payment.Succeeded, want: payment.ErrInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &scriptedProcessor{}
			db := storetest.New(t)
			if tt.status != "" {
				db = storeWithPayment(t, tt.status, tt.refunded)
			}
			env := newEnvironmentWithStore(t, p, testTerms, db)
			execute(env, payment.WorkflowRefund, tt.req)
			var application *temporal.ApplicationError
			require.ErrorAs(t, env.GetWorkflowError(), &application)
			require.EqualValues(t, tt.want, application.Type())
			require.True(t, application.NonRetryable())
			require.Empty(t, p.refundCalls)
			var workflowError *temporal.WorkflowExecutionError
			require.ErrorAs(t, env.GetWorkflowError(), &workflowError)
			_, plain := workflowError.Unwrap().(*temporal.ApplicationError) //nolint:errorlint // Temporal Web shows the outermost error
			require.True(t, plain, "there must be no activity error around it")
			if tt.want != payment.ErrInvalidRequest {
				var refused payment.RefusedRequest
				require.NoError(t, application.Details(&refused))
				require.Equal(t, tt.req.PaymentID, refused.PaymentID)
			}
		})
	}
}

func TestRefundOfAnotherAmountNeedsReconciliation(t *testing.T) {
	t.Parallel()
	otherAmount := refundResponse(payment.Succeeded, 499)
	p := &scriptedProcessor{
		refunds: []response{otherAmount},
		lookups: refundLookups(otherAmount, otherAmount, refundResponse(payment.Succeeded, 500)),
	}
	env := newRefundEnvironment(t, p)
	env.SetOnTimerScheduledListener(func(_ string, d time.Duration) { require.GreaterOrEqual(t, d, 2*time.Second) })
	var first updateCallbacks
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow(payment.UpdateOutcome, "", &first) }, 0)
	execute(env, payment.WorkflowRefund, refundRequest(500))
	require.NoError(t, env.GetWorkflowError())
	reported, ok := first.value.(payment.Refund)
	require.True(t, ok)
	require.Equal(t, payment.NeedsReconciliation, reported.Status)
	require.Contains(t, reported.Failure.Message, "4.99 USD")
}
