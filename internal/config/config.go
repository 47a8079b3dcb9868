// Package config is the worker's configuration file: its types, strict decoding, defaults and validation. docs/configuration.md
// is generated from the comments of the fields in this file.
package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/processor"
)

// Config is the worker's configuration file. The connection to Temporal is not part of it: it comes from the TEMPORAL_*
// environment variables and profiles, as for the temporal command.
type Config struct {
	// DefaultProcessor serves the requests that name no processor. It may be omitted if there is only one.
	DefaultProcessor string `yaml:"default_processor"`
	// Processors are the payment processors, by a name of your choice. The name is part of the task queue
	// processor-<name>, of metrics and of stored payments: never rename one that has payments in flight.
	Processors map[string]Processor `yaml:"processors"`
	// Store is the database of payments and refunds.
	Store Store `yaml:"store"`
	// Health is the HTTP endpoint for probes and Prometheus.
	Health Health `yaml:"health"`
	// Webhooks is the HTTP endpoint for the processors' events.
	Webhooks Webhooks `yaml:"webhooks"`
	// Log is the worker's log on standard error.
	Log Log `yaml:"log"`
	// Worker sizes the worker process.
	Worker Worker `yaml:"worker"`
	// Audit is the compliance log: every request to a processor and its response, redacted.
	Audit Audit `yaml:"audit"`
}

// Store names the database. Exactly one of its fields is set.
type Store struct {
	// SQLite is the path of a file, which several workers on one machine may share. A missing file is created.
	SQLite string `yaml:"sqlite"`
	// Postgres refers to the URL of a PostgreSQL database, such as postgres://user:password@host/florin. `worker migrate`
	// creates its tables.
	Postgres Secret `yaml:"postgres"`
}

// DSN returns the name of the database as package store expects it. It may contain a password.
func (s Store) DSN() (string, error) {
	if s.Postgres != (Secret{}) {
		return s.Postgres.Load()
	}
	path, err := filepath.Abs(s.SQLite)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "sqlite", Path: filepath.ToSlash(path)}).String(), nil
}

// Audit configures the audit log.
type Audit struct {
	// Path is a file that is rotated, stdout for standard output, or off.
	Path string `yaml:"path"`
	// MaxSizeMB is the size in MB at which the file is rotated, above 0.
	MaxSizeMB int `yaml:"max_size_mb"`
	// MaxBackups is the number of rotated files to keep. 0: all.
	MaxBackups int `yaml:"max_backups"`
	// MaxAgeDays is for how many days rotated files are kept. 0: forever.
	MaxAgeDays int `yaml:"max_age_days"`
	// Compress compresses rotated files.
	Compress bool `yaml:"compress"`
	// Allow names fields of request and response bodies whose values are logged, in addition to those that are known to be
	// harmless. All other values are redacted.
	Allow []string `yaml:"allow"`
}

// Health configures the endpoint of GET /healthz and GET /metrics.
type Health struct {
	// Listen is its address, host:port.
	Listen string `yaml:"listen"`
}

// Webhooks configures the endpoint of POST /webhooks/<processor>, for each processor that has webhook_secrets. It speaks
// no TLS: place a proxy in front of it.
type Webhooks struct {
	// Listen is its address, host:port. It is only used if a processor has webhook_secrets.
	Listen string `yaml:"listen"`
}

// Log configures the worker's log.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is json or console.
	Format string `yaml:"format"`
}

// Worker sizes the worker process.
type Worker struct {
	// StopTimeout is how long calls in flight may continue after SIGTERM. Longer than every start_to_close.
	StopTimeout activities.Duration `yaml:"stop_timeout"`
	// MaxConcurrentWorkflowTasks is the maximum number of concurrent workflow tasks, at least 2.
	MaxConcurrentWorkflowTasks int `yaml:"max_concurrent_workflow_tasks"`
	// Deployment turns on Temporal's worker versioning and is the name of the worker deployment: a payment is finished by
	// the build that began it. See docs/rollout.md. Empty: off. No "." and no ":".
	Deployment string `yaml:"deployment"`
	// BuildID names the build within the deployment. By default the binary uses its own. No ":".
	BuildID string `yaml:"build_id"`
}

