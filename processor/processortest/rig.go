package processortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// Secrets that no error text may contain.
const (
	apiKey        = "api-key-of-processortest" //nolint:gosec // protects nothing
	paymentMethod = "tok_processortest"
	cardNumber    = "4111111111111111"
)

// basePath is the path of the adapter's base URL.
const basePath = "/base"

// rig is an adapter with its client and the scripted server that they talk to. Every call whose requests are counted needs a
// new rig: net/http may send a request a second time on a connection that it has kept.
type rig struct {
	tester
	protocol Protocol
	adapter  processor.Processor
	url      string
	script   func(received) Response

	mu       sync.Mutex
	requests []received
	problems []error
}

// received is one request that the server received, raw and parsed.
type received struct {
	Request
	ParsedRequest
	// charges are those of a batch.
	charges []received
	// nth is the number of the request, from 1. That of a charge of a batch is 0.
	nth int
}

// start returns a rig whose server responds as script says.
func start(t tester, p Protocol, script func(received) Response, change ...func(*httpclient.Options)) *rig {
	t.Helper()
	r := &rig{tester: t, protocol: p, script: script}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + basePath
	keys := 0
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		keys++ // the client never loads keys concurrently
		return credentials.Key{Value: fmt.Sprintf("%s-%d", apiKey, keys)}, nil
	})
	require.NoError(t, err)
	options := httpclient.Options{Name: "processortest", Profile: p.Profile, BaseURL: r.url, Credentials: credentials,
		Limiter: ratelimit.New(0, 1000, 0), AttemptTimeout: 10 * time.Second, MaxInFlight: 1}
	for _, f := range change {
		f(&options)
	}
	client, err := httpclient.New(options)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r.adapter = p.New(client)
	return r
}

// always returns a script that sends the same response to every request.
func always(response Response) func(received) Response {
	return func(received) Response { return response }
}

// ServeHTTP implements http.Handler.
func (r *rig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	got, err := r.receive(req)
	w.Header().Set("X-Request-Id", requestID(got.nth))
	if err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	response := r.script(got)
	if response.handler != nil {
		response.handler(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name, values := range response.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(response.Status)
	_, _ = w.Write(response.Body) // fails for a status without a body, such as 304, and if the client has disconnected
}

// requestID returns the X-Request-Id of the response to the nth request.
func requestID(nth int) string { return fmt.Sprintf("req_%d", nth) }

func (r *rig) receive(req *http.Request) (received, error) {
	body, err := io.ReadAll(req.Body)
	path, within := strings.CutPrefix(req.URL.EscapedPath(), basePath)
	got := received{Request: Request{Method: req.Method, Path: path, Query: req.URL.Query(), Header: req.Header.Clone(),
		Body: body}}
	switch {
	case err != nil:
	case !within:
		err = errors.New("the path is not below the base URL")
	default:
		got, err = r.parse(got.Request)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	got.nth = len(r.requests) + 1
	r.requests = append(r.requests, got)
	if err != nil {
		err = fmt.Errorf("%s %s: %w", req.Method, req.URL, err)
		r.problems = append(r.problems, err)
	}
	return got, err
}

// parse parses a request and, if it is a batch, its charges.
func (r *rig) parse(req Request) (got received, err error) {
	got.Request = req
	got.ParsedRequest, err = r.protocol.ParseRequest(req)
	switch {
	case err != nil || got.Operation != Batch:
		return got, err
	case r.protocol.ParseBatch == nil:
		return got, errors.New("a batch, but Protocol.ParseBatch is nil")
	}
	charges, err := r.protocol.ParseBatch(req)
	if err != nil {
		return got, err
	}
	for _, one := range charges {
		charge := received{Request: one}
		if charge.ParsedRequest, err = r.protocol.ParseRequest(one); err != nil {
			return got, err
		}
		if charge.Operation != Charge {
			return got, fmt.Errorf("a batch with a %s: want charges only", charge.Operation)
		}
		got.charges = append(got.charges, charge)
	}
	return got, nil
}

// sent returns the requests received so far. It fails if the protocol does not define one of them.
func (r *rig) sent() []received {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(r, r.problems, "the adapter sent a request that the protocol does not define")
	return slices.Clone(r.requests)
}

// onlyRequest returns the only request received. It fails if there were none or several.
func (r *rig) onlyRequest() received { return r.requireRequests(1)[0] }

// requireRequests returns the requests received. It fails unless there were n.
func (r *rig) requireRequests(n int) []received {
	r.Helper()
	sent := r.sent()
	var lines []string
	for _, got := range sent {
		lines = append(lines, got.Method+" "+got.Path)
	}
	require.Len(r, lines, n, "requests on the wire")
	return sent
}

// requireError requires a *processor.Error that is complete and contains no secret.
func (r *rig) requireError(err error) processor.Error {
	r.Helper()
	require.Error(r, err, "a call without an outcome must return an error")
	var e *processor.Error
	require.ErrorAs(r, err, &e, "every error of an adapter must be a *processor.Error")
	require.Contains(r, []processor.Certainty{processor.NotExecuted, processor.Ambiguous}, e.Certainty,
		"certainty of %v", err)
	require.Contains(r, payment.FailureClasses, e.Class, "class of %v", err)
	r.requireNoSecrets(err)
	return *e
}

// requireFailure requires an error with this certainty, retry flag and class.
func (r *rig) requireFailure(err error, certainty processor.Certainty, retry bool,
	class payment.FailureClass) processor.Error {
	r.Helper()
	e := r.requireError(err)
	require.Equal(r, certainty, e.Certainty, "certainty of %v", err)
	require.Equal(r, retry, e.Retry, "retry of %v", err)
	require.Equal(r, class, e.Class, "class of %v", err)
	return e
}

// requireNoSecrets requires that the texts of an error and of its causes contain no secret.
func (r *rig) requireNoSecrets(err error) {
	r.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			for _, secret := range []string{apiKey, paymentMethod, cardNumber, "4111 1111 1111 1111", keyOf("")} {
				require.NotContains(r, text, secret)
			}
		}
	}
}

// requireResult requires that err is nil and returns the result.
func (r *rig) requireResult(got processor.Result, err error) processor.Result {
	r.Helper()
	require.NoError(r, err)
	return got
}

// Handlers and responses of a failing server.

// hang sends nothing and returns when the client disconnects.
func hang(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }

// reset makes the client see "connection reset by peer": with linger 0, close sends RST instead of FIN.
func reset(w http.ResponseWriter, _ *http.Request) { closeConnection(w, "", 0) }

// closeWithoutResponse closes the connection before the response.
func closeWithoutResponse(w http.ResponseWriter, _ *http.Request) { closeConnection(w, "", -1) }

// closeWithinHeader closes the connection in the middle of the response header.
func closeWithinHeader(w http.ResponseWriter, _ *http.Request) {
	closeConnection(w, "HTTP/1.1 200 OK\r\nContent-Le", -1)
}

// truncate announces the whole body and sends half of it.
func truncate(a Response) Response {
	return Response{handler: func(w http.ResponseWriter, _ *http.Request) {
		closeConnection(w, fmt.Sprintf("HTTP/1.1 %d %s\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
			a.Status, http.StatusText(a.Status), w.Header().Get("X-Request-Id"), len(a.Body), a.Body[:len(a.Body)/2]), -1)
	}}
}

// closeConnection writes raw to the connection and closes it. linger is the argument of net.TCPConn.SetLinger.
func closeConnection(w http.ResponseWriter, raw string, linger int) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	// The client may have closed its end already: errors are expected.
	_, _ = io.WriteString(conn, raw)
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(linger)
	}
}
