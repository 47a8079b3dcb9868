package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

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

func TestWebhookEndpointIsOffWithoutASecret(t *testing.T) {
	s, err := openWebhooks(t.Context(), withWebhooks(""), BuiltIn, nil, nil, nil, zap.NewNop())
	require.NoError(t, err)
	require.Nil(t, s)
	require.Empty(t, s.address())
	s.serve(nil)
	s.close()
}

func TestErrorOfOpenWebhooksNamesTheCause(t *testing.T) {
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_1")
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
			name:   "address in use",
			config: withWebhooks(address, config.Secret{Env: "FLORIN_TEST_WHSEC"}),
			want:   "cannot listen on " + address + ": choose another address with webhooks.listen: listen tcp " + address,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := openWebhooks(t.Context(), tt.config, BuiltIn, nil, nil, nil, zap.NewNop())
			require.ErrorContains(t, err, tt.want)
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
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_1")
	temporal := blockingSignaler{entered: make(chan struct{}), leave: make(chan struct{})}
	c := withWebhooks("127.0.0.1:0", config.Secret{Env: "FLORIN_TEST_WHSEC"})
	s, err := openWebhooks(t.Context(), c, BuiltIn, pendingStore{}, temporal, nil, zap.NewNop())
	require.NoError(t, err)
	s.serve(func(err error) { t.Error(err) })

	body := fmt.Sprintf(`{"id":"evt_1","type":"t","data":{"metadata":{"florin_merchant_id":"shop","florin_payment_id":%q}}}`,
		payment.PaymentID("shop", "k"))
	statuses := make(chan int, 1)
	go func() {
		url := "http://" + s.address() + "/webhooks/acme"
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		r.Header.Set(rest.SignatureHeader, webhook.Sign("whsec_1", []byte(body), time.Now()))
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
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_1")
	c := withWebhooks("127.0.0.1:0", config.Secret{Env: "FLORIN_TEST_WHSEC"})
	s, err := openWebhooks(t.Context(), c, BuiltIn, pendingStore{}, blockingSignaler{}, nil, zap.NewNop())
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
	r.Header.Set("X-Long", strings.Repeat("x", 32<<10))
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
}
