package processor

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
	"github.com/florinpay/florin/payment"
)

const (
	connectTimeout     = 5 * time.Second
	defaultIdleTimeout = 30 * time.Second
	shortestSecret     = 8
)

// Limits of what we take from a processor.
const (
	maxResponseBody    = 1 << 20
	maxResponseHeaders = 64 << 10
	// maxDrain is read of a body that is too large, to keep the connection; beyond it the connection is
	// closed, which is cheaper.
	maxDrain = 64 << 10
)

// ClientOptions configure the HTTP client under one adapter.
type ClientOptions struct {
	// Name is the processor's, for the audit log and metrics.
	Name string
	// Profile is what the adapter knows about the processor.
	Profile Profile
	// BaseURL is scheme, host and an optional path prefix.
	BaseURL     string
	Credentials *Credentials
	Limiter     *Limiter
	// Breaker may be nil: then nothing holds calls back from a processor that is down.
	Breaker *Breaker
	// AttemptTimeout bounds one attempt, from the wait for its turn to the last byte of the answer.
	AttemptTimeout time.Duration
	// MaxInFlight bounds the calls at once, and with them the connections, idle ones included.
	MaxInFlight int
	// IdleTimeout closes a connection before the processor does; 30 s unless given.
	IdleTimeout time.Duration
	// Retry may be nil, and is under a workflow: then a call is one attempt.
	Retry *Retry
	// Audit may be nil: then nothing is recorded.
	Audit *audit.Log
	// Observe hears of every attempt; it may be nil, must not block, and may be called concurrently.
	Observe func(Observation)
	// Trace may be nil.
	Trace Trace
}

// Client calls a processor and says what really happened to each call. Safe for concurrent use.
type Client struct {
	name    string
	profile Profile
	// base has no slash at its end: the path of a call is appended to it.
	base        string
	transport   *http.Transport
	credentials *Credentials
	limiter     *Limiter
	bulkhead    bulkhead
	breaker     *Breaker
	timeout     time.Duration
	retry       *Retry
	cache       cache
	audit       *audit.Log
	observe     func(Observation)
	trace       Trace
}

// NewClient opens no connection. Its errors name the option that cannot work.
func NewClient(o ClientOptions) (*Client, error) {
	base, err := parseBaseURL(o.BaseURL)
	switch {
	case err != nil:
		return nil, err
	case o.MaxInFlight < 1:
		return nil, fmt.Errorf("max_in_flight %d: must be above 0", o.MaxInFlight)
	case o.AttemptTimeout <= 0:
		return nil, fmt.Errorf("attempt_timeout %s: must be above 0", o.AttemptTimeout)
	case o.Limiter == nil, o.Credentials == nil:
		return nil, errors.New("a client needs a limiter and credentials")
	}
	if o.Retry != nil {
		if err := o.Retry.validate(); err != nil {
			return nil, fmt.Errorf("retry.%w", err)
		}
	}
	return &Client{
		name:        o.Name,
		profile:     o.Profile,
		base:        prefix(base),
		transport:   newTransport(o),
		credentials: o.Credentials,
		limiter:     o.Limiter,
		bulkhead:    newBulkhead(o.MaxInFlight, o.Limiter.patience),
		breaker:     o.Breaker,
		timeout:     o.AttemptTimeout,
		retry:       o.Retry,
		audit:       o.Audit,
		observe:     o.Observe,
		trace:       o.Trace,
	}, nil
}

// newTransport has no http.Client around it: nothing is redirected. A redirected POST would become a GET, or carry
// the key to another host.
func newTransport(o ClientOptions) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	idle := o.IdleTimeout
	if idle == 0 {
		idle = defaultIdleTimeout
	}
	return &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DialContext:       dialer.DialContext,
		ForceAttemptHTTP2: true,
		// A connection that has gone silent is found out before a payment is lost on it.
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: idle / 2, PingTimeout: connectTimeout},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		MaxConnsPerHost:        o.MaxInFlight,
		MaxIdleConns:           o.MaxInFlight,
		MaxIdleConnsPerHost:    o.MaxInFlight,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxResponseHeaders,
	}
}

// CheckBaseURL says what is wrong with the base URL of a client. It never quotes one that may hold a password or a key.
func CheckBaseURL(baseURL string) error {
	_, err := parseBaseURL(baseURL)
	return err
}

func parseBaseURL(baseURL string) (*url.URL, error) {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil, strings.Contains(baseURL, "@"), base.RawQuery != "", base.Fragment != "":
		return nil, errors.New("base_url: want https://host/path without user, query and fragment")
	case base.Hostname() == "" || base.Scheme != "https" && base.Scheme != "http":
		return nil, fmt.Errorf("base_url %q: want https://host/path", baseURL)
	case base.Scheme == "http" && !nearby(base.Hostname()):
		return nil, fmt.Errorf("base_url %q would send the API key in the clear: want https", baseURL)
	}
	return base, nil
}

