package config

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/stripe"
)

func TestConfigurationFilesOfTheRepositoryAreValid(t *testing.T) {
	for _, path := range []string{"../../examples/worker.yaml", "../../deploy/compose/worker.yaml"} {
		t.Run(path, func(t *testing.T) {
			c, err := Load(path, known)
			require.NoError(t, err)
			require.Equal(t, "simulator", c.DefaultProcessor)
			require.Equal(t, Secret{Env: "SIMULATOR_API_KEY"}, c.Processors["simulator"].APIKey)
			again, err := c.Complete(known)
			require.NoError(t, err)
			require.Equal(t, c, again, "completing a complete configuration changes nothing")
		})
	}
}

func TestAuditFilesAreKeptLongerThanAYearUnlessTheConfigurationSaysForever(t *testing.T) {
	const processors = "processors: {acme: {adapter: rest, base_url: \"http://127.0.0.1:8712\", api_key: {env: ACME}}}\n"
	for _, tt := range []struct {
		audit string
		want  int
	}{
		{audit: "", want: 400},
		{audit: "audit: {path: /var/log/florin/audit.jsonl}\n", want: 400},
		{audit: "audit: {max_age_days: 30}\n", want: 30},
		{audit: "audit: {max_age_days: 0}\n", want: 0},
	} {
		c, err := Parse([]byte(processors+tt.audit), known)
		require.NoError(t, err)
		require.Equal(t, tt.want, *c.Audit.MaxAgeDays, tt.audit)
	}
}

func TestExampleStatesTheDefaults(t *testing.T) {
	example, err := Load("../../examples/worker.yaml", known)
	require.NoError(t, err)
	bare, err := Parse([]byte("processors:\n"+
		"  simulator: {adapter: rest, base_url: \"http://127.0.0.1:8712\", api_key: {env: SIMULATOR_API_KEY}}\n"), known)
	require.NoError(t, err)
	// The example sets two values that depend on the processor: its rate, and the time after which "not found" is a proof.
	limited := example.Processors["simulator"]
	require.Equal(t, new(duration(2*time.Minute)), limited.AbsenceProofAfter)
	require.Zero(t, *bare.Processors["simulator"].AbsenceProofAfter)
	limited.AbsenceProofAfter = new(duration(0))
	require.Equal(t, RateLimit{PerSecond: 100, Burst: 20, MaxWait: new(duration(2 * time.Second))}, limited.RateLimit)
	limited.RateLimit = bare.Processors["simulator"].RateLimit
	example.Processors["simulator"] = limited
	require.Equal(t, example, bare)
}

func TestErrorOfLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, []byte("log: {colour: red}\n"), 0o600))
	_, err := Load(path, known)
	require.EqualError(t, err, path+`: line 1: unknown field "colour"`+"\n"+path+": processors: want at least one")
	_, err = Load(path+".nowhere", known)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path+".nowhere")
}

// known are the built-in adapters.
var known = Adapters{"rest": rest.Adapter(), "stripe": stripe.Adapter()}

// good returns the smallest valid configuration, for tests that change one value.
func good() Config {
	return Config{Processors: map[string]Processor{
		"acme": {Adapter: "rest", BaseURL: "https://api.acme.example", APIKey: Secret{Env: "ACME_KEY"}},
	}}
}

func TestOnlyProcessorIsTheDefault(t *testing.T) {
	c, err := good().Complete(known)
	require.NoError(t, err)
	require.Equal(t, "acme", c.DefaultProcessor)
}

