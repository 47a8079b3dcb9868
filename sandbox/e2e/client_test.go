package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

func TestUnknownPaymentIsNotFound(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	_, err := env.Florin.Get(t.Context(), "acme", "never")
	require.ErrorIs(t, err, florin.ErrNotFound)
	_, err = env.Florin.GetRefund(t.Context(), "acme", "never")
	require.ErrorIs(t, err, florin.ErrNotFound)
	_, err = env.Florin.Wait(t.Context(), "acme", "never")
	require.ErrorIs(t, err, florin.ErrNotFound)
}

func TestUnknownProcessorIsRefused(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := charge("nowhere", "tok_visa")
	req.Processor = "nowhere"

	_, err := env.Florin.Charge(t.Context(), req)
	require.ErrorIs(t, err, florin.ErrInvalidRequest)
	require.ErrorContains(t, err, "backup or simulator")

	restricted := florin.NewClient(env.Temporal, florin.Options{Processors: []string{"simulator"}})
	req.IdempotencyKey = "never-started"
	_, err = restricted.Charge(t.Context(), req)
	var invalid *payment.InvalidRequestError
	require.ErrorAs(t, err, &invalid)
	_, err = env.Florin.Get(t.Context(), "acme", "never-started")
	require.ErrorIs(t, err, florin.ErrNotFound)
}

func TestChargeCanBeRepeatedAfterItsDeadline(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := charge("slow", "tok_timeout_after_charge")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := env.Florin.Charge(ctx, req)
	require.ErrorIs(t, err, florin.ErrOutcomePending)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	succeed(t, env, req)
}

func TestPaymentsAreFoundBySearchAttributes(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for key, token := range map[string]string{"ok": "tok_visa", "no": "tok_stolen_card", "forbidden": "tok_403"} {
		_, err := env.Florin.Charge(t.Context(), charge(key, token))
		require.NoError(t, err)
	}
	for query, want := range map[string]string{
		`PaymentStatus = "succeeded"`: "charge/acme/ok",
		`PaymentStatus = "declined"`:  "charge/acme/no",
		`FailureClass = "permission"`: "charge/acme/forbidden",
		fmt.Sprintf(`PaymentId = %q AND MerchantId = "acme" AND Amount = 1250 AND Currency = "USD" AND Processor = "simulator"`, payment.PaymentID("acme", "ok")): "charge/acme/ok",
	} {
		require.Eventually(t, func() bool {
			found, err := env.Temporal.ListWorkflow(t.Context(), listRequest(query))
			require.NoError(t, err)
			return len(found.GetExecutions()) == 1 && found.GetExecutions()[0].GetExecution().GetWorkflowId() == want
		}, 10*time.Second, 20*time.Millisecond, query)
	}
}