// Processor configures one payment processor.
type Processor struct {
	// Adapter is the protocol: rest, stripe, or an adapter of your own.
	Adapter string `yaml:"adapter"`
	// BaseURL is scheme, host and path prefix of the API. The adapter may have a default.
	BaseURL string `yaml:"base_url"`
	// APIKey refers to the API key. Either api_key or oauth is required.
	APIKey Secret `yaml:"api_key"`
	// OAuth fetches access tokens instead of using an API key.
	OAuth OAuth `yaml:"oauth"`
	// WebhookSecrets refer to the secrets that sign the processor's events: one secret, or two during a rotation. Without
	// any, events are not accepted. A new secret requires a restart.
	WebhookSecrets []Secret `yaml:"webhook_secrets"`

	// HTTPTimeout bounds one HTTP call, including its wait for the rate limit. Shorter than start_to_close.
	HTTPTimeout activities.Duration `yaml:"http_timeout"`
	// StartToClose bounds one attempt of the activity around the call. Shorter than worker.stop_timeout and
	// schedule_to_close.
	StartToClose activities.Duration `yaml:"start_to_close"`
	// ScheduleToClose bounds all attempts of an operation together. Shorter than key_lifetime.
	ScheduleToClose activities.Duration `yaml:"schedule_to_close"`
	// KeyLifetime is how long the processor keeps idempotency keys, counted from the first request. A resend after that
	// would execute the operation a second time, so it is looked up instead. The adapter may have a default.
	KeyLifetime activities.Duration `yaml:"key_lifetime"`
	// AbsenceProofAfter is how long after a request the processor may still fail to find it. From then on "not found"
	// proves that no money moved. 0: never. Only the processor's documentation can justify another value.
	AbsenceProofAfter activities.Duration `yaml:"absence_proof_after"`

	// Retry is the delay between attempts.
	Retry Retry `yaml:"retry"`
	// Resolve schedules the lookups of an unknown outcome. After `for`, the payment needs reconciliation by an operator
	// and is looked up once a day.
	Resolve activities.Poll `yaml:"resolve"`
	// Pending schedules the lookups of a payment that is pending or requires action. After `for`, it is voided if the
	// processor can.
	Pending activities.Poll `yaml:"pending"`
	// AuthorizationFor is how long an authorized payment waits for a capture before it is voided. At most 8760h. Set it to
	// the processor's own limit: an authorization that the processor releases earlier is noticed by a daily lookup.
	AuthorizationFor activities.Duration `yaml:"authorization_for"`
	// RateLimit bounds the rate of calls of this worker process.
	RateLimit RateLimit `yaml:"rate_limit"`
	// Breaker stops calls to a processor that is down.
	Breaker Breaker `yaml:"breaker"`
	// MaxConcurrentCalls is the maximum number of calls in flight, and of connections, of this worker process.
	MaxConcurrentCalls int `yaml:"max_concurrent_calls"`
	// PropagateTrace sends the processor a traceparent header for traced payments.
	PropagateTrace bool `yaml:"propagate_trace"`
	// IdleTimeout closes an idle connection. Shorter than the processor's own.
	IdleTimeout activities.Duration `yaml:"idle_timeout"`
}

// Retry configures the delay between attempts.
type Retry struct {
	// Strategy is exponential, fixed or linear. Jitter of ±25 % is always added, and a Retry-After is a floor.
	Strategy retry.Strategy `yaml:"strategy"`
	// Initial is the delay after the first attempt.
	Initial activities.Duration `yaml:"initial"`
	// Max is the maximum delay, at least initial. Only a Retry-After exceeds it.
	Max activities.Duration `yaml:"max"`
	// Multiplier is the growth factor of the exponential strategy, above 1.
	Multiplier float64 `yaml:"multiplier"`
	// LongestWait is the longest delay, such as a Retry-After, that remains a retry. A longer one becomes a durable timer
	// of the workflow. At least max, shorter than schedule_to_close.
	LongestWait activities.Duration `yaml:"longest_wait"`
}

