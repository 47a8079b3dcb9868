package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
)

// withWebhooks returns a configuration with the processor acme and its webhook secrets.
func withWebhooks(listen string, secrets ...config.Secret) config.Config {
	return config.Config{Webhooks: config.Webhooks{Listen: listen}, Processors: map[string]config.Processor{
		"acme": {
			Adapter: "rest", BaseURL: "https://api.acme.example", APIKey: config.Secret{Env: "ACME_KEY"}, WebhookSecrets: secrets,
		},
	}}
}

// verifiersOf returns the verifiers of the processors.
func verifiersOf(t *testing.T, c config.Config) map[string]*webhook.Rotating {
	verifiers, err := webhookVerifiers(c, zap.NewNop())
	require.NoError(t, err)
	return verifiers
}

func TestWebhookEndpointIsOffWithoutASecret(t *testing.T) {
	s, err := openWebhooks(t.Context(), withWebhooks(""), nil, BuiltIn, nil, nil, nil, zap.NewNop())
	require.NoError(t, err)
	require.Nil(t, s)
	require.Empty(t, s.address())
	s.serve(nil)
	s.close()
}

func TestErrorOfOpenWebhooksNamesTheCause(t *testing.T) {
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_0123456789")
	t.Setenv("FLORIN_TEST_GUESS", "tiger")
	inUse, err := Listen(t.Context(), "127.0.0.1:0", "")
	require.NoError(t, err)
	defer func() { _ = inUse.Close() }()
	address := inUse.Addr().String()
	for _, tt := range []struct {
		name   string
		config config.Config
		want   string
	}{
		{
			name:   "missing secret",
			config: withWebhooks("127.0.0.1:0", config.Secret{Env: "FLORIN_TEST_UNSET"}),
			want:   "processors.acme.webhook_secrets: environment variable FLORIN_TEST_UNSET is not set",
		},
		{
			name:   "secret that can be guessed",
			config: withWebhooks("127.0.0.1:0", config.Secret{Env: "FLORIN_TEST_GUESS"}),
			want:   "processors.acme.webhook_secrets: webhook secret 1 of 1 is too short: want at least 16 bytes",
		},
		{
			name:   "address in use",
			config: withWebhooks(address, config.Secret{Env: "FLORIN_TEST_WHSEC"}),
			want:   "cannot listen on " + address + ": choose another address with webhooks.listen: listen tcp " + address,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			verifiers, err := webhookVerifiers(tt.config, zap.NewNop())
			if err == nil {
				_, err = openWebhooks(t.Context(), tt.config, verifiers, BuiltIn, nil, nil, nil, zap.NewNop())
			}
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "tiger")
		})
	}
}

func TestEveryBuiltInAdapterReadsEvents(t *testing.T) {
	for name, adapter := range BuiltIn {
		require.Equal(t, name, adapter.Name)
		require.NotNil(t, adapter.ReadEvent, name)
		require.NotEmpty(t, adapter.SignatureHeader, name)
	}
}

// blockingSignaler blocks its only signal: it closes entered, and returns when leave is closed.
type blockingSignaler struct{ entered, leave chan struct{} }

func (s blockingSignaler) SignalWorkflow(context.Context, string, string, string, any) error {
	close(s.entered)
	<-s.leave
	return nil
}

func (blockingSignaler) SignalWithStartWorkflow(
	context.Context, string, string, any, client.StartWorkflowOptions, any, ...any,
) (client.WorkflowRun, error) {
	return nil, errors.New("no payment is final")
}

// pendingStore has every payment, in status pending, and no refund.
type pendingStore struct{}

func (pendingStore) PaymentByID(_ context.Context, merchantID, paymentID string) (payment.Charge, error) {
	return payment.Charge{
		PaymentID: paymentID, MerchantID: merchantID, IdempotencyKey: "k", Status: payment.Pending, Processor: "acme",
	}, nil
}

func (pendingStore) PaymentByProcessorID(context.Context, string, string) (payment.Charge, error) {
	return payment.Charge{}, payment.ErrNotFound
}

func (pendingStore) RecordDivergence(context.Context, payment.Divergence) (bool, error) {
	return false, errors.New("no payment is known")
}

func (pendingStore) RefundByID(context.Context, string, string) (payment.Refund, error) {
	return payment.Refund{}, payment.ErrNotFound
}

func TestCloseWaitsForRequestsInFlightAndAcceptsNoMore(t *testing.T) {
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_0123456789")
	temporal := blockingSignaler{entered: make(chan struct{}), leave: make(chan struct{})}
	c := withWebhooks("127.0.0.1:0", config.Secret{Env: "FLORIN_TEST_WHSEC"})
	s, err := openWebhooks(t.Context(), c, verifiersOf(t, c), BuiltIn, pendingStore{}, temporal, nil, zap.NewNop())
	require.NoError(t, err)
	s.serve(func(err error) { t.Error(err) })

	body := fmt.Sprintf(`{"id":"evt_1","type":"t","data":{"metadata":{"florin_merchant_id":"shop","florin_payment_id":%q}}}`,
		payment.PaymentID("shop", "k"))
	statuses := make(chan int, 1)
	go func() {
		url := "http://" + s.address() + "/webhooks/acme"
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		r.Header.Set(rest.SignatureHeader, webhook.Sign("whsec_0123456789", []byte(body), time.Now()))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			statuses <- 0
			return
		}
		_ = response.Body.Close()
		statuses <- response.StatusCode
	}()
	<-temporal.entered
	closed := make(chan struct{})
	go func() {
		s.close()
		close(closed)
	}()
	require.Eventually(t, func() bool {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address())
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
	select {
	case <-closed:
		require.Fail(t, "close did not wait for the request in flight")
	default:
	}
	close(temporal.leave)
	require.Equal(t, http.StatusOK, <-statuses)
	<-closed
}

