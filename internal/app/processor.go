package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/florinpay/florin/internal/processor"
	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/stripe"
	"github.com/florinpay/florin/internal/telemetry"
)

// adapter is a protocol that processors speak.
type adapter struct {
	profile func() processor.Profile
	new     func(*processor.Client) processor.Processor
	// baseURL is where the one processor that speaks it is; empty where there are many.
	baseURL string
	// event reads what a processor sends by itself; its signature is in signatureHeader.
	event           func(body []byte) (processor.Event, error)
	signatureHeader string
}

var adapters = map[string]adapter{
	"rest": {
		profile:         rest.Profile,
		new:             func(c *processor.Client) processor.Processor { return rest.New(c) },
		event:           rest.Event,
		signatureHeader: rest.SignatureHeader,
	},
	"stripe": {
		profile:         stripe.Profile,
		new:             func(c *processor.Client) processor.Processor { return stripe.New(c) },
		baseURL:         stripe.BaseURL,
		event:           stripe.Event,
		signatureHeader: stripe.SignatureHeader,
	},
}

func adapterNames() string { return strings.Join(slices.Sorted(maps.Keys(adapters)), " or ") }

// OpenProcessor is a configured processor, ready to be called.
type OpenProcessor struct {
	processor.Processor
	// Client is the HTTP client under it, for calls that the interface does not have.
	Client *processor.Client
}

// Close closes the idle connections.
func (p *OpenProcessor) Close() { p.Client.Close() }

// ErrNotConfigured is a processor that the configuration does not have.
var ErrNotConfigured = errors.New("the processor is not configured")

// OpenAlone opens one processor of the configuration for use without Temporal: its client repeats calls by itself,
// with the configured delays, and writes its audit records to out; the configured file is the worker's. An empty name
// is the default processor.
func (c Config) OpenAlone(ctx context.Context, name string, out io.Writer) (*OpenProcessor, error) {
	if name == "" {
		name = c.DefaultProcessor
	}
	p, ok := c.Processors[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q, want %s", ErrNotConfigured, name, strings.Join(slices.Sorted(maps.Keys(c.Processors)), " or "))
	}
	retry := processor.DefaultRetry()
	retry.Backoff = p.backoff()
	log := audit.New(zapcore.AddSync(out), audit.Options{Allow: c.Audit.Allow})
	opened, err := openProcessor(ctx, name, p, log, retry, nil)
	if err != nil {
		return nil, fmt.Errorf("processors.%s: %w", name, err)
	}
	return opened, nil
}

// openProcessor opens no connection, but where the key comes from OAuth it fetches a token. told may be nil.
func openProcessor(ctx context.Context, name string, p Processor, log *audit.Log, retry *processor.Retry, told *telemetry.Telemetry) (*OpenProcessor, error) {
	credentials, err := processor.NewCredentials(ctx, p.key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.keySetting(), err)
	}
	breaker, err := processor.NewBreaker(p.Breaker.options())
	if err != nil {
		return nil, fmt.Errorf("breaker: %w", err)
	}
	adapter := adapters[p.Adapter]
	profile := adapter.profile()
	profile.KeyLifetime, profile.AbsenceProofAfter = time.Duration(p.KeyLifetime), time.Duration(p.AbsenceProofAfter)
	client, err := processor.NewClient(processor.ClientOptions{
		Name:           name,
		Profile:        profile,
		BaseURL:        p.BaseURL,
		Credentials:    credentials,
		Limiter:        processor.NewLimiter(p.RateLimit.PerSecond, p.RateLimit.Burst, time.Duration(p.RateLimit.Patience)),
		Breaker:        breaker,
		AttemptTimeout: time.Duration(p.HTTPTimeout),
		MaxInFlight:    p.MaxConcurrentCalls,
		IdleTimeout:    time.Duration(p.IdleTimeout),
		Retry:          retry,
		Audit:          log,
		Observe:        told.CallObserver(),
		Trace:          told.Tracer(name, p.PropagateTrace),
	})
	if err != nil {
		return nil, err
	}
	return &OpenProcessor{Processor: adapter.new(client), Client: client}, nil
}