// prefix is what the path of a call is appended to.
func prefix(base *url.URL) string {
	clean := url.URL{Scheme: base.Scheme, Host: base.Host, Path: base.Path, RawPath: base.RawPath}
	return strings.TrimSuffix(clean.JoinPath("/").String(), "/")
}

// nearby holds for this machine and for names without a domain, such as a service of docker-compose.
func nearby(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || err != nil && !strings.Contains(host, ".")
}

// Name is the processor's.
func (c *Client) Name() string { return c.name }

// Close closes the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Do makes the call and returns a success, read by its Decode. Any other ending is an *Error that says what it
// proves about money; the answer, where one came, is returned beside it. A 401 is followed by one replay with a fresh
// key to the API and the same idempotency key. Cancelling the context ends every wait at once.
func (c *Client) Do(ctx context.Context, call Call) (Answer, error) {
	if call.Cached {
		return c.cached(ctx, call)
	}
	return c.do(ctx, call)
}

func (c *Client) do(ctx context.Context, call Call) (Answer, error) {
	if c.retry != nil {
		return c.repeat(ctx, call)
	}
	answer, err := c.attempt(ctx, call, time.Time{})
	return answer, orNil(err)
}

// orNil keeps a nil *Error from becoming an error that is not nil.
func orNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// asError is the way back: the limiter and the breaker return nothing but an *Error.
func asError(err error) *Error {
	e := &Error{Class: payment.ClassUnavailable, Certainty: NotExecuted, Message: err.Error()}
	errors.As(err, &e)
	return e
}

// attempt is one try at a call, which ends at until, unless that is zero, and after the attempt's own time.
func (c *Client) attempt(ctx context.Context, call Call, until time.Time) (Answer, *Error) {
	if err := c.check(call); err != nil {
		c.observed(ctx, call, Answer{}, err, 0, nil)
		return Answer{}, err
	}
	arrived := time.Now()
	if end := arrived.Add(c.timeout); until.IsZero() || end.Before(until) {
		until = end
	}
	ctx, stop := context.WithDeadline(ctx, until)
	defer stop()

	if err := c.bulkhead.enter(ctx); err != nil {
		c.observed(ctx, call, Answer{}, err, time.Since(arrived), nil)
		return Answer{}, err
	}
	defer c.bulkhead.leave()

	key := c.credentials.Bearer(ctx)
	answer, err := c.send(ctx, stop, call, key, arrived)
	if err == nil || answer.Status != http.StatusUnauthorized {
		return answer, err
	}
	if cause := c.credentials.Refresh(ctx, key); cause != nil {
		// Refused with the key at hand, and there is no other now: that may be better in a moment.
		err.Class, err.Retry, err.Err = payment.ClassUnavailable, true, cause
		err.Message = "refused with the key at hand, and reading it anew failed: " + cause.Error()
		return answer, err
	}
	again, errAgain := c.send(ctx, stop, call, c.credentials.Bearer(ctx), time.Now())
	again.Sends += answer.Sends
	if errAgain != nil {
		errAgain.Sends = again.Sends
		if answer.Sends > 1 && errAgain.Certainty == NotExecuted {
			// Only the last of the first sends was surely refused.
			errAgain.Certainty = Ambiguous
		}
	}
	return again, errAgain
}

// send puts one request on the wire when its turn has come. stop ends ctx.
func (c *Client) send(ctx context.Context, stop context.CancelFunc, call Call, bearer string, arrived time.Time) (answer Answer, failed *Error) {
	waited := time.Duration(0)
	var traced func(Observation)
	defer func() {
		if failed != nil {
			failed.KeyHash = hashKey(call.Key)
			if call.Key != "" && strings.Contains(failed.Message, call.Key) {
				failed.Message = withheld
			}
		}
		c.observed(ctx, call, answer, failed, waited, traced)
	}()
	if err := c.limiter.Wait(ctx); err != nil {
		waited = time.Since(arrived)
		return Answer{}, asError(err)
	}
	w := wire{stop: stop}
	req, err := c.request(httptrace.WithClientTrace(ctx, w.trace()), call, bearer)
	if err != nil {
		return Answer{}, refuse("the request cannot be built: " + Clip(err.Error()))
	}
	passed, err := c.breaker.Allow()
	if err != nil {
		return Answer{}, asError(err)
	}
	if c.trace != nil {
		traced = c.trace(ctx, call.Operation, req.Header)
	}
	began := time.Now()
	waited = began.Sub(arrived)
	answer, err = c.roundTrip(req, bearer)
	answer.Took, answer.Sends = time.Since(began), int(w.sends.Load())
	passed.Report(answer, w.sign(ctx, answer, err), answer.Took)
	if err != nil {
		failed = transportError(w.cause(err), answer.Sends > 0)
		failed.Took, failed.Sends = answer.Took, answer.Sends
		if w.sentTooOften() {
			// The others that were kept are as old.
			c.transport.CloseIdleConnections()
		}
		if repeats(failed.Message, bearer) { // it quotes what is no HTTP
			failed.Message = withheld
		}
	} else {
		failed = c.judge(call, answer)
		c.heed(answer)
	}
	c.record(ctx, began, call, answer, failed)
	return answer, failed
}

