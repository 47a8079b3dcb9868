package processor

import (
	"bytes"
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
	"sync/atomic"
	"time"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/payment"
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
	// Name is the processor's, for the audit log.
	Name string
	// Audit may be nil: then nothing is recorded.
	Audit *audit.Log
	// BaseURL is scheme, host and an optional path prefix.
	BaseURL     string
	Credentials *Credentials
	Limiter     *Limiter
	// Breaker may be nil: then nothing holds calls back from a processor that is down.
	Breaker *Breaker
	// AttemptTimeout bounds one call, from the wait for the limiter to the last byte of the answer.
	AttemptTimeout time.Duration
	// MaxConnections bounds the connections to the processor, idle ones included.
	MaxConnections int
}

// Client sends one request at a time to a processor and says what really happened to it. It never retries:
// that is the workflow's. The one exception is a 401, after which it reads the key anew and replays once,
// with the same idempotency key. Safe for concurrent use.
type Client struct {
	name        string
	audit       *audit.Log
	base        *url.URL
	transport   *http.Transport
	credentials *Credentials
	limiter     *Limiter
	breaker     *Breaker
	timeout     time.Duration
}

// NewClient checks the base URL; it opens no connection.
func NewClient(o ClientOptions) (*Client, error) {
	base, err := url.Parse(o.BaseURL)
	switch {
	case err != nil, strings.Contains(o.BaseURL, "@"), base.RawQuery != "", base.Fragment != "":
		// The value may hold a password or a key.
		return nil, errors.New("base_url: want https://host/path without user, query and fragment")
	case base.Hostname() == "" || base.Scheme != "https" && base.Scheme != "http":
		return nil, fmt.Errorf("base_url %q: want https://host/path", o.BaseURL)
	}
	if base.Scheme == "http" && !nearby(base.Hostname()) {
		return nil, fmt.Errorf("base_url %q would send the API key in the clear: want https", o.BaseURL)
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &Client{
		name:        o.Name,
		audit:       o.Audit,
		base:        base,
		credentials: o.Credentials,
		limiter:     o.Limiter,
		breaker:     o.Breaker,
		timeout:     o.AttemptTimeout,
		// Without an http.Client around it nothing is redirected: a redirected POST would become a GET, or
		// carry the key to another host.
		transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxConnsPerHost:        o.MaxConnections,
			MaxIdleConns:           o.MaxConnections,
			MaxIdleConnsPerHost:    o.MaxConnections,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxResponseHeaders,
		},
	}, nil
}

// nearby holds for this machine and for names without a domain, such as a service of docker-compose.
func nearby(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || err != nil && !strings.Contains(host, ".")
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Call is one request.
type Call struct {
	Method string
	// Path is below the base URL and begins with "/"; Query is appended to it.
	Path  string
	Query url.Values
	// Body is JSON, nil for none.
	Body []byte
	// Key is the idempotency key; required for every method but GET.
	Key string
	// Operation and PaymentID say in the audit log what the call is for.
	Operation string
	PaymentID string
}

// Answer is an HTTP answer of any status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Truncated says that the body did not come through whole, or is larger than we take.
	Truncated  bool
	RetryAfter time.Duration
	RequestID  string
	// Took is the time on the wire, from the request for a connection to the last byte of the answer.
	Took time.Duration
	// Sends is how often the request was written: net/http itself sends it again where a connection that it had
	// kept turns out to be closed.
	Sends int
}

