package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/httpclient"
)

// plainName is the form of a merchant ID and of the name of a processor.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

var adapterName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

func (a Adapters) names() string { return strings.Join(slices.Sorted(maps.Keys(a)), " or ") }

// validate reports everything that is invalid, each problem with the path of its key.
func (c Config) validate(adapters Adapters) error {
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
	problems = append(problems, c.Authorize.problems()...)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		problem("log.level %q: want debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "json" && c.Log.Format != "console" {
		problem("log.format %q: want json or console", c.Log.Format)
	}
	if c.Worker.MaxConcurrentWorkflowTasks < 2 {
		problem("worker.max_concurrent_workflow_tasks %d: must be at least 2, as Temporal's SDK requires",
			c.Worker.MaxConcurrentWorkflowTasks)
	}
	if c.Worker.MemoryMB != 0 && c.Worker.MemoryMB < minMemoryMB {
		problem("worker.memory_mb %d: must be at least %d, or 0 for the memory limit of the container", c.Worker.MemoryMB, minMemoryMB)
	}
	if c.Audit.MaxSizeMB < 1 || c.Audit.MaxBackups < 0 || *c.Audit.MaxAgeDays < 0 {
		problem("audit: want max_size_mb %d above 0, and max_backups %d and max_age_days %d at least 0",
			c.Audit.MaxSizeMB, c.Audit.MaxBackups, *c.Audit.MaxAgeDays)
	}
	if _, err := audit.NewFields(c.Audit.Allow); err != nil {
		problem("audit.allow: %w", err)
	}
	problems = append(problems, c.Fairness.problems()...)
	if strings.ContainsAny(c.Worker.Deployment, ".:") || strings.ContainsAny(c.Worker.BuildID, ":") {
		problem("worker.deployment %q must not contain . or :, worker.build_id %q must not contain :, as Temporal requires",
			c.Worker.Deployment, c.Worker.BuildID)
	}
	if c.Worker.BuildID != "" && c.Worker.Deployment == "" {
		problem("worker.build_id %q: has no effect without worker.deployment", c.Worker.BuildID)
	}
	if c.Store.SQLite != "" && c.Store.Postgres != (Secret{}) {
		problem("store: want sqlite or postgres, not both")
	}
	if strings.Contains(c.Store.SQLite, "://") { // not quoted: it may contain a password
		problem("store.sqlite: want the path of a file; the URL of a PostgreSQL database belongs in a file or a variable that store.postgres names")
	}
	if err := c.Store.Postgres.problem(); c.Store.Postgres != (Secret{}) && err != nil {
		problem("store.postgres: %w", err)
	}
	if c.Store.Postgres == (Secret{}) && (c.Store.AllowOwner || c.Store.Insecure) {
		problem("store.allow_owner, store.insecure: have no effect without store.postgres")
	}
	for _, name := range names {
		if !plainName.MatchString(name) {
			problem("processors.%s: want a name of 1 to 64 of A-Z a-z 0-9 . _ -, as requests and task queues have it", name)
		}
		for _, err := range c.Processors[name].problems(adapters, c.Worker.StopTimeout) {
			problem("processors.%s.%w", name, err)
		}
	}
	return errors.Join(problems...)
}

// minMemoryMB is what a worker needs that executes all its workflow tasks at once, and keeps a few hundred workflows.
const minMemoryMB = 128

// maxAttempts bounds the attempts of a call without Temporal. The time limit of such a call ends it earlier.
const maxAttempts = 20

// maxRate bounds the rate and the burst of the calls to a processor.
const maxRate = 1_000_000

// maxAuthorization bounds how long a payment stays authorized: no card network allows longer, and it is looked up every day.
const maxAuthorization = activities.Duration(365 * 24 * time.Hour)

// problems returns everything that is invalid, as [Config.validate] does, each with the path of its key below the processor.
func (p Processor) problems(adapters Adapters, stopTimeout activities.Duration) (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if _, ok := adapters[p.Adapter]; !ok {
		problem("adapter %q: want %s", p.Adapter, adapters.names())
	}
	if err := httpclient.CheckBaseURL(p.BaseURL, p.Insecure); err != nil {
		problems = append(problems, err)
	}
	if p.FirstAttempt != Inline && p.FirstAttempt != Queued {
		problem("first_attempt %q: want %s or %s", p.FirstAttempt, Inline, Queued)
	}
	problems = append(problems, p.TLS.problems()...)
	if p.TLS != (TLS{}) && !strings.HasPrefix(p.BaseURL, "https:") && !strings.HasPrefix(p.OAuth.TokenURL, "https:") {
		problem("tls: has no effect without https in base_url or oauth.token_url")
	}
	problems = append(problems, p.credentialProblems()...)
	problems = append(problems, p.webhookProblems(adapters)...)
	problems = append(problems, p.Batch.problems(p.Adapter, adapters)...)
	if err := p.Backoff().Validate(); err != nil {
		problem("retry.%w", err)
	}
	if err := p.Breaker.Options().Validate(); err != nil {
		problem("breaker.%w", err)
	}
	return slices.Concat(problems, p.deadlineProblems(stopTimeout), p.pollProblems(), p.boundProblems(), p.Reconcile.problems())
}

