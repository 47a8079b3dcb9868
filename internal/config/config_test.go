package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/stripe"
)

func TestTheConfigurationsOfTheRepositoryAreGood(t *testing.T) {
	for _, path := range []string{"../../examples/worker.yaml", "../../deploy/compose/worker.yaml"} {
		t.Run(path, func(t *testing.T) {
			c, err := Load(path, known)
			require.NoError(t, err)
			require.Equal(t, "simulator", c.DefaultProcessor)
			require.Equal(t, Secret{Env: "SIMULATOR_API_KEY"}, c.Processors["simulator"].APIKey)
			again, err := c.Complete(known)
			require.NoError(t, err)
			require.Equal(t, c, again, "a complete configuration stays as it is")
		})
	}
}

func TestTheExampleSpellsOutTheDefaults(t *testing.T) {
	example, err := Load("../../examples/worker.yaml", known)
	require.NoError(t, err)
	bare, err := Parse([]byte("processors:\n  simulator: {adapter: rest, base_url: \"http://127.0.0.1:8712\", api_key: {env: SIMULATOR_API_KEY}}\n"), known)
	require.NoError(t, err)
	// What is not ours to assume of a processor: its rate, and when it surely finds what it has.
	limited := example.Processors["simulator"]
	require.Equal(t, duration(2*time.Minute), limited.AbsenceProofAfter)
	require.Zero(t, bare.Processors["simulator"].AbsenceProofAfter)
	limited.AbsenceProofAfter = 0
	require.Equal(t, RateLimit{PerSecond: 100, Burst: 20, MaxWait: duration(2 * time.Second)}, limited.RateLimit)
	limited.RateLimit = bare.Processors["simulator"].RateLimit
	example.Processors["simulator"] = limited
	require.Equal(t, example, bare)
}

