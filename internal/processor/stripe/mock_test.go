package stripe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// tools runs the go command with the module file tools/go.mod and returns the last line of its output.
func tools(t *testing.T, args ...string) string {
	t.Helper()
	modfile, err := filepath.Abs("../../../tools/go.mod")
	require.NoError(t, err)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "MODFILE", modfile)
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err != nil && os.Getenv("CI") != "true" && isOffline(out) {
		t.Skipf("stripe-mock is not in the module cache and cannot be downloaded: %s", out)
	}
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), out)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// isOffline reports whether the go command failed because there is no network.
func isOffline(out []byte) bool {
	for _, text := range []string{"module lookup disabled", "dial tcp", "no such host", "connection refused",
		"i/o timeout"} {
		if bytes.Contains(out, []byte(text)) {
			return true
		}
	}
	return false
}

// startMock starts the real stripe-mock, which validates every request against Stripe's OpenAPI specification and responds with
// its fixtures as modified by change. It returns the base URL.
func startMock(t *testing.T, change func(resources map[string]map[string]any)) string {
	t.Helper()
	binary := tools(t, "tool", "-n", "-modfile=MODFILE", "stripe-mock")
	source := tools(t, "list", "-modfile=MODFILE", "-m", "-f", "{{.Dir}}", "github.com/stripe/stripe-mock")
	content, err := os.ReadFile(filepath.Join(source, "embedded", "openapi", "fixtures3.json"))
	require.NoError(t, err)
	var fixtures struct {
		Resources map[string]map[string]any `json:"resources"`
	}
	require.NoError(t, json.Unmarshal(content, &fixtures))
	change(fixtures.Resources)
	content, err = json.Marshal(fixtures)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "fixtures.json")
	require.NoError(t, os.WriteFile(path, content, 0o600))

	ctx, stop := context.WithCancel(t.Context())
	mock := exec.CommandContext(ctx, binary, "-http-addr", "127.0.0.1:0", "-fixtures", path)
	out, err := mock.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, mock.Start())
	t.Cleanup(func() {
		stop()
		require.ErrorContains(t, mock.Wait(), "killed")
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "Listening for HTTP at address: "); ok {
			return "http://" + address
		}
	}
	require.FailNow(t, "stripe-mock did not start")
	return ""
}

// Every request is valid by Stripe's specification, and every response in its format can be read.
func TestAgainstStripeMock(t *testing.T) {
	metadata := map[string]any{"florin_reference": key, "florin_merchant_id": "acme"}
	var audited bytes.Buffer
	baseURL := startMock(t, func(resources map[string]map[string]any) {
		intent, charge, refund := resources["payment_intent"], resources["charge"], resources["refund"]
		intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
		intent["last_payment_error"], intent["metadata"] = nil, metadata
		intent["latest_charge"] = charge["id"]
		charge["captured"], charge["amount_refunded"] = true, 99
		charge["amount"], charge["amount_captured"] = intent["amount"], intent["amount"]
		refund["metadata"], refund["payment_intent"] = metadata, intentID
	})
	p := New(client(t, baseURL, &audited))
	// The amount of the fixtures. stripe-mock returns the amount of a request instead if there is one, but never changes a status.
	const amount = 1099
	succeeded := func(r processor.Result) {
		t.Helper()
		require.NotEmpty(t, r.ID)
		require.NotEmpty(t, r.RequestID)
		require.Equal(t, []any{payment.Succeeded, key, "acme"}, []any{r.Status, r.Reference, r.MerchantID})
	}

	t.Run("charge", func(t *testing.T) {
		for _, capture := range []payment.Capture{payment.CaptureAutomatic, payment.CaptureManual} {
			call := chargeCall
			call.Capture = capture
			r, err := p.Charge(t.Context(), call)
			require.NoError(t, err)
			succeeded(r)
			require.Equal(t, []any{int64(1250), "USD"}, []any{r.Amount, r.Currency})
		}
	})
	t.Run("charge in a currency with another minor unit at Stripe", func(t *testing.T) {
		call := chargeCall
		call.Amount, call.Currency = 700, "MGA"
		r, err := p.Charge(t.Context(), call)
		require.NoError(t, err)
		require.Equal(t, []any{int64(700), "MGA"}, []any{r.Amount, r.Currency})
	})
	t.Run("capture", func(t *testing.T) {
		r, err := p.Capture(t.Context(), captureCall)
		require.NoError(t, err)
		succeeded(r)
		require.Equal(t, int64(amount), r.CapturedAmount)
	})
	t.Run("void", func(t *testing.T) {
		r, err := p.Void(t.Context(), voidCall)
		require.NoError(t, err)
		succeeded(r)
	})
	t.Run("refund", func(t *testing.T) {
		r, err := p.Refund(t.Context(), refundCall)
		require.NoError(t, err)
		succeeded(r)
		require.Equal(t, int64(250), r.Amount)
	})
	t.Run("lookup of a charge by its reference and by its id", func(t *testing.T) {
		for _, id := range []string{"", intentID} {
			lookup := chargeLookup
			lookup.ProcessorPaymentID = id
			r, found, err := p.Lookup(t.Context(), lookup)
			require.NoError(t, err)
			require.True(t, found)
			succeeded(r)
			require.Equal(t, []int64{amount, amount, 99}, []int64{r.Amount, r.CapturedAmount, r.RefundedAmount})
		}
	})
	t.Run("lookup of a charge by the time of its creation", func(t *testing.T) {
		id, _, err := p.scan(t.Context(), processor.LookupCall{Reference: key, NotBefore: time.Now()})
		require.NoError(t, err)
		require.NotEmpty(t, id)
	})
	t.Run("lookup of a refund", func(t *testing.T) {
		r, found, err := p.Lookup(t.Context(), refundLookup)
		require.NoError(t, err)
		require.True(t, found)
		succeeded(r)
	})
	t.Run("list", func(t *testing.T) {
		page, err := p.List(t.Context(),
			processor.ListCall{CreatedAfter: time.Unix(1680800504, 0), Cursor: intentID, Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Records, 1)
		require.Equal(t, int64(99), page.Records[0].RefundedAmount)
		require.Equal(t, time.Unix(1234567890, 0).UTC(), page.Records[0].CreatedAt)
		require.Empty(t, page.Records[0].Unreadable)
	})
	t.Run("list of refunds", func(t *testing.T) {
		page, err := p.List(t.Context(), processor.ListCall{Operation: payment.OperationRefund,
			CreatedAfter: time.Unix(1680800504, 0), Cursor: refundID, Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Records, 1)
		got := page.Records[0]
		require.Equal(t, []any{payment.Succeeded, key, "acme", intentID, time.Unix(1234567890, 0).UTC()},
			[]any{got.Status, got.Reference, got.MerchantID, got.ProcessorPaymentID, got.CreatedAt})
	})
	t.Run("the mock refuses an invalid request", func(t *testing.T) {
		_, err := do(t.Context(), processor.Call{Key: key}, func(ctx context.Context) error {
			_, err := p.api.V1PaymentIntents.Create(ctx,
				&stripe.PaymentIntentCreateParams{Amount: stripe.Int64(1), CaptureMethod: stripe.String("sometimes")})
			return err
		})
		require.Equal(t, http.StatusBadRequest,
			requireError(t, err, processor.NotExecuted, false, payment.ClassInvalidRequest).HTTPStatus)
	})
	require.NotContains(t, audited.String(), key)
}
