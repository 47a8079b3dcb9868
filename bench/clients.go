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

// httpClient is one way to make the charge. charge returns an error unless it has read and decoded the whole response.
type httpClient struct {
	name   string
	charge func(context.Context) error
}

// The indexes of two clients in the list.
const (
	plainIndex = iota
	florinIndex
)

// newClients returns all clients, for the server at a URL.
func newClients(ctx context.Context, url string) ([]httpClient, error) {
	florin, err := florinClient(ctx, url, retry.Default())
	if err != nil {
		return nil, err
	}
	worker, err := florinClient(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	return []httpClient{
		plainIndex:  {name: "net/http", charge: plainClient(url)},
		florinIndex: {name: "florin", charge: florin},
		{name: "florin in a worker", charge: worker},
		{name: "go-retryablehttp", charge: retryableClient(url)},
		{name: "resty", charge: restyClient(url)},
		{name: "failsafe-go", charge: failsafeClient(url)},
		{name: "stripe-go", charge: stripeClient(url)},
	}, nil
}

// checkResponse returns an error unless the IDs are those that the server sends.
func checkResponse(id, requestID string) error {
	if id != sentPaymentID || requestID != sentRequestID {
		return fmt.Errorf("the response has payment ID %q and request ID %q: want %q and %q",
			id, requestID, sentPaymentID, sentRequestID)
	}
	return nil
}

// florinClient charges with the client of a configured processor, as internal/app/processor.go creates it. Only the rate limit
// is not the default: it is so high that no charge waits for it. A nil retry is the client in a worker, where Temporal retries.
func florinClient(ctx context.Context, url string, retry *retry.Policy) (func(context.Context) error, error) {
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
	// Each line of the audit log is written with a system call, but not to a disk.
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
		return checkResponse(result.ID, result.RequestID)
	}, nil
}

// plainClient charges with net/http, without retries.
func plainClient(url string) func(context.Context) error {
	client := &http.Client{Transport: newTransport()}
	return func(ctx context.Context) error { return chargeWith(ctx, client, url) }
}

func retryableClient(url string) func(context.Context) error {
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
		return readResponse(resp)
	}
}

func restyClient(url string) func(context.Context) error {
	client := resty.New().SetBaseURL(url).SetRetryCount(retries).AddRetryCondition(func(r *resty.Response, err error) bool {
		return err != nil || shouldRetry(r.StatusCode())
	})
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var got record
		resp, err := client.R().SetContext(ctx).SetAuthToken(apiKey).SetHeader("Accept", jsonType).
			SetHeader("Content-Type", jsonType).SetHeader("Idempotency-Key", key).
			SetBody(newChargeBody()).SetResult(&got).Post(path)
		if err != nil {
			return err
		}
		return checkResponse(got.ID, resp.Header().Get("X-Request-Id"))
	}
}

//nolint:bodyclose // false positive: the policies mention *http.Response; chargeWith closes the bodies
func failsafeClient(url string) func(context.Context) error {
	breaker := circuitbreaker.NewBuilder[*http.Response]().
		HandleIf(func(resp *http.Response, err error) bool { return err != nil || shouldRetry(resp.StatusCode) }).
		WithFailureRateThreshold(0.5, 20, 30*time.Second).WithDelay(15 * time.Second).Build()
	retry := failsafehttp.NewRetryPolicyBuilder().WithBackoff(time.Second, 30*time.Second).WithMaxRetries(retries).Build()
	client := &http.Client{Transport: failsafehttp.NewRoundTripper(newTransport(), retry, breaker)}
	return func(ctx context.Context) error { return chargeWith(ctx, client, url) }
}

func stripeClient(url string) func(context.Context) error {
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
		return checkResponse(intent.ID, intent.LastResponse.RequestID)
	}
}
