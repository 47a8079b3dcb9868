package config

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// withWebhooks returns good with an address for webhooks and webhook secrets.
func withWebhooks(listen string, secrets ...Secret) Config {
	c := good()
	c.Webhooks.Listen = listen
	p := c.Processors["acme"]
	p.WebhookSecrets = secrets
	c.Processors["acme"] = p
	return c
}

func TestInvalidWebhookSettingsAreReported(t *testing.T) {
	one := Secret{Env: "A"}
	for _, tt := range []struct {
		name   string
		config Config
		want   string
	}{
		{
			name:   "address without a processor that sends events",
			config: withWebhooks("127.0.0.1:8714"),
			want:   `webhooks.listen "127.0.0.1:8714": has no effect without webhook_secrets of a processor`,
		},
		{name: "address without a port", config: withWebhooks("localhost", one), want: `webhooks.listen "localhost": want host:port`},
		{
			name:   "three secrets",
			config: withWebhooks("", one, one, one),
			want:   "processors.acme.webhook_secrets: there are 3, want one, or two during a rotation",
		},
		{
			name:   "empty reference",
			config: withWebhooks("", one, Secret{}),
			want:   "processors.acme.webhook_secrets[1]: want either env or file",
		},
		{
			name:   "reference to a variable and a file",
			config: withWebhooks("", Secret{Env: "A", File: "b"}),
			want:   "processors.acme.webhook_secrets[0]: want either env or file",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.config.Complete(known)
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestWebhookSettingsAreReadStrictly(t *testing.T) {
	c, err := Parse([]byte("webhooks: {listen: \"127.0.0.1:1\"}\n"+
		"processors:\n  a: {adapter: stripe, api_key: {env: K}, webhook_secrets: [{env: NEW}, {file: old}]}\n"), known)
	require.NoError(t, err)
	require.Equal(t, []Secret{{Env: "NEW"}, {File: "old"}}, c.Processors["a"].WebhookSecrets)
	for yaml, want := range map[string]string{
		"webhooks: {lisen: x}\n":                                         `line 1: unknown field "lisen"`,
		"processors:\n  a: {webhook_secrets: [whsec_inline]}\n":          "line 2: ",
		"processors:\n  a: {webhook_secrets: whsec_inline}\n":            "line 2: ",
		"processors:\n  a: {webhook_secrets: [{value: whsec_inline}]}\n": `line 2: unknown field "value"`,
	} {
		_, err := Parse([]byte(yaml), known)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "whsec_inline")
	}
}

func TestDeploymentAndBuildIDThatTemporalRefusesAreInvalid(t *testing.T) {
	for _, tt := range []struct {
		name   string
		worker Worker
	}{
		{name: "deployment with a dot", worker: Worker{Deployment: "florin.eu"}},
		{name: "build ID with a colon", worker: Worker{Deployment: "florin", BuildID: "a:b"}},
		{name: "build ID without a deployment", worker: Worker{BuildID: "v1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := good()
			config.Worker.Deployment, config.Worker.BuildID = tt.worker.Deployment, tt.worker.BuildID
			_, err := config.Complete(known)
			require.ErrorContains(t, err, "worker.")
		})
	}
}

func TestWebhookEndpointListensOnLoopbackByDefaultAndIsOffWithoutSecrets(t *testing.T) {
	c, err := good().Complete(known)
	require.NoError(t, err)
	require.Empty(t, c.Webhooks.Listen)
	c, err = withWebhooks("", Secret{Env: "A"}).Complete(known)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8714", c.Webhooks.Listen)
}

func TestStoreOfTwoDatabasesIsInvalid(t *testing.T) {
	c := good()
	c.Store = Store{SQLite: "florin.db", Postgres: Secret{Env: "A", File: "b"}}
	_, err := c.Complete(known)
	require.ErrorContains(t, err, "store: want sqlite or postgres, not both")
	require.ErrorContains(t, err, "store.postgres: want either env or file")
}

func TestPathThatTheAuditLogMustNotContainIsInvalid(t *testing.T) {
	for path, want := range map[string]string{
		"payment.card.brand": `audit.allow: "payment.card.brand": card is never written, nor is anything in it`,
		"first name":         `audit.allow: "first name" is not a path: want names of letters`,
	} {
		c := good()
		c.Audit.Allow = map[string]processor.Shape{path: processor.ShapeCode}
		_, err := c.Complete(known)
		require.ErrorContains(t, err, want)
	}
	c := good()
	c.Audit.Allow = map[string]processor.Shape{"data[].note": "text"}
	_, err := c.Complete(known)
	require.ErrorContains(t, err, `audit.allow: "data[].note" has the shape "text": want id, code, amount, currency, time or bool`)
	_, err = Parse([]byte("audit: {allow: [state]}\n"), known)
	require.ErrorContains(t, err, "allow: want")
}

func TestWeightsThatTemporalWouldRefuseAreInvalid(t *testing.T) {
	tooMany := map[string]float64{}
	for i := range maxWeights + 1 {
		tooMany[fmt.Sprintf("m%d", i)] = 1
	}
	for name, tt := range map[string]struct {
		weights map[string]float64
		want    string
	}{
		"no merchant":        {weights: map[string]float64{"a/b": 1}, want: `fairness.weights: "a/b": want a merchant ID, 1 to 64 of A-Z a-z 0-9 . _ -`},
		"zero":               {weights: map[string]float64{"acme": 0}, want: "fairness.weights.acme 0: want 0.001 to 1000"},
		"too high":           {weights: map[string]float64{"acme": 1000.1}, want: "fairness.weights.acme 1000.1: want 0.001 to 1000"},
		"not a number":       {weights: map[string]float64{"acme": math.NaN()}, want: "fairness.weights.acme NaN: want 0.001 to 1000"},
		"too many":           {weights: tooMany, want: "fairness.weights: 501 merchants: want at most 500"},
		"lowest":             {weights: map[string]float64{"acme": 0.001}},
		"highest":            {weights: map[string]float64{"acme": 1000}},
		"several":            {weights: map[string]float64{"acme": 2.5, "bolt": 0.5}},
		"not set":            {},
		"set to no merchant": {weights: map[string]float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			c.Fairness.Weights = tt.weights
			_, err := c.Complete(known)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestOptionsOfPostgreSQLAreInvalidForSQLite(t *testing.T) {
	for _, s := range []Store{{AllowOwner: true}, {SQLite: "florin.db", Insecure: true}} {
		c := good()
		c.Store = s
		c, err := c.Complete(known)
		require.ErrorContains(t, err, "store.allow_owner, store.insecure: have no effect without store.postgres")
		require.Equal(t, "florin.db", c.Store.SQLite, "the default applies unless postgres is set")
	}
	c := good()
	c.Store = Store{Postgres: Secret{Env: "A"}, AllowOwner: true, Insecure: true}
	_, err := c.Complete(known)
	require.NoError(t, err)
}

func TestErrorOfARenamedKeyNamesTheNewName(t *testing.T) {
	_, err := Parse([]byte("processors:\n  a:\n    rate_limit: {patience: 2s}\n"), known)
	require.EqualError(t, err, "line 3: patience was renamed: write max_wait")
}

func TestIncompleteOrAmbiguousAdapterIsRefused(t *testing.T) {
	construct := func(processor.Client) processor.Processor { return nil }
	readEvent := func([]byte) (processor.Event, error) { return processor.Event{}, nil }
	for want, adapter := range map[string]processor.Adapter{
		`adapter "": want a name`:                       {New: construct},
		`adapter "Acme": want a name`:                   {Name: "Acme", New: construct},
		`adapter "rest": there is another adapter`:      {Name: "rest", New: construct},
		`adapter "acme": New is missing`:                {Name: "acme"},
		`adapter "acme": ReadEvent and SignatureHeader`: {Name: "acme", New: construct, ReadEvent: readEvent},
		`adapter "bolt": ReadEvent and SignatureHeader`: {Name: "bolt", New: construct, SignatureHeader: "Bolt-Signature"},
	} {
		_, err := known.With(adapter)
		require.ErrorContains(t, err, want)
	}
	all, err := known.With(processor.Adapter{Name: "acme", New: construct})
	require.NoError(t, err)
	require.Len(t, all, len(known)+1)
	require.NotContains(t, known, "acme")
	c := withWebhooks("", Secret{Env: "A"})
	p := c.Processors["acme"]
	p.Adapter = "acme"
	c.Processors["acme"] = p
	_, err = c.Complete(all)
	require.ErrorContains(t, err, `processors.acme.webhook_secrets: adapter "acme" reads no events`)
}

func TestInsecureAllowsHTTPToOtherMachines(t *testing.T) {
	c := good()
	p := c.Processors["acme"]
	p.BaseURL, p.Insecure, p.APIKey = "http://simulator:8712", true, Secret{}
	p.OAuth = OAuth{TokenURL: "http://login:80/token", ClientID: "c", ClientSecret: Secret{Env: "A"}}
	c.Processors["acme"] = p
	_, err := c.Complete(known)
	require.NoError(t, err)
}
