package stripe

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// A retry of stripe-go would bypass the client's rate limiter and audit log.
func TestStripeGoSendsOneRequestPerCall(t *testing.T) {
	for name, a := range map[string]response{
		"500":                                saved(t, 500, "error_api"),
		"500 with retry header":              saved(t, 500, "error_api").with("Stripe-Should-Retry", "true"),
		"409 with retry header":              saved(t, 409, "error_key_in_use").with("Stripe-Should-Retry", "true"),
		"lock timeout (429)":                 saved(t, 429, "error_lock_timeout"),
		"reset":                              {},
		"truncated body":                     {status: 200, body: `{"id":`, truncated: true},
		"redirect":                           response{status: 302}.with("Location", "/v1/elsewhere"),
		"redirect that keeps the body (307)": response{status: 307}.with("Location", "/v1/elsewhere"),
		"success without content":            {status: 200, body: `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			for operation, call := range operations {
				f := start(t, a)
				_, err := call(t.Context(), f.Processor)
				var e *processor.Error
				require.ErrorAs(t, err, &e, operation)
				require.Equal(t, processor.Ambiguous, e.Certainty, operation)
				require.Len(t, f.seen, 1, operation)
			}
			for _, lookup := range []processor.LookupCall{chargeLookup, refundLookup} {
				f := start(t, a)
				_, _, err := f.Lookup(t.Context(), lookup)
				require.Error(t, err)
				require.Len(t, f.seen, 1)
			}
			f := start(t, a)
			_, err := f.List(t.Context(), processor.ListCall{})
			require.Error(t, err)
			require.Len(t, f.seen, 1)
		})
	}
}

// A client with a retry policy of its own also retries a response that the adapter cannot read.
func TestClientRetriesMalformedResponses(t *testing.T) {
	f := start(t, response{status: 200, body: `{}`}, saved(t, 500, "error_api"), response{},
		saved(t, 200, "search_one").replaced(t, intentID, ""),
		saved(t, 200, "payment_succeeded"))
	retry := retry.Default()
	retry.Backoff.Initial, retry.Backoff.Max = time.Millisecond, time.Millisecond
	got, err := New(client(t, f.url, f.audit, retry)).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, unexpanded(paid(payment.Succeeded, 1250, 0)), got)
	require.Len(t, f.seen, 5)
}

func TestGlobalKeyOfStripeGoIsNotSent(t *testing.T) {
	before := stripe.Key
	stripe.Key = "sk_test_global"
	t.Cleanup(func() { stripe.Key = before })
	f := start(t, saved(t, 200, "payment_succeeded"))
	_, err := f.Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	sent := <-f.seen
	require.Equal(t, []string{"Bearer " + apiKey}, sent.header.Values("Authorization"))
	for name, values := range sent.header {
		require.NotContains(t, values, "sk_test_global", name)
	}
	require.Equal(t, []string{key}, sent.header.Values("Idempotency-Key"))
}

func TestRejectedAPIKeyIsReloadedAndTheCallResent(t *testing.T) {
	f := start(t, saved(t, 401, "error_api_key"), saved(t, 200, "payment_succeeded"))
	got, err := f.Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, got.Status)
	first, second := <-f.seen, <-f.seen
	require.Equal(t, first.body, second.body)
	require.Equal(t, key, second.header.Get("Idempotency-Key"))
}

func TestRequestWithoutACallIsNotSent(t *testing.T) {
	f := start(t, saved(t, 200, "payment_succeeded"))
	_, err := f.api.V1PaymentIntents.Retrieve(t.Context(), intentID, nil)
	require.ErrorIs(t, err, errUnexpected)
	_, err = do(t.Context(), processor.Call{}, func(ctx context.Context) error {
		for range 2 {
			_, err = f.api.V1PaymentIntents.Retrieve(ctx, intentID, nil)
		}
		return err
	})
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	require.Len(t, f.seen, 1)
}

func TestRequestThatStripeGoCannotBuildIsNotExecuted(t *testing.T) {
	_, err := do(t.Context(), processor.Call{}, func(context.Context) error { return http.ErrNotSupported })
	require.ErrorIs(t, requireError(t, err, processor.NotExecuted, false, payment.ClassConfig), http.ErrNotSupported)
}

func TestCanceledCallIsNotExecuted(t *testing.T) {
	f := start(t, saved(t, 200, "payment_succeeded"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Charge(ctx, chargeCall)
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, processor.NotExecuted, e.Certainty)
	require.Empty(t, f.seen)
}

// Payment methods, keys and personal data must not be in the audit log.
func TestAuditLogContainsNoSecrets(t *testing.T) {
	f := start(t, saved(t, 402, "error_declined"), saved(t, 200, "payment_succeeded"), saved(t, 200, "search_one"),
		saved(t, 200, "payment_declined"),
		saved(t, 200, "payments_page"))
	_, errDeclined := f.Charge(t.Context(), chargeCall)
	_, errCharged := f.Charge(t.Context(), chargeCall)
	_, _, errLookup := f.Lookup(t.Context(), chargeLookup)
	_, errList := f.List(t.Context(), processor.ListCall{})
	for _, err := range []error{errDeclined, errCharged, errLookup, errList} {
		require.NoError(t, err)
	}
	for _, secret := range []string{"pm_card_visa", "pm_1MtwBw", "_secret_", apiKey, key, "jenny@example.com", "cus_9s6",
		"mToisGZ01V71BCos", "two books"} {
		require.NotContains(t, f.audit.String(), secret)
	}
	for _, text := range []string{`"operation":"charge"`, `"operation":"lookup"`, `"operation":"list"`,
		`"payment_id":"pay_1"`, intentID, "lost_card"} {
		require.Contains(t, f.audit.String(), text)
	}
}
