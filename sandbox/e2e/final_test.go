package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

const webhookSecret = "whsec_of_the_simulator"

// eventful is an environment whose processor sends events, and changes its mind about refunds.
type eventful struct {
	*environment.Environment
	// refundsFail makes the processor report every refund that succeeded as failed.
	refundsFail *atomic.Bool
}

func startWithEvents(t *testing.T) eventful {
	t.Helper()
	s := eventful{refundsFail: &atomic.Bool{}}
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(webhookSecret), 0o600))
	s.Environment = start(t, environment.Options{Tune: func(c *config.Config) {
		p := c.Processors[environment.ProcessorName]
		p.WebhookSecrets, p.BaseURL = []config.Secret{{File: secret}}, s.proxy(t, p.BaseURL)
		c.Processors[environment.ProcessorName] = p
		c.Webhooks.Listen = "127.0.0.1:0"
	}})
	return s
}

// proxy returns the address of a proxy in front of the simulator, which changes what it reports.
func (s eventful) proxy(t *testing.T, simulator string) string {
	t.Helper()
	target, err := url.Parse(simulator)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(response *http.Response) error {
		if !s.refundsFail.Load() || response.Request.Method != http.MethodGet || response.Request.URL.Path != "/refunds" {
			return nil
		}
		body, err := io.ReadAll(response.Body)
		body = bytes.ReplaceAll(body, []byte(`"status":"succeeded"`), []byte(`"status":"declined","decline_code":"account_closed"`))
		response.Body = io.NopCloser(bytes.NewReader(body))
		response.ContentLength = int64(len(body))
		response.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return err
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// sendEvent sends a signed event, and requires the response.
func (s eventful) sendEvent(t *testing.T, id, kind string, data any, want string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"id": id, "type": kind, "data": data})
	require.NoError(t, err)
	url := s.WebhookURL(environment.ProcessorName)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set(rest.SignatureHeader, webhook.Sign(webhookSecret, body, time.Now()))
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, want, strings.TrimSpace(string(text)))
}

// dataOf is what an event contains about a payment or a refund of Florin: kind is payment or refund.
func dataOf(kind, id string) map[string]any {
	return map[string]any{"metadata": map[string]string{"florin_" + kind + "_id": id, "florin_merchant_id": "acme"}}
}

// refundAtTheProcessor refunds without Florin, as with the processor's dashboard.
func (s eventful) refundAtTheProcessor(t *testing.T, of payment.Charge, amount int64) {
	t.Helper()
	body := fmt.Sprintf(`{"payment_id":%q,"amount":%d,"reference":"dashboard"}`, of.ProcessorPaymentID, amount)
	url := fmt.Sprintf("http://127.0.0.1:%d/refunds", s.Ports.Simulator)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer sim_sandbox_key")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "dashboard-1")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func (s eventful) divergences(t *testing.T, f payment.DivergenceFilter) []payment.Divergence {
	t.Helper()
	page, err := s.Florin.Divergences(t.Context(), f)
	require.NoError(t, err)
	return page.Divergences
}

func TestRefundThatFailsLateIsReportedAsFailed(t *testing.T) {
	t.Parallel()
	s := startWithEvents(t)
	paid := succeed(t, s.Environment, charge("order-1", "tok_visa"))
	refunded, err := s.Florin.Refund(t.Context(), refund("refund-1", paid.PaymentID, 500))
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, refunded.Status)

	s.refundsFail.Store(true)
	s.sendEvent(t, "evt_1", "refund.failed", dataOf("refund", refunded.RefundID), "recheck")
	s.sendEvent(t, "evt_2", "refund.updated", dataOf("refund", refunded.RefundID), "recheck")
	require.Eventually(t, func() bool {
		r, err := s.Florin.GetRefund(t.Context(), "acme", "refund-1")
		require.NoError(t, err)
		return r.Status == payment.Failed && r.Failure.ProcessorCode == "account_closed"
	}, 30*time.Second, 50*time.Millisecond)
	current, err := s.Florin.Get(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Zero(t, current.RefundedAmount)
	require.Empty(t, s.divergences(t, payment.DivergenceFilter{}), "it is a transition")

	require.Contains(t, metrics(t, s.Environment), `florin_refunds_total{currency="USD",processor="simulator",status="failed"} 1`+"\n")

	found := func(query string) int {
		list, err := s.Temporal.ListWorkflow(t.Context(), listRequest(query))
		require.NoError(t, err)
		return len(list.GetExecutions())
	}
	require.Eventually(t, func() bool { return found(`WorkflowType = "Recheck"`) == 1 }, 10*time.Second, 20*time.Millisecond,
		"one for both events")
	require.Zero(t, found(`WorkflowType = "Recheck" AND PaymentStatus IS NOT NULL`), "queries by status find each payment once")
	requireLedgerMatches(t, s.Environment, []payment.Charge{current}, []payment.Refund{refunded})
}

func TestContradictionOfAFinalPaymentIsADivergenceUntilAnOperatorHasDealtWithIt(t *testing.T) {
	t.Parallel()
	s := startWithEvents(t)
	paid := succeed(t, s.Environment, charge("order-1", "tok_visa"))
	other := succeed(t, s.Environment, charge("order-2", "tok_visa"))
	_, err := s.Florin.Refund(t.Context(), refund("refund-1", other.PaymentID, 500))
	require.NoError(t, err)

	s.refundAtTheProcessor(t, paid, 700)
	s.sendEvent(t, "evt_1", "payment.refunded", dataOf("payment", paid.PaymentID), "recheck")
	s.sendEvent(t, "evt_2", "payment.refunded", dataOf("payment", other.PaymentID), "recheck") // of Florin's own refund
	s.sendEvent(t, "evt_3", "dispute.created", map[string]any{"id": "dp_1", "payment_id": other.ProcessorPaymentID}, "dispute")
	require.Eventually(t, func() bool {
		return len(s.divergences(t, payment.DivergenceFilter{Open: true})) == 2
	}, 30*time.Second, 50*time.Millisecond)
	refunded := s.divergences(t, payment.DivergenceFilter{Kind: payment.DivergenceRefunded})
	require.Len(t, refunded, 1)
	require.Equal(t, paid.PaymentID, refunded[0].PaymentID)
	require.Equal(t, "7.00 USD", refunded[0].Evidence["refunded_only_there"])
	require.Len(t, s.divergences(t, payment.DivergenceFilter{PaymentID: other.PaymentID, Kind: payment.DivergenceDispute}), 1)

	for _, d := range s.divergences(t, payment.DivergenceFilter{Open: true}) {
		acknowledged, err := s.Florin.AcknowledgeDivergence(t.Context(), d.DivergenceID, "jane")
		require.NoError(t, err)
		require.Equal(t, "jane", acknowledged.AcknowledgedBy)
	}
	require.Empty(t, s.divergences(t, payment.DivergenceFilter{Open: true}))
	page, err := s.Florin.List(t.Context(), payment.Filter{Divergent: true})
	require.NoError(t, err)
	require.Empty(t, page.Payments)
	_, err = s.Florin.AcknowledgeDivergence(t.Context(), "div_9", "jane")
	require.ErrorIs(t, err, florin.ErrNotFound)
	_, err = s.Florin.AcknowledgeDivergence(t.Context(), "div_9", "")
	require.ErrorIs(t, err, florin.ErrInvalidRequest)

	current, err := s.Florin.Get(t.Context(), "acme", "order-1")
	require.NoError(t, err)
	require.Equal(t, paid, current, "Florin's own state does not change")
}