// RateLimit configures a token bucket.
type RateLimit struct {
	// PerSecond is the number of calls per second. 0: unlimited.
	PerSecond float64 `yaml:"per_second"`
	// Burst is the number of calls that may be sent at once, above 0.
	Burst int `yaml:"burst"`
	// MaxWait is the longest time that a call waits for the limiter. A call that would wait longer returns to its queue.
	// Shorter than http_timeout.
	MaxWait activities.Duration `yaml:"max_wait"`
}

// Breaker configures the circuit breaker. Declines and other 4xx responses do not count as failures.
type Breaker struct {
	// Window is the sliding time window in which calls are counted.
	Window activities.Duration `yaml:"window"`
	// MinCalls is the minimum number of calls in the window before the breaker can open.
	MinCalls uint32 `yaml:"min_calls"`
	// FailureRatio is the share of failed calls in the window that opens the breaker, above 0 and at most 1.
	FailureRatio float64 `yaml:"failure_ratio"`
	// OpenFor is how long an open breaker stops every call.
	OpenFor activities.Duration `yaml:"open_for"`
	// SlowCall is the duration from which a call counts as failed.
	SlowCall activities.Duration `yaml:"slow_call"`
	// Probes is the number of calls that test whether the processor is available again; all of them have to succeed.
	Probes uint32 `yaml:"probes"`
}

// Options returns the breaker's options.
func (b Breaker) Options() breaker.Options {
	return breaker.Options{
		Window: time.Duration(b.Window), MinCalls: b.MinCalls, FailureRatio: b.FailureRatio,
		OpenFor: time.Duration(b.OpenFor), SlowCall: time.Duration(b.SlowCall), Probes: b.Probes,
	}
}

// Backoff returns the delay between attempts.
func (p Processor) Backoff() retry.Backoff {
	return retry.Backoff{
		Strategy:   p.Retry.Strategy,
		Initial:    time.Duration(p.Retry.Initial),
		Max:        time.Duration(p.Retry.Max),
		Multiplier: p.Retry.Multiplier,
	}
}

// Terms returns what a payment at the processor is worked on by.
func (p Processor) Terms(name string) activities.Terms {
	return activities.Terms{
		Processor:         name,
		StartToClose:      p.StartToClose,
		ScheduleToClose:   p.ScheduleToClose,
		KeyLifetime:       p.KeyLifetime,
		RetryInitial:      p.Retry.Initial,
		RetryMax:          p.Retry.Max,
		RetryMultiplier:   p.Retry.Multiplier,
		AbsenceProofAfter: p.AbsenceProofAfter,
		Resolve:           p.Resolve,
		Pending:           p.Pending,
		AuthorizationFor:  p.AuthorizationFor,
	}
}

// HasWebhooks reports whether any processor may send events.
func (c Config) HasWebhooks() bool {
	for _, p := range c.Processors {
		if len(p.WebhookSecrets) > 0 {
			return true
		}
	}
	return false
}

// Adapters are the known protocols, by their name.
type Adapters map[string]processor.Adapter

// With returns the adapters together with more. A name that is taken, and an adapter that lacks what it needs, is an error.
func (a Adapters) With(more ...processor.Adapter) (Adapters, error) {
	all := Adapters{}
	for name, adapter := range a {
		all[name] = adapter
	}
	for _, adapter := range more {
		_, taken := all[adapter.Name]
		switch {
		case !adapterName.MatchString(adapter.Name):
			return nil, fmt.Errorf("adapter %q: want a name of lower-case letters, digits and hyphens", adapter.Name)
		case taken:
			return nil, fmt.Errorf("adapter %q: there is another adapter of this name", adapter.Name)
		case adapter.New == nil:
			return nil, fmt.Errorf("adapter %q: New is missing", adapter.Name)
		case (adapter.ReadEvent == nil) != (adapter.SignatureHeader == ""):
			return nil, fmt.Errorf("adapter %q: ReadEvent and SignatureHeader are set together or not at all", adapter.Name)
		}
		all[adapter.Name] = adapter
	}
	return all, nil
}
