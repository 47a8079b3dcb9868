// Package app wires configuration, clients and workers together, for cmd/worker, the sandbox and tests.
package app

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor"
)

// Config is the worker's configuration file. The connection to Temporal is not part of it: that comes from
// the TEMPORAL_* environment and profiles, as for the temporal command.
type Config struct {
	// DefaultProcessor serves the requests that name none. It may be left out where there is just one.
	DefaultProcessor string               `yaml:"default_processor"`
	Processors       map[string]Processor `yaml:"processors"`
	Store            Store                `yaml:"store"`
	Health           Health               `yaml:"health"`
	Webhooks         Webhooks             `yaml:"webhooks"`
	Log              Log                  `yaml:"log"`
	Worker           Worker               `yaml:"worker"`
	Audit            Audit                `yaml:"audit"`
}

// Store is the database of payments and refunds: one of its fields.
type Store struct {
	// SQLite is the path of a file, which several workers on one machine may share: florin.db, the default.
	SQLite string `yaml:"sqlite"`
	// Postgres says where the URL of a PostgreSQL database is, such as postgres://user:password@host/florin.
	Postgres Secret `yaml:"postgres"`
}

// DSN names the database, as package store wants it. It may hold a password.
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

// Audit is the compliance log of every request to a processor and its answer, redacted.
type Audit struct {
	// Path of a file that is rotated; "stdout" is standard output, the default; "off" writes none.
	Path       string `yaml:"path"`
	MaxSizeMB  int    `yaml:"max_size_mb"`
	MaxBackups int    `yaml:"max_backups"`
	MaxAgeDays int    `yaml:"max_age_days"`
	Compress   bool   `yaml:"compress"`
	// Allow names fields of bodies that are written as they are, beside those that are known to be harmless.
	Allow []string `yaml:"allow"`
}

// Health is the address of /healthz.
type Health struct {
	Listen string `yaml:"listen"`
}

// Log is what the worker writes to standard error.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is json or console.
	Format string `yaml:"format"`
}

// Worker sizes the worker process.
type Worker struct {
	// StopTimeout is how long calls in flight may go on after SIGTERM.
	StopTimeout activities.Duration `yaml:"stop_timeout"`
	// MaxConcurrentWorkflowTasks bounds the workflow tasks at work at once.
	MaxConcurrentWorkflowTasks int `yaml:"max_concurrent_workflow_tasks"`
	// Deployment turns on Temporal's worker versioning, and is the name of the worker deployment: a payment is finished by
	// the build that began it. docs/rollout.md says how to bring out a new build. Empty: off.
	Deployment string `yaml:"deployment"`
	// BuildID names the build; without it, the binary knows its own.
	BuildID string `yaml:"build_id"`
}

// Processor is one payment processor.
type Processor struct {
	// Adapter is the protocol: rest, or stripe.
	Adapter string `yaml:"adapter"`
	BaseURL string `yaml:"base_url"`
	// APIKey or OAuth is how we prove who we are.
	APIKey Secret `yaml:"api_key"`
	OAuth  OAuth  `yaml:"oauth"`
	// WebhookSecrets prove that an event is the processor's: one secret, or two while one replaces the other. With none, the
	// processor's events are not taken.
	WebhookSecrets []Secret `yaml:"webhook_secrets"`

	// HTTPTimeout bounds one HTTP call; StartToClose the attempt around it; ScheduleToClose all attempts.
	HTTPTimeout     activities.Duration `yaml:"http_timeout"`
	StartToClose    activities.Duration `yaml:"start_to_close"`
	ScheduleToClose activities.Duration `yaml:"schedule_to_close"`
	// KeyLifetime is how long the processor remembers idempotency keys.
	KeyLifetime activities.Duration `yaml:"key_lifetime"`
	// AbsenceProofAfter is how long after a request the processor may still not find it; from then on "not
	// found" proves that no money moved. 0, the default, is never: only the processor's documentation can say.
	AbsenceProofAfter activities.Duration `yaml:"absence_proof_after"`

	Retry   Retry           `yaml:"retry"`
	Resolve activities.Poll `yaml:"resolve"`
	Pending activities.Poll `yaml:"pending"`
	// AuthorizationFor is how long money is held for a capture. The processor's own limit must not be shorter by much: what
	// it lets go by itself is only found at the end.
	AuthorizationFor activities.Duration `yaml:"authorization_for"`
	// RateLimit bounds the calls of this worker.
	RateLimit RateLimit `yaml:"rate_limit"`
	// Breaker stops calls to a processor that is down.
	Breaker Breaker `yaml:"breaker"`
	// MaxConcurrentCalls bounds the calls in flight and the connections of this worker.
	MaxConcurrentCalls int `yaml:"max_concurrent_calls"`
	// PropagateTrace sends the processor a traceparent header, where payments are traced.
	PropagateTrace bool `yaml:"propagate_trace"`
	// IdleTimeout closes a connection that is not used. It should be shorter than the processor's.
	IdleTimeout activities.Duration `yaml:"idle_timeout"`
}

