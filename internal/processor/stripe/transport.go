package stripe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// newAPI is stripe-go on our client: it writes requests and reads nothing but successes. It never repeats a request,
// reports no telemetry, logs nothing and has no key, not even the global one.
func newAPI(client processor.Client) *stripe.Client {
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		HTTPClient:        &http.Client{Transport: transport{client}},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		// Only the path of a request counts: where Stripe is, the client knows.
		URL: stripe.String(stripe.APIURL),
	})
	return stripe.NewClient("", stripe.WithBackends(&stripe.Backends{API: backend}))
}

// exchange is one call on its way through stripe-go, in the request's context: what stripe-go knows nothing of goes
// down, and what happened comes up without having been an error of stripe-go.
type exchange struct {
	call   processor.Call
	sent   bool
	answer processor.Answer
	err    error
}

type exchangeKey struct{}

// do sends the one request that ask has stripe-go write. The call has all of the rest: key, operation and Decode.
// Its answer and its error are the client's.
func do(ctx context.Context, call processor.Call, ask func(context.Context) error) (processor.Answer, error) {
	x := &exchange{call: call}
	err := ask(context.WithValue(ctx, exchangeKey{}, x))
	switch {
	case x.err != nil || x.answer.Decline != nil:
		return x.answer, x.err
	case !x.sent:
		return processor.Answer{}, &processor.Error{Class: payment.ClassConfig, Certainty: processor.NotExecuted,
			Message: "stripe-go cannot write the request", Err: err}
	case err != nil:
		// Its words have a part of the body in them.
		return x.answer, processor.Malformed(x.answer, "stripe-go cannot read the answer")
	default:
		return x.answer, nil
	}
}

// transport sends stripe-go's requests through our client.
type transport struct{ client processor.Client }

// errNotOurs is the error for a request that no call is waiting for, such as a repetition.
var errNotOurs = errors.New("no call has this request")

// errDeclined ends stripe-go's part of a declined operation: stripe-go reads successes only.
var errDeclined = errors.New("declined")

// RoundTrip implements http.RoundTripper. Everything but a success is an error, so http.Client sees no redirect and
// stripe-go nothing that it could want to repeat.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	defer req.Body.Close()
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok || x.sent {
		return nil, errNotOurs
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
	for _, ours := range []string{"Authorization", "Content-Type", "Idempotency-Key"} {
		call.Header.Del(ours)
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
		Body:       io.NopCloser(bytes.NewReader(x.answer.Body)),
		Request:    req,
	}, nil
}