// judge says what an answer means; nil is a success.
func (c *Client) judge(call Call, a Answer) *Error {
	switch {
	case a.Status == http.StatusNotModified && call.Header.Get("If-None-Match") != "":
		return nil
	case a.Status < 200 || a.Status > 299:
		failed := classify(a, c.profile)
		if failed.Decline != nil && repeatable(call.Method) {
			return Malformed(a, "the answer declines what was only asked for")
		}
		return failed
	case a.Truncated:
		return Malformed(a, "the answer did not come through whole")
	default:
		return decode(call, a)
	}
}

func decode(call Call, a Answer) *Error {
	if call.Decode == nil {
		return nil
	}
	if err := call.Decode(a.Body); err != nil {
		return Malformed(a, Clip(err.Error()))
	}
	return nil
}

// heed slows the other calls down as far as the answer asks for.
func (c *Client) heed(a Answer) {
	if a.RetryAfter > 0 && (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable) {
		c.limiter.Hold(a.RetryAfter)
	}
	if quota, ok := ParseQuota(a.Header); ok {
		c.limiter.Pace(quota)
	}
}

// roundTrip brings the whole answer, or the transport's error. A processor that repeats our key in its answer does not
// make it known: it is taken out before anybody sees the answer.
func (c *Client) roundTrip(req *http.Request, bearer string) (Answer, error) {
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return Answer{}, err
	}
	body, whole := readBody(resp)
	if secret := secretOf(bearer); secret != "" && bytes.Contains(body, []byte(secret)) {
		body = bytes.ReplaceAll(body, []byte(secret), []byte("***"))
	}
	id := requestID(resp.Header)
	if repeats(id, bearer) {
		id = ""
	}
	return Answer{
		Status:     resp.StatusCode,
		Header:     resp.Header,
		Body:       body,
		Truncated:  !whole,
		RetryAfter: ParseRetryAfter(resp.Header, time.Now()),
		RequestID:  id,
	}, nil
}

// secretOf is the key in an Authorization header, empty where it is so short that it may be part of other words by chance.
func secretOf(bearer string) string {
	secret := strings.TrimPrefix(bearer, bearerPrefix)
	if len(secret) < shortestSecret {
		return ""
	}
	return secret
}

// repeats holds for a text of others that has our key in it.
func repeats(text, bearer string) bool {
	secret := secretOf(bearer)
	return secret != "" && strings.Contains(text, secret)
}

// readBody reads up to the limit and closes the body.
func readBody(resp *http.Response) (body []byte, whole bool) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// What follows is the bare connection, whose reads no deadline of ours would end.
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBody+1))
	if err != nil || len(body) <= maxResponseBody {
		return body, err == nil
	}
	// An error here would only say that the connection is not reused.
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	return body, false
}

func (c *Client) request(ctx context.Context, call Call, bearer string) (*http.Request, error) {
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
	// All values in one array: an allocation for each would be felt.
	ours := [...]string{bearer, "application/json", contentType, call.Key}
	req.Header["Authorization"] = ours[0:1:1]
	req.Header["Accept"] = ours[1:2:2]
	if call.Body != nil {
		req.Header["Content-Type"] = ours[2:3:3]
	}
	if call.Key != "" {
		req.Header["Idempotency-Key"] = ours[3:4:4]
	}
	return req, nil
}

// requestID is the processor's own name for the request, cut to a sane length.
func requestID(h http.Header) string {
	id := h.Get("X-Request-Id")
	if id == "" {
		id = h.Get("Request-Id")
	}
	if audit.Sensitive(id) {
		return ""
	}
	return strings.ToValidUTF8(id[:min(len(id), 128)], "")
}

// transportMessage says what went wrong, without addresses.
func transportMessage(err error) string {
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "the call was stopped"
	case errors.As(err, &dns):
		return "the processor's host name does not resolve"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	// It may quote what the other side sent.
	return Clip(err.Error())
}
