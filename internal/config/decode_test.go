package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
)

func TestErrorOfBadYAMLNamesItsLine(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{name: "unknown key", yaml: "log:\n  level: info\n  colour: red\n", want: `line 3: unknown field "colour"`},
		{name: "unknown key at the top", yaml: "procesors: {}\n", want: `line 1: unknown field "procesors"`},
		{
			name: "unknown key in a flow mapping",
			yaml: "processors:\n  a: {retry: {delay: 1s}}\n",
			want: `line 2: unknown field "delay"`,
		},
		{
			name: "text instead of a whole number", yaml: "worker:\n  max_concurrent_workflow_tasks: many\n",
			want: "line 2: max_concurrent_workflow_tasks: want a whole number, not a text",
		},
		{
			name: "text instead of a number", yaml: "processors:\n  a:\n    rate_limit: {per_second: fast}\n",
			want: "line 3: per_second: want a number, not a text",
		},
		{
			name: "fraction instead of a whole number",
			yaml: "audit: {max_backups: 1.5}\n",
			want: "line 1: max_backups: want a whole number, not 1.5",
		},
		{name: "negative count", yaml: "processors:\n  a:\n    breaker: {probes: -1}\n", want: "line 3: probes: -1 is out of range"},
		{
			name: "text instead of a boolean",
			yaml: "audit: {compress: gzip}\n",
			want: "line 1: compress: want true or false, not a text",
		},
		{
			name: "list instead of a text",
			yaml: "default_processor: [a]\n",
			want: "line 1: default_processor: want a text, not a list",
		},
		{name: "list instead of a mapping", yaml: "processors: [a, b]\n", want: "line 1: processors: want a mapping, not a list"},
		{name: "text instead of a mapping", yaml: "log: info\n", want: "line 1: log: want a mapping, not a text"},
		{
			name: "text instead of a secret reference", yaml: "store:\n  postgres: DATABASE_URL\n",
			want: "line 2: postgres: want {env: NAME} or {file: PATH}, which refer to a secret",
		},
		{
			name: "text in a list of secret references", yaml: "processors:\n  a:\n    webhook_secrets: [{env: A}, B]\n",
			want: "line 3: webhook_secrets: want {env: NAME} or {file: PATH}, which refer to a secret",
		},
		{
			name: "number instead of a duration", yaml: "processors:\n  a:\n    burst: 30\n    http_timeout: 30\n",
			want: `line 4: http_timeout "30" is not a duration: want a number and a unit, such as 30s or 15m`,
		},
		{
			name: "text instead of a duration",
			yaml: "processors:\n  a:\n    retry: {max: soon}\n",
			want: `line 3: max "soon" is not a duration`,
		},
		{
			name: "two bad durations", yaml: "worker: {stop_timeout: x}\nprocessors:\n  a: {resolve: {for: y}}\n",
			want: "line 1: stop_timeout \"x\" is not a duration: want a number and a unit, such as 30s or 15m\nline 3: for \"y\"",
		},
		{
			name: "the same key twice",
			yaml: "log: {level: info}\nlog: {level: warn}\n",
			want: `line 2: mapping key "log" already defined at [1:1]`,
		},
		{
			name: "merged key that is set again",
			yaml: "processors:\n  a: &a {adapter: rest}\n  b: {<<: *a, adapter: soap}\n",
			want: `line 3: duplicate key "adapter"`,
		},
		{name: "alias without an anchor", yaml: "processors:\n  a: *nothing\n", want: `line 2: could not find alias "nothing"`},
		{
			name: "alias inside its own anchor",
			yaml: "processors:\n  a: &a {retry: &b {max: *a}}\n",
			want: `line 2: alias "a" is inside its own anchor`,
		},
		{name: "tab", yaml: "log:\n\tlevel: info\n", want: "line 2: found character"},
		{name: "open bracket", yaml: "log: {level: info\n", want: "line 1: could not find flow mapping end token"},
		{name: "wrong indentation", yaml: "log: {level: info}\n  x: y\n", want: "line 2: value is not allowed in this context"},
		{name: "empty file", yaml: "", want: "the file is empty: see examples/worker.yaml"},
		{name: "only comments", yaml: "# processors:\n", want: "the file is empty"},
		{name: "second document", yaml: "log: {level: info}\n---\nlog: {level: warn}\n", want: "more than one document"},
		{
			name: "second document after a problem",
			yaml: "log: {colour: red}\n---\nlog: {level: warn}\n",
			want: "more than one document",
		},
		{name: "not YAML", yaml: "\xff\xfe\x00", want: "line 1: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.yaml), known)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "> ", "the source is not quoted")
		})
	}
}

func TestAllProblemsOfAFileAreReported(t *testing.T) {
	_, err := Parse([]byte(`
log: {level: loud, colour: red}
worker: {stop_timeout: 3, x: [1]}
processors:
  a: &a
    adapter: rest
    max_concurrent_calls: many
    rate_limit: {patience: 1s, per_second: fast}
    api_key: {env: A, name: B}
  b: *a
  c: {<<: *a, breaker: 7}
`), known)
	require.EqualError(t, err, strings.Join([]string{
		`line 2: unknown field "colour"`,
		`line 3: stop_timeout "3" is not a duration: want a number and a unit, such as 30s or 15m`,
		`line 3: unknown field "x"`,
		`line 7: max_concurrent_calls: want a whole number, not a text`,
		`line 8: patience was renamed: write max_wait`,
		`line 8: per_second: want a number, not a text`,
		`line 9: unknown field "name"`,
		`line 11: breaker: want a mapping, not a number`,
	}, "\n"))
	require.Len(t, Problems(err), 8)
}

