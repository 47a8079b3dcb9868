package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/activities"
)

func TestBadYAMLIsNamedByItsLine(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown key":              {"log:\n  level: info\n  colour: red\n", `line 3: unknown field "colour"`},
		"unknown key at the top":   {"procesors: {}\n", `line 1: unknown field "procesors"`},
		"unknown key in a flow":    {"processors:\n  a: {retry: {delay: 1s}}\n", `line 2: unknown field "delay"`},
		"text for a number":        {"worker:\n  max_concurrent_workflow_tasks: many\n", "line 2: want int, not string"},
		"text for a rate":          {"processors:\n  a:\n    rate_limit: {per_second: fast}\n", "line 3: want float64, not string"},
		"a list for a text":        {"default_processor: [a]\n", "line 1: want string, not slice"},
		"a list for a mapping":     {"processors: [a, b]\n", "line 1: sequence was used where mapping is expected"},
		"a text for a mapping":     {"log: info\n", "line 1: string was used where mapping is expected"},
		"a number for a duration":  {"processors:\n  a:\n    burst: 30\n    http_timeout: 30\n", `line 4: http_timeout "30" is not a duration: want a number and a unit, such as 30s or 15m`},
		"a word for a duration":    {"processors:\n  a:\n    retry: {max: soon}\n", `line 3: max "soon" is not a duration`},
		"all of the bad durations": {"worker: {stop_timeout: x}\nprocessors:\n  a: {resolve: {for: y}}\n", "line 1: stop_timeout \"x\" is not a duration: want a number and a unit, such as 30s or 15m\nline 3: for \"y\""},
		"the same key twice":       {"log: {level: info}\nlog: {level: warn}\n", `line 2: mapping key "log" already defined at [1:1]`},
		"a merged key set again":   {"processors:\n  a: &a {adapter: rest}\n  b: {<<: *a, adapter: soap}\n", `line 3: duplicate key "adapter"`},
		"an alias of nothing":      {"processors:\n  a: *nothing\n", `line 2: could not find alias "nothing"`},
		"a tab":                    {"log:\n\tlevel: info\n", "line 2: found character"},
		"an open bracket":          {"log: {level: info\n", "line 1: could not find flow mapping end token"},
		"wrong indentation":        {"log: {level: info}\n  x: y\n", "line 2: value is not allowed in this context"},
		"an empty file":            {"", "the file is empty: see examples/worker.yaml"},
		"only comments":            {"# processors:\n", "the file is empty"},
		"a second document":        {"log: {level: info}\n---\nlog: {level: warn}\n", "more than one document"},
		"not YAML":                 {"\xff\xfe\x00", "line 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.yaml), known)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "> ", "the source is not quoted")
		})
	}
}

func TestNoErrorQuotesASecret(t *testing.T) {
	const secret = "sk_live_4eC39HqLyjWD"
	for name, yaml := range map[string]string{
		"in place of its reference":  "processors:\n  a:\n    api_key: SECRET\n",
		"under an unknown key":       "processors:\n  a:\n    api_key: {value: SECRET}\n",
		"beside an unknown key":      "processors:\n  a:\n    api_key: {env: SECRET}\n    http_timout: 1s\n",
		"beside a wrong type":        "processors:\n  a:\n    api_key: {env: SECRET}\n    max_concurrent_calls: many\n",
		"beside a wrong duration":    "processors:\n  a:\n    api_key: {env: SECRET}\n    http_timeout: soon\n",
		"beside a syntax error":      "processors:\n  a:\n    api_key: {env: SECRET\n    http_timeout: 1s\n",
		"beside a duplicate":         "processors:\n  a:\n    api_key: {env: SECRET}\n    api_key: {env: K}\n",
		"in a list":                  "processors:\n  a:\n    api_key: [SECRET]\n",
		"as a file and as a name":    "processors:\n  a: {adapter: rest, base_url: \"http://localhost\", api_key: {env: SECRET, file: SECRET}}\n",
		"as a password of the URL":   "processors:\n  a: {adapter: rest, base_url: \"https://me:SECRET@example.com\", api_key: {env: K}}\n",
		"in the query of the URL":    "processors:\n  a: {adapter: rest, base_url: \"https://example.com?key=SECRET\", api_key: {env: K}}\n",
		"in a URL that is not one":   "processors:\n  a: {adapter: rest, base_url: \"https://me:SECRET@%zz\", api_key: {env: K}}\n",
		"in the second document":     "log: {level: info}\n---\nkey: SECRET\n",
		"in an unterminated text":    "processors:\n  a:\n    api_key: \"SECRET\n",
		"as an alias":                "processors:\n  a:\n    api_key: &k SECRET\n  b: {api_key: *k}\n",
		"in a document of one value": "SECRET\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(strings.ReplaceAll(yaml, "SECRET", secret)), known)
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestAnchorsAndMergeKeysWork(t *testing.T) {
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

func TestAKeyWithoutAValueHasItsDefault(t *testing.T) {
	c, err := Parse([]byte("---\nworker:\nprocessors:\n  a:\n    adapter: rest\n    base_url: https://a.example\n    api_key: {env: A}\n    http_timeout:\n    start_to_close: ~\n"), known)
	require.NoError(t, err)
	require.Equal(t, "20s", c.Processors["a"].HTTPTimeout.String())
	require.Equal(t, "30s", c.Processors["a"].StartToClose.String())
}

func TestAKeyIsADurationEverywhereOrNowhere(t *testing.T) {
	found := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(one reflect.Type) {
		switch one.Kind() {
		case reflect.Map:
			walk(one.Elem())
		case reflect.Struct:
			for i := range one.NumField() {
				field, key := one.Field(i), one.Field(i).Tag.Get("yaml")
				if field.Type == reflect.TypeFor[activities.Duration]() {
					found[key] = true
				} else {
					require.NotContains(t, durationKeys, key, "%s is not a duration in %s", key, one)
					walk(field.Type)
				}
			}
		default: // a plain value
		}
	}
	walk(reflect.TypeFor[Config]())
	require.Len(t, durationKeys, len(found))
	for key := range durationKeys {
		require.True(t, found[key], key)
	}
}
