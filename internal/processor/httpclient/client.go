// Package httpclient is the [processor.Client]: it sends one request to a processor and reports what that proves about money. Around
// the request it applies the rate limit, the limit of calls in flight and the circuit breaker, adds credentials, bounds time and size,
// and writes the audit record.
package httpclient

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/classify"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/sensitive"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const (
	connectTimeout     = 5 * time.Second
	defaultIdleTimeout = 30 * time.Second
)

// Size limits of a response.
const (
	maxResponseBody    = 1 << 20
	maxResponseHeaders = 64 << 10
	// maxDrain is how much of an oversized body is read to keep the connection. Beyond it, closing the connection is
	// cheaper.
	maxDrain = 64 << 10
)

// Options configure a Client.
type Options struct {
	// Name is the processor's, for the audit log and metrics.
	Name string
	// Profile is the adapter's.
	Profile processor.Profile
	// BaseURL is scheme, host and an optional path prefix.
	BaseURL string
	// Insecure allows a BaseURL with http to another machine, which sends the API key and the payments unencrypted.
	Insecure bool
	// TLS is called for each new connection. Nil: the authorities of the operating system, and no client certificate.
	TLS         func() (*tls.Config, error)
	Credentials *credentials.Credentials
	// KeyName is where the API key is configured, such as "processors.acme.api_key", for the error of a key that is refused. It may be
	// empty.
	KeyName string
	Limiter *ratelimit.Limiter
	// Breaker may be nil: then calls are sent even to a processor that is down.
	Breaker *breaker.Breaker
	// AttemptTimeout bounds one attempt, from the wait for a free slot among the calls in flight to the last byte of the response.
	// The configuration has it as http_timeout.
	AttemptTimeout time.Duration
	// MaxInFlight bounds the concurrent calls, and with them the connections, including idle ones. The configuration has it as
	// max_concurrent_calls.
	MaxInFlight int
	// IdleTimeout closes an idle connection, preferably before the processor does. Default: 30 s.
	IdleTimeout time.Duration
	// MaxConnectionAge is how long a connection is used for new calls, so that a worker notices a changed DNS record of the
	// processor. Default: 5 min.
	MaxConnectionAge time.Duration
	// Retry is nil under a workflow: then a call is one attempt.
	Retry *retry.Policy
	// Audit may be nil: then nothing is recorded.
	Audit *audit.Log
	// Observe is called for every attempt, concurrently. It must not block, and may be nil.
	Observe func(Observation)
	// Trace may be nil.
	Trace Trace
}

// Client implements [processor.Client] for one processor. It is safe for concurrent use.
type Client struct {
	name    string
	profile processor.Profile
	// base does not end with a slash: the path of a call is appended to it.
	base        string
	connections connections
	credentials *credentials.Credentials
	keyName     string
	limiter     *ratelimit.Limiter
	bulkhead    bulkhead
	breaker     *breaker.Breaker
	timeout     time.Duration
	retry       *retry.Policy
	cache       cache
	audit       *audit.Log
	audited     *audit.Fields
	observe     func(Observation)
	trace       Trace
}

var _ processor.Client = (*Client)(nil)

// New returns a Client. It opens no connection, but reads the TLS configuration once, to find an error in it. Its errors name the
// invalid option.
func New(o Options) (*Client, error) {
	base, err := parseBaseURL(o.BaseURL, o.Insecure)
	switch {
	case err != nil:
		return nil, err
	case o.MaxInFlight < 1:
		return nil, fmt.Errorf("max_in_flight %d: must be above 0", o.MaxInFlight)
	case o.MaxConnectionAge < 0:
		return nil, fmt.Errorf("max_connection_age %s: must not be negative", o.MaxConnectionAge)
	case o.AttemptTimeout <= 0:
		return nil, fmt.Errorf("attempt_timeout %s: must be above 0", o.AttemptTimeout)
	case o.Limiter == nil, o.Credentials == nil:
		return nil, errors.New("a client needs a limiter and credentials")
	}
	if o.Retry != nil {
		if err := o.Retry.Validate(); err != nil {
			return nil, fmt.Errorf("retry.%w", err)
		}
	}
	audited, err := audit.NewFields(o.Profile.Audited)
	if err != nil {
		return nil, fmt.Errorf("audited field %w", err)
	}
	if o.TLS != nil {
		if _, err := o.TLS(); err != nil {
			return nil, err
		}
	}
	return &Client{
		name:        o.Name,
		profile:     o.Profile,
		base:        prefix(base),
		connections: connections{settings: newTransport(o), maxAge: cmp.Or(o.MaxConnectionAge, defaultConnectionAge)},
		credentials: o.Credentials,
		keyName:     o.KeyName,
		limiter:     o.Limiter,
		bulkhead:    newBulkhead(o.MaxInFlight, o.Limiter.MaxWait()),
		breaker:     o.Breaker,
		timeout:     o.AttemptTimeout,
		retry:       o.Retry,
		audit:       o.Audit,
		audited:     audited,
		observe:     o.Observe,
		trace:       o.Trace,
	}, nil
}

