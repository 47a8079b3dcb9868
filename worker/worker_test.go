package worker

import (
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// configuration names the adapter acme and a SQLite file.
func configuration(file string) []byte {
	return []byte("processors: {acme: {adapter: acme, base_url: 'https://api.acme.example', api_key: {env: ACME_API_KEY}}}\n" +
		"store: {sqlite: '" + file + "'}\n")
}

func acme(name string) []processor.Adapter {
	return []processor.Adapter{{Name: name, New: func(processor.Client) processor.Processor { return nil }}}
}

func TestConfigurationMayNameAnAdapterOfTheOptions(t *testing.T) {
	_, err := New(nil, Options{Config: configuration("florin.db"), Adapters: acme("acme")})
	require.NoError(t, err)
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"no configuration":             {options: Options{}, want: "configuration: is missing: set Options.ConfigFile or Options.Config"},
		"unknown adapter":              {options: Options{Config: configuration("florin.db")}, want: `adapter "acme": want rest or stripe`},
		"name of a built-in adapter":   {options: Options{Adapters: acme("rest")}, want: `adapter "rest": there is another adapter of this name`},
		"name with upper-case letters": {options: Options{Adapters: acme("Acme")}, want: `adapter "Acme": want a name of lower-case letters`},
		"adapter without New":          {options: Options{Adapters: []processor.Adapter{{Name: "acme"}}}, want: `adapter "acme": New is missing`},
		"events without a signature": {
			options: Options{Adapters: []processor.Adapter{{
				Name: "acme", New: acme("acme")[0].New,
				ReadEvent: func([]byte) (processor.Event, error) { return processor.Event{}, nil },
			}}},
			want: `adapter "acme": ReadEvent and SignatureHeader are set together or not at all`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(nil, test.options)
			require.ErrorContains(t, err, test.want)
			_, _, err = Migrate(t.Context(), test.options)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestMigrateCreatesTheStoreOfAConfigurationWithAnOwnAdapter(t *testing.T) {
	o := Options{
		Config: configuration(filepath.Join(t.TempDir(), "florin.db")), Adapters: acme("acme"), Metrics: prometheus.NewRegistry(),
	}
	from, to, err := Migrate(t.Context(), o)
	require.NoError(t, err)
	require.Zero(t, from)
	require.Positive(t, to)

	again, same, err := Migrate(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, []int64{to, to}, []int64{again, same})

	_, err = New(nil, o) // Migrate has left the registry of the metrics unused
	require.NoError(t, err)
}
