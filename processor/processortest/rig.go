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

// What no text of an error may have in it.
const (
	ourKey        = "api-key-of-processortest"
	paymentMethod = "tok_processortest"
	cardNumber    = "4111111111111111"
)

// basePath is below which the processor is.
const basePath = "/base"

// rig is an adapter, the client under it, and the server that it speaks to. It is made anew for every call whose
// requests are counted: on a connection that it had kept, net/http may send a request twice.
type rig struct {
	tester
	protocol Protocol
	adapter  processor.Processor
	url      string
	script   func(received) Answer

	mu       sync.Mutex
	requests []received
	problems []error
}

// received is a request, what it asks for, and how many there were with it.
type received struct {
	Request
	Asked
	nth int
}

func start(t tester, p Protocol, script func(received) Answer, change ...func(*httpclient.Options)) *rig {
	t.Helper()
	r := &rig{tester: t, protocol: p, script: script}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + basePath
	keys := 0
	credentials, err := credentials.New(t.Context(), func(context.Context) (credentials.Key, error) {
		keys++ // the client reads one at a time
		return credentials.Key{Value: fmt.Sprintf("%s-%d", ourKey, keys)}, nil
	})
	require.NoError(t, err)
	options := httpclient.Options{Name: "processortest", Profile: p.Profile, BaseURL: r.url, Credentials: credentials,
		Limiter: ratelimit.New(0, 1, 0), AttemptTimeout: 10 * time.Second, MaxInFlight: 1}
	for _, f := range change {
		f(&options)
	}
	client, err := httpclient.New(options)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r.adapter = p.New(client)
	return r
}

// always answers every request alike.
func always(a Answer) func(received) Answer { return func(received) Answer { return a } }

// ServeHTTP implements http.Handler.
func (r *rig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	got, err := r.receive(req)
	w.Header().Set("X-Request-Id", requestID(got.nth))
	if err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	a := r.script(got)
	if a.deliver != nil {
		a.deliver(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name, values := range a.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a status such as 304 has none, and the caller may be gone
}

func requestID(nth int) string { return fmt.Sprintf("req_%d", nth) }

func (r *rig) receive(req *http.Request) (received, error) {
	body, err := io.ReadAll(req.Body)
	path, within := strings.CutPrefix(req.URL.EscapedPath(), basePath)
	got := received{Request: Request{Method: req.Method, Path: path, Query: req.URL.Query(), Header: req.Header.Clone(), Body: body}}
	switch {
	case err != nil:
	case !within:
		err = errors.New("it is not below the base URL")
	default:
		got.Asked, err = r.protocol.Read(got.Request)
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

// sent is what came so far, each of it a request of the protocol.
func (r *rig) sent() []received {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(r, r.problems, "the adapter sent what the protocol does not have")
	return slices.Clone(r.requests)
}

// once is the only request that came.
func (r *rig) once() received { return r.times(1)[0] }

// times is what came, if that is as many.
func (r *rig) times(n int) []received {
	r.Helper()
	sent := r.sent()
	var lines []string
	for _, got := range sent {
		lines = append(lines, got.Method+" "+got.Path)
	}
	require.Len(r, lines, n, "requests on the wire")
	return sent
}

// refused checks a call that brought no outcome: its error says all that it must, and no secret.
func (r *rig) refused(err error) processor.Error {
	r.Helper()
	require.Error(r, err, "a call without an outcome must be an error")
	var e *processor.Error
	require.ErrorAs(r, err, &e, "every error of an adapter is a *processor.Error")
	require.Contains(r, []processor.Certainty{processor.NotExecuted, processor.Ambiguous}, e.Certainty, "certainty of %v", err)
	require.Contains(r, payment.FailureClasses, e.Class, "class of %v", err)
	r.discreet(err)
	return *e
}

// ends checks what an error says about money.
func (r *rig) ends(err error, certainty processor.Certainty, retry bool, class payment.FailureClass) processor.Error {
	r.Helper()
	e := r.refused(err)
	require.Equal(r, certainty, e.Certainty, "certainty of %v", err)
	require.Equal(r, retry, e.Retry, "retry of %v", err)
	require.Equal(r, class, e.Class, "class of %v", err)
	return e
}

// discreet checks that no text of an error, nor of its causes, has a secret in it.
func (r *rig) discreet(err error) {
	r.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			for _, secret := range []string{ourKey, paymentMethod, cardNumber, "4111 1111 1111 1111", keyOf("")} {
				require.NotContains(r, text, secret)
			}
		}
	}
}

// answered is what a call brought that has an outcome.
func (r *rig) answered(got processor.Result, err error) processor.Result {
	r.Helper()
	require.NoError(r, err)
	return got
}

// The manners in which a server fails.

// hang sends nothing until the caller is gone.
func hang(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }

// reset makes the caller see "connection reset by peer": with linger 0 the close sends RST, not FIN.
func reset(w http.ResponseWriter, _ *http.Request) { hangUp(w, "", 0) }

// drop closes the connection without an answer.
func drop(w http.ResponseWriter, _ *http.Request) { hangUp(w, "", -1) }

// breakOff closes the connection in the middle of the header.
func breakOff(w http.ResponseWriter, _ *http.Request) { hangUp(w, "HTTP/1.1 200 OK\r\nContent-Le", -1) }

// cutOff promises the whole body and sends half of it.
func cutOff(a Answer) Answer {
	return Answer{deliver: func(w http.ResponseWriter, _ *http.Request) {
		hangUp(w, fmt.Sprintf("HTTP/1.1 %d %s\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
			a.Status, http.StatusText(a.Status), w.Header().Get("X-Request-Id"), len(a.Body), a.Body[:len(a.Body)/2]), -1)
	}}
}

func hangUp(w http.ResponseWriter, words string, linger int) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	// Errors here are the other side's, which has gone: that is what the scenario is about.
	_, _ = io.WriteString(conn, words)
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(linger)
	}
}
