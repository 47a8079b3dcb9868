// Package httpclient is the [processor.Client]: it sends one request to a processor and reports what that proves about money. Around
// the request it applies the rate limit, the limit of calls in flight and the circuit breaker, adds credentials, bounds time and size,
// and writes the audit record.
package httpclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
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
