package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// startSimulator starts the simulator. It returns the path of a configuration with it, and the opened processor.
func startSimulator(t *testing.T) (path string, p *app.OpenProcessor) {
	t.Helper()
	sim, err := simulator.Open(t.Context(), simulator.Options{APIKey: "sim_direct_key"})
	require.NoError(t, err)
	s := httptest.NewServer(sim.Handler())
	t.Cleanup(s.Close)
	t.Setenv("DIRECT_KEY", "sim_direct_key")
	path = filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `
processors:
  simulator: {adapter: rest, base_url: %q, api_key: {env: DIRECT_KEY}}
`, s.URL), 0o600))
	loaded, err := config.Load(path, app.BuiltIn)
	require.NoError(t, err)
	p, err = app.OpenStandalone(t.Context(), loaded, "", &bytes.Buffer{})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return path, p
}

func TestGetDirectPrintsTheRecordOfTheProcessor(t *testing.T) {
	config, p := startSimulator(t)
	id := payment.PaymentID("acme", "order-1")
	paid, err := p.Charge(t.Context(), processor.ChargeCall{
		Key: payment.ProcessorKey(id, payment.OperationCharge, 0), PaymentID: id, MerchantID: "acme",
		Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	})
	require.NoError(t, err)
	refundID := payment.RefundID("acme", "refund-1")
	_, err = p.Refund(t.Context(), processor.RefundCall{
		Key: payment.ProcessorKey(refundID, payment.OperationRefund, 0), RefundID: refundID, MerchantID: "acme",
		ProcessorPaymentID: paid.ID, Amount: 500, Currency: "USD",
	})
	require.NoError(t, err)

	get := []string{"get", "--direct", "--config", config, "--merchant", "acme", "--key"}
	out, audit, err := execute(t, "", append(get, "order-1")...)
	require.NoError(t, err)
	require.Contains(t, out, paid.ID)
	require.Contains(t, out, "succeeded")
	require.Contains(t, out, "5.00 USD", "the refunded amount")
	require.Contains(t, out, "simulator at http://127.0.0.1:")
	require.Contains(t, audit, `"operation":"lookup","payment_id":"`+id+`"`)
	require.NotContains(t, audit, "sim_direct_key")

	out, _, err = execute(t, "", append(get, "refund-1", "--refund", "--charge-key", "order-1", "--json")...)
	require.NoError(t, err)
	require.Contains(t, out, `"amount": 500`)

	byID, _, err := execute(t, "", "get", "--direct", "--config", config, "--payment-id", id)
	require.NoError(t, err)
	require.Contains(t, byID, paid.ID)
	out, _, err = execute(t, "", "get", "--direct", "--config", config, "--refund-id", refundID)
	require.NoError(t, err)
	require.Contains(t, out, "5.00 USD")
	_, _, err = execute(t, "", "get", "--direct", "--config", config, "--refund-id", refundID, "--charge-key", "order-1")
	require.Equal(t, exitUsage, exitCode(err), "the charge's merchant is not known")

	_, _, err = execute(t, "", append(get, "order-2")...)
	require.Equal(t, exitNotFound, exitCode(err))
	_, _, err = execute(t, "", append(get, "refund-1", "--refund", "--charge-key", "order-2")...)
	require.Equal(t, exitNotFound, exitCode(err))
}

func TestDirectCallsMakeTheConfiguredNumberOfAttempts(t *testing.T) {
	var requests atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	t.Setenv("DIRECT_KEY", "sim_direct_key")
	for _, attempts := range []int32{1, 3} {
		requests.Store(0)
		path := filepath.Join(t.TempDir(), "worker.yaml")
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `
processors:
  down:
    adapter: rest
    base_url: %q
    api_key: {env: DIRECT_KEY}
    retry: {initial: 1ms, max: 1ms, jitter: 0, max_attempts: %d}
`, s.URL, attempts), 0o600))
		_, audit, err := execute(t, "", "get", "--direct", "--config", path, "--merchant", "acme", "--key", "order-1")
		require.Error(t, err)
		require.Equal(t, attempts, requests.Load())
		require.Equal(t, int(attempts), strings.Count(audit, `"operation":"lookup"`), "each attempt has its record")
	}
}