// Retry is the delay between attempts.
type Retry struct {
	Strategy   processor.Strategy  `yaml:"strategy"`
	Initial    activities.Duration `yaml:"initial"`
	Max        activities.Duration `yaml:"max"`
	Multiplier float64             `yaml:"multiplier"`
	// LongestWait is the longest delay, such as a Retry-After, that stays a retry. A longer one becomes a
	// timer of the workflow.
	LongestWait activities.Duration `yaml:"longest_wait"`
}

// RateLimit is a token bucket.
type RateLimit struct {
	// PerSecond is the rate; 0 is no limit.
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst"`
	// Patience is how long a call may wait for a token before it goes back to the queue.
	Patience activities.Duration `yaml:"patience"`
}

// Breaker says when a processor counts as down, as processor.BreakerOptions.
type Breaker struct {
	Window       activities.Duration `yaml:"window"`
	MinCalls     uint32              `yaml:"min_calls"`
	FailureRatio float64             `yaml:"failure_ratio"`
	OpenFor      activities.Duration `yaml:"open_for"`
	SlowCall     activities.Duration `yaml:"slow_call"`
	Probes       uint32              `yaml:"probes"`
}

func (b Breaker) options() processor.BreakerOptions {
	return processor.BreakerOptions{
		Window: time.Duration(b.Window), MinCalls: b.MinCalls, FailureRatio: b.FailureRatio,
		OpenFor: time.Duration(b.OpenFor), SlowCall: time.Duration(b.SlowCall), Probes: b.Probes,
	}
}

// Secret says where a secret is. It never holds one.
type Secret struct {
	// Env is the name of an environment variable.
	Env string `yaml:"env"`
	// File is the path of a file.
	File string `yaml:"file"`
}

// single holds where there is one place to look.
func (s Secret) single() bool { return (s.Env == "") != (s.File == "") }

// Load reads the secret, without white space around it: a header could not hold an end of line.
func (s Secret) Load() (string, error) {
	if s.Env != "" {
		value := strings.TrimSpace(os.Getenv(s.Env))
		if value == "" {
			return "", fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return value, nil
	}
	content, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(content))
	if value == "" {
		return "", fmt.Errorf("secret file %s is empty", s.File)
	}
	return value, nil
}

