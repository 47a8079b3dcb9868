// Package config is the worker's configuration file: its types, strict decoding, defaults and validation.
//
// docs/configuration.md is generated from the comments of the structs, see the program in the folder reference. In the comment
// of a field, a line that begins with "Unit:" states the unit of a number, and a line that begins with "Bounds:" states which
// values are valid. Bounds are enforced in validate.go.
package config

//go:generate go run ./reference

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
	// DefaultProcessor serves the requests that name no processor. It may be omitted if there is only one processor.
	// Bounds: the name of one of the processors.
	DefaultProcessor string `yaml:"default_processor"`
	// Processors are the payment processors, by names that the operator chooses. The name is part of the task queue
	// `processor-<name>`, of metrics and of stored payments: never rename a processor that has payments in flight.
	// Bounds: at least one.
	Processors map[string]Processor `yaml:"processors"`
	// Store is the database of payments and refunds.
	Store Store `yaml:"store"`
	// Health is the HTTP endpoint for probes and Prometheus.
	Health Health `yaml:"health"`
	// Webhooks is the HTTP endpoint for the processors' events.
	Webhooks Webhooks `yaml:"webhooks"`
	// Log is the worker's log on standard error.
	Log Log `yaml:"log"`
	// Worker configures the worker process.
	Worker Worker `yaml:"worker"`
	// Fairness divides what cannot be executed at once among the merchants.
	Fairness Fairness `yaml:"fairness"`
	// Audit is the compliance log: every request to a processor and its response, redacted.
	Audit Audit `yaml:"audit"`
	// Authorize makes callers prove who they are. It is off by default.
	Authorize Authorize `yaml:"authorize"`
}

