// Package e2e tests Florin end to end: package florin, a real Temporal server, the real worker, real HTTP to
// the simulated processor, and its ledger as the witness.
package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
	"github.com/florinpay/florin/sandbox/environment"
)

// start runs an environment for one test.
func start(tb testing.TB, o environment.Options) *environment.Environment {
	tb.Helper()
	env, err := environment.Start(context.Background(), o)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, env.Stop()) })
	return env
}

func charge(key, token string) payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: token}
}

// final charges and stays until the status is final or a human is asked.
func final(ctx context.Context, env *environment.Environment, req payment.ChargeRequest) (payment.Charge, error) {
	c, err := env.Florin.Charge(ctx, req)
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for err == nil && !c.Status.Final() && c.Status != payment.NeedsReconciliation {
		<-ticks.C
		c, err = env.Florin.Get(ctx, req.MerchantID, req.IdempotencyKey)
	}
	return c, err
}

// succeed charges with a token that ends well.
func succeed(tb testing.TB, env *environment.Environment, req payment.ChargeRequest) payment.Charge {
	tb.Helper()
	c, err := final(tb.Context(), env, req)
	require.NoError(tb, err)
	require.Equal(tb, payment.Succeeded, c.Status)
	return c
}

// requireEqualBooks compares what was reported with the simulator's ledger.
func requireEqualBooks(tb testing.TB, env *environment.Environment, charges []payment.Charge, refunds []payment.Refund) {
	tb.Helper()
	ledger, err := env.Simulator.Ledger(tb.Context())
	require.NoError(tb, err)
	compared := books.Compare(charges, refunds, ledger)
	require.Empty(tb, compared.Differences)
	require.Zero(tb, compared.DoubleCharges)
}
