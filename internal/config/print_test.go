package config

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
)

// unusual is a complete configuration in which every kind of value is set, and texts need quotes in YAML.
func unusual(t *testing.T) Config {
	t.Helper()
	c, err := Parse([]byte(`
default_processor: "no"
processors:
  "no": {adapter: stripe, api_key: {file: "/run/a: b # c"}, webhook_secrets: [{env: OLD}, {file: "null"}]}
  "0x1": &rest
    adapter: rest
    base_url: http://127.0.0.1:8712/v1
    oauth: {token_url: https://auth.example/token, client_id: "123", client_secret: {env: CS}, scopes: ["*", "- a", "true"]}
    http_timeout: 2500ms
    schedule_to_close: 1h0m30s
    absence_proof_after: 90m
    rate_limit: {per_second: 0.5}
    retry: {multiplier: 1.0000001, jitter: 0, max_attempts: 1}
    propagate_trace: true
  "null": *rest
  "1.5": *rest
store: {postgres: {file: "1e3"}}
fairness: {weights: {"no": 2.5, "1": 1000, acme: 0.001}}
worker: {deployment: florin, build_id: "0123456789ab"}
audit: {path: "off", allow: {"items[].state": code, "1": id, "true": amount}, max_backups: 7, compress: true}
`), known)
	require.NoError(t, err)
	return c
}

func TestPrintedConfigurationIsReadBackEqual(t *testing.T) {
	bare, err := good().Complete(known)
	require.NoError(t, err)
	example, err := Load("../../examples/worker.yaml", known)
	require.NoError(t, err)
	for name, c := range map[string]Config{"the smallest": bare, "the example": example, "unusual values": unusual(t)} {
		t.Run(name, func(t *testing.T) {
			text, err := c.YAML()
			require.NoError(t, err)
			readBack, err := Parse(text, known)
			require.NoError(t, err, string(text))
			require.Equal(t, c, readBack, string(text))
		})
	}
}

func TestPrintedConfigurationIsCompleteInTheOrderOfTheStructsAndWithoutEmptyValues(t *testing.T) {
	c, err := good().Complete(known)
	require.NoError(t, err)
	text, err := c.YAML()
	require.NoError(t, err)
	require.Equal(t, strings.TrimPrefix(`
default_processor: acme
processors:
  acme:
    adapter: rest
    base_url: https://api.acme.example
    insecure: false
    api_key:
      env: ACME_KEY
    first_attempt: inline
    http_timeout: 20s
    start_to_close: 30s
    schedule_to_close: 15m
    send_within: 15m
    key_lifetime: 24h
    absence_proof_after: 0s
    retry:
      strategy: exponential
      initial: 1s
      max: 30s
      multiplier: 2
      jitter: 0.25
      max_attempts: 5
      longest_wait: 5m
    resolve:
      initial: 2s
      max: 5m
      for: 24h
    pending:
      initial: 5s
      max: 15m
      for: 168h
    authorization_for: 168h
    rate_limit:
      per_second: 0
      burst: 10
      per_worker: false
      max_wait: 2s
    batch:
      max_items: 0
      wait: 5ms
    breaker:
      window: 10s
      min_calls: 20
      failure_ratio: 0.5
      open_for: 15s
      slow_call: 10s
      probes: 3
    reconcile:
      every: 0s
      overlap: 2h
      lag: 10m
      page_size: 100
      share: 0.2
    max_concurrent_calls: 100
    propagate_trace: false
    idle_timeout: 30s
    max_connection_age: 5m
store:
  sqlite: florin.db
  allow_owner: false
  insecure: false
health:
  listen: 127.0.0.1:8711
log:
  level: info
  format: json
worker:
  stop_timeout: 40s
  max_concurrent_workflow_tasks: 200
  memory_mb: 0
audit:
  path: stdout
  max_size_mb: 100
  max_backups: 0
  max_age_days: 400
  compress: false
`, "\n"), string(text))
}

func TestFormattedDurationIsShortAndParsedToTheSameValue(t *testing.T) {
	for duration, want := range map[time.Duration]string{
		0:                                   "0s",
		1500 * time.Millisecond:             "1.5s",
		20 * time.Second:                    "20s",
		10 * time.Minute:                    "10m",
		90 * time.Second:                    "1m30s",
		100 * time.Hour:                     "100h",
		time.Hour + 30*time.Second:          "1h0m30s",
		time.Hour + 10*time.Minute:          "1h10m",
		-time.Hour:                          "-1h",
		time.Duration(math.MaxInt64):        "2562047h47m16.854775807s",
		10*time.Hour + 20*time.Second:       "10h0m20s",
		10*time.Hour + 100*time.Microsecond: "10h0m0.0001s",
	} {
		text := FormatDuration(activities.Duration(duration))
		require.Equal(t, want, text)
		var parsed activities.Duration
		require.NoError(t, parsed.UnmarshalText([]byte(text)))
		require.Equal(t, activities.Duration(duration), parsed)
	}
}

// FuzzParse checks that no input leads to a panic, and that an accepted configuration is equal to its printed one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"",
		"processors: {a: {adapter: rest, base_url: https://a.example, api_key: {env: A}}}\n",
		"processors:\n  a: &a {adapter: rest, base_url: https://a.example, api_key: {env: A}, http_timeout: &t 7s}\n" +
			"  b: {<<: *a, start_to_close: 9s}\n  c: *a\ndefault_processor: b\n",
		"processors: {a: &a {retry: {max: *a}}}\n",
		"log: {level: loud, colour: red}\nworker: {stop_timeout: 3, x: [1]}\n",
		"---\n---\nworker: {stop_timeout: x}\n",
		"processors: {a: {rate_limit: {patience: 1s, per_second: fast}, webhook_secrets: [a]}}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := Parse(content, known)
		if err != nil {
			require.NotEmpty(t, Problems(err))
			return
		}
		text, err := c.YAML()
		require.NoError(t, err)
		readBack, err := Parse(text, known)
		require.NoError(t, err, string(text))
		require.Equal(t, c, readBack, string(text))
	})
}
