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

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/batch"
	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/telemetry"
	"github.com/florinpay/florin/processor"
)

// OpenProcessor is a configured processor, ready to be called.
type OpenProcessor struct {
	processor.Processor
	// Client is the HTTP client of the adapter, for requests for which [processor.Processor] has no method.
	Client  *httpclient.Client
	limiter *ratelimit.Limiter
	// audit is nil if the audit log is the worker's.
	audit *audit.Log
}

// Close closes idle connections. For a processor that is used without Temporal, it also flushes the audit log: the records that
// it could not write are lost, as with any other failure to write one.
func (p *OpenProcessor) Close() {
	p.Client.Close()
	if p.audit != nil {
		_ = p.audit.Close()
	}
}

// ErrNotConfigured is returned for a processor that the configuration does not contain.
var ErrNotConfigured = errors.New("the processor is not configured")

// OpenStandalone opens one processor of the configuration for use without Temporal. Its client retries by itself, with the
// configured delays and attempts, and writes audit records to out, because the configured audit file belongs to the worker. An empty name
// means the default processor. OpenStandalone returns [ErrNotConfigured] for an unknown name.
func OpenStandalone(ctx context.Context, c config.Config, name string, out io.Writer) (*OpenProcessor, error) {
	if name == "" {
		name = c.DefaultProcessor
	}
	p, ok := c.Processors[name]
	if !ok {
		names := slices.Sorted(maps.Keys(c.Processors))
		return nil, fmt.Errorf("%w: %q, want %s", ErrNotConfigured, name, strings.Join(names, " or "))
	}
	policy := retry.Default()
	policy.Backoff, policy.MaxAttempts = p.Backoff(), p.Retry.MaxAttempts
	log := audit.New(zapcore.AddSync(out), audit.Options{})
	opened, err := openProcessor(ctx, name, p, BuiltIn, c.Audit.Allow, log, policy, nil)
	if err != nil {
		return nil, fmt.Errorf("processors.%s: %w", name, err)
	}
	opened.audit = log
	return opened, nil
}

// openProcessor opens no connection, except to fetch a token if the credentials are of OAuth. With a nil policy the client never
// retries. The values of the fields audited are logged, too, in addition to those of the adapter. log and metrics may be nil.
func openProcessor(
	ctx context.Context, name string, p config.Processor, adapters config.Adapters, audited map[string]processor.Shape,
	log *audit.Log, policy *retry.Policy, metrics *telemetry.Telemetry,
) (*OpenProcessor, error) {
	keys, err := credentials.New(ctx, p.LoadKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.CredentialKey(), err)
	}
	circuit, err := breaker.New(p.Breaker.Options())
	if err != nil {
		return nil, fmt.Errorf("breaker: %w", err)
	}
	adapter, ok := adapters[p.Adapter]
	if !ok {
		names := slices.Sorted(maps.Keys(adapters))
		return nil, fmt.Errorf("adapter %q is not known: want %s", p.Adapter, strings.Join(names, " or "))
	}
	profile := adapter.Profile
	profile.KeyLifetime, profile.AbsenceProofAfter = time.Duration(p.KeyLifetime), time.Duration(*p.AbsenceProofAfter)
	profile.Audited = merged(profile.Audited, audited)
	limiter := ratelimit.New(p.RateLimit.PerSecond, p.RateLimit.Burst, time.Duration(*p.RateLimit.MaxWait))
	options := httpclient.Options{
		Name:             name,
		Profile:          profile,
		BaseURL:          p.BaseURL,
		Insecure:         p.Insecure,
		Credentials:      keys,
		KeyName:          "processors." + name + "." + p.CredentialKey(),
		Limiter:          limiter,
		Breaker:          circuit,
		AttemptTimeout:   time.Duration(p.HTTPTimeout),
		MaxInFlight:      p.MaxConcurrentCalls,
		IdleTimeout:      time.Duration(p.IdleTimeout),
		MaxConnectionAge: time.Duration(p.MaxConnectionAge),
		Retry:            policy,
		Audit:            log,
		Observe:          metrics.CallObserver(),
		Trace:            metrics.Tracer(name, p.PropagateTrace),
	}
	if p.TLS != (config.TLS{}) {
		options.TLS = p.TLS.Config
	}
	client, err := httpclient.New(options)
	if err != nil {
		return nil, err
	}
	called, err := withBatches(adapter.New(client), p.Batch)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("batch.max_items: adapter %q: %w", p.Adapter, err)
	}
	return &OpenProcessor{Processor: called, Client: client, limiter: limiter}, nil
}

// withBatches returns p, which gathers the charges of batches if the configuration turns that on.
func withBatches(p processor.Processor, c config.Batching) (processor.Processor, error) {
	if c.MaxItems == 0 {
		return p, nil
	}
	batcher, ok := p.(processor.Batcher)
	if !ok {
		return nil, errors.New("its profile has MaxBatch, but it is no processor.Batcher")
	}
	return batch.New(batcher, batch.Options{MaxItems: c.MaxItems, Wait: time.Duration(c.Wait)}), nil
}

// merged returns a new map with all fields; those of more have precedence.
func merged(fields, more map[string]processor.Shape) map[string]processor.Shape {
	all := make(map[string]processor.Shape, len(fields)+len(more))
	maps.Copy(all, fields)
	maps.Copy(all, more)
	return all
}