func TestProblemNamesTheKeyAndTheValue(t *testing.T) {
	second := time.Second
	for _, tt := range []struct {
		name   string
		change func(*Config, *Processor)
		want   string
	}{
		{
			name:   "two processors without a default",
			change: func(c *Config, p *Processor) { c.Processors["bolt"] = *p },
			want:   `default_processor "": want one of the processors: acme, bolt`,
		},
		{
			name:   "name of a processor with a slash",
			change: func(c *Config, p *Processor) { c.Processors["a/b"] = *p },
			want:   "processors.a/b: want a name of 1 to 64 of A-Z a-z 0-9 . _ -",
		},
		{
			name:   "unknown default processor",
			change: func(c *Config, _ *Processor) { c.DefaultProcessor = "amce" },
			want:   `default_processor "amce": want one of the processors: acme`,
		},
		{
			name:   "health address without a port",
			change: func(c *Config, _ *Processor) { c.Health.Listen = "localhost" },
			want:   `health.listen "localhost": want host:port`,
		},
		{
			name:   "unknown log level",
			change: func(c *Config, _ *Processor) { c.Log.Level = "loud" },
			want:   `log.level "loud": want debug, info, warn or error`,
		},
		{
			name:   "unknown log format",
			change: func(c *Config, _ *Processor) { c.Log.Format = "xml" },
			want:   `log.format "xml": want json or console`,
		},
		{
			name:   "one concurrent workflow task",
			change: func(c *Config, _ *Processor) { c.Worker.MaxConcurrentWorkflowTasks = 1 },
			want:   "worker.max_concurrent_workflow_tasks 1: must be at least 2",
		},
		{
			name:   "negative workflow tasks",
			change: func(c *Config, _ *Processor) { c.Worker.MaxConcurrentWorkflowTasks = -1 },
			want:   "worker.max_concurrent_workflow_tasks -1: must be at least 2",
		},
		{
			name:   "too little memory",
			change: func(c *Config, _ *Processor) { c.Worker.MemoryMB = 127 },
			want:   "worker.memory_mb 127: must be at least 128, or 0 for the memory limit of the container",
		},
		{
			name:   "unknown adapter",
			change: func(_ *Config, p *Processor) { p.Adapter = "soap" },
			want:   `processors.acme.adapter "soap": want rest or stripe`,
		},
		{
			name:   "no base URL",
			change: func(_ *Config, p *Processor) { p.BaseURL = "" },
			want:   `processors.acme.base_url "": want https://host/path`,
		},
		{
			name:   "base URL without TLS",
			change: func(_ *Config, p *Processor) { p.BaseURL = "http://api.acme.example" },
			want:   `processors.acme.base_url "http://api.acme.example" would send the API key unencrypted: want https, or insecure: true`,
		},
		{
			name:   "base URL without TLS to a service of docker-compose",
			change: func(_ *Config, p *Processor) { p.BaseURL = "http://simulator:8712" },
			want:   `processors.acme.base_url "http://simulator:8712" would send the API key unencrypted: want https, or insecure: true`,
		},
		{
			name: "token URL without TLS",
			change: func(_ *Config, p *Processor) {
				p.APIKey, p.OAuth = Secret{}, OAuth{TokenURL: "http://login:80/token", ClientID: "c", ClientSecret: Secret{Env: "A"}}
			},
			want: "processors.acme.oauth.token_url: ",
		},
		{
			name:   "client certificate without its key",
			change: func(_ *Config, p *Processor) { p.TLS.Certificate = Secret{File: "client.pem"} },
			want:   "processors.acme.tls: want certificate and key together, or neither",
		},
		{
			name:   "authority without TLS",
			change: func(_ *Config, p *Processor) { p.BaseURL, p.TLS.CA = "http://localhost", Secret{File: "ca.pem"} },
			want:   "processors.acme.tls: has no effect without https in base_url or oauth.token_url",
		},
		{
			name:   "no API key",
			change: func(_ *Config, p *Processor) { p.APIKey = Secret{} },
			want:   "processors.acme.api_key: want either env or file",
		},
		{
			name:   "two references for the API key",
			change: func(_ *Config, p *Processor) { p.APIKey = Secret{Env: "A", File: "b"} },
			want:   "processors.acme.api_key: want either env or file",
		},
		{
			name:   "unknown retry strategy",
			change: func(_ *Config, p *Processor) { p.Retry.Strategy = "random" },
			want:   `processors.acme.retry.strategy "random": want exponential, fixed or linear`,
		},
		{
			name:   "negative initial delay",
			change: func(_ *Config, p *Processor) { p.Retry.Initial = duration(-second) },
			want:   "processors.acme.retry.initial -1s: must be above 0",
		},
		{
			name:   "maximum delay below the initial one",
			change: func(_ *Config, p *Processor) { p.Retry.Initial = duration(time.Minute) },
			want:   "processors.acme.retry.max 30s: must be at least initial, 1m0s",
		},
		{
			name:   "multiplier below 1",
			change: func(_ *Config, p *Processor) { p.Retry.Multiplier = 0.5 },
			want:   "processors.acme.retry.multiplier 0.5: must be above 1",
		},
		{
			name:   "negative jitter",
			change: func(_ *Config, p *Processor) { p.Retry.Jitter = new(-0.1) },
			want:   "processors.acme.retry.jitter -0.1: must be from 0 to 1",
		},
		{
			name:   "jitter above 1",
			change: func(_ *Config, p *Processor) { p.Retry.Jitter = new(25.0) },
			want:   "processors.acme.retry.jitter 25: must be from 0 to 1",
		},
		{
			name:   "negative number of attempts",
			change: func(_ *Config, p *Processor) { p.Retry.MaxAttempts = -1 },
			want:   "processors.acme.retry.max_attempts -1: must be above 0 and at most 20",
		},
		{
			name:   "too many attempts",
			change: func(_ *Config, p *Processor) { p.Retry.MaxAttempts = 21 },
			want:   "processors.acme.retry.max_attempts 21: must be above 0 and at most 20",
		},
		{
			name:   "HTTP timeout longer than an attempt",
			change: func(_ *Config, p *Processor) { p.HTTPTimeout = duration(31 * second) },
			want:   "processors.acme.http_timeout 31s must be shorter than start_to_close 30s",
		},
		{
			name:   "HTTP timeout as long as an attempt",
			change: func(_ *Config, p *Processor) { p.HTTPTimeout = duration(30 * second) },
			want:   "processors.acme.http_timeout 30s must be shorter than start_to_close 30s",
		},
		{
			name:   "attempt longer than the stop timeout",
			change: func(c *Config, _ *Processor) { c.Worker.StopTimeout = duration(25 * second) },
			want:   "processors.acme.start_to_close 30s must be shorter than worker.stop_timeout 25s",
		},
		{
			name:   "negative stop timeout",
			change: func(c *Config, _ *Processor) { c.Worker.StopTimeout = duration(-second) },
			want:   "processors.acme.start_to_close 30s must be shorter than worker.stop_timeout -1s",
		},
		{
			name:   "one attempt longer than all attempts",
			change: func(_ *Config, p *Processor) { p.ScheduleToClose = duration(10 * second) },
			want:   "processors.acme.start_to_close 30s must be shorter than schedule_to_close 10s",
		},
		{
			name:   "all attempts longer than the key lifetime",
			change: func(_ *Config, p *Processor) { p.KeyLifetime = duration(10 * time.Minute) },
			want:   "processors.acme.schedule_to_close 15m0s must be shorter than key_lifetime 10m0s",
		},
		{
			name:   "sending as long as the key lifetime",
			change: func(_ *Config, p *Processor) { p.SendWithin = duration(24 * time.Hour) },
			want:   "processors.acme.send_within 24h0m0s must be shorter than key_lifetime 24h0m0s",
		},
		{
			name:   "less time to send than for all attempts",
			change: func(_ *Config, p *Processor) { p.SendWithin = duration(10 * time.Minute) },
			want:   "processors.acme.send_within 10m0s must be at least schedule_to_close 15m0s",
		},
		{
			name:   "maximum wait as long as an HTTP call",
			change: func(_ *Config, p *Processor) { p.RateLimit.MaxWait = new(duration(20 * second)) },
			want:   "processors.acme.rate_limit.max_wait 20s must be shorter than http_timeout 20s",
		},
		{
			name:   "longest wait longer than all attempts",
			change: func(_ *Config, p *Processor) { p.Retry.LongestWait = duration(time.Hour) },
			want:   "processors.acme.retry.longest_wait 1h0m0s must be shorter than schedule_to_close 15m0s",
		},
		{
			name:   "maximum delay below the initial one of resolve",
			change: func(_ *Config, p *Processor) { p.Resolve.Max = duration(second) },
			want:   "processors.acme.resolve: want 0 < initial 2s <= max 1s <= for 24h0m0s",
		},
		{
			name:   "total time below the maximum delay of pending",
			change: func(_ *Config, p *Processor) { p.Pending.For = duration(second) },
			want:   "processors.acme.pending: want 0 < initial 5s <= max 15m0s <= for 1s",
		},
		{
			name:   "more lookups than a processor bears",
			change: func(_ *Config, p *Processor) { p.Pending.Max = duration(2 * time.Minute) },
			want: "processors.acme.pending: for 168h0m0s takes 5044 lookups of each payment, want at most 5000: " +
				"raise max 2m0s, or shorten for",
		},
		{
			name:   "negative HTTP timeout",
			change: func(_ *Config, p *Processor) { p.HTTPTimeout = duration(-second) },
			want:   "processors.acme.http_timeout -1s: must be above 0",
		},
		{
			name:   "negative absence proof",
			change: func(_ *Config, p *Processor) { p.AbsenceProofAfter = new(duration(-second)) },
			want:   "processors.acme.absence_proof_after -1s: must be 0 or above",
		},
		{
			name:   "negative longest wait",
			change: func(_ *Config, p *Processor) { p.Retry.LongestWait = duration(-second) },
			want:   "processors.acme.retry.longest_wait -1s: must be at least retry.max 30s",
		},
		{
			name:   "negative rate",
			change: func(_ *Config, p *Processor) { p.RateLimit.PerSecond = -1 },
			want:   "processors.acme.rate_limit.per_second -1: must be 0 or above, and at most 1000000",
		},
		{
			name:   "infinite rate",
			change: func(_ *Config, p *Processor) { p.RateLimit.PerSecond = math.Inf(1) },
			want:   "processors.acme.rate_limit.per_second +Inf: must be 0 or above, and at most 1000000",
		},
		{
			name:   "negative burst",
			change: func(_ *Config, p *Processor) { p.RateLimit.Burst = -1 },
			want:   "processors.acme.rate_limit.burst -1: must be above 0 and at most 1000000",
		},
		{
			name:   "negative maximum wait",
			change: func(_ *Config, p *Processor) { p.RateLimit.MaxWait = new(duration(-second)) },
			want:   "processors.acme.rate_limit.max_wait -1s: must be 0 or above",
		},
		{
			name:   "negative concurrent calls",
			change: func(_ *Config, p *Processor) { p.MaxConcurrentCalls = -1 },
			want:   "processors.acme.max_concurrent_calls -1: must be above 0",
		},
		{
			name:   "batch of one charge",
			change: func(_ *Config, p *Processor) { p.Batch.MaxItems = 1 },
			want:   "processors.acme.batch.max_items 1: must be 0, or at least 2 and at most 100",
		},
		{
			name:   "batch that exceeds the protocol's",
			change: func(_ *Config, p *Processor) { p.Batch.MaxItems = 101 },
			want:   "processors.acme.batch.max_items 101: must be 0, or at least 2 and at most 100",
		},
		{
			name:   "batch of an adapter that sends none",
			change: func(_ *Config, p *Processor) { p.Adapter, p.Batch.MaxItems = "stripe", 10 },
			want:   `processors.acme.batch.max_items 10: adapter "stripe" sends no batches: want 0`,
		},
		{
			name:   "wait for a batch that is too long",
			change: func(_ *Config, p *Processor) { p.Batch = Batching{MaxItems: 10, Wait: duration(2 * second)} },
			want:   "processors.acme.batch.wait 2s: must be above 0 and at most 1s",
		},
		{
			name:   "negative age of connections",
			change: func(_ *Config, p *Processor) { p.MaxConnectionAge = duration(-second) },
			want:   "processors.acme.max_connection_age -1s: must be above 0",
		},
		{
			name:   "reconciliation all the time",
			change: func(_ *Config, p *Processor) { p.Reconcile.Every = duration(second) },
			want:   "processors.acme.reconcile.every 1s: must be at least 1m, or 0 for no schedule",
		},
		{
			name: "overlap that ends before the lag",
			change: func(_ *Config, p *Processor) {
				p.Reconcile.Lag, p.Reconcile.Overlap = duration(second), duration(second)
			},
			want: "processors.acme.reconcile: want 0 < lag 1s < overlap 1s",
		},
		{
			name:   "pages that no processor has",
			change: func(_ *Config, p *Processor) { p.Reconcile.PageSize = 1001 },
			want:   "processors.acme.reconcile.page_size 1001: must be 1 to 1000",
		},
		{
			name:   "more than all of the rate",
			change: func(_ *Config, p *Processor) { p.Reconcile.Share = 1.1 },
			want:   "processors.acme.reconcile.share 1.1: must be above 0 and at most 1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := good()
			p := config.Processors["acme"]
			tt.change(&config, &p)
			config.Processors["acme"] = p
			_, err := config.Complete(known)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestConfigurationWithoutProcessorsIsInvalid(t *testing.T) {
	_, err := Config{}.Complete(known)
	require.EqualError(t, err, "processors: want at least one")
}

func TestAllInvalidValuesAreReported(t *testing.T) {
	c := good()
	c.Log.Level = "loud"
	c.Processors["bolt"] = Processor{BaseURL: "https://bolt.example", Retry: Retry{Strategy: "random"}}
	_, err := c.Complete(known)
	require.Equal(t, []string{
		`default_processor "": want one of the processors: acme, bolt`,
		`log.level "loud": want debug, info, warn or error`,
		`processors.bolt.adapter "": want rest or stripe`,
		`processors.bolt.api_key: want either env or file`,
		`processors.bolt.retry.strategy "random": want exponential, fixed or linear`,
	}, strings.Split(err.Error(), "\n"))
}

// A configuration with only one key of resolve was refused, because the two others did not get their defaults.
func TestMissingKeysOfAScheduleHaveTheirDefaults(t *testing.T) {
	c := good()
	p := c.Processors["acme"]
	p.Resolve.For = duration(48 * time.Hour)
	c.Processors["acme"] = p
	c, err := c.Complete(known)
	require.NoError(t, err)
	require.Equal(t, duration(2*time.Second), c.Processors["acme"].Resolve.Initial)
	require.Equal(t, duration(48*time.Hour), c.Processors["acme"].Resolve.For)
}

func TestJitterOfZeroIsNotReplacedByTheDefault(t *testing.T) {
	for yaml, want := range map[string]float64{"": 0.25, "jitter: 0": 0, "jitter: 0.0": 0, "jitter: 1": 1, "jitter: null": 0.25} {
		c, err := Parse([]byte("processors: {acme: {adapter: stripe, api_key: {env: KEY}, retry: {"+yaml+"}}}"), known)
		require.NoError(t, err, yaml)
		require.InDelta(t, want, c.Processors["acme"].Backoff().Jitter, 0, yaml)
	}
	require.InDelta(t, 0.25, Processor{}.Backoff().Jitter, 0, "an incomplete configuration")
}

// The adapter of a processor may prove absence after a time that an operator does not trust, and a call may have to fail at once.
func TestZeroIsNotReplacedByADefaultWhereItHasAMeaning(t *testing.T) {
	probe := rest.Adapter()
	probe.Name, probe.Profile.AbsenceProofAfter = "probe", 2*time.Minute
	adapters, err := known.With(probe)
	require.NoError(t, err)
	for _, tt := range []struct {
		name, keys            string
		absenceProof, maxWait time.Duration
	}{
		{name: "not set", absenceProof: 2 * time.Minute, maxWait: 2 * time.Second},
		{name: "no value", keys: "absence_proof_after: , rate_limit: {max_wait: ~}", absenceProof: 2 * time.Minute, maxWait: 2 * time.Second},
		{name: "zero", keys: "absence_proof_after: 0, rate_limit: {max_wait: 0}"},
		{name: "zero seconds", keys: "absence_proof_after: 0s, rate_limit: {max_wait: 0s}"},
		{
			name: "another value", keys: "absence_proof_after: 1h, rate_limit: {max_wait: 1s}",
			absenceProof: time.Hour, maxWait: time.Second,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(`processors: {acme: {adapter: probe, base_url: "https://acme.example", api_key: {env: KEY}, `+
				tt.keys+"}}"), adapters)
			require.NoError(t, err)
			acme := c.Processors["acme"]
			require.Equal(t, duration(tt.absenceProof), acme.Terms("acme", probe.Profile).AbsenceProofAfter)
			require.Equal(t, duration(tt.maxWait), *acme.RateLimit.MaxWait)
			text, err := c.YAML()
			require.NoError(t, err)
			require.Contains(t, string(text), "absence_proof_after: "+FormatDuration(duration(tt.absenceProof))+"\n")
			require.Contains(t, string(text), "max_wait: "+FormatDuration(duration(tt.maxWait))+"\n")
			readBack, err := Parse(text, adapters)
			require.NoError(t, err)
			require.Equal(t, c, readBack)
		})
	}
}

func TestExactlyOneWayToAuthenticateIsValid(t *testing.T) {
	for _, tt := range []struct{ name, keys, want string }{
		{name: "API key from the environment", keys: `api_key: {env: KEY}`},
		{name: "API key from a file", keys: `api_key: {file: /run/key}`},
		{name: "OAuth", keys: `oauth: {token_url: "https://auth.example/token", client_id: florin, client_secret: {env: CS}}`},
		{name: "neither", keys: `api_key: {}`, want: "api_key: want either env or file"},
		{
			name: "both",
			keys: `api_key: {env: KEY}, oauth: {token_url: "https://auth.example/token", client_id: florin, client_secret: {env: CS}}`,
			want: "api_key and oauth: want one of them",
		},
		{name: "OAuth without a token URL", keys: `oauth: {client_id: florin}`, want: "oauth.token_url: is missing"},
		{
			name: "token URL without TLS",
			keys: `oauth: {token_url: "http://auth.example/token", client_id: florin, client_secret: {env: CS}}`,
			want: "oauth.token_url",
		},
		{
			name: "OAuth without a client ID",
			keys: `oauth: {token_url: "https://auth.example/token", client_secret: {env: CS}}`,
			want: "oauth.client_id",
		},
		{
			name: "OAuth without a client secret",
			keys: `oauth: {token_url: "https://auth.example/token", client_id: florin}`,
			want: "oauth.client_secret",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(`processors: {acme: {adapter: rest, base_url: "https://acme.example", `+tt.keys+`}}`), known)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}