func TestUnknownKeysDoNotPreventValidation(t *testing.T) {
	_, err := Parse([]byte("log: {level: loud, colour: red}\nprocesors: {}\n"), known)
	require.EqualError(t, err, strings.Join([]string{
		`line 1: unknown field "colour"`,
		`line 2: unknown field "procesors"`,
		`processors: want at least one`,
		`log.level "loud": want debug, info, warn or error`,
	}, "\n"))
	require.Len(t, Problems(err), 4)
	require.Empty(t, Problems(nil))
}

func TestNoErrorQuotesASecret(t *testing.T) {
	const secret = "sk_live_4eC39HqLyjWD"
	for _, tt := range []struct{ name, yaml string }{
		{name: "instead of its reference", yaml: "processors:\n  a:\n    api_key: SECRET\n"},
		{name: "under an unknown key", yaml: "processors:\n  a:\n    api_key: {value: SECRET}\n"},
		{name: "beside an unknown key", yaml: "processors:\n  a:\n    api_key: {env: SECRET}\n    http_timout: 1s\n"},
		{name: "beside a wrong type", yaml: "processors:\n  a:\n    api_key: {env: SECRET}\n    max_concurrent_calls: many\n"},
		{name: "beside a wrong duration", yaml: "processors:\n  a:\n    api_key: {env: SECRET}\n    http_timeout: soon\n"},
		{name: "beside a syntax error", yaml: "processors:\n  a:\n    api_key: {env: SECRET\n    http_timeout: 1s\n"},
		{name: "beside a duplicate", yaml: "processors:\n  a:\n    api_key: {env: SECRET}\n    api_key: {env: K}\n"},
		{name: "in a list", yaml: "processors:\n  a:\n    api_key: [SECRET]\n"},
		{name: "in the list of webhook secrets", yaml: "processors:\n  a:\n    webhook_secrets: [SECRET]\n"},
		{name: "as the number of calls", yaml: "processors:\n  a:\n    max_concurrent_calls: SECRET\n"},
		{
			name: "as a file and as a name",
			yaml: "processors:\n  a: {adapter: rest, base_url: \"http://localhost\", api_key: {env: SECRET, file: SECRET}}\n",
		},
		{
			name: "as a password of the URL",
			yaml: "processors:\n  a: {adapter: rest, base_url: \"https://me:SECRET@example.com\", api_key: {env: K}}\n",
		},
		{
			name: "in the query of the URL",
			yaml: "processors:\n  a: {adapter: rest, base_url: \"https://example.com?key=SECRET\", api_key: {env: K}}\n",
		},
		{
			name: "in an invalid URL",
			yaml: "processors:\n  a: {adapter: rest, base_url: \"https://me:SECRET@%zz\", api_key: {env: K}}\n",
		},
		{name: "in the second document", yaml: "log: {level: info}\n---\nkey: SECRET\n"},
		{name: "in an unterminated text", yaml: "processors:\n  a:\n    api_key: \"SECRET\n"},
		{name: "as an alias", yaml: "processors:\n  a:\n    api_key: &k SECRET\n  b: {api_key: *k}\n"},
		{name: "in a document of one value", yaml: "SECRET\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(strings.ReplaceAll(tt.yaml, "SECRET", secret)), known)
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestAnchorsAndMergeKeysAreSupported(t *testing.T) {
	c, err := Parse([]byte(`
default_processor: b
processors:
  a: &a {adapter: rest, base_url: https://a.example, api_key: {env: A}, http_timeout: &t 7s}
  b: {<<: *a, start_to_close: 9s}
  c: *a
`), known)
	require.NoError(t, err)
	require.Equal(t, "https://a.example", c.Processors["b"].BaseURL)
	require.Equal(t, "9s", c.Processors["b"].StartToClose.String())
	require.Equal(t, "A", c.Processors["b"].APIKey.Env)
	require.Equal(t, "7s", c.Processors["b"].HTTPTimeout.String())
	require.Equal(t, c.Processors["a"], c.Processors["c"])
}

func TestKeyWithoutAValueHasItsDefault(t *testing.T) {
	c, err := Parse([]byte("---\nworker:\nprocessors:\n  a:\n    adapter: rest\n    base_url: https://a.example\n"+
		"    api_key: {env: A}\n    http_timeout:\n    start_to_close: ~\n"), known)
	require.NoError(t, err)
	require.Equal(t, "20s", c.Processors["a"].HTTPTimeout.String())
	require.Equal(t, "30s", c.Processors["a"].StartToClose.String())
}

// The checks before decoding recognize a type by the name of the key alone.
func TestKeyOfOneNameHasOneTypeEverywhere(t *testing.T) {
	types := map[string]reflect.Type{}
	var walk func(reflect.Type)
	walk = func(one reflect.Type) {
		switch one.Kind() {
		case reflect.Map, reflect.Slice:
			walk(one.Elem())
		case reflect.Struct:
			for i := range one.NumField() {
				field, key := one.Field(i), one.Field(i).Tag.Get("yaml")
				if before, ok := types[key]; ok {
					require.Equal(t, before, field.Type, "%s in %s", key, one)
				}
				types[key] = field.Type
				walk(field.Type)
			}
		default: // a plain value
		}
	}
	walk(reflect.TypeFor[Config]())
	for key, of := range types {
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		require.Equal(t, of == reflect.TypeFor[activities.Duration](), durationKeys[key], key)
		require.Equal(t, of == reflect.TypeFor[int]() || of == reflect.TypeFor[uint32](), integerKeys[key], key)
		require.Equal(t, of == reflect.TypeFor[Secret]() || of == reflect.TypeFor[[]Secret](), secretKeys[key], key)
	}
}
