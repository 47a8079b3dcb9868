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

func refund(key, paymentID string, amount int64) payment.RefundRequest {
	return payment.RefundRequest{MerchantID: "acme", IdempotencyKey: key, PaymentID: paymentID, Amount: &amount}
}

func TestARefundThatCannotBeGetsATypedError(t *testing.T) {
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
		{"more than was captured", refund("r1", paid.PaymentID, 1251), florin.ErrRefundExceedsCaptured},
		{"of a declined payment", refund("r2", declined.PaymentID, 100), florin.ErrPaymentNotRefundable},
		{"of a payment that does not exist", refund("r3", payment.PaymentID("acme", "never"), 100), florin.ErrPaymentNotFound},
		{"of another merchant's payment", foreign, florin.ErrPaymentNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := env.Florin.Refund(t.Context(), tt.req)
			require.ErrorIs(t, err, tt.want)
			_, err = env.Florin.Refund(t.Context(), tt.req)
			require.ErrorIs(t, err, tt.want, "the same again")
		})
	}
	requireEqualBooks(t, env, []payment.Charge{paid, declined}, nil)
}

func TestManyRefundsAtOnceNeverExceedWhatWasCaptured(t *testing.T) {
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
	require.Equal(t, 12, succeeded, "12 times 1.00 fit into 12.50 USD")
	requireEqualBooks(t, env, []payment.Charge{paid}, reported)
}
