package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

func TestFiftyConcurrentIdenticalRequestsAreOneCharge(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for _, token := range []string{"tok_visa", "tok_reset_after_charge", "tok_500_once_after_charge"} {
		t.Run(token, func(t *testing.T) {
			charges := make([]payment.Charge, 50)
			var group errgroup.Group
			for i := range charges {
				group.Go(func() (err error) {
					if i%5 == 0 {
						if _, err := env.Florin.StartCharge(t.Context(), charge("same-"+token, token)); err != nil {
							return err
						}
						charges[i], err = env.Florin.Wait(t.Context(), "acme", "same-"+token)
						return err
					}
					charges[i], err = env.Florin.Charge(t.Context(), charge("same-"+token, token))
					return err
				})
			}
			require.NoError(t, group.Wait())
			for _, c := range charges {
				require.Equal(t, charges[0], c)
			}
			require.Equal(t, payment.Succeeded, charges[0].Status)
			ledger, err := env.Simulator.Ledger(t.Context())
			require.NoError(t, err)
			found := 0
			for _, p := range ledger.Payments {
				if p.Metadata["florin_payment_id"] == charges[0].PaymentID {
					found++
				}
			}
			require.Equal(t, 1, found)
		})
	}
}

func TestDifferentRequestWithAUsedKeyIsRefused(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	calls := map[string]func(payment.ChargeRequest) error{
		"Charge":      func(r payment.ChargeRequest) error { _, err := env.Florin.Charge(t.Context(), r); return err },
		"StartCharge": func(r payment.ChargeRequest) error { _, err := env.Florin.StartCharge(t.Context(), r); return err },
	}
	for first, start := range calls {
		for second, repeat := range calls {
			for _, token := range []string{"tok_visa", "tok_pending"} {
				t.Run(fmt.Sprintf("%s after %s of %s", second, first, token), func(t *testing.T) {
					req := charge(fmt.Sprintf("used-%s-%s-%s", first, second, token), token)
					require.NoError(t, start(req))
					if token == "tok_visa" {
						_, err := env.Florin.Wait(t.Context(), req.MerchantID, req.IdempotencyKey)
						require.NoError(t, err)
					}
					require.NoError(t, repeat(req), "the same request is accepted")
					other := req
					other.Amount++
					require.ErrorIs(t, repeat(other), florin.ErrIdempotencyMismatch)
					require.ErrorIs(t, repeat(other), florin.ErrIdempotencyMismatch, "refused again")
				})
			}
		}
	}
}

func TestRepeatedChargeReturnsTheCurrentStatus(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := charge("pending", "tok_pending")
	first, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, payment.Pending, first.Status)
	_, err = env.Florin.Wait(t.Context(), req.MerchantID, req.IdempotencyKey)
	require.NoError(t, err)
	again, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, again.Status)
}

func TestTwoHundredConcurrentChargesWithRandomFaults(t *testing.T) {
	t.Parallel()
	faults, err := simulator.ParseRates("500=0.15,429=0.05,401=0.05,network=0.05")
	require.NoError(t, err)
	const seed = 20261122
	t.Logf("seed %d", seed)
	env := start(t, environment.Options{Simulator: simulator.Options{
		Faults: faults, Seed: seed, Latency: simulator.LatencyRange{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
	}, Tune: func(c *config.Config) {
		// The responses with 429 cut the rate of all calls, also of lookups.
		p := c.Processors[environment.ProcessorName]
		p.ScheduleToClose, p.Resolve.For = activities.Duration(30*time.Second), activities.Duration(90*time.Second)
		c.Processors[environment.ProcessorName] = p
	}})
	charges := make([]payment.Charge, 200)
	var group errgroup.Group
	for i := range charges {
		group.Go(func() error {
			c, err := env.Florin.Charge(t.Context(), charge(fmt.Sprintf("restless-%d", i), "tok_visa"))
			charges[i] = c
			return err
		})
	}
	require.NoError(t, group.Wait())
	for _, c := range charges {
		require.True(t, c.Status.Final(), "%s is %s", c.IdempotencyKey, c.Status)
	}
	requireLedgerMatches(t, env, charges, nil)
}

func TestChargeContinuesAfterAWorkerRestart(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"tok_500_twice", "tok_timeout_after_charge", "tok_500_after_charge", "tok_pending"} {
		t.Run(token, func(t *testing.T) {
			env := start(t, environment.Options{})
			req := charge("restarted", token)
			_, err := env.Florin.StartCharge(t.Context(), req)
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				d, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", "restarted"), "")
				require.NoError(t, err)
				return len(d.GetPendingActivities()) > 0 || d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
			}, 10*time.Second, 5*time.Millisecond)
			env.StopWorker()
			require.NoError(t, env.StartWorker(t.Context()))
			c := succeed(t, env, req)
			requireLedgerMatches(t, env, []payment.Charge{c}, nil)
		})
	}
}

func TestChargesContinueAfterAFullRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	req, pending := charge("before", "tok_visa"), charge("pending", "tok_pending")
	env, err := environment.Start(t.Context(), environment.Options{DataDir: dir})
	require.NoError(t, err)
	before, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	_, err = env.Florin.StartCharge(t.Context(), pending)
	require.NoError(t, err)
	require.NoError(t, env.Stop())

	env = start(t, environment.Options{DataDir: dir})
	after, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, before, after)
	resolved, err := env.Florin.Wait(t.Context(), pending.MerchantID, pending.IdempotencyKey)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, resolved.Status)
	requireLedgerMatches(t, env, []payment.Charge{after, resolved}, nil)
}

func TestServiceInAnotherLanguageCanStartACharge(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	// Another SDK has only the names and the JSON of the contract: no search attributes, no fingerprint.
	run := func(key, token string) (payment.Charge, error) {
		handle, err := env.Temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: "charge/acme/" + key, TaskQueue: "payments",
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		}, "Charge", map[string]any{
			"merchant_id": "acme", "idempotency_key": key, "amount": 1250, "currency": "USD", "payment_method": token,
		})
		require.NoError(t, err)
		var c payment.Charge
		err = handle.Get(t.Context(), &c)
		return c, err
	}
	c, err := run("foreign", "tok_visa")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status)
	requireLedgerMatches(t, env, []payment.Charge{c}, nil)

	_, err = run("foreign-card", "4242424242424242")
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.Equal(t, "InvalidRequest", application.Type())
}