// Store names the database. It is either a SQLite file or a PostgreSQL database.
type Store struct {
	// SQLite is the path of a file, which several workers of one user on one machine may share. A missing file is created. Other
	// users' permissions on the file and on those beside it (`-wal`, `-shm`) are removed. The default applies if `postgres` is not set.
	// Bounds: not together with `postgres`; not in a directory that is writable for all users, unless it has the sticky bit.
	SQLite string `yaml:"sqlite"`
	// Postgres refers to the URL of a PostgreSQL database, such as
	// `postgres://florin_worker:password@host/florin?sslmode=verify-full`. `worker migrate --grant-to florin_worker`, with the URL of
	// the role that owns the tables, creates them. A server on another host must be verified with TLS: `sslrootcert=FILE` names the
	// certificates of a private authority, `sslcert=FILE` and `sslkey=FILE` a client certificate. The URL and these files are read
	// again for each new connection, and a connection is used for an hour at most: a rotated password needs no restart.
	// Bounds: not together with `sqlite`.
	Postgres Secret `yaml:"postgres"`
	// AllowOwner accepts a PostgreSQL role that may do more than a worker needs: a superuser, a role that may create roles, or an
	// owner of the tables, the schema or the database. Such a role can turn off the rules that the database enforces, and change
	// what happened.
	// Bounds: only together with `postgres`.
	AllowOwner bool `yaml:"allow_owner"`
	// Insecure accepts connections to PostgreSQL on another host without TLS, or without verification of the server. Others
	// on the network can read and change payments then.
	// Bounds: only together with `postgres`.
	Insecure bool `yaml:"insecure"`
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

// Audit configures the audit log. A record that takes longer than one second to write does not hold back its payment: up to 16 MiB
// of records are queued, and further ones are lost.
type Audit struct {
	// Path is a file that is rotated, `stdout` for standard output, or `off`. Each worker needs a file of its own.
	Path string `yaml:"path"`
	// MaxSizeMB is the size at which the file is rotated.
	// Unit: MB.
	// Bounds: at least 1.
	MaxSizeMB int `yaml:"max_size_mb"`
	// MaxBackups is the number of rotated files to keep. 0 keeps as many as max_age_days allows.
	// Unit: files.
	// Bounds: at least 0.
	MaxBackups int `yaml:"max_backups"`
	// MaxAgeDays is how long rotated files are kept. 0 keeps them forever, and the disk fills up. The default is longer than the twelve
	// months for which PCI DSS 10.5.1 requires an audit log.
	// Unit: days.
	// Bounds: at least 0.
	MaxAgeDays *int `yaml:"max_age_days"`
	// Compress turns on the compression of rotated files with gzip.
	Compress bool `yaml:"compress"`
	// Allow names further fields of request and response bodies whose values are logged, in addition to those that each adapter
	// names. Each key is a path: names separated by dots, with `[]` after that of an array, such as `"data[].state"`. Its value is the shape
	// that the logged values have: `id`, `code`, `amount`, `currency`, `time` or `bool`. Everything else is redacted: other values, values
	// of another shape, and card numbers and secrets always.
	// Bounds: no path through a field such as `card` or `email`, which may identify a card, an account or a person.
	Allow map[string]processor.Shape `yaml:"allow"`
}

// Health configures an HTTP endpoint. It serves `GET /healthz`, which is 200 while Temporal is reachable, for a check that restarts the
// worker; `GET /readyz`, which is 200 while the store can be written and read, too, for a check that only reports; and `GET /metrics`.
type Health struct {
	// Listen is the address of the endpoint.
	// Bounds: host:port.
	Listen string `yaml:"listen"`
}

// Webhooks configures an HTTP endpoint. It serves `POST /webhooks/<processor>` for each processor that has webhook_secrets. It
// does not support TLS: place a proxy in front of it that forwards only this path.
type Webhooks struct {
	// Listen is the address of the endpoint. Without webhook_secrets of any processor, no port is opened and there is no
	// default.
	// Bounds: host:port; only if a processor has webhook_secrets.
	Listen string `yaml:"listen"`
}

// Log configures the worker's log.
type Log struct {
	// Level is the lowest level that is logged.
	// Bounds: `debug`, `info`, `warn` or `error`.
	Level string `yaml:"level"`
	// Format is the encoding of a log line.
	// Bounds: `json` or `console`.
	Format string `yaml:"format"`
}

// Worker configures the worker process.
type Worker struct {
	// StopTimeout is how long calls in flight may continue after SIGTERM. Whatever stops the process, such as Kubernetes, must
	// wait at least ten seconds longer before it sends SIGKILL: afterwards the worker flushes the audit log.
	// Bounds: longer than start_to_close of every processor.
	StopTimeout activities.Duration `yaml:"stop_timeout"`
	// MaxConcurrentWorkflowTasks is the maximum number of workflow tasks that are executed at the same time.
	// Unit: workflow tasks.
	// Bounds: at least 2.
	MaxConcurrentWorkflowTasks int `yaml:"max_concurrent_workflow_tasks"`
	// MemoryMB is the memory that the worker process may use. 0 stands for the memory limit of its container, or 1024 without one. The
	// Go runtime keeps within 90 % of it and seldom collects garbage below that, unless the environment variables `GOMEMLIMIT` and
	// `GOGC` are set. Half of it is for workflows that wait, such as payments that wait for a capture: those that do not fit are read
	// from Temporal again when they continue, which takes some milliseconds. It has no effect in a program that runs a `worker.Worker` itself, whose memory is its own.
	// Unit: MiB.
	// Bounds: at least 128.
	MemoryMB int `yaml:"memory_mb"`
	// Deployment is the name of the worker deployment. It turns on Temporal's worker versioning: a new build never
	// continues a history that another has begun; see [rollout.md](rollout.md). Without it, worker versioning is off.
	// Bounds: no `.` and no `:`.
	Deployment string `yaml:"deployment"`
	// BuildID names the build within the deployment. Without it, the build id of the binary is used; `worker build-id`
	// prints it.
	// Bounds: no `:`; only together with worker.deployment.
	BuildID string `yaml:"build_id"`
}

// Fairness configures how Temporal divides the capacity of workers and processors among merchants while more waits than can be executed.
// It needs a setting of the Temporal server, see [fairness.md](fairness.md).
type Fairness struct {
	// Weights are the shares of merchants, by their ID. Every other merchant has 1: one with 5 gets five times as much as another one while
	// both have something waiting. A worker sets them at its start for its task queues and removes those that are not listed, so all
	// workers need the same ones. Without any, it changes nothing: to remove the last one, set it to 1.
	// Unit: a factor, such as 2.5.
	// Bounds: 0.001 to 1000, for at most 500 merchants.
	Weights map[string]float64 `yaml:"weights"`
}

// Processor configures one payment processor.
type Processor struct {
	// Adapter is the protocol that the processor speaks. It is required.
	// Bounds: `rest`, `stripe`, or the name of an adapter of your own, see [adapters.md](adapters.md).
	Adapter string `yaml:"adapter"`
	// BaseURL is scheme, host and path prefix of the API. It is required if the adapter has no default.
	// Bounds: https, without user, query and fragment; http is valid only for localhost and loopback addresses, or with
	// `insecure`.
	BaseURL string `yaml:"base_url"`
	// Insecure allows http to other machines in base_url and oauth.token_url. The API key and the payments then cross the network
	// unencrypted: it is for development, such as with the simulator in docker-compose.yml.
	Insecure bool `yaml:"insecure"`
	// TLS applies to the connections to base_url and to oauth.token_url. They go there directly: `HTTP_PROXY` and `HTTPS_PROXY` have
	// no effect.
	TLS TLS `yaml:"tls"`
	// APIKey refers to the API key. Either api_key or `oauth` is required. A replaced file is noticed within five seconds.
	// Bounds: not together with `oauth`.
	APIKey Secret `yaml:"api_key"`
	// OAuth fetches access tokens instead of using an API key.
	OAuth OAuth `yaml:"oauth"`
	// WebhookSecrets refer to the secrets that sign the processor's events: one secret, or two during a rotation. Without
	// any, events are not accepted, and what happens after a final status is not noticed, such as a refund that fails days
	// later. A replaced file is noticed within five seconds. With `authorize`, they also sign what the endpoint signals: all workers
	// need them.
	// Bounds: at most 2, each of at least 16 bytes; only with an adapter that reads events, as `rest` and `stripe` do.
	WebhookSecrets []Secret `yaml:"webhook_secrets"`

	// FirstAttempt is where the first call for a new payment or refund is made: `inline`, by the workflow's own worker together with what
	// it persists, which is the fastest; or `queued`, through the task queue of the processor. An inline call ends after five seconds,
	// and its outcome is looked up then: use `queued` for a processor that often takes longer. All further calls are queued.
	// Bounds: `inline` or `queued`.
	FirstAttempt FirstAttempt `yaml:"first_attempt"`
	// HTTPTimeout is the time limit of one HTTP call, including its wait for the rate limit.
	// Bounds: above 0, shorter than start_to_close.
	HTTPTimeout activities.Duration `yaml:"http_timeout"`
	// StartToClose is the time limit of one attempt of the activity around the call.
	// Bounds: shorter than worker.stop_timeout and schedule_to_close.
	StartToClose activities.Duration `yaml:"start_to_close"`
	// ScheduleToClose is the time limit of all attempts of an operation together.
	// Bounds: shorter than key_lifetime.
	ScheduleToClose activities.Duration `yaml:"schedule_to_close"`
	// SendWithin is the time limit, from the first request, of all sending of an operation, including waits that the processor asks
	// for. What was not executed by then has failed, and what is ambiguous is only looked up. A request may set an earlier `send_by`.
	// Bounds: at least schedule_to_close, shorter than key_lifetime.
	SendWithin activities.Duration `yaml:"send_within"`
	// KeyLifetime is how long the processor keeps an idempotency key, counted from the first request. A resend after that
	// would execute the operation a second time, so the operation is looked up instead.
	// Bounds: longer than schedule_to_close.
	KeyLifetime activities.Duration `yaml:"key_lifetime"`
	// AbsenceProofAfter is the longest time after a request in which a lookup may fail to find its payment. Later, "not found"
	// proves that no money moved. 0 means that it never proves it, whatever the adapter's value. Only the processor's
	// documentation can justify another value.
	// Bounds: at least 0.
	AbsenceProofAfter *activities.Duration `yaml:"absence_proof_after"` // nil: the default

	// Retry is the delay between attempts.
	Retry Retry `yaml:"retry"`
	// Resolve is the schedule of the lookups of an unknown outcome. After `for`, the payment needs reconciliation by an operator, and
	// the delay between lookups grows up to one day.
	Resolve activities.Poll `yaml:"resolve"`
	// Pending is the schedule of the lookups of a payment that is pending or requires action. After `for`, the payment is voided if the
	// processor can void it.
	Pending activities.Poll `yaml:"pending"`
	// AuthorizationFor is how long an authorized payment waits for a capture before it is voided. Set it to the processor's
	// own limit: if the processor releases an authorization earlier, only a daily lookup notices it.
	// Bounds: above 0, at most 8760h.
	AuthorizationFor activities.Duration `yaml:"authorization_for"`
	// RateLimit bounds the rate of calls.
	RateLimit RateLimit `yaml:"rate_limit"`
	// Batch makes charges with the priority of a batch several in one request.
	Batch Batching `yaml:"batch"`
	// Breaker stops calls to a processor that is down.
	Breaker Breaker `yaml:"breaker"`
	// Reconcile compares everything that the processor has with the store, on a schedule. Without it, nothing is compared, and an existing
	// schedule is deleted.
	Reconcile Reconcile `yaml:"reconcile"`
	// MaxConcurrentCalls is the maximum number of calls in flight, and of connections, of this worker process.
	// Unit: calls.
	// Bounds: at least 1.
	MaxConcurrentCalls int `yaml:"max_concurrent_calls"`
	// PropagateTrace turns on the header `traceparent` in requests for traced payments.
	PropagateTrace bool `yaml:"propagate_trace"`
	// IdleTimeout is how long an idle connection is kept open. Choose it shorter than the processor's own idle timeout.
	// Bounds: above 0.
	IdleTimeout activities.Duration `yaml:"idle_timeout"`
	// MaxConnectionAge is how long a connection is used for new calls, however busy it is. So a worker notices within this time
	// that the host name of the processor resolves to another address. A connection is replaced after 80 to 100 % of it, and calls in
	// flight continue on the old one.
	// Bounds: above 0.
	MaxConnectionAge activities.Duration `yaml:"max_connection_age"`
}

// FirstAttempt is where the first call for a new payment or refund is made.
type FirstAttempt string

const (
	Inline FirstAttempt = "inline"
	Queued FirstAttempt = "queued"
)

// Retry configures the delay between attempts. A delay is never shorter than the Retry-After of the processor.
type Retry struct {
	// Strategy is how the delay grows from attempt to attempt.
	// Bounds: `exponential`, `fixed` or `linear`.
	Strategy retry.Strategy `yaml:"strategy"`
	// Initial is the delay after the first attempt.
	// Bounds: above 0.
	Initial activities.Duration `yaml:"initial"`
	// Max is the maximum delay. Only a Retry-After exceeds it.
	// Bounds: at least retry.initial.
	Max activities.Duration `yaml:"max"`
	// Multiplier is the factor by which the delay of the exponential strategy grows.
	// Unit: a factor, such as 1.5.
	// Bounds: above 1 if the strategy is exponential; otherwise not used.
	Multiplier float64 `yaml:"multiplier"`
	// Jitter is how far a delay varies at random, so that payments that failed together are not retried together. 0 switches it
	// off. It only adds to a Retry-After.
	// Unit: a fraction of the delay; 0.25 is ±25 %.
	// Bounds: at least 0, at most 1.
	Jitter *float64 `yaml:"jitter"` // nil: the default
	// MaxAttempts bounds the attempts of a call without Temporal, such as `starter get --direct`; these end after two minutes
	// in any case. It does not apply to a worker: there schedule_to_close bounds the attempts.
	// Unit: attempts; 3 to 5 are usual.
	// Bounds: at least 1, at most 20.
	MaxAttempts int `yaml:"max_attempts"`
	// LongestWait is the longest delay, such as a Retry-After, that the activity waits before its next attempt. A longer delay
	// becomes a durable timer of the workflow.
	// Bounds: at least retry.max, shorter than schedule_to_close.
	LongestWait activities.Duration `yaml:"longest_wait"`
}

// RateLimit configures the rate limiter. It applies to all worker processes together: they share the rate through the store, in
// proportion to their demand, and never make more than `per_second` + `burst` calls in any second. An operator can set another rate, and
// pause the processor, with `starter processor`.
type RateLimit struct {
	// PerSecond is the rate of calls. 0 means unlimited. Where workers have different rates, the lowest applies. After 429 responses of
	// the processor, the rate is lower for a time.
	// Unit: calls per second; fractions are valid.
	// Bounds: at least 0, at most 1000000.
	PerSecond float64 `yaml:"per_second"`
	// Burst is the number of calls that may be sent at once. With more workers than that, all of them together make fewer than
	// `per_second` calls, by one per second for each worker more: choose it at least as high as the number of workers.
	// Unit: calls.
	// Bounds: at least 1, at most 1000000.
	Burst int `yaml:"burst"`
	// PerWorker makes `per_second` and `burst` apply to each worker process separately. A rate that an operator has set applies to all
	// together nevertheless.
	PerWorker bool `yaml:"per_worker"`
	// MaxWait is the longest time that a call waits for the limiter. A call that would wait longer returns to its queue. 0 means
	// that no call waits. Calls wait in their queue before that: a worker takes one when the limiter is about to allow it.
	// Bounds: at least 0, shorter than http_timeout.
	MaxWait *activities.Duration `yaml:"max_wait"` // nil: the default
}

// Batching gathers charges with the priority of a batch, see [fairness.md](fairness.md), and sends them in one request, which is
// one call for the rate limit and for the limit of concurrent calls. Each keeps its own idempotency key and outcome. The
// processor must have the endpoint: for the adapter `rest`, POST /batches.
type Batching struct {
	// MaxItems is the highest number of charges in one request. 0 turns batching off. The adapter's protocol bounds it: `rest` allows 100,
	// and `stripe` has no such requests.
	// Unit: charges.
	// Bounds: at least 2.
	MaxItems int `yaml:"max_items"`
	// Wait is how long a charge waits for others. One that finds none is sent on its own.
	// Bounds: above 0, at most 1s.
	Wait activities.Duration `yaml:"wait"`
}

// Breaker configures the circuit breaker. 5xx and 429 responses, slow calls and network failures count as failures. Declines, other
// 4xx responses and a 429 about one locked object do not.
type Breaker struct {
	// Window is the sliding time window in which calls are counted.
	// Bounds: above 0.
	Window activities.Duration `yaml:"window"`
	// MinCalls is the minimum number of calls in the window before the breaker can open.
	// Unit: calls.
	// Bounds: at least 1.
	MinCalls uint32 `yaml:"min_calls"`
	// FailureRatio is the share of failed calls in the window that opens the breaker.
	// Unit: a fraction; 0.5 is 50 %.
	// Bounds: above 0, at most 1.
	FailureRatio float64 `yaml:"failure_ratio"`
	// OpenFor is how long an open breaker stops every call.
	// Bounds: above 0.
	OpenFor activities.Duration `yaml:"open_for"`
	// SlowCall is the duration from which a call counts as failed, whatever its response.
	// Bounds: above 0.
	SlowCall activities.Duration `yaml:"slow_call"`
	// Probes is the number of calls that are let through after breaker.open_for. If all of them succeed, the breaker closes.
	// Unit: calls.
	// Bounds: at least 1.
	Probes uint32 `yaml:"probes"`
}

// Reconcile configures the reconciliation of a processor, see [reconciliation.md](reconciliation.md). The worker creates the schedule
// `reconcile/<processor>` in Temporal at its start, or changes it; an operator's pause stays. All workers need the same settings.
type Reconcile struct {
	// Every is the time between two reconciliations. 0 means that there is no schedule; an operator may start one nevertheless.
	// Bounds: at least 1m.
	Every activities.Duration `yaml:"every"`
	// Overlap is how long before the end of the last complete window the next one begins, for what the processor lists late.
	// Bounds: longer than reconcile.lag.
	Overlap activities.Duration `yaml:"overlap"`
	// Lag is how long before now a window ends: what is newer may not be in the processor's lists yet.
	// Bounds: above 0.
	Lag activities.Duration `yaml:"lag"`
	// PageSize is the number of records in a page of the processor's lists.
	// Unit: records.
	// Bounds: at least 1, at most 1000; no more than the processor allows.
	PageSize int `yaml:"page_size"`
	// Share is the part of `rate_limit.per_second` that a reconciliation may use.
	// Unit: a fraction; 0.2 is 20 %.
	// Bounds: above 0, at most 1.
	Share float64 `yaml:"share"`
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
	jitter := retry.DefaultBackoff.Jitter
	if p.Retry.Jitter != nil {
		jitter = *p.Retry.Jitter
	}
	return retry.Backoff{
		Strategy:   p.Retry.Strategy,
		Initial:    time.Duration(p.Retry.Initial),
		Max:        time.Duration(p.Retry.Max),
		Multiplier: p.Retry.Multiplier,
		Jitter:     jitter,
	}
}

// Terms returns the terms of a new payment at the processor, which profile describes. p is part of a complete configuration.
func (p Processor) Terms(name string, profile processor.Profile) activities.Terms {
	return activities.Terms{
		Processor:         name,
		StartToClose:      p.StartToClose,
		ScheduleToClose:   p.ScheduleToClose,
		SendWithin:        p.SendWithin,
		KeyLifetime:       p.KeyLifetime,
		RetryInitial:      p.Retry.Initial,
		RetryMax:          p.Retry.Max,
		RetryMultiplier:   p.Retry.Multiplier,
		AbsenceProofAfter: *p.AbsenceProofAfter,
		Resolve:           p.Resolve,
		Pending:           p.Pending,
		AuthorizationFor:  p.AuthorizationFor,

		CompleteRefundLists: profile.RefundListsComplete,
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

// With returns a with more added. It returns an error if a name is invalid or not unique, or if an adapter is incomplete.
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