func TestResponseOfAProcessorCannotRedrawTheTerminal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{\"id\": \"ch_1\u009b2J\u202e\",\r\n\t\"é\": 1}\x1b[2J")) // the client has closed the connection
	}))
	t.Cleanup(s.Close)
	t.Setenv("DIRECT_KEY", "sim_direct_key")
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `
processors:
  hostile: {adapter: rest, base_url: %q, api_key: {env: DIRECT_KEY}}
`, s.URL), 0o600))
	out, _, err := execute(t, "", "processor", "get", "/payments", "--config", path)
	require.NoError(t, err)
	require.Equal(t, "{\"id\": \"ch_1\\u009b2J\\u202e\",\n\n\t\"é\": 1}\\u001b[2J", out) //nolint:testifylint // the exact bytes
}

// Another processor's "not found" must not pass for proof that no money moved.
func TestDirectCallGuessesNoProcessor(t *testing.T) {
	t.Setenv("DIRECT_KEY", "sim_direct_key")
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
default_processor: one
processors:
  one: {adapter: rest, base_url: "http://127.0.0.1:1", api_key: {env: DIRECT_KEY}}
  two: {adapter: rest, base_url: "http://127.0.0.1:1", api_key: {env: DIRECT_KEY}}
`), 0o600))
	get := []string{"get", "--direct", "--merchant", "acme", "--key", "order-1"}
	_, _, err := execute(t, "", get...)
	require.Equal(t, exitUsage, exitCode(err))
	require.ErrorContains(t, err, "--config is missing")
	_, _, err = execute(t, "", append(get, "--config", path)...)
	require.Equal(t, exitUsage, exitCode(err))
	require.ErrorContains(t, err, "one or two")
}

func TestNotFoundNamesTheProcessorAndWhatItProves(t *testing.T) {
	config, _ := startSimulator(t)
	_, _, err := execute(t, "", "get", "--direct", "--config", config, "--merchant", "acme", "--key", "order-1")
	require.Equal(t, exitNotFound, exitCode(err))
	require.ErrorContains(t, err, "processor simulator at http://127.0.0.1:")
	require.ErrorContains(t, err, "this never proves that no money moved")
}

func TestProcessorGetPrintsTheResponse(t *testing.T) {
	config, _ := startSimulator(t)
	get := []string{"processor", "get", "--config", config}
	out, audit, err := execute(t, "", append(get, "/payments?limit=5")...)
	require.NoError(t, err)
	require.JSONEq(t, `{"data":[]}`, out)
	require.Equal(t, 1, strings.Count(audit, "\n"), "one record for one request: %s", audit)

	out, _, err = execute(t, "", append(get, "/payments/none")...)
	require.ErrorContains(t, err, "HTTP 404")
	require.Contains(t, out, "payment_not_found")
	require.Equal(t, exitError, exitCode(err))
}

func TestInvalidDirectCallIsAUsageError(t *testing.T) {
	config, _ := startSimulator(t)
	for want, args := range map[string][]string{
		"--merchant and --key":  {"get", "--direct", "--config", config, "--key", "order-1"},
		"accepts 1 arg":         {"processor", "get", "--config", config},
		`PATH "https://evil/x"`: {"processor", "get", "--config", config, "https://evil/x"},
		`PATH "//evil/x"`:       {"processor", "get", "--config", config, "//evil/x"},
		`PATH "payments"`:       {"processor", "get", "--config", config, "payments"},
		"no such file":          {"processor", "get", "--config", "none.yaml", "/payments"},
		`not configured: "b"`:   {"processor", "get", "--config", config, "--processor", "b", "/payments"},
		`neither a command`:     {"processor", "charge"},
	} {
		_, _, err := execute(t, "", args...)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err), want)
	}
}

func TestProcessorThatIsDownIsAnError(t *testing.T) {
	config := filepath.Join(t.TempDir(), "worker.yaml")
	t.Setenv("DIRECT_KEY", "k")
	require.NoError(t, os.WriteFile(config, []byte(`
processors:
  simulator: {adapter: rest, base_url: "http://127.0.0.1:1", api_key: {env: DIRECT_KEY}, retry: {initial: 1ms, max: 2ms}}
`), 0o600))
	_, audit, err := execute(t, "", "processor", "get", "--config", config, "/payments")
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, processor.NotExecuted, e.Certainty)
	require.Equal(t, 5, strings.Count(audit, "\n"), "one record for each of five attempts")
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}
