package stripe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// newAPI returns a stripe-go client that sends its requests through client. It receives only successes, never retries, sends no
// telemetry, logs nothing and has no API key, not even the global stripe.Key.
func newAPI(client processor.Client) *stripe.Client {
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		HTTPClient:        &http.Client{Transport: transport{client}},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		// transport uses only the path of a request: the base URL is the client's.
		URL: stripe.String(stripe.APIURL),
	})
	return stripe.NewClient("", stripe.WithBackends(&stripe.Backends{API: backend}))
}

// exchange carries a call through stripe-go in the context of the request: the call down to transport, and the client's answer
// and error up to do, without passing through stripe-go's error handling.
type exchange struct {
	call   processor.Call
	sent   bool
	answer processor.Answer
	err    error
}

type exchangeKey struct{}

// do sends one request. send makes stripe-go build it; call has the rest: key, operation and Decode. The answer and the error
// are those of [processor.Client.Do].
func do(ctx context.Context, call processor.Call, send func(context.Context) error) (processor.Answer, error) {
	x := &exchange{call: call}
	err := send(context.WithValue(ctx, exchangeKey{}, x))
	switch {
	case x.err != nil || x.answer.Decline != nil:
		return x.answer, x.err
	case !x.sent:
		return processor.Answer{}, &processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted,
			Message: "stripe-go could not build the request", Err: err}
	case err != nil:
		// The text of err is dropped: it quotes the body.
		return x.answer, processor.Malformed(x.answer, "stripe-go did not accept the response")
	default:
		return x.answer, nil
	}
}

// transport is an http.RoundTripper that sends stripe-go's requests through the client.
type transport struct{ client processor.Client }

// errUnexpected is returned for a request that does not belong to a call, or repeats it.
var errUnexpected = errors.New("request without a call, or a second request of a call")

// errDeclined ends stripe-go's part of a declined operation: stripe-go must only receive successes.
var errDeclined = errors.New("declined")

// RoundTrip implements [http.RoundTripper]. The call's Decode has read the body of a success: stripe-go gets an empty one
// instead, because it would refuse a whole list for one record of another form. RoundTrip returns an error for everything but a
// success, so that http.Client sees no redirects and stripe-go sees nothing that it would retry.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	defer req.Body.Close()
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok || x.sent {
		return nil, errUnexpected
	}
	call := x.call
	call.Method, call.Path, call.Query = req.Method, req.URL.EscapedPath(), req.URL.Query()
	if req.Method == http.MethodPost {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		call.Body, call.ContentType = body, req.Header.Get("Content-Type")
	}
	call.Header = req.Header.Clone()
	for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key"} { // set by the client
		call.Header.Del(name)
	}
	x.sent = true
	if x.answer, x.err = t.client.Do(req.Context(), call); x.err != nil {
		return nil, x.err
	}
	if x.answer.Decline != nil {
		return nil, errDeclined
	}
	return &http.Response{
		StatusCode: x.answer.Status,
		Header:     x.answer.Header,
		Body:       io.NopCloser(strings.NewReader("{}")),
		Request:    req,
	}, nil
}
