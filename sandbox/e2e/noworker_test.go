package e2e

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// Without a worker, the cause is named before a caller gives up.
func TestReadsWithoutAWorkerFailWithin5Seconds(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	succeed(t, env, charge("final", "tok_visa"))
	pending, err := env.Florin.Charge(t.Context(), manual("authorized", "tok_visa"))
	require.NoError(t, err)
	require.Equal(t, payment.Authorized, pending.Status)
	env.StopWorker()
	_, err = env.Florin.StartCharge(t.Context(), charge("started", "tok_visa"))
	require.NoError(t, err)
	get := func(key string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := env.Florin.Get(ctx, "acme", key)
			return err
		}
	}
	for name, call := range map[string]func(context.Context) error{
		"a final payment":               get("final"),
		"a payment that waits":          get("authorized"),
		"a payment that has not begun":  get("started"),
		"a payment that does not exist": get("never"),
		"a refund that does not exist": func(ctx context.Context) error {
			_, err := env.Florin.GetRefund(ctx, "acme", "never")
			return err
		},
		"waiting for a payment that does not exist": func(ctx context.Context) error {
			_, err := env.Florin.Wait(ctx, "acme", "never")
			return err
		},
		"a list": func(ctx context.Context) error {
			_, err := env.Florin.List(ctx, payment.Filter{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := call(t.Context())
			require.Less(t, time.Since(began), 5500*time.Millisecond)
			require.ErrorIs(t, err, florin.ErrNoWorker)
			require.ErrorContains(t, err, `no worker answers on task queue "payments-read"`)
			require.NotErrorIs(t, err, florin.ErrOutcomePending)
		})
	}
	t.Run("a charge waits for a worker, as long as its caller does", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := env.Florin.Charge(ctx, charge("waiting", "tok_visa"))
		require.ErrorIs(t, err, florin.ErrOutcomePending)
	})
}

// A worker whose store is down still returns what is wrong.
func TestReadsNameTheStoreThatIsDown(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	succeed(t, env, charge("final", "tok_visa"))
	db, err := sql.Open("sqlite", "file:"+env.Config.Store.SQLite)
	require.NoError(t, err)
	defer db.Close()
	for _, table := range []string{"refunds", "payments"} {
		_, err = db.ExecContext(t.Context(), "ALTER TABLE "+table+" RENAME TO gone_"+table)
		require.NoError(t, err)
	}
	_, err = env.Florin.StartCharge(t.Context(), charge("begins", "tok_visa"))
	require.NoError(t, err)
	for _, key := range []string{"final", "begins"} {
		_, err = env.Florin.Get(t.Context(), "acme", key)
		require.ErrorContains(t, err, "a worker cannot read the store: ", key)
		require.ErrorContains(t, err, "payments", key)
		require.NotErrorIs(t, err, florin.ErrNoWorker, key)
	}
	require.ErrorIs(t, err, florin.ErrOutcomePending, "the payment that begins is not lost")
}