// newTransport is used without an http.Client, so that no redirect is followed: a redirected POST would become a GET, or carry
// the key to another host. It ignores HTTP_PROXY and HTTPS_PROXY: a variable of the environment must not decide who receives
// payments.
func newTransport(o Options) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	idle := o.IdleTimeout
	if idle == 0 {
		idle = defaultIdleTimeout
	}
	transport := &http.Transport{
		DialContext:       dialer.DialContext,
		ForceAttemptHTTP2: true,
		// Pings detect a dead connection before a payment is sent on it.
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: idle / 2, PingTimeout: connectTimeout},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		MaxConnsPerHost:        o.MaxInFlight,
		MaxIdleConns:           o.MaxInFlight,
		MaxIdleConnsPerHost:    o.MaxInFlight,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxResponseHeaders,
	}
	if o.TLS != nil {
		transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialTLS(ctx, dialer, network, address, o.TLS)
		}
	}
	return transport
}

// dialTLS opens a connection with a configuration that is read for it, as net/http does with a fixed one.
func dialTLS(
	ctx context.Context, dialer *net.Dialer, network, address string, configuration func() (*tls.Config, error),
) (net.Conn, error) {
	config, err := configuration()
	if err != nil {
		return nil, err
	}
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, err
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	plain, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	secure := tls.Client(plain, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = plain.Close() // the handshake has failed
		return nil, err
	}
	return secure, nil
}

// CheckBaseURL returns what is wrong with the base URL of a client. insecure allows http to another machine. The error never quotes
// a URL that may contain a password or a key.
func CheckBaseURL(baseURL string, insecure bool) error {
	_, err := parseBaseURL(baseURL, insecure)
	return err
}

func parseBaseURL(baseURL string, insecure bool) (*url.URL, error) {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil, strings.Contains(baseURL, "@"), base.RawQuery != "", base.Fragment != "":
		return nil, errors.New("base_url: want https://host/path without user, query and fragment")
	case base.Hostname() == "" || base.Scheme != "https" && base.Scheme != "http":
		return nil, fmt.Errorf("base_url %q: want https://host/path", baseURL)
	case base.Scheme == "http" && !insecure && !isLoopback(base.Hostname()):
		return nil, fmt.Errorf("base_url %q would send the API key unencrypted: want https, or insecure: true", baseURL)
	}
	return base, nil
}

// prefix returns the URL to which the path of a call is appended.
func prefix(base *url.URL) string {
	clean := url.URL{Scheme: base.Scheme, Host: base.Host, Path: base.Path, RawPath: base.RawPath}
	return strings.TrimSuffix(clean.JoinPath("/").String(), "/")
}

// isLoopback reports whether the host is this machine. A name without a dot is another one, such as a service of docker-compose.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// Name returns the processor's name.
func (c *Client) Name() string { return c.name }

// Ready reports whether a call that moves money would be sent at once: it would neither be refused, because the processor is paused or
// the breaker is open, nor have to wait for the rate limit or for a free slot among the calls in flight. By the time of the call this may
// have changed.
func (c *Client) Ready() bool {
	return c.limiter.Ready() && !c.bulkhead.full() && (c.breaker == nil || c.breaker.State() == "closed")
}

// Close closes idle connections.
func (c *Client) Close() { c.connections.closeIdle() }

// Do implements [processor.Client].
func (c *Client) Do(ctx context.Context, call processor.Call) (processor.Answer, error) {
	if call.Cached {
		return c.cached(ctx, call)
	}
	return c.do(ctx, call)
}

func (c *Client) do(ctx context.Context, call processor.Call) (processor.Answer, error) {
	if c.retry != nil {
		return c.repeat(ctx, call)
	}
	answer, err := c.attempt(ctx, call, time.Time{})
	return answer, orNil(err)
}

