package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// withWebhooks is good with an address and secrets.
func withWebhooks(listen string, secrets ...Secret) Config {
	c := good()
	c.Webhooks.Listen = listen
	p := c.Processors["acme"]
	p.WebhookSecrets = secrets
	c.Processors["acme"] = p
	return c
}

func TestWhatIsWrongWithWebhooksIsNamed(t *testing.T) {
	one := Secret{Env: "A"}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"nobody sends":         {withWebhooks("127.0.0.1:8714"), `webhooks.listen "127.0.0.1:8714": has no effect without webhook_secrets of a processor`},
		"no port":              {withWebhooks("localhost", one), `webhooks.listen "localhost": want host:port`},
		"three secrets":        {withWebhooks("", one, one, one), "processors.acme.webhook_secrets: there are 3, want one, or two during a rotation"},
		"a secret of nowhere":  {withWebhooks("", one, Secret{}), "processors.acme.webhook_secrets[1]: want either env or file"},
		"a secret of two ways": {withWebhooks("", Secret{Env: "A", File: "b"}), "processors.acme.webhook_secrets[0]: want either env or file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.config.Complete(known)
			require.EqualError(t, err, c.want)
		})
	}
}

func TestWebhooksAreReadStrictly(t *testing.T) {
	c, err := Parse([]byte("webhooks: {listen: \"127.0.0.1:1\"}\nprocessors:\n  a: {adapter: stripe, api_key: {env: K}, webhook_secrets: [{env: NEW}, {file: old}]}\n"), known)
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

func TestNamesThatTemporalDoesNotTakeAreRefused(t *testing.T) {
	for name, w := range map[string]Worker{
		"a dot":                    {Deployment: "florin.eu"},
		"a colon in the build":     {Deployment: "florin", BuildID: "a:b"},
		"a build of no deployment": {BuildID: "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			config.Worker.Deployment, config.Worker.BuildID = w.Deployment, w.BuildID
			_, err := config.Complete(known)
			require.ErrorContains(t, err, "worker.")
		})
	}
}

func TestTheWebhookEndpointIsOnLoopbackByDefaultAndOffWithoutSecrets(t *testing.T) {
	c, err := good().Complete(known)
	require.NoError(t, err)
	require.Empty(t, c.Webhooks.Listen)
	c, err = withWebhooks("", Secret{Env: "A"}).Complete(known)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8714", c.Webhooks.Listen)
}

func TestAStoreIsOneDatabase(t *testing.T) {
	c := good()
	c.Store = Store{SQLite: "florin.db", Postgres: Secret{Env: "A", File: "b"}}
	_, err := c.Complete(known)
	require.ErrorContains(t, err, "store: want sqlite or postgres, not both")
	require.ErrorContains(t, err, "store.postgres: want either env or file")
}

func TestARenamedKeyIsAnErrorThatNamesTheNewOne(t *testing.T) {
	_, err := Parse([]byte("processors:\n  a:\n    rate_limit: {patience: 2s}\n"), known)
	require.EqualError(t, err, "line 3: patience was renamed: write max_wait")
}

func TestAnAdapterNeedsANameOfItsOwnAndAConstructor(t *testing.T) {
	made := func(processor.Client) processor.Processor { return nil }
	event := func([]byte) (processor.Event, error) { return processor.Event{}, nil }
	for want, adapter := range map[string]processor.Adapter{
		`adapter "": want a name`:                       {New: made},
		`adapter "Acme": want a name`:                   {Name: "Acme", New: made},
		`adapter "rest": there is another adapter`:      {Name: "rest", New: made},
		`adapter "acme": New is missing`:                {Name: "acme"},
		`adapter "acme": ReadEvent and SignatureHeader`: {Name: "acme", New: made, ReadEvent: event},
		`adapter "bolt": ReadEvent and SignatureHeader`: {Name: "bolt", New: made, SignatureHeader: "Bolt-Signature"},
	} {
		_, err := known.With(adapter)
		require.ErrorContains(t, err, want)
	}
	all, err := known.With(processor.Adapter{Name: "acme", New: made})
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
