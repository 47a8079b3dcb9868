package stripe

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const (
	key      = "8a7c5d8e-0000-5000-8000-000000000001"
	apiKey   = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
	intentID = "pi_3MtwBwLkdIwHu7ix28a3tqPa"
	refundID = "re_1Nispe2eZvKYlo2Cd31jOCgZ"
)

var (
	chargeCall = processor.ChargeCall{
		Key: key, PaymentID: "pay_1", MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "pm_card_visa",
		CustomerID: "cus_9s6XKzkNRiz8i3", Description: "two books",
		Metadata: map[string]string{"order": "1", "florin_payment_id": "forged"},
	}
	captureCall = processor.CaptureCall{Key: key, PaymentID: "pay_1", ProcessorPaymentID: intentID, Amount: 1000,
		Currency: "USD"}
	voidCall   = processor.VoidCall{Key: key, PaymentID: "pay_1", ProcessorPaymentID: intentID}
	refundCall = processor.RefundCall{
		Key: key, RefundID: "ref_1", MerchantID: "acme", ProcessorPaymentID: intentID, Amount: 250, Currency: "USD",
		Metadata: map[string]string{"order": "1"},
	}
	chargeLookup = processor.LookupCall{Operation: payment.OperationCharge, Reference: key}
	refundLookup = processor.LookupCall{Operation: payment.OperationRefund, Reference: key, ProcessorPaymentID: intentID}
)

// operations are the calls that move money.
var operations = map[string]func(context.Context, *Processor) (processor.Result, error){
	"charge":  func(ctx context.Context, p *Processor) (processor.Result, error) { return p.Charge(ctx, chargeCall) },
	"capture": func(ctx context.Context, p *Processor) (processor.Result, error) { return p.Capture(ctx, captureCall) },
	"void":    func(ctx context.Context, p *Processor) (processor.Result, error) { return p.Void(ctx, voidCall) },
	"refund":  func(ctx context.Context, p *Processor) (processor.Result, error) { return p.Refund(ctx, refundCall) },
}

// response is a response of the server.
type response struct {
	status int
	header map[string]string
	body   string
	// truncated closes the connection after the body, which ends early. Status 0 closes it before the response.
	truncated bool
}

// saved returns a response with a body from testdata.
func saved(t *testing.T, status int, name string) response {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	return response{status: status, body: string(body)}
}

// replaced returns the response with another text in its body.
func (a response) replaced(t *testing.T, old, with string) response {
	t.Helper()
	require.Contains(t, a.body, old)
	a.body = string(bytes.ReplaceAll([]byte(a.body), []byte(old), []byte(with)))
	return a
}

// with returns the response with a header.
func (a response) with(name, value string) response {
	a.header = map[string]string{name: value}
	return a
}

// request is a request that the server received.
type request struct {
	method, path, body string
	query              url.Values
	header             http.Header
}

// fixture is an adapter with a server that sends the responses in order and repeats the last one.
type fixture struct {
	*Processor
	url   string
	seen  chan request
	audit *bytes.Buffer
}

func start(t *testing.T, responses ...response) fixture {
	t.Helper()
	f := fixture{seen: make(chan request, 200), audit: &bytes.Buffer{}}
	var turn atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		now := responses[min(int(turn.Add(1)), len(responses))-1]
		f.seen <- request{method: r.Method, path: r.URL.Path, body: string(sent), query: r.URL.Query(), header: r.Header}
		if now.status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Request-Id", "req_1")
		for name, value := range now.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(now.status)
		_, _ = io.WriteString(w, now.body)
		if now.truncated {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(s.Close)
	f.url = s.URL
	f.Processor = New(client(t, s.URL, f.audit))
	return f
}

func client(t *testing.T, baseURL string, out *bytes.Buffer, retry ...*retry.Policy) processor.Client {
	t.Helper()
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: apiKey}, nil
	})
	require.NoError(t, err)
	options := httpclient.Options{Name: "stripe", Profile: Profile(), BaseURL: baseURL, Credentials: credentials,
		Limiter: ratelimit.New(0, 1, 0), AttemptTimeout: 10 * time.Second, MaxInFlight: 1,
		Audit: audit.New(zapcore.AddSync(out), audit.Options{})}
	for _, r := range retry {
		options.Retry = r
	}
	c, err := httpclient.New(options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// requireError requires a *processor.Error with these values whose text contains no secret.
func requireError(t *testing.T, err error, certainty processor.Certainty, retry bool,
	class payment.FailureClass) *processor.Error {
	t.Helper()
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []any{certainty, retry, class}, []any{e.Certainty, e.Retry, e.Class}, "%v", err)
	for _, secret := range []string{apiKey, "pm_card_visa", "_secret_", "4111 1111"} {
		require.NotContains(t, err.Error(), secret)
	}
	return e
}
