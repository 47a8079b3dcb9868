package e2e

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// Temporal's own errors, such as "unknown update outcome. KnownUpdates=[]", do not lead to the cause.
func TestErrorsOfDifferentDataConvertersNameTheCause(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	succeed(t, env, charge("plain", "tok_visa"))
	authorize(t, env, manual("held", "tok_visa"))
	compressed := converter.NewCodecDataConverter(
		converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	temporal, err := client.NewClientFromExisting(env.Temporal, client.Options{Namespace: "default", DataConverter: compressed})
	require.NoError(t, err)
	c := florin.NewClient(temporal, florin.Options{DataConverter: compressed})
	const want = "the client and the worker probably use different data converters: set the Temporal client's, " +
		"florin.Options.DataConverter and worker.Options.DataConverter to the same one: "
	fails := func(ctx context.Context, key string) error {
		_, err := c.StartCharge(ctx, charge(key, "tok_visa"))
		require.NoError(t, err)
		_, err = c.Wait(ctx, "acme", key)
		return err
	}
	t.Run("with a worker", func(t *testing.T) {
		for name, call := range map[string]func(context.Context) error{
			"charge": func(ctx context.Context) error {
				_, err := c.Charge(ctx, charge("charged", "tok_visa"))
				return err
			},
			"wait": func(ctx context.Context) error { return fails(ctx, "waited") },
			"get": func(ctx context.Context) error {
				_, err := c.Get(ctx, "acme", "plain")
				return err
			},
			"list": func(ctx context.Context) error {
				_, err := c.List(ctx, payment.Filter{})
				return err
			},
			"capture": func(ctx context.Context) error {
				_, err := c.Capture(ctx, "acme", "held", full)
				return err
			},
			"get with the worker's converter": func(ctx context.Context) error {
				require.Error(t, fails(ctx, "read"))
				_, err := env.Florin.Get(ctx, "acme", "read")
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := call(t.Context())
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), "store")
			})
		}
	})
	env.StopWorker()
	_, err = c.StartCharge(t.Context(), charge("again", "tok_visa"))
	require.NoError(t, err)
	_, err = env.Florin.StartCharge(t.Context(), charge("again", "tok_visa"))
	require.ErrorContains(t, err, want)
}
