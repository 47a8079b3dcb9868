// Package e2e tests Florin end to end: package florin, a real Temporal server, the real worker, and real HTTP to the
// simulated processor. The tests compare the reported outcomes with the simulator's ledger.
package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/books"
	"github.com/florinpay/florin/sandbox/environment"
)

// start starts an environment and stops it at the end of the test.
func start(tb testing.TB, o environment.Options) *environment.Environment {
	tb.Helper()
	env, err := environment.Start(context.Background(), o)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, env.Stop()) })
	return env
}

// charge is a request for 12.50 USD.
func charge(key, token string) payment.ChargeRequest {
	return payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: token}
}

// chargeUntilResolved charges, then polls until the status is final or needs_reconciliation, for at most two minutes. It asks again
// after ErrOutcomePending and ErrNoWorker, as a service does: on a slow machine, a read may take longer than its deadline.
func chargeUntilResolved(ctx context.Context, env *environment.Environment, req payment.ChargeRequest) (payment.Charge, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c, err := env.Florin.Charge(ctx, req)
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for errors.Is(err, florin.ErrOutcomePending) || errors.Is(err, florin.ErrNoWorker) ||
		err == nil && !c.Status.Final() && c.Status != payment.NeedsReconciliation {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return c, errors.Join(ctx.Err(), err)
		}
		c, err = env.Florin.Get(ctx, req.MerchantID, req.IdempotencyKey)
	}
	return c, err
}

// succeed charges and requires that the payment succeeds.
func succeed(tb testing.TB, env *environment.Environment, req payment.ChargeRequest) payment.Charge {
	tb.Helper()
	c, err := chargeUntilResolved(tb.Context(), env, req)
	require.NoError(tb, err)
	require.Equal(tb, payment.Succeeded, c.Status)
	return c
}

// requireLedgerMatches requires that the simulator's ledger has exactly the reported charges and refunds, each once.
func requireLedgerMatches(tb testing.TB, env *environment.Environment, charges []payment.Charge, refunds []payment.Refund) {
	tb.Helper()
	ledger, err := env.Simulator.Ledger(tb.Context())
	require.NoError(tb, err)
	compared := books.Compare(charges, refunds, ledger)
	require.Empty(tb, compared.Differences)
	require.Zero(tb, compared.DoubleCharges)
}