func TestSlowRequestsAndLargeHeadersAreBounded(t *testing.T) {
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_0123456789")
	c := withWebhooks("127.0.0.1:0", config.Secret{Env: "FLORIN_TEST_WHSEC"})
	s, err := openWebhooks(t.Context(), c, verifiersOf(t, c), BuiltIn, pendingStore{}, blockingSignaler{}, nil, zap.NewNop())
	require.NoError(t, err)
	defer s.close()
	for _, timeout := range []time.Duration{
		s.server.ReadHeaderTimeout, s.server.ReadTimeout, s.server.WriteTimeout, s.server.IdleTimeout,
	} {
		require.Positive(t, timeout)
	}
	require.Greater(t, s.server.WriteTimeout, s.server.ReadTimeout, "time remains to respond")
	s.serve(func(err error) { t.Error(err) })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address()+"/webhooks/acme", nil)
	require.NoError(t, err)
	require.LessOrEqual(t, s.server.ReadTimeout, 10*time.Second)
	r.Header.Set("X-Long", strings.Repeat("x", 32<<10))
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
}

// startWebhooks serves webhooks for the processor acme.
func startWebhooks(t *testing.T) *webhookServer {
	t.Helper()
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_0123456789")
	c := withWebhooks("127.0.0.1:0", config.Secret{Env: "FLORIN_TEST_WHSEC"})
	s, err := openWebhooks(t.Context(), c, verifiersOf(t, c), BuiltIn, pendingStore{}, blockingSignaler{}, nil, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(s.close)
	s.serve(func(err error) { t.Error(err) })
	return s
}

func dialWebhooks(t *testing.T, s *webhookServer) net.Conn {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// A sender without a signature gets its response before it has sent any of the body, and the connection is closed: the server
// waits for no more of it.
func TestUnsignedRequestIsAnsweredBeforeItsBody(t *testing.T) {
	s := startWebhooks(t)
	for request, status := range map[string]string{
		"POST /webhooks/acme HTTP/1.1\r\nContent-Length: 100000":                         "401",
		"POST /webhooks/acme HTTP/1.1\r\nTransfer-Encoding: chunked":                     "401",
		"POST /webhooks/acme HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 100000": "401",
		"POST /webhooks/acme HTTP/1.1\r\nContent-Length: 5\r\nFlorin-Signature: v1":      "401",
		"POST /webhooks/other HTTP/1.1\r\nContent-Length: 100000":                        "401",
		"POST /metrics HTTP/1.1\r\nContent-Length: 100000":                               "404",
		"PUT /webhooks/acme HTTP/1.1\r\nContent-Length: 100000":                          "405",
	} {
		connection := dialWebhooks(t, s)
		_, err := io.WriteString(connection, request+"\r\nHost: florin\r\n\r\n")
		require.NoError(t, err)
		require.NoError(t, connection.SetReadDeadline(time.Now().Add(5*time.Second)))
		answer, err := io.ReadAll(connection)
		require.NoError(t, err, "the server closes the connection")
		require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 "+status), "%s", answer)
	}
}

// Connections wait until one of the others ends.
func TestConnectionsAreLimited(t *testing.T) {
	s := startWebhooks(t)
	var held []net.Conn
	for range maxWebhookConnections {
		held = append(held, dialWebhooks(t, s))
	}
	more := dialWebhooks(t, s)
	_, err := io.WriteString(more, "POST /webhooks/acme HTTP/1.1\r\nHost: florin\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, more.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = more.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, held[0].Close())
	require.NoError(t, more.SetReadDeadline(time.Now().Add(10*time.Second)))
	answer, err := io.ReadAll(more)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 401 "), "%s", answer)
}

func TestReplacedWebhookSecretIsUsedWithoutARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) { require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600)) }
	write("whsec_old_secret")
	core, logs := observer.New(zap.DebugLevel)
	p := config.Processor{WebhookSecrets: []config.Secret{{File: file}}}
	verifiers, err := webhookVerifiers(config.Config{Processors: map[string]config.Processor{"acme": p}}, zap.New(core))
	require.NoError(t, err)
	now := time.Now()
	verify := func(secret string) error {
		return verifiers["acme"].Verify(webhook.Sign(secret, []byte("{}"), now), []byte("{}"), now)
	}
	require.NoError(t, verify("whsec_old_secret"))
	write("whsec_new_secret")
	now = now.Add(10 * time.Second)
	require.NoError(t, verify("whsec_new_secret"))
	require.ErrorIs(t, verify("whsec_old_secret"), webhook.ErrMismatch)
	write("whsec_bad")
	now = now.Add(10 * time.Second)
	require.NoError(t, verify("whsec_new_secret"))
	require.Equal(t, 1, logs.FilterMessage("failed to read the webhook secrets again: the former ones stay in use").Len())
	require.NotContains(t, fmt.Sprint(logs.All()), "whsec_")
}
