package config

import (
	"time"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/breaker"
	"github.com/florinpay/florin/internal/processor/retry"
)

// Complete returns the configuration with defaults for everything that is not set. Its error lists everything that is invalid.
// Completing a complete configuration changes nothing.
func (c Config) Complete(adapters Adapters) (Config, error) {
	c.setDefaults(adapters)
	return c, c.validate(adapters)
}

func (c *Config) setDefaults(adapters Adapters) {
	if c.DefaultProcessor == "" && len(c.Processors) == 1 {
		for name := range c.Processors {
			c.DefaultProcessor = name
		}
	}
	setDefault(&c.Health.Listen, "127.0.0.1:8711")
	if c.HasWebhooks() {
		setDefault(&c.Webhooks.Listen, "127.0.0.1:8714")
	}
	setDefault(&c.Log.Level, "info")
	setDefault(&c.Log.Format, "json")
	setDefault(&c.Audit.Path, "stdout")
	setDefault(&c.Audit.MaxSizeMB, 100)
	setDefault(&c.Audit.MaxAgeDays, new(400))
	c.Authorize.setDefaults()
	setDefault(&c.Worker.StopTimeout, duration(40*time.Second))
	setDefault(&c.Worker.MaxConcurrentWorkflowTasks, 200)
	if c.Store.SQLite == "" && c.Store.Postgres == (Secret{}) {
		c.Store.SQLite = "florin.db"
	}
	processors := make(map[string]Processor, len(c.Processors))
	for name, p := range c.Processors {
		p.setDefaults(adapters)
		processors[name] = p
	}
	c.Processors = processors
}

func (p *Processor) setDefaults(adapters Adapters) {
	setDefault(&p.FirstAttempt, Inline)
	setDefault(&p.HTTPTimeout, duration(20*time.Second))
	setDefault(&p.StartToClose, duration(30*time.Second))
	setDefault(&p.ScheduleToClose, duration(15*time.Minute))
	setDefault(&p.SendWithin, p.ScheduleToClose)
	if adapter, ok := adapters[p.Adapter]; ok {
		setDefault(&p.BaseURL, adapter.BaseURL)
		setDefault(&p.KeyLifetime, duration(adapter.Profile.KeyLifetime))
		setDefault(&p.AbsenceProofAfter, new(duration(adapter.Profile.AbsenceProofAfter)))
	}
	setDefault(&p.AbsenceProofAfter, new(duration(0)))
	setDefault(&p.KeyLifetime, duration(24*time.Hour))
	setDefault(&p.Retry.Strategy, retry.Exponential)
	setDefault(&p.Retry.Initial, duration(time.Second))
	setDefault(&p.Retry.Max, duration(30*time.Second))
	setDefault(&p.Retry.Multiplier, 2)
	setDefault(&p.Retry.Jitter, new(retry.DefaultBackoff.Jitter))
	setDefault(&p.Retry.MaxAttempts, retry.Default().MaxAttempts)
	setDefault(&p.Retry.LongestWait, duration(5*time.Minute))
	setDefault(&p.Resolve.Initial, duration(2*time.Second))
	setDefault(&p.Resolve.Max, duration(5*time.Minute))
	setDefault(&p.Resolve.For, duration(24*time.Hour))
	setDefault(&p.Pending.Initial, duration(5*time.Second))
	setDefault(&p.Pending.Max, duration(15*time.Minute))
	setDefault(&p.Pending.For, duration(7*24*time.Hour))
	setDefault(&p.AuthorizationFor, duration(7*24*time.Hour))
	setDefault(&p.RateLimit.Burst, 10)
	setDefault(&p.RateLimit.MaxWait, new(duration(2*time.Second)))
	setDefault(&p.Batch.Wait, duration(5*time.Millisecond))
	setDefault(&p.Breaker.Window, duration(breaker.Default.Window))
	setDefault(&p.Breaker.MinCalls, breaker.Default.MinCalls)
	setDefault(&p.Breaker.FailureRatio, breaker.Default.FailureRatio)
	setDefault(&p.Breaker.OpenFor, duration(breaker.Default.OpenFor))
	setDefault(&p.Breaker.SlowCall, duration(breaker.Default.SlowCall))
	setDefault(&p.Breaker.Probes, breaker.Default.Probes)
	setDefault(&p.Reconcile.Overlap, duration(2*time.Hour))
	setDefault(&p.Reconcile.Lag, duration(10*time.Minute))
	setDefault(&p.Reconcile.PageSize, 100)
	setDefault(&p.Reconcile.Share, 0.2)
	setDefault(&p.MaxConcurrentCalls, 100)
	setDefault(&p.IdleTimeout, duration(30*time.Second))
	setDefault(&p.MaxConnectionAge, duration(5*time.Minute))
}

// setDefault sets a field that is not set. A field whose 0 is a value of its own, and whose default is another one, is a pointer.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func duration(d time.Duration) activities.Duration { return activities.Duration(d) }

// Defaults returns the configuration of one processor, named example, in which only the adapter is set. It is not valid: what has
// no default is missing, such as the API key.
func Defaults(adapters Adapters, adapter string) Config {
	c := Config{Processors: map[string]Processor{"example": {Adapter: adapter}}}
	c.setDefaults(adapters)
	return c
}