// orNil returns e as an error: nil if e is nil, which a plain conversion would make a non-nil error.
func orNil(e *processor.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// asError returns the *processor.Error that err is or wraps: the limiter and the breaker return no other errors.
func asError(err error) *processor.Error {
	e := &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.NotExecuted, Message: err.Error()}
	errors.As(err, &e)
	return e
}

// attempt makes one attempt at a call. It ends after the attempt timeout, and no later than until unless that is zero.
func (c *Client) attempt(ctx context.Context, call processor.Call, until time.Time) (processor.Answer, *processor.Error) {
	if err := c.check(call); err != nil {
		c.observed(ctx, call, processor.Answer{}, err, 0, nil)
		return processor.Answer{}, err
	}
	arrived := time.Now()
	if end := arrived.Add(c.timeout); until.IsZero() || end.Before(until) {
		until = end
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()

	if err := c.bulkhead.enter(ctx); err != nil {
		c.observed(ctx, call, processor.Answer{}, err, time.Since(arrived), nil)
		return processor.Answer{}, err
	}
	defer c.bulkhead.leave()

	bearer := c.credentials.Bearer(ctx)
	answer, err := c.send(ctx, cancel, call, bearer, arrived)
	if err == nil || answer.Status != http.StatusUnauthorized {
		return answer, err
	}
	if cause := c.credentials.Refresh(ctx, bearer); cause != nil {
		// The processor refused the current key, and no other can be read now: a later attempt may succeed.
		err.Class, err.Retry, err.Err = payment.ClassUnavailable, true, cause
		err.Message = "the processor refused the current API key, and reading it again failed: " + cause.Error()
		return answer, err
	}
	again, errAgain := c.send(ctx, cancel, call, c.credentials.Bearer(ctx), time.Now())
	again.Sends += answer.Sends
	if errAgain != nil && answer.Sends > 1 {
		// The 401 refuses only the last of the first sends.
		errAgain.Certainty = processor.Ambiguous
	}
	return again, errAgain
}

// send sends one request as soon as the limiter allows it. cancel ends ctx.
func (c *Client) send(ctx context.Context, cancel context.CancelFunc, call processor.Call, bearer string, arrived time.Time) (answer processor.Answer, failed *processor.Error) {
	waited := time.Duration(0)
	var ended func(Observation)
	defer func() {
		if failed != nil && call.Key != "" && strings.Contains(failed.Message, call.Key) {
			failed.Message = processor.Withheld
		}
		c.observed(ctx, call, answer, failed, waited, ended)
	}()
	wait := c.limiter.Wait
	if movesMoney(call) {
		wait = c.limiter.WaitToSend
	}
	if err := wait(ctx); err != nil {
		waited = time.Since(arrived)
		return processor.Answer{}, asError(err)
	}
	w := wire{cancel: cancel}
	req, err := c.request(httptrace.WithClientTrace(ctx, w.trace()), call, bearer)
	if err != nil {
		return processor.Answer{}, refuse("the request cannot be built: " + processor.Clip(err.Error()))
	}
	// The breaker is asked last: a call that it lets pass must report soon. One that then waited for the bulkhead or the limiter would
	// occupy a probe of a half-open breaker.
	passed, err := c.breaker.Allow()
	if err != nil {
		return processor.Answer{}, asError(err)
	}
	if c.trace != nil {
		ended = c.trace(ctx, call.Operation, req.Header)
	}
	began := time.Now()
	waited = began.Sub(arrived)
	transport := c.connections.transport()
	answer, err = roundTrip(transport, req, bearer)
	answer.Took, answer.Sends = time.Since(began), int(w.sends.Load())
	objectLevel := c.report(passed, answer, w.breakerError(ctx, answer, err))
	if err != nil {
		failed = classify.NetworkError(w.cause(err), answer.Sends > 0)
		if w.sentTooOften() {
			// The other kept connections are as old.
			transport.CloseIdleConnections()
		}
		if containsAPIKey(failed.Message, bearer) { // it quotes a response that is not HTTP
			failed.Message = processor.Withheld
		}
	} else {
		failed = c.judge(call, &answer)
		if failed != nil && failed.Class == payment.ClassAuthentication && c.keyName != "" {
			// The processor's own text may quote the key, and is withheld then.
			failed.Message = c.keyName + " was refused: " + failed.Message
		}
		c.applyBackpressure(answer, objectLevel)
	}
	c.record(ctx, began, call, answer, failed)
	return answer, failed
}

// judge returns what a response means: nil for a success or a decline, which it adds to the answer.
func (c *Client) judge(call processor.Call, a *processor.Answer) *processor.Error {
	switch {
	case a.Status == http.StatusNotModified && call.Header.Get("If-None-Match") != "":
		return nil
	case a.Status < 200 || a.Status > 299:
		decline, failed := classify.Response(*a, c.profile)
		if decline != nil && call.Key == "" {
			return processor.Malformed(*a, "the response to a read is a decline")
		}
		a.Decline = decline
		return failed
	case a.Truncated:
		return processor.Malformed(*a, "the response did not arrive completely")
	default:
		return decode(call, *a)
	}
}

func decode(call processor.Call, a processor.Answer) *processor.Error {
	if call.Decode == nil {
		return nil
	}
	if err := call.Decode(a.Body); err != nil {
		return processor.Malformed(a, processor.Clip(err.Error()))
	}
	return nil
}

// report reports an attempt to the breaker, also if a function of the profile panics: a probe without a report would keep the
// breaker half-open. It returns whether the response is about one object only.
func (c *Client) report(passed breaker.Passed, a processor.Answer, err error) (objectLevel bool) {
	defer func() {
		passed.Report(breaker.Outcome{Status: a.Status, Err: err, ObjectLevel: objectLevel, Took: a.Took})
	}()
	return classify.ObjectLevel(a, c.profile)
}

// applyBackpressure slows the other calls down as far as the response asks for. A 429 is one of many calls: it cuts the rate. A 503
// with a Retry-After is about the whole processor, and each further call could have an unknown outcome: all calls wait.
func (c *Client) applyBackpressure(a processor.Answer, objectLevel bool) {
	switch {
	case objectLevel:
	case a.Status == http.StatusTooManyRequests:
		c.limiter.Refused(a.RetryAfter)
	case a.Status == http.StatusServiceUnavailable && a.RetryAfter > 0:
		c.limiter.Hold(a.RetryAfter)
	case a.Status < http.StatusInternalServerError:
		c.limiter.Accepted()
	}
	if quota, ok := ratelimit.ParseQuota(a.Header); ok {
		c.limiter.Pace(quota)
	}
}

// roundTrip returns the complete response, or the transport's error. If the processor repeats our API key in its response, the
// key is removed before any other code sees it.
func roundTrip(transport *http.Transport, req *http.Request, bearer string) (processor.Answer, error) {
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return processor.Answer{}, err
	}
	body, whole := readBody(resp)
	if secret := credentials.Secret(bearer); secret != "" && bytes.Contains(body, []byte(secret)) {
		body = bytes.ReplaceAll(body, []byte(secret), []byte("***"))
	}
	id := requestID(resp.Header)
	if containsAPIKey(id, bearer) {
		id = ""
	}
	return processor.Answer{
		Status:     resp.StatusCode,
		Header:     resp.Header,
		Body:       body,
		Truncated:  !whole,
		RetryAfter: ratelimit.ParseRetryAfter(resp.Header, time.Now()),
		RequestID:  id,
	}, nil
}