func TestAConfigurationErrorNamesTheFile(t *testing.T) {
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

// good is the smallest configuration; a test then breaks one thing.
func good() Config {
	return Config{Processors: map[string]Processor{
		"acme": {Adapter: "rest", BaseURL: "https://api.acme.example", APIKey: Secret{Env: "ACME_KEY"}},
	}}
}

func TestTheOnlyProcessorIsTheDefault(t *testing.T) {
	c, err := good().Complete(known)
	require.NoError(t, err)
	require.Equal(t, "acme", c.DefaultProcessor)
}

func TestEveryCheckNamesItsKeyAndItsValues(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		breaks func(*Config, *Processor)
		want   string
	}{
		"two processors, no default": {func(c *Config, p *Processor) { c.Processors["bolt"] = *p }, `default_processor "": want one of the processors: acme, bolt`},
		"a default nobody knows":     {func(c *Config, _ *Processor) { c.DefaultProcessor = "amce" }, `default_processor "amce": want one of the processors: acme`},
		"health without a port":      {func(c *Config, _ *Processor) { c.Health.Listen = "localhost" }, `health.listen "localhost": want host:port`},
		"log level":                  {func(c *Config, _ *Processor) { c.Log.Level = "loud" }, `log.level "loud": want debug, info, warn or error`},
		"log format":                 {func(c *Config, _ *Processor) { c.Log.Format = "xml" }, `log.format "xml": want json or console`},
		"one workflow task":          {func(c *Config, _ *Processor) { c.Worker.MaxConcurrentWorkflowTasks = 1 }, "worker.max_concurrent_workflow_tasks 1: must be at least 2"},
		"workflow tasks below 0":     {func(c *Config, _ *Processor) { c.Worker.MaxConcurrentWorkflowTasks = -1 }, "worker.max_concurrent_workflow_tasks -1: must be at least 2"},
		"adapter":                    {func(_ *Config, p *Processor) { p.Adapter = "soap" }, `processors.acme.adapter "soap": want rest or stripe`},
		"no base URL":                {func(_ *Config, p *Processor) { p.BaseURL = "" }, `processors.acme.base_url "": want https://host/path`},
		"base URL in the clear":      {func(_ *Config, p *Processor) { p.BaseURL = "http://api.acme.example" }, "processors.acme.base_url"},
		"no API key":                 {func(_ *Config, p *Processor) { p.APIKey = Secret{} }, "processors.acme.api_key: want either env or file"},
		"two API keys":               {func(_ *Config, p *Processor) { p.APIKey = Secret{Env: "A", File: "b"} }, "processors.acme.api_key: want either env or file"},
		"retry strategy":             {func(_ *Config, p *Processor) { p.Retry.Strategy = "random" }, `processors.acme.retry.strategy "random": want exponential, fixed or linear`},
		"retry initial":              {func(_ *Config, p *Processor) { p.Retry.Initial = duration(-second) }, "processors.acme.retry.initial -1s: must be above 0"},
		"retry max":                  {func(_ *Config, p *Processor) { p.Retry.Initial = duration(time.Minute) }, "processors.acme.retry.max 30s: must be at least initial, 1m0s"},
		"retry multiplier":           {func(_ *Config, p *Processor) { p.Retry.Multiplier = 0.5 }, "processors.acme.retry.multiplier 0.5: must be above 1"},
		"HTTP call over attempt":     {func(_ *Config, p *Processor) { p.HTTPTimeout = duration(31 * second) }, "processors.acme.http_timeout 31s must be shorter than start_to_close 30s"},
		"HTTP call as attempt":       {func(_ *Config, p *Processor) { p.HTTPTimeout = duration(30 * second) }, "processors.acme.http_timeout 30s must be shorter than start_to_close 30s"},
		"attempt over stop":          {func(c *Config, _ *Processor) { c.Worker.StopTimeout = duration(25 * second) }, "processors.acme.start_to_close 30s must be shorter than worker.stop_timeout 25s"},
		"stop below 0":               {func(c *Config, _ *Processor) { c.Worker.StopTimeout = duration(-second) }, "processors.acme.start_to_close 30s must be shorter than worker.stop_timeout -1s"},
		"attempt over all attempts":  {func(_ *Config, p *Processor) { p.ScheduleToClose = duration(10 * second) }, "processors.acme.start_to_close 30s must be shorter than schedule_to_close 10s"},
		"all attempts over key":      {func(_ *Config, p *Processor) { p.KeyLifetime = duration(10 * time.Minute) }, "processors.acme.schedule_to_close 15m0s must be shorter than key_lifetime 10m0s"},
		"patience over HTTP call":    {func(_ *Config, p *Processor) { p.RateLimit.MaxWait = duration(20 * second) }, "processors.acme.rate_limit.max_wait 20s must be shorter than http_timeout 20s"},
		"longest wait over attempts": {func(_ *Config, p *Processor) { p.Retry.LongestWait = duration(time.Hour) }, "processors.acme.retry.longest_wait 1h0m0s must be shorter than schedule_to_close 15m0s"},
		"resolve out of order":       {func(_ *Config, p *Processor) { p.Resolve.Max = duration(second) }, "processors.acme.resolve: want 0 < initial 2s <= max 1s <= for 24h0m0s"},
		"pending out of order":       {func(_ *Config, p *Processor) { p.Pending.For = duration(second) }, "processors.acme.pending: want 0 < initial 5s <= max 15m0s <= for 1s"},
		"HTTP timeout below 0":       {func(_ *Config, p *Processor) { p.HTTPTimeout = duration(-second) }, "processors.acme.http_timeout -1s: must be above 0"},
		"absence proof below 0":      {func(_ *Config, p *Processor) { p.AbsenceProofAfter = duration(-second) }, "processors.acme.absence_proof_after -1s: must be 0 or above"},
		"longest wait below 0":       {func(_ *Config, p *Processor) { p.Retry.LongestWait = duration(-second) }, "processors.acme.retry.longest_wait -1s: must be at least retry.max 30s"},
		"rate below 0":               {func(_ *Config, p *Processor) { p.RateLimit.PerSecond = -1 }, "processors.acme.rate_limit.per_second -1: must be 0 or above"},
		"burst below 0":              {func(_ *Config, p *Processor) { p.RateLimit.Burst = -1 }, "processors.acme.rate_limit.burst -1: must be above 0"},
		"patience below 0":           {func(_ *Config, p *Processor) { p.RateLimit.MaxWait = duration(-second) }, "processors.acme.rate_limit.max_wait -1s: must be 0 or above"},
		"calls below 0":              {func(_ *Config, p *Processor) { p.MaxConcurrentCalls = -1 }, "processors.acme.max_concurrent_calls -1: must be above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			p := config.Processors["acme"]
			c.breaks(&config, &p)
			config.Processors["acme"] = p
			_, err := config.Complete(known)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestWithoutProcessorsThereIsNothingToDo(t *testing.T) {
	_, err := Config{}.Complete(known)
	require.EqualError(t, err, "processors: want at least one")
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
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

// A processor's resolve with only one line was refused: the defaults of the two others were left out.
func TestAPartOfAPollKeepsTheDefaultsOfTheRest(t *testing.T) {
	c := good()
	p := c.Processors["acme"]
	p.Resolve.For = duration(48 * time.Hour)
	c.Processors["acme"] = p
	c, err := c.Complete(known)
	require.NoError(t, err)
	require.Equal(t, duration(2*time.Second), c.Processors["acme"].Resolve.Initial)
	require.Equal(t, duration(48*time.Hour), c.Processors["acme"].Resolve.For)
}

func TestThereIsOneWayToGetAKey(t *testing.T) {
	for name, tt := range map[string]struct{ key, want string }{
		"a key from the environment": {`api_key: {env: KEY}`, ""},
		"a key from a file":          {`api_key: {file: /run/key}`, ""},
		"tokens":                     {`oauth: {token_url: "https://auth.example/token", client_id: florin, client_secret: {env: CS}}`, ""},
		"none":                       {`api_key: {}`, "api_key: want either env or file"},
		"both":                       {`api_key: {env: KEY}, oauth: {token_url: "https://auth.example/token", client_id: florin, client_secret: {env: CS}}`, "api_key and oauth: want one of them"},
		"no token URL":               {`oauth: {client_id: florin}`, "oauth.token_url: is missing"},
		"token URL in the clear":     {`oauth: {token_url: "http://auth.example/token", client_id: florin, client_secret: {env: CS}}`, "oauth.token_url"},
		"no client":                  {`oauth: {token_url: "https://auth.example/token", client_secret: {env: CS}}`, "oauth.client_id"},
		"no client secret":           {`oauth: {token_url: "https://auth.example/token", client_id: florin}`, "oauth.client_secret"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(`processors: {acme: {adapter: rest, base_url: "https://acme.example", `+tt.key+`}}`), known)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}
