package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/go-resty/resty/v2"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/stripe/stripe-go/v85"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/retry"
)

// peer is one way to make the charge. charge fails unless the whole answer was read and understood.
type peer struct {
	name   string
	charge func(context.Context) error
}

// The places of two peers in the list.
const (
	plainPeer = iota
	ourPeer
)

func newPeers(ctx context.Context, url string) ([]peer, error) {
	florin, err := florinPeer(ctx, url, retry.Default())
	if err != nil {
		return nil, err
	}
	worker, err := florinPeer(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	return []peer{
		plainPeer: {"net/http", plain(url)},
		ourPeer:   {"florin", florin},
		{"florin in a worker", worker},
		{"go-retryablehttp", retryable(url)},
		{"resty", restyPeer(url)},
		{"failsafe-go", failsafe(url)},
		{"stripe-go", stripePeer(url)},
	}, nil
}

func checkAnswer(id, requestID string) error {
	if id != answeredID || requestID != answeredRequestID {
		return fmt.Errorf("the answer is payment %q of request %q: want %q and %q", id, requestID, answeredID, answeredRequestID)
	}
	return nil
}

// florinPeer is the chain that a configured processor gets: internal/app/processor.go. The rate limit is the one
// value that is not the default: nothing here may wait for it.
func florinPeer(ctx context.Context, url string, retry *retry.Policy) (func(context.Context) error, error) {
	credentials, err := credentials.New(ctx, func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: apiKey}, nil
	})
	if err != nil {
		return nil, err
	}
	breaker, err := breaker.New(breaker.Options{
		Window: 30 * time.Second, MinCalls: 20, FailureRatio: 0.5, OpenFor: 15 * time.Second, SlowCall: 10 * time.Second, Probes: 3,
	})
	if err != nil {
		return nil, err
	}
	// A line is written, by a system call, and costs no disk.
	discard, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	client, err := httpclient.New(httpclient.Options{
		Name:           "bench",
		Profile:        rest.Profile(),
		BaseURL:        url,
		Credentials:    credentials,
		Limiter:        ratelimit.New(1e6, 1e6, 2*time.Second),
		Breaker:        breaker,
		AttemptTimeout: timeout,
		MaxInFlight:    100,
		Retry:          retry,
		Audit:          audit.New(zapcore.Lock(discard), audit.Options{}),
	})
	if err != nil {
		return nil, err
	}
	adapter := rest.New(client)
	return func(ctx context.Context) error {
		result, err := adapter.Charge(ctx, chargeCall)
		if err != nil {
			return err
		}
		return checkAnswer(result.ID, result.RequestID)
	}, nil
}

func plain(url string) func(context.Context) error {
	client := &http.Client{Transport: newTransport()}
	return func(ctx context.Context) error { return chargeWith(ctx, client, url) }
}

func retryable(url string) func(context.Context) error {
	client := retryablehttp.NewClient()
	client.Logger = nil
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		body, err := marshalCharge()
		if err != nil {
			return err
		}
		req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, url+path, body)
		if err != nil {
			return err
		}
		setHeaders(req.Header)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return readAnswer(resp)
	}
}

func restyPeer(url string) func(context.Context) error {
	client := resty.New().SetBaseURL(url).SetRetryCount(retries).AddRetryCondition(func(r *resty.Response, err error) bool {
		return err != nil || shouldRetry(r.StatusCode())
	})
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var read record
		resp, err := client.R().SetContext(ctx).SetAuthToken(apiKey).SetHeader("Accept", jsonType).
			SetHeader("Content-Type", jsonType).SetHeader("Idempotency-Key", key).
			SetBody(newChargeBody()).SetResult(&read).Post(path)
		if err != nil {
			return err
		}
		return checkAnswer(read.ID, resp.Header().Get("X-Request-Id"))
	}
}

//nolint:bodyclose // it takes the type in these policies for an answer; chargeWith closes the real ones
func failsafe(url string) func(context.Context) error {
	breaker := circuitbreaker.NewBuilder[*http.Response]().
		HandleIf(func(resp *http.Response, err error) bool { return err != nil || shouldRetry(resp.StatusCode) }).
		WithFailureRateThreshold(0.5, 20, 30*time.Second).WithDelay(15 * time.Second).Build()
	retry := failsafehttp.NewRetryPolicyBuilder().WithBackoff(time.Second, 30*time.Second).WithMaxRetries(retries).Build()
	client := &http.Client{Transport: failsafehttp.NewRoundTripper(newTransport(), retry, breaker)}
	return func(ctx context.Context) error { return chargeWith(ctx, client, url) }
}

func stripePeer(url string) func(context.Context) error {
	client := stripe.NewClient(apiKey, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{URL: &url})))
	return func(ctx context.Context) error {
		call := chargeCall
		params := &stripe.PaymentIntentCreateParams{
			Amount:        &call.Amount,
			Currency:      &call.Currency,
			PaymentMethod: &call.PaymentMethod,
			Confirm:       stripe.Bool(true),
		}
		for name, value := range call.Metadata {
			params.AddMetadata(name, value)
		}
		params.AddMetadata("florin_payment_id", call.PaymentID)
		params.AddMetadata("florin_merchant_id", call.MerchantID)
		params.SetIdempotencyKey(call.Key)
		intent, err := client.V1PaymentIntents.Create(ctx, params)
		if err != nil {
			return err
		}
		return checkAnswer(intent.ID, intent.LastResponse.RequestID)
	}
}
