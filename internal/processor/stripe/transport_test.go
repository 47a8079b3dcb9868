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

// The retries are Temporal's: what stripe-go repeats would be sent without our limiter knowing, or anybody.
func TestStripeGoMakesOneRequestForEachCall(t *testing.T) {
	for name, a := range map[string]answer{
		"500":                   saved(t, 500, "error_api"),
		"500 to try again":      saved(t, 500, "error_api").with("Stripe-Should-Retry", "true"),
		"409 to try again":      saved(t, 409, "error_key_in_use").with("Stripe-Should-Retry", "true"),
		"429 lock":              saved(t, 429, "error_lock_timeout"),
		"reset":                 {},
		"body cut":              {status: 200, body: `{"id":`, cut: true},
		"redirect":              answer{status: 302}.with("Location", "/v1/elsewhere"),
		"redirect of the body":  answer{status: 307}.with("Location", "/v1/elsewhere"),
		"a success of no sense": {status: 200, body: `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			for move, call := range moves {
				b := start(t, a)
				_, err := call(t.Context(), b.Processor)
				var e *processor.Error
				require.ErrorAs(t, err, &e, move)
				require.Equal(t, processor.Ambiguous, e.Certainty, move)
				require.Len(t, b.seen, 1, move)
			}
			for _, lookup := range []processor.LookupCall{chargeLookup, refundLookup} {
				b := start(t, a)
				_, _, err := b.Lookup(t.Context(), lookup)
				require.Error(t, err)
				require.Len(t, b.seen, 1)
			}
			b := start(t, a)
			_, err := b.List(t.Context(), processor.ListCall{})
			require.Error(t, err)
			require.Len(t, b.seen, 1)
		})
	}
}

// A client that is used alone repeats calls by itself: also what stripe-go could not have read.
func TestTheClientsOwnRetriesSeeWhatTheAdapterRefuses(t *testing.T) {
	b := start(t, answer{status: 200, body: `{}`}, saved(t, 500, "error_api"), answer{}, saved(t, 200, "search_one").replaced(t, intentID, ""),
		saved(t, 200, "payment_succeeded"))
	retry := retry.Default()
	retry.Backoff.Initial, retry.Backoff.Max = time.Millisecond, time.Millisecond
	got, err := New(client(t, b.url, b.audit, retry)).Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, paid(payment.Succeeded, 1250, 0), got)
	require.Len(t, b.seen, 5)
}

func TestOnlyOurCredentialsSpeakForUs(t *testing.T) {
	before := stripe.Key
	stripe.Key = "sk_test_of_somebody_else"
	t.Cleanup(func() { stripe.Key = before })
	b := start(t, saved(t, 200, "payment_succeeded"))
	_, err := b.Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	sent := <-b.seen
	require.Equal(t, []string{"Bearer " + apiKey}, sent.header.Values("Authorization"))
	for name, values := range sent.header {
		require.NotContains(t, values, "sk_test_of_somebody_else", name)
	}
	require.Equal(t, []string{key}, sent.header.Values("Idempotency-Key"))
}

func TestARefusedKeyIsReadAnewAndTheCallSentOnceMore(t *testing.T) {
	b := start(t, saved(t, 401, "error_api_key"), saved(t, 200, "payment_succeeded"))
	got, err := b.Charge(t.Context(), chargeCall)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, got.Status)
	first, second := <-b.seen, <-b.seen
	require.Equal(t, first.body, second.body)
	require.Equal(t, key, second.header.Get("Idempotency-Key"))
}

func TestARequestThatNoCallWaitsForIsNotSent(t *testing.T) {
	b := start(t, saved(t, 200, "payment_succeeded"))
	_, err := b.api.V1PaymentIntents.Retrieve(t.Context(), intentID, nil)
	require.ErrorIs(t, err, errNotOurs)
	_, err = do(t.Context(), processor.Call{}, func(ctx context.Context) error {
		for range 2 {
			_, err = b.api.V1PaymentIntents.Retrieve(ctx, intentID, nil)
		}
		return err
	})
	requireError(t, err, processor.Ambiguous, true, payment.ClassInvalidResponse)
	require.Len(t, b.seen, 1)
}

func TestARequestThatStripeGoCannotWriteWasNotSent(t *testing.T) {
	_, err := do(t.Context(), processor.Call{}, func(context.Context) error { return http.ErrNotSupported })
	require.ErrorIs(t, requireError(t, err, processor.NotExecuted, false, payment.ClassConfig), http.ErrNotSupported)
}

func TestAStoppedCallSaysSo(t *testing.T) {
	b := start(t, saved(t, 200, "payment_succeeded"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Charge(ctx, chargeCall)
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, processor.NotExecuted, e.Certainty)
	require.Empty(t, b.seen)
}

// What a customer pays with, and what would let others act for us, stay out of the compliance log.
func TestTheAuditLogHoldsNoSecret(t *testing.T) {
	b := start(t, saved(t, 402, "error_declined"), saved(t, 200, "payment_succeeded"), saved(t, 200, "search_one"), saved(t, 200, "payment_declined"),
		saved(t, 200, "payments_page"))
	_, errDeclined := b.Charge(t.Context(), chargeCall)
	_, errCharged := b.Charge(t.Context(), chargeCall)
	_, _, errLookup := b.Lookup(t.Context(), chargeLookup)
	_, errList := b.List(t.Context(), processor.ListCall{})
	for _, err := range []error{errDeclined, errCharged, errLookup, errList} {
		require.NoError(t, err)
	}
	for _, secret := range []string{"pm_card_visa", "pm_1MtwBw", "_secret_", apiKey, key, "jenny@example.com", "cus_9s6", "mToisGZ01V71BCos", "two books"} {
		require.NotContains(t, b.audit.String(), secret)
	}
	for _, word := range []string{`"operation":"charge"`, `"operation":"lookup"`, `"operation":"list"`, `"payment_id":"pay_1"`, intentID, "lost_card"} {
		require.Contains(t, b.audit.String(), word)
	}
}