// LoadConfig reads a configuration file. An unknown key is an error that names its line.
func LoadConfig(path string) (Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := ParseConfig(content)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads a configuration, fills in defaults and checks it.
func ParseConfig(content []byte) (Config, error) {
	c, err := decode(content)
	if err != nil {
		return Config{}, err
	}
	return c.Complete()
}

// Complete fills in what was left out and checks the whole.
func (c Config) Complete() (Config, error) {
	c.setDefaults()
	return c, c.validate()
}

func (c *Config) setDefaults() {
	if c.DefaultProcessor == "" && len(c.Processors) == 1 {
		for name := range c.Processors {
			c.DefaultProcessor = name
		}
	}
	setDefault(&c.Health.Listen, "127.0.0.1:8711")
	if c.hasWebhooks() {
		setDefault(&c.Webhooks.Listen, "127.0.0.1:8714")
	}
	setDefault(&c.Log.Level, "info")
	setDefault(&c.Log.Format, "json")
	setDefault(&c.Audit.Path, "stdout")
	setDefault(&c.Audit.MaxSizeMB, 100)
	setDefault(&c.Worker.StopTimeout, duration(40*time.Second))
	setDefault(&c.Worker.MaxConcurrentWorkflowTasks, 200)
	if c.Store == (Store{}) {
		c.Store.SQLite = "florin.db"
	}
	for name, p := range c.Processors {
		p.setDefaults()
		c.Processors[name] = p
	}
}

func (p *Processor) setDefaults() {
	setDefault(&p.HTTPTimeout, duration(20*time.Second))
	setDefault(&p.StartToClose, duration(30*time.Second))
	setDefault(&p.ScheduleToClose, duration(15*time.Minute))
	if known, ok := adapters[p.Adapter]; ok {
		setDefault(&p.BaseURL, known.baseURL)
		setDefault(&p.KeyLifetime, duration(known.profile().KeyLifetime))
		setDefault(&p.AbsenceProofAfter, duration(known.profile().AbsenceProofAfter))
	}
	setDefault(&p.KeyLifetime, duration(24*time.Hour))
	setDefault(&p.Retry.Strategy, processor.Exponential)
	setDefault(&p.Retry.Initial, duration(time.Second))
	setDefault(&p.Retry.Max, duration(30*time.Second))
	setDefault(&p.Retry.Multiplier, 2)
	setDefault(&p.Retry.LongestWait, duration(5*time.Minute))
	setDefault(&p.Resolve.Initial, duration(2*time.Second))
	setDefault(&p.Resolve.Max, duration(5*time.Minute))
	setDefault(&p.Resolve.For, duration(24*time.Hour))
	setDefault(&p.Pending.Initial, duration(5*time.Second))
	setDefault(&p.Pending.Max, duration(15*time.Minute))
	setDefault(&p.Pending.For, duration(7*24*time.Hour))
	setDefault(&p.AuthorizationFor, duration(7*24*time.Hour))
	setDefault(&p.RateLimit.Burst, 10)
	setDefault(&p.RateLimit.Patience, duration(2*time.Second))
	breaker := processor.DefaultBreaker
	setDefault(&p.Breaker.Window, duration(breaker.Window))
	setDefault(&p.Breaker.MinCalls, breaker.MinCalls)
	setDefault(&p.Breaker.FailureRatio, breaker.FailureRatio)
	setDefault(&p.Breaker.OpenFor, duration(breaker.OpenFor))
	setDefault(&p.Breaker.SlowCall, duration(breaker.SlowCall))
	setDefault(&p.Breaker.Probes, breaker.Probes)
	setDefault(&p.MaxConcurrentCalls, 100)
	setDefault(&p.IdleTimeout, duration(30*time.Second))
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func duration(d time.Duration) activities.Duration { return activities.Duration(d) }

// validate reports everything that is wrong, each with the path of its key.
func (c Config) validate() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	names := slices.Sorted(maps.Keys(c.Processors))
	if len(names) == 0 {
		problem("processors: want at least one")
	} else if _, ok := c.Processors[c.DefaultProcessor]; !ok {
		problem("default_processor %q: want one of the processors: %s", c.DefaultProcessor, strings.Join(names, ", "))
	}
	if _, _, err := net.SplitHostPort(c.Health.Listen); err != nil {
		problem("health.listen %q: want host:port", c.Health.Listen)
	}
	problems = append(problems, c.webhookProblems()...)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		problem("log.level %q: want debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "json" && c.Log.Format != "console" {
		problem("log.format %q: want json or console", c.Log.Format)
	}
	if c.Worker.MaxConcurrentWorkflowTasks < 2 {
		problem("worker.max_concurrent_workflow_tasks %d: must be at least 2, as Temporal's SDK wants it", c.Worker.MaxConcurrentWorkflowTasks)
	}
	if c.Audit.MaxSizeMB < 1 || c.Audit.MaxBackups < 0 || c.Audit.MaxAgeDays < 0 {
		problem("audit: max_size_mb %d must be above 0, max_backups %d and max_age_days %d not below", c.Audit.MaxSizeMB, c.Audit.MaxBackups, c.Audit.MaxAgeDays)
	}
	if strings.ContainsAny(c.Worker.Deployment, ".:") || strings.ContainsAny(c.Worker.BuildID, ":") {
		problem("worker.deployment %q must have no . or :, worker.build_id %q no : in it, as Temporal wants it", c.Worker.Deployment, c.Worker.BuildID)
	}
	if c.Worker.BuildID != "" && c.Worker.Deployment == "" {
		problem("worker.build_id %q: means nothing without worker.deployment", c.Worker.BuildID)
	}
	if c.Store.SQLite != "" && c.Store.Postgres != (Secret{}) {
		problem("store: want sqlite or postgres, not both")
	}
	if p := c.Store.Postgres; p.Env != "" && p.File != "" {
		problem("store.postgres: want either env or file")
	}
	for _, name := range names {
		for _, err := range c.Processors[name].problems(c.Worker.StopTimeout) {
			problem("processors.%s.%w", name, err)
		}
	}
	return errors.Join(problems...)
}

// maxLookups bounds what one payment may ask, at some ten events each: Temporal ends a workflow whose history has
// more than 50 Ki events.
const maxLookups = 2000

// maxHold bounds for how long money is held: no card network holds it for longer, and it is looked after every day.
const maxHold = activities.Duration(365 * 24 * time.Hour)

// problems checks that the deadlines nest: an HTTP call ends before its attempt does, an attempt before a
// stopping worker gives up on it, and all attempts before the processor forgets the key.
func (p Processor) problems(stopTimeout activities.Duration) (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if _, ok := adapters[p.Adapter]; !ok {
		problem("adapter %q: want %s", p.Adapter, adapterNames())
	}
	if err := processor.CheckBaseURL(p.BaseURL); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, p.keyProblems()...)
	problems = append(problems, p.webhookProblems()...)
	if err := p.backoff().Validate(); err != nil {
		problem("retry.%w", err)
	}
	if err := p.Breaker.options().Validate(); err != nil {
		problem("breaker.%w", err)
	}
	for _, nested := range []struct {
		inner, outer           string
		innerValue, outerValue activities.Duration
	}{
		{"http_timeout", "start_to_close", p.HTTPTimeout, p.StartToClose},
		{"start_to_close", "worker.stop_timeout", p.StartToClose, stopTimeout},
		{"start_to_close", "schedule_to_close", p.StartToClose, p.ScheduleToClose},
		{"schedule_to_close", "key_lifetime", p.ScheduleToClose, p.KeyLifetime},
		{"rate_limit.patience", "http_timeout", p.RateLimit.Patience, p.HTTPTimeout},
		{"retry.longest_wait", "schedule_to_close", p.Retry.LongestWait, p.ScheduleToClose},
	} {
		if nested.innerValue >= nested.outerValue {
			problem("%s %s must be shorter than %s %s", nested.inner, nested.innerValue, nested.outer, nested.outerValue)
		}
	}
	for _, named := range []struct {
		name string
		poll activities.Poll
	}{{"resolve", p.Resolve}, {"pending", p.Pending}} {
		if poll := named.poll; poll.Initial <= 0 || poll.Max < poll.Initial || poll.For < poll.Max {
			problem("%s: want 0 < initial %s <= max %s <= for %s", named.name, poll.Initial, poll.Max, poll.For)
		} else if poll.For > maxLookups*poll.Max {
			problem("%s: for %s takes more than %d lookups of max %s: a history cannot hold them", named.name, poll.For, maxLookups, poll.Max)
		}
	}
	for _, number := range []struct {
		name  string
		value any
		ok    bool
		want  string
	}{
		{"http_timeout", p.HTTPTimeout, p.HTTPTimeout > 0, "above 0"},
		{"authorization_for", p.AuthorizationFor, p.AuthorizationFor > 0 && p.AuthorizationFor <= maxHold, fmt.Sprintf("above 0 and at most %s", maxHold)},
		{"absence_proof_after", p.AbsenceProofAfter, p.AbsenceProofAfter >= 0, "0 or above"},
		{"retry.longest_wait", p.Retry.LongestWait, p.Retry.LongestWait >= p.Retry.Max, fmt.Sprintf("at least retry.max %s", p.Retry.Max)},
		{"rate_limit.per_second", p.RateLimit.PerSecond, p.RateLimit.PerSecond >= 0, "0 or above"},
		{"rate_limit.burst", p.RateLimit.Burst, p.RateLimit.Burst > 0, "above 0"},
		{"rate_limit.patience", p.RateLimit.Patience, p.RateLimit.Patience >= 0, "0 or above"},
		{"max_concurrent_calls", p.MaxConcurrentCalls, p.MaxConcurrentCalls > 0, "above 0"},
		{"idle_timeout", p.IdleTimeout, p.IdleTimeout > 0, "above 0"},
	} {
		if !number.ok {
			problem("%s %v: must be %s", number.name, number.value, number.want)
		}
	}
	return problems
}

func (p Processor) backoff() processor.Backoff {
	return processor.Backoff{
		Strategy:   p.Retry.Strategy,
		Initial:    time.Duration(p.Retry.Initial),
		Max:        time.Duration(p.Retry.Max),
		Multiplier: p.Retry.Multiplier,
	}
}

func (p Processor) terms(name string) activities.Terms {
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