// containsAPIKey reports whether a text from outside contains our API key.
func containsAPIKey(text, bearer string) bool {
	secret := credentials.Secret(bearer)
	return secret != "" && strings.Contains(text, secret)
}

// readBody reads up to the limit and closes the body.
func readBody(resp *http.Response) (body []byte, whole bool) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The body is the raw connection, to which the deadline of the request does not apply.
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBody+1))
	if err != nil || len(body) <= maxResponseBody {
		return body, err == nil
	}
	// An error here would only mean that the connection is not reused.
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	return body, false
}

func (c *Client) request(ctx context.Context, call processor.Call, bearer string) (*http.Request, error) {
	target := c.base + call.Path
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, target, bytes.NewReader(call.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range call.Header {
		req.Header[name] = values
	}
	contentType := cmp.Or(call.ContentType, "application/json")
	// All values share one array, to save an allocation for each.
	values := [...]string{bearer, "application/json", contentType, call.Key}
	req.Header["Authorization"] = values[0:1:1]
	req.Header["Accept"] = values[1:2:2]
	if call.Body != nil {
		req.Header["Content-Type"] = values[2:3:3]
	}
	if call.Key != "" {
		req.Header["Idempotency-Key"] = values[3:4:4]
	}
	return req, nil
}

// requestID returns the processor's id of the request, of at most 128 bytes.
func requestID(h http.Header) string {
	id := h.Get("X-Request-Id")
	if id == "" {
		id = h.Get("Request-Id")
	}
	if sensitive.Text(id) {
		return ""
	}
	return strings.ToValidUTF8(id[:min(len(id), 128)], "")
}
