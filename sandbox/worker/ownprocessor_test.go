package worker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
)

// The worker of examples/ownprocessor, a module of its own, charges and refunds at a processor that only its adapter knows.
func TestWorkerWithAnOwnAdapterChargesRefundsAndReceivesEvents(t *testing.T) {
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binaries, ".")
	build.Dir = "../../examples/ownprocessor"
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	processor := &acme{transactions: map[string]map[string]any{}}
	server := httptest.NewServer(processor)
	defer server.Close()
	config := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
health: {listen: "127.0.0.1:0"}
webhooks: {listen: "127.0.0.1:0"}
store: {sqlite: %q}
processors:
  acme:
    adapter: acme
    base_url: %s
    api_key: {env: ACME_API_KEY}
    webhook_secrets: [{env: ACME_WEBHOOK_SECRET}]
    pending: {initial: 1h, max: 1h, for: 24h} # only an event can finish a pending payment within the test
`, shared.Config.Store.SQLite, server.URL), 0o600))
	worker := command(t, shared, "ownprocessor", "-config", config)
	worker.Env = append(worker.Env, "ACME_API_KEY=key_of_acme", "ACME_WEBHOOK_SECRET="+webhookSecret)
	p := startProcess(t, worker)
	key := fmt.Sprintf("own-%d", time.Now().UnixNano()) // unique: with -count all runs share the environment

	var charge payment.Charge
	a := starter(t, shared, chargeFlags(key, "tok_1")...)
	require.Zero(t, a.code, "%+v", a)
	a.decode(t, &charge)
	require.Equal(t, []any{payment.Succeeded, "acme", int64(1250)}, []any{charge.Status, charge.Processor, charge.CapturedAmount})

	var refund payment.Refund
	a = starter(t, shared, "refund", "--json", "--merchant", "acme", "--key", key, "--charge-key", key)
	require.Zero(t, a.code, "%+v", a)
	a.decode(t, &refund)
	require.Equal(t, payment.Succeeded, refund.Status)

	a = starter(t, shared, chargeFlags(key+"-pending", "tok_working")...)
	require.Equal(t, 5, a.code, "%+v", a)
	a.decode(t, &charge)
	require.Equal(t, http.StatusOK, p.sendAcmeEvent(t, processor.settle(charge.ProcessorPaymentID)))
	require.Eventually(t, func() bool {
		return starter(t, shared, "get", "--merchant", "acme", "--key", key+"-pending").code == 0
	}, timeout, 50*time.Millisecond)
	require.Zero(t, p.stop(t))
}

// sendAcmeEvent sends an event about the transaction, as Acme does, and returns the status of the response.
func (p *process) sendAcmeEvent(t *testing.T, transaction map[string]any) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"event": "evt_1", "kind": "settled", "transaction": transaction})
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.webhooks+"/webhooks/acme", bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Acme-Signature", webhook.Sign(webhookSecret, body, time.Now()))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// acme is the imaginary processor, as far as the test needs it.
type acme struct {
	mu           sync.Mutex
	transactions map[string]map[string]any // by order
}

// settle settles the transaction with the ID, and returns it.
func (a *acme) settle(id string) map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.transactions {
		if t["id"] == id {
			t["state"], t["settled"] = "settled", t["amount"]
			return t
		}
	}
	return nil
}

// ServeHTTP charges and refunds once per order, and finds charges by their order.
func (a *acme) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	order := r.FormValue("order")
	switch {
	case r.Header.Get("Authorization") != "Bearer key_of_acme":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.Method == http.MethodGet:
		found := []any{}
		if t := a.transactions[order]; t != nil {
			found = append(found, t)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": found})
		return
	case a.transactions[order] == nil:
		a.transactions[order] = transactionOf(r, fmt.Sprintf("tx_%d", len(a.transactions)+1))
	}
	_ = json.NewEncoder(w).Encode(a.transactions[order])
}

// transactionOf returns the transaction that a POST request creates.
func transactionOf(r *http.Request, id string) map[string]any {
	meta := map[string]string{}
	for name := range r.PostForm {
		if key, ok := strings.CutPrefix(name, "meta."); ok {
			meta[key] = r.PostForm.Get(name)
		}
	}
	amount := json.Number(r.PostForm.Get("amount"))
	t := map[string]any{"id": id, "amount": amount, "currency": "usd", "order": r.PostForm.Get("order"), "meta": meta}
	switch {
	case r.URL.Path != "/transactions":
		t["state"] = "returned"
	case r.PostForm.Get("source") == "tok_working":
		t["state"] = "working"
	default:
		t["state"], t["settled"] = "settled", amount
	}
	return t
}