// Do sends the call once and returns the answer, whatever its status. An error is an *Error: no answer came.
func (c *Client) Do(ctx context.Context, call Call) (Answer, error) {
	if call.Method != http.MethodGet && call.Key == "" {
		return Answer{}, &Error{Class: payment.ClassConfig, Certainty: NotExecuted, Message: "a call that moves money needs an idempotency key"}
	}
	if !fitsHeader(call.Key) {
		return Answer{}, &Error{Class: payment.ClassConfig, Certainty: NotExecuted, Message: "the idempotency key has a character that no header may have"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	key := c.credentials.Bearer(ctx)
	answer, err := c.send(ctx, call, key)
	if err != nil || answer.Status != http.StatusUnauthorized {
		return answer, err
	}
	if err := c.credentials.Refresh(ctx, key); err != nil {
		// Refused with the key at hand, and there is no other now: that may be better in a moment.
		return Answer{}, notTheFirst(answer, &Error{Class: payment.ClassUnavailable, Certainty: NotExecuted, Retry: true, HTTPStatus: answer.Status,
			Message: "refused with the key at hand, and reading it anew failed: " + err.Error(), RequestID: answer.RequestID, Err: err})
	}
	again, err := c.send(ctx, call, c.credentials.Bearer(ctx))
	if err != nil {
		return Answer{}, notTheFirst(answer, err)
	}
	again.Sends = max(again.Sends, answer.Sends)
	return again, nil
}

// notTheFirst keeps an error from claiming that nothing was executed where net/http had sent the refused request
// more than once: only the last send was surely refused.
func notTheFirst(refused Answer, err error) error {
	var e *Error
	if refused.Sends > 1 && errors.As(err, &e) {
		e.Certainty = Ambiguous
	}
	return err
}

func (c *Client) send(ctx context.Context, call Call, bearer string) (Answer, error) {
	if err := c.limiter.Wait(ctx); err != nil {
		return Answer{}, err
	}
	// Once headers are written to the connection's buffer, bytes may have left.
	var sends atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sends.Add(1) }})

	req, err := c.request(ctx, call, bearer)
	if err != nil {
		return Answer{}, &Error{Class: payment.ClassConfig, Certainty: NotExecuted, Message: "the request cannot be built", Err: err}
	}
	report := func(Answer, error, time.Duration) {}
	if c.breaker != nil {
		if report, err = c.breaker.Allow(); err != nil {
			return Answer{}, err
		}
	}
	began := time.Now()
	answer, err := c.roundTrip(req)
	answer.Took, answer.Sends = time.Since(began), int(sends.Load())
	report(answer, err, answer.Took)
	if err != nil {
		e := transportError(err, answer.Sends > 0)
		e.Took, e.Sends = answer.Took, answer.Sends
		c.record(ctx, began, call, answer, e)
		return Answer{}, e
	}
	c.record(ctx, began, call, answer, nil)
	if answer.RetryAfter > 0 && (answer.Status == http.StatusTooManyRequests || answer.Status == http.StatusServiceUnavailable) {
		c.limiter.Hold(answer.RetryAfter)
	}
	if quota, ok := ParseQuota(answer.Header); ok {
		c.limiter.Pace(quota)
	}
	return answer, nil
}

// roundTrip brings the whole answer, or the transport's error.
func (c *Client) roundTrip(req *http.Request) (Answer, error) {
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return Answer{}, err
	}
	body, whole := readBody(resp)
	return Answer{
		Status:     resp.StatusCode,
		Header:     resp.Header,
		Body:       body,
		Truncated:  !whole,
		RetryAfter: ParseRetryAfter(resp.Header, time.Now()),
		RequestID:  requestID(resp.Header),
	}, nil
}

// readBody reads up to the limit and closes the body.
func readBody(resp *http.Response) (body []byte, whole bool) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// What follows is the bare connection, whose reads no deadline of ours would end.
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBody+1))
	// An error here would only say that the connection is not reused.
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	return body, err == nil && len(body) <= maxResponseBody
}

func (c *Client) request(ctx context.Context, call Call, bearer string) (*http.Request, error) {
	target := c.base.JoinPath(call.Path)
	target.RawQuery = call.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, call.Method, target.String(), bytes.NewReader(call.Body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", bearer)
	req.Header.Set("Accept", "application/json")
	if call.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if call.Key != "" {
		req.Header.Set("Idempotency-Key", call.Key)
	}
	return req, nil
}

// requestID is the processor's own name for the request, cut to a sane length.
func requestID(h http.Header) string {
	id := h.Get("X-Request-Id")
	return strings.ToValidUTF8(id[:min(len(id), 128)], "")
}

// fitsHeader holds for what net/http sends as the value of a header.
func fitsHeader(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
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
