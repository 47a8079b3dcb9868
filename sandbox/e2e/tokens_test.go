package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// tokens returns the simulator's tokens for one kind of operation.
func tokens(scope string) (found []simulator.Token) {
	for _, token := range simulator.Tokens() {
		if token.Scope == scope {
			found = append(found, token)
		}
	}
	return found
}

func TestEachChargeTokenHasItsDocumentedOutcome(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: slower})
	table := tokens("charge")
	charges := make([]payment.Charge, len(table))
	var group errgroup.Group
	var rateLimited []int // indexes of the tokens that cause a 429
	for i, token := range table {
		if strings.HasPrefix(token.Name, "tok_429") {
			rateLimited = append(rateLimited, i)
			continue
		}
		group.Go(func() (err error) {
			charges[i], err = chargeUntilResolved(t.Context(), env, charge(token.Name, token.Name))
			return err
		})
	}
	// A 429 delays all calls to its processor: these charges run one after the other, on a processor of their own.
	group.Go(func() (err error) {
		for _, i := range rateLimited {
			req := charge(table[i].Name, table[i].Name)
			req.Processor = environment.BackupName
			if charges[i], err = chargeUntilResolved(t.Context(), env, req); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, group.Wait())
	for i, token := range table {
		t.Run(token.Name, func(t *testing.T) {
			require.Equal(t, token.ExpectedStatus, string(charges[i].Status), token.Description)
			requireHistoryWithoutSecrets(t, env, payment.ChargeWorkflowID("acme", token.Name))
		})
	}
	requireLedgerMatches(t, env, charges, nil)
	requireRedactedAuditLog(t, env, charges)
}

// requireRedactedAuditLog requires that the audit log has every charge, and no API key, payment method or idempotency key.
func requireRedactedAuditLog(t *testing.T, env *environment.Environment, charges []payment.Charge) {
	t.Helper()
	content, err := os.ReadFile(env.Config.Audit.Path)
	require.NoError(t, err)
	text := string(content)
	require.NotContains(t, text, "sim_sandbox_key")
	require.NotContains(t, text, "tok_", "payment methods")
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"operation":"lookup"`) {
			require.Contains(t, line, `"payment_id":"pay_`)
		}
	}
	for _, c := range charges {
		require.Contains(t, text, c.PaymentID)
		require.NotContains(t, text, payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0), "idempotency keys")
	}
}

func TestEachRefundTokenHasItsDocumentedOutcome(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	table := append(tokens("refund"), simulator.Token{Name: "tok_visa", ExpectedStatus: "succeeded"})
	table = slices.DeleteFunc(table, func(t simulator.Token) bool { return t.Name == failsLate })
	charges, refunds := make([]payment.Charge, len(table)), make([]payment.Refund, len(table))
	var group errgroup.Group
	for i, token := range table {
		group.Go(func() (err error) {
			if charges[i], err = chargeUntilResolved(t.Context(), env, charge(token.Name, token.Name)); err != nil {
				return err
			}
			refunds[i], err = env.Florin.Refund(t.Context(), refund("refund-"+token.Name, charges[i].PaymentID, 250))
			if err == nil && refunds[i].Status == payment.Pending {
				refunds[i], err = env.Florin.WaitRefund(t.Context(), "acme", "refund-"+token.Name)
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	for i, token := range table {
		t.Run(token.Name, func(t *testing.T) {
			require.Equal(t, payment.Succeeded, charges[i].Status)
			require.Equal(t, token.ExpectedStatus, string(refunds[i].Status), token.Description)
		})
	}
	requireLedgerMatches(t, env, charges, refunds)
}

// failsLate is the token whose refund changes after Florin has reported it.
const failsLate = "tok_refund_fails_late"

func TestRefundThatFailsLateIsReportedAsSucceededFirst(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	paid := succeed(t, env, charge("paid", failsLate))
	r, err := env.Florin.Refund(t.Context(), refund("refund", paid.PaymentID, 250))
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, r.Status)
	require.Eventually(t, func() bool {
		ledger, err := env.Simulator.Ledger(t.Context())
		require.NoError(t, err)
		return ledger.Refunds[0].Status == string(payment.Declined) && ledger.Payments[0].RefundedAmount == 0
	}, 10*time.Second, 20*time.Millisecond)
}

// requireHistoryWithoutSecrets requires that the processor's API key is not in the history of a workflow.
func requireHistoryWithoutSecrets(t *testing.T, env *environment.Environment, workflowID string) {
	t.Helper()
	events := env.Temporal.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		text, err := proto.Marshal(event) // not as JSON, which encodes payloads in base64
		require.NoError(t, err)
		require.NotContains(t, string(text), "sim_sandbox_key")
		require.NotContains(t, string(text), "Bearer")
	}
}

func TestLongRetryAfterIsATimerWithASummary(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := charge("long", "tok_429_long")
	_, err := env.Florin.StartCharge(t.Context(), req)
	require.NoError(t, err)
	workflowID := payment.ChargeWorkflowID(req.MerchantID, req.IdempotencyKey)
	var summary string
	require.Eventually(t, func() bool {
		events := env.Temporal.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			if event.GetTimerStartedEventAttributes() != nil {
				summary = string(event.GetUserMetadata().GetSummary().GetData())
				return true
			}
		}
		return false
	}, 10*time.Second, 20*time.Millisecond)
	require.Contains(t, summary, "Retry-After")
	c, err := chargeUntilResolved(t.Context(), env, req)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status)
}
