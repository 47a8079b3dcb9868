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

// writeWebhookConfig writes a worker.yaml with webhooks, and returns its path. That worker polls a pending payment only
// once an hour: within a test, only an event can resolve it.
func writeWebhookConfig(t *testing.T, env *environment.Environment) string {
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

// sendEvent sends an event about data, signed with secret, as a processor does. The simulator sends no events itself.
// It returns the response's status and body.
func (p *process) sendEvent(t *testing.T, id string, data any, secret string) (status int, text string) {
	t.Helper()
	return p.send(t, map[string]any{"id": id, "type": "updated", "data": data}, secret)
}

// send sends an event, as sendEvent does.
func (p *process) send(t *testing.T, event any, secret string) (status int, text string) {
	t.Helper()
	body, err := json.Marshal(event)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.webhooks+"/webhooks/simulator", bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set(rest.SignatureHeader, webhook.Sign(secret, body, time.Now()))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(bytes.TrimSpace(content))
}

func TestEventFinishesAPendingPaymentAndItsRefund(t *testing.T) {
	worker := command(t, shared, "worker", "--config", writeWebhookConfig(t, shared))
	worker.Env = append(worker.Env, "SIMULATOR_WEBHOOK_SECRET="+webhookSecret)
	p := startProcess(t, worker)
	wait := func(workflowID string, into any) error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return shared.Temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, into)
	}

	key := fmt.Sprintf("event-%d", time.Now().UnixNano()) // unique: with -count all runs share the environment
	a := starter(t, shared, chargeFlags(key, "tok_pending")...)
	require.Equal(t, 5, a.code, "%+v", a)
	var charge payment.Charge
	a.decode(t, &charge)
	require.Equal(t, payment.Pending, charge.Status)
	paymentRecord := succeededPayment(t, charge.ProcessorPaymentID)
	require.Equal(t, 5, starter(t, shared, "get", "--merchant", "acme", "--key", key).code, "no event was sent yet")

	status, text := p.sendEvent(t, "evt_forged", paymentRecord, "whsec_guessed")
	require.Equal(t, []any{401, "mismatch"}, []any{status, text})
	status, text = p.sendEvent(t, "evt_paid", paymentRecord, webhookSecret)
	require.Equal(t, []any{200, "signaled"}, []any{status, text})
	require.NoError(t, wait(payment.ChargeWorkflowID("acme", key), &charge))
	require.Equal(t, payment.Succeeded, charge.Status)
	status, text = p.sendEvent(t, "evt_late", paymentRecord, webhookSecret)
	require.Equal(t, []any{200, "recheck"}, []any{status, text}, "the outcome is persisted already: does the processor contradict it?")
	status, text = p.sendEvent(t, "evt_late", paymentRecord, webhookSecret)
	require.Equal(t, []any{200, "known"}, []any{status, text})

	// A dispute is a divergence until an operator has dealt with it.
	status, text = p.send(t, map[string]any{"id": "evt_disputed", "type": "dispute.created",
		"data": map[string]any{"id": "dp_1", "payment_id": charge.ProcessorPaymentID}}, webhookSecret)
	require.Equal(t, []any{200, "dispute"}, []any{status, text})
	var page payment.DivergencePage
	starter(t, shared, "divergences", "--json", "--open", "--payment", charge.PaymentID).decode(t, &page)
	require.Len(t, page.Divergences, 1)
	require.Contains(t, starter(t, shared, "list", "--divergent").stdout, key)
	a = starter(t, shared, "divergences", "acknowledge", page.Divergences[0].DivergenceID, "--by", "jane")
	require.Zero(t, a.code, "%+v", a)
	require.Contains(t, a.stdout, "acknowledged by jane")
	require.NotContains(t, starter(t, shared, "list", "--divergent").stdout, key)
	require.Equal(t, 6, starter(t, shared, "divergences", "acknowledge", "div_unknown", "--by", "jane").code)

	a = starter(t, shared, chargeFlags(key+"-refund", "tok_refund_pending")...)
	require.Zero(t, a.code, "%+v", a)
	a = starter(t, shared, "refund", "--json", "--merchant", "acme", "--key", key, "--charge-key", key+"-refund")
	require.Equal(t, 5, a.code, "%+v", a)
	var refund payment.Refund
	a.decode(t, &refund)
	refundRecord := succeededRefund(t, refund.ProcessorRefundID)
	status, text = p.sendEvent(t, "evt_returned", refundRecord, webhookSecret)
	require.Equal(t, []any{200, "signaled"}, []any{status, text})
	require.NoError(t, wait(payment.RefundWorkflowID("acme", key), &refund))
	require.Equal(t, payment.Succeeded, refund.Status)

	require.Zero(t, p.stop(t))
	require.NotContains(t, p.log.String(), webhookSecret)
	require.Contains(t, p.log.String(), "signaled a workflow about a processor event")
}

// succeededPayment waits until the payment has succeeded in the simulator, and returns the simulator's record.
func succeededPayment(t *testing.T, id string) (record any) {
	t.Helper()
	require.Eventually(t, func() bool {
		ledger, err := shared.Simulator.Ledger(t.Context())
		require.NoError(t, err)
		for _, p := range ledger.Payments {
			if p.ID == id && p.Status == "succeeded" {
				record = p
				return true
			}
		}
		return false
	}, timeout, 50*time.Millisecond)
	return record
}

// succeededRefund is like succeededPayment, for a refund.
func succeededRefund(t *testing.T, id string) (record any) {
	t.Helper()
	require.Eventually(t, func() bool {
		ledger, err := shared.Simulator.Ledger(t.Context())
		require.NoError(t, err)
		for _, r := range ledger.Refunds {
			if r.ID == id && r.Status == "succeeded" {
				record = r
				return true
			}
		}
		return false
	}, timeout, 50*time.Millisecond)
	return record
}
