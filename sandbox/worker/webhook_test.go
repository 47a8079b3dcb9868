package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

const webhookSecret = "whsec_of_the_simulator"

// configureWebhooks writes a worker.yaml of one that asks for what is pending every hour only.
func configureWebhooks(t *testing.T, env *environment.Environment) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `
health: {listen: "127.0.0.1:0"}
webhooks: {listen: "127.0.0.1:0"}
store: {sqlite: %q}
processors:
  simulator:
    adapter: rest
    base_url: http://127.0.0.1:%d
    api_key: {env: SIMULATOR_API_KEY}
    webhook_secrets: [{env: SIMULATOR_WEBHOOK_SECRET}]
    pending: {initial: 1h, max: 1h, for: 24h}
`, env.Config.Store.SQLite, env.Ports.Simulator), 0o600))
	return path
}

// tell sends an event about data, signed with a secret, as the simulator would if it sent any.
func (p *process) tell(t *testing.T, id string, data any, secret string) (status int, word string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"id": id, "type": "updated", "data": data})
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.webhooks+"/webhooks/simulator", bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set(rest.SignatureHeader, webhook.Sign(secret, body, time.Now()))
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(bytes.TrimSpace(said))
}

func TestAnEventFinishesAPendingPaymentAndItsRefundAtOnce(t *testing.T) {
	worker := command(t, shared, "worker", "--config", configureWebhooks(t, shared))
	worker.Env = append(worker.Env, "SIMULATOR_WEBHOOK_SECRET="+webhookSecret)
	p := run(t, worker)
	finish := func(workflowID string, into any) error {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		return shared.Temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, into)
	}

	key := fmt.Sprintf("event-%d", time.Now().UnixNano()) // new with every run
	a := starter(t, shared, chargeFlags(key, "tok_pending")...)
	require.Equal(t, 5, a.code, "%+v", a)
	var charge payment.Charge
	a.into(t, &charge)
	require.Equal(t, payment.Pending, charge.Status)
	booked := settledPayment(t, charge.ProcessorPaymentID)
	require.Equal(t, 5, starter(t, shared, "get", "--merchant", "acme", "--key", key).code, "nobody has told")

	status, word := p.tell(t, "evt_forged", booked, "whsec_guessed")
	require.Equal(t, []any{401, "mismatch"}, []any{status, word})
	status, word = p.tell(t, "evt_paid", booked, webhookSecret)
	require.Equal(t, []any{200, "signaled"}, []any{status, word})
	require.NoError(t, finish(payment.ChargeWorkflowID("acme", key), &charge))
	require.Equal(t, payment.Succeeded, charge.Status)
	status, word = p.tell(t, "evt_late", booked, webhookSecret)
	require.Equal(t, []any{200, "known"}, []any{status, word}, "the store has its outcome")

	a = starter(t, shared, chargeFlags(key+"-refund", "tok_refund_pending")...)
	require.Zero(t, a.code, "%+v", a)
	a = starter(t, shared, "refund", "--json", "--merchant", "acme", "--key", key, "--charge-key", key+"-refund")
	require.Equal(t, 5, a.code, "%+v", a)
	var refund payment.Refund
	a.into(t, &refund)
	returned := settledRefund(t, refund.ProcessorRefundID)
	status, word = p.tell(t, "evt_returned", returned, webhookSecret)
	require.Equal(t, []any{200, "signaled"}, []any{status, word})
	require.NoError(t, finish(payment.RefundWorkflowID("acme", key), &refund))
	require.Equal(t, payment.Succeeded, refund.Status)

	require.Zero(t, p.stop(t))
	require.NotContains(t, p.log.String(), webhookSecret)
	require.Contains(t, p.log.String(), "signaled a workflow about a processor event")
}

// settledPayment waits until the simulator has decided, and returns its record.
func settledPayment(t *testing.T, id string) (settled any) {
	t.Helper()
	require.Eventually(t, func() bool {
		ledger, err := shared.Simulator.Ledger(t.Context())
		require.NoError(t, err)
		for _, p := range ledger.Payments {
			if p.ID == id && p.Status == "succeeded" {
				settled = p
				return true
			}
		}
		return false
	}, soon, 50*time.Millisecond)
	return settled
}

// settledRefund is settledPayment for a refund.
func settledRefund(t *testing.T, id string) (settled any) {
	t.Helper()
	require.Eventually(t, func() bool {
		ledger, err := shared.Simulator.Ledger(t.Context())
		require.NoError(t, err)
		for _, r := range ledger.Refunds {
			if r.ID == id && r.Status == "succeeded" {
				settled = r
				return true
			}
		}
		return false
	}, soon, 50*time.Millisecond)
	return settled
}