// deadlineProblems checks that the deadlines nest: an HTTP call ends before its attempt does, an attempt before a stopping worker
// abandons it, and all attempts before the processor discards the key.
func (p Processor) deadlineProblems(stopTimeout activities.Duration) (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, nested := range []struct {
		inner, outer           string
		innerValue, outerValue activities.Duration
	}{
		{"http_timeout", "start_to_close", p.HTTPTimeout, p.StartToClose},
		{"start_to_close", "worker.stop_timeout", p.StartToClose, stopTimeout},
		{"start_to_close", "schedule_to_close", p.StartToClose, p.ScheduleToClose},
		{"schedule_to_close", "key_lifetime", p.ScheduleToClose, p.KeyLifetime},
		{"send_within", "key_lifetime", p.SendWithin, p.KeyLifetime},
		{"rate_limit.max_wait", "http_timeout", *p.RateLimit.MaxWait, p.HTTPTimeout},
		{"retry.longest_wait", "schedule_to_close", p.Retry.LongestWait, p.ScheduleToClose},
	} {
		if nested.innerValue >= nested.outerValue {
			problem("%s %s must be shorter than %s %s", nested.inner, nested.innerValue, nested.outer, nested.outerValue)
		}
	}
	if p.SendWithin < p.ScheduleToClose {
		problem("send_within %s must be at least schedule_to_close %s", p.SendWithin, p.ScheduleToClose)
	}
	return problems
}

// pollProblems checks the schedules of lookups.
func (p Processor) pollProblems() (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, named := range []struct {
		name string
		poll activities.Poll
	}{{"resolve", p.Resolve}, {"pending", p.Pending}} {
		if poll := named.poll; poll.Initial <= 0 || poll.Max < poll.Initial || poll.For < poll.Max {
			problem("%s: want 0 < initial %s <= max %s <= for %s", named.name, poll.Initial, poll.Max, poll.For)
		} else if n := poll.Lookups(); n > activities.MaxLookups {
			problem("%s: for %s takes %d lookups of each payment, want at most %d: raise max %s, or shorten for",
				named.name, poll.For, n, activities.MaxLookups, poll.Max)
		}
	}
	return problems
}

// boundProblems checks the bounds of single numbers and durations.
func (p Processor) boundProblems() (problems []error) {
	for _, number := range []struct {
		name  string
		value any
		ok    bool
		want  string
	}{
		{"http_timeout", p.HTTPTimeout, p.HTTPTimeout > 0, "above 0"},
		{
			"authorization_for", p.AuthorizationFor, p.AuthorizationFor > 0 && p.AuthorizationFor <= maxAuthorization,
			fmt.Sprintf("above 0 and at most %s", maxAuthorization),
		},
		{"absence_proof_after", *p.AbsenceProofAfter, *p.AbsenceProofAfter >= 0, "0 or above"},
		{"retry.longest_wait", p.Retry.LongestWait, p.Retry.LongestWait >= p.Retry.Max, fmt.Sprintf("at least retry.max %s", p.Retry.Max)},
		{
			"retry.max_attempts", p.Retry.MaxAttempts, p.Retry.MaxAttempts > 0 && p.Retry.MaxAttempts <= maxAttempts,
			fmt.Sprintf("above 0 and at most %d", maxAttempts),
		},
		{
			"rate_limit.per_second", p.RateLimit.PerSecond, p.RateLimit.PerSecond >= 0 && p.RateLimit.PerSecond <= maxRate,
			fmt.Sprintf("0 or above, and at most %d", maxRate),
		},
		{
			"rate_limit.burst", p.RateLimit.Burst, p.RateLimit.Burst > 0 && p.RateLimit.Burst <= maxRate,
			fmt.Sprintf("above 0 and at most %d", maxRate),
		},
		{"rate_limit.max_wait", *p.RateLimit.MaxWait, *p.RateLimit.MaxWait >= 0, "0 or above"},
		{"max_concurrent_calls", p.MaxConcurrentCalls, p.MaxConcurrentCalls > 0, "above 0"},
		{"idle_timeout", p.IdleTimeout, p.IdleTimeout > 0, "above 0"},
		{"max_connection_age", p.MaxConnectionAge, p.MaxConnectionAge > 0, "above 0"},
	} {
		if !number.ok {
			problems = append(problems, fmt.Errorf("%s %v: must be %s", number.name, number.value, number.want))
		}
	}
	return problems
}

// maxReconcilePage bounds a page of a processor's lists.
const maxReconcilePage = 1000

