package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// refund is a request for a part of a payment.
func refund(key, paymentID string, amount int64) payment.RefundRequest {
	return payment.RefundRequest{MerchantID: "acme", IdempotencyKey: key, PaymentID: paymentID, Amount: &amount}
}

func TestImpossibleRefundReturnsATypedError(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	paid := succeed(t, env, charge("paid", "tok_visa"))
	declined, err := env.Florin.Charge(t.Context(), charge("declined", "tok_insufficient_funds"))
	require.NoError(t, err)
	foreign := refund("foreign", paid.PaymentID, 100)
	foreign.MerchantID = "globex"
	tests := []struct {
		name string
		req  payment.RefundRequest
		want error
	}{
		{name: "exceeds the captured amount", req: refund("r1", paid.PaymentID, 1251), want: florin.ErrRefundExceedsCaptured},
		{name: "of a declined payment", req: refund("r2", declined.PaymentID, 100), want: florin.ErrPaymentNotRefundable},
		{name: "of an unknown payment", req: refund("r3", payment.PaymentID("acme", "never"), 100), want: florin.ErrPaymentNotFound},
		{name: "of another merchant's payment", req: foreign, want: florin.ErrPaymentNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := env.Florin.Refund(t.Context(), tt.req)
			require.ErrorIs(t, err, tt.want)
			_, err = env.Florin.Refund(t.Context(), tt.req)
			require.ErrorIs(t, err, tt.want, "the same when repeated")
		})
	}
	requireLedgerMatches(t, env, []payment.Charge{paid, declined}, nil)
}

func TestConcurrentRefundsNeverExceedTheCapturedAmount(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	paid := succeed(t, env, charge("paid", "tok_visa"))
	refunds := make([]payment.Refund, 20)
	var group errgroup.Group
	for i := range refunds {
		group.Go(func() error {
			r, err := env.Florin.Refund(t.Context(), refund(fmt.Sprintf("part-%d", i), paid.PaymentID, 100))
			refunds[i] = r
			return err
		})
	}
	err := group.Wait()
	if err != nil {
		require.ErrorIs(t, err, florin.ErrRefundExceedsCaptured)
	}
	succeeded := 0
	var reported []payment.Refund
	for _, r := range refunds {
		if r.Status == payment.Succeeded {
			succeeded++
		}
		if r.Status != "" {
			reported = append(reported, r)
		}
	}
	require.Equal(t, 12, succeeded, "12 refunds of 1.00 USD fit into 12.50 USD")
	requireLedgerMatches(t, env, []payment.Charge{paid}, reported)
}
