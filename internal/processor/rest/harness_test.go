package rest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const key = "8a7c5d8e-0000-5000-8000-000000000001"

var chargeCall = processor.ChargeCall{
	Key: key, PaymentID: "pay_1", MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	CustomerID: "c-1", Description: "two books", Metadata: map[string]string{"order": "1", "florin_payment_id": "forged"},
}

var refundCall = processor.RefundCall{
	Key: key, RefundID: "ref_1", MerchantID: "acme", ProcessorPaymentID: "ch_1", Amount: 250, Currency: "USD",
	Metadata: map[string]string{"order": "1"},
}

// request is a request that the server received.
type request struct{ method, uri, key, body string }

// fixture is an adapter with a server that sends the same response to every request.
type fixture struct {
	*Processor
	seen chan request
}

func start(t *testing.T, status int, body string) fixture {
	t.Helper()
	f := fixture{seen: make(chan request, 4)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		f.seen <- request{method: r.Method, uri: r.RequestURI, key: r.Header.Get("Idempotency-Key"), body: string(sent)}
		w.Header().Set("X-Request-Id", "req_1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: "sk_secret"}, nil
	})
	require.NoError(t, err)
	client, err := httpclient.New(httpclient.Options{Profile: Profile(), BaseURL: s.URL, Credentials: credentials,
		Limiter: ratelimit.New(0, 1, 0), AttemptTimeout: 10 * time.Second, MaxInFlight: 1})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	f.Processor = New(client)
	return f
}

// requireError requires a *processor.Error with these values whose text contains no secret.
func requireError(t *testing.T, err error, certainty processor.Certainty, retry bool,
	class payment.FailureClass) *processor.Error {
	t.Helper()
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, certainty, e.Certainty, "%v", err)
	require.Equal(t, retry, e.Retry, "%v", err)
	require.Equal(t, class, e.Class, "%v", err)
	require.NotContains(t, err.Error(), "sk_secret")
	require.NotContains(t, err.Error(), "4111")
	require.Equal(t, "req_1", e.RequestID)
	return e
}