func (r Reconcile) problems() (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if r.Every != 0 && r.Every < duration(time.Minute) {
		problem("reconcile.every %s: must be at least 1m, or 0 for no schedule", r.Every)
	}
	if r.Lag <= 0 || r.Overlap <= r.Lag {
		problem("reconcile: want 0 < lag %s < overlap %s", r.Lag, r.Overlap)
	}
	if r.PageSize < 1 || r.PageSize > maxReconcilePage {
		problem("reconcile.page_size %d: must be 1 to %d", r.PageSize, maxReconcilePage)
	}
	if !(r.Share > 0 && r.Share <= 1) { // this refuses NaN, too
		problem("reconcile.share %v: must be above 0 and at most 1", r.Share)
	}
	return problems
}

// credentialProblems checks that there is exactly one complete way to authenticate.
func (p Processor) credentialProblems() (problems []error) {
	switch o := p.OAuth; {
	case o.TokenURL == "" && (o.ClientID != "" || o.ClientSecret != Secret{} || len(o.Scopes) > 0):
		problems = append(problems, errors.New("oauth.token_url: is missing"))
	case o.TokenURL == "" && p.APIKey.problem() != nil:
		problems = append(problems, fmt.Errorf("api_key: %w", p.APIKey.problem()))
	case o.TokenURL == "":
	case p.APIKey != Secret{}:
		problems = append(problems, errors.New("api_key and oauth: want one of them"))
	default:
		if err := httpclient.CheckBaseURL(o.TokenURL, p.Insecure); err != nil {
			problems = append(problems, fmt.Errorf("oauth.token_url: %w", err))
		}
		if o.ClientID == "" {
			problems = append(problems, errors.New("oauth.client_id: is missing"))
		}
		if err := o.ClientSecret.problem(); err != nil {
			problems = append(problems, fmt.Errorf("oauth.client_secret: %w", err))
		}
	}
	return problems
}

func (c Config) webhookProblems() (problems []error) {
	switch listen := c.Webhooks.Listen; {
	case listen == "" && !c.HasWebhooks():
	case !c.HasWebhooks():
		problems = append(problems, fmt.Errorf("webhooks.listen %q: has no effect without webhook_secrets of a processor", listen))
	default:
		if _, _, err := net.SplitHostPort(listen); err != nil {
			problems = append(problems, fmt.Errorf("webhooks.listen %q: want host:port", listen))
		}
	}
	return problems
}

// maxWebhookSecrets allows for the old and the new secret of a rotation.
const maxWebhookSecrets = 2

func (p Processor) webhookProblems(adapters Adapters) (problems []error) {
	if n := len(p.WebhookSecrets); n > maxWebhookSecrets {
		problems = append(problems, fmt.Errorf("webhook_secrets: there are %d, want one, or two during a rotation", n))
	}
	if adapter, ok := adapters[p.Adapter]; ok && adapter.ReadEvent == nil && len(p.WebhookSecrets) > 0 {
		problems = append(problems, fmt.Errorf("webhook_secrets: adapter %q reads no events", p.Adapter))
	}
	for i, secret := range p.WebhookSecrets {
		if err := secret.problem(); err != nil {
			problems = append(problems, fmt.Errorf("webhook_secrets[%d]: %w", i, err))
		}
	}
	return problems
}

// maxBatchWait is the longest wait for other charges.
const maxBatchWait = activities.Duration(time.Second)

func (b Batching) problems(name string, adapters Adapters) (problems []error) {
	if adapter, ok := adapters[name]; ok && b.MaxItems != 0 {
		switch most := adapter.Profile.MaxBatch; {
		case most == 0:
			problems = append(problems, fmt.Errorf("batch.max_items %d: adapter %q sends no batches: want 0", b.MaxItems, name))
		case b.MaxItems < 2 || b.MaxItems > most:
			problems = append(problems, fmt.Errorf("batch.max_items %d: must be 0, or at least 2 and at most %d", b.MaxItems, most))
		}
	}
	if b.Wait <= 0 || b.Wait > maxBatchWait {
		problems = append(problems, fmt.Errorf("batch.wait %s: must be above 0 and at most %s", b.Wait, maxBatchWait))
	}
	return problems
}

// maxWeights is half of what Temporal accepts in one request, which sets new weights and removes as many old ones.
const maxWeights = 500

func (f Fairness) problems() (problems []error) {
	if len(f.Weights) > maxWeights {
		problems = append(problems, fmt.Errorf("fairness.weights: %d merchants: want at most %d", len(f.Weights), maxWeights))
	}
	for _, merchant := range slices.Sorted(maps.Keys(f.Weights)) {
		if weight := f.Weights[merchant]; !plainName.MatchString(merchant) {
			problems = append(problems, fmt.Errorf("fairness.weights: %q: want a merchant ID, 1 to 64 of A-Z a-z 0-9 . _ -", merchant))
		} else if !(weight >= 0.001 && weight <= 1000) { // unlike weight < 0.001 || weight > 1000, this refuses NaN too
			problems = append(problems, fmt.Errorf("fairness.weights.%s %v: want 0.001 to 1000", merchant, weight))
		}
	}
	return problems
}
