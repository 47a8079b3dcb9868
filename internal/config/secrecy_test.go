package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// canary stands for a secret that was written into the configuration.
const canary = "sk_live_4eC39HqLyjWD"

// secretPlaces are configurations with PLACE where the value of each key of a secret is, on a line of its own.
var secretPlaces = map[string]string{
	"api_key":         "processors:\n  a:\n    adapter: rest\n    base_url: https://a.example\n    api_key: PLACE\n",
	"client_secret":   "processors:\n  a:\n    adapter: rest\n    oauth:\n      token_url: https://a.example\n      client_secret: PLACE\n",
	"webhook_secrets": "processors:\n  a:\n    adapter: rest\n    api_key: {env: K}\n    webhook_secrets: PLACE\n",
	"one of the webhook_secrets": "processors:\n  a:\n    adapter: rest\n    api_key: {env: K}\n    webhook_secrets:\n" +
		"      - {env: A}\n      - PLACE\n",
	"postgres":    "processors:\n  a: {adapter: rest, base_url: \"https://a.example\", api_key: {env: K}}\nstore:\n  postgres: PLACE\n",
	"ca":          "processors:\n  a:\n    adapter: rest\n    api_key: {env: K}\n    tls:\n      ca: PLACE\n",
	"certificate": "processors:\n  a:\n    adapter: rest\n    api_key: {env: K}\n    tls:\n      certificate: PLACE\n",
	"key":         "processors:\n  a:\n    adapter: rest\n    api_key: {env: K}\n    tls:\n      key: PLACE\n",
}

func TestNoErrorQuotesWhatIsWrittenInPlaceOfAReference(t *testing.T) {
	for place, content := range secretPlaces {
		for _, value := range []string{
			"SECRET", `"SECRET"`, "'SECRET'", `"SECRET`, "'SECRET", "SECRET SECRET: x", "SECRET: x", "{SECRET}", "{SECRET: x}", "{SECRET: x, SECRET: y}",
			"[SECRET]", "[[SECRET]]", "[{SECRET: x}]", "{env: [SECRET]}", "{env: {SECRET: x}}", "{env: {x: SECRET}}", "{env: SECRET, env: SECRET}",
			"{value: SECRET}", "{value: SECRET, SECRET: value}", "{env: SECRET, file: SECRET}", "{env: SECRET}", "{file: SECRET}", "{env: &SECRET A}",
			"{file: \"postgres://florin:SECRET@db/florin\"}", "{env: \"postgres://florin:SECRET@db/florin\"}", "postgres://florin:SECRET@db/florin",
			"&SECRET", "*SECRET", "&SECRET *SECRET", "&SECRET {env: *SECRET}", "&SECRET &SECRET", "*SECRET: x", "{<<: *SECRET}", "{<<: SECRET}",
			"!SECRET x", "!!SECRET x", "!!int SECRET", "!!float SECRET", "!!bool SECRET", "!!binary SECRET", "!!timestamp SECRET", "!!null SECRET",
			"!!map SECRET", "!!seq SECRET", "!!set SECRET", "|SECRET", ">SECRET", "|SECRET\n      x", "|\n      SECRET", ">-\n      SECRET",
			"@SECRET", "`SECRET`", "%SECRET", "? SECRET", "? SECRET\n      : x", "- SECRET", "SECRET]", "SECRET}", "{SECRET", "[SECRET", "{env: SECRET",
			"{env: SECRET]", "{http_timeout: SECRET}", "{for: SECRET}", "{patience: SECRET}", "{burst: 1.5, SECRET: 1}", "{burst: SECRET}",
			"{api_key: SECRET}", "{tls: {key: SECRET}}", "SECRET\n    SECRET", "SECRET\n\tSECRET", "\tSECRET", "{env: A} SECRET", "{env: A}\n   SECRET",
			"\"\\xSECRET\"", "\"\\SECRET\"", "\"\\uSECRET\"", "# SECRET", "{env: \"SECRET\\n\"}", "{env: \"SECRET", "--- SECRET", "...SECRET\n...", "{? SECRET}",
			"SECRET\n---\nSECRET: SECRET\n", "SECRET\n%SECRET\n---\n", "SECRET\nSECRET", "SECRET\n...\nSECRET", "SECRET\n%YAML SECRET\n---\n",
		} {
			for _, secret := range []string{canary, "4242424242424242", "1234.5678", "0x5ecre7", "tiger99"} {
				text := strings.ReplaceAll(strings.ReplaceAll(content, "PLACE", value), "SECRET", secret)
				_, err := Parse([]byte(text), known)
				if err != nil {
					require.NotContains(t, err.Error(), secret, "%s: %s", place, text)
					require.NotContains(t, err.Error(), ">", "%s: %s", place, text)
				}
			}
		}
	}
}

func FuzzNoErrorQuotesASecret(f *testing.F) {
	for _, value := range []string{
		"SECRET", "{env: [SECRET]}", "{SECRET: x}", "*SECRET", "!!bool SECRET", "|SECRET", "? SECRET", "{for: SECRET}", "&a [*a, SECRET]",
		"\"SECRET", "{SECRET: x, SECRET: y}", "@SECRET", "{<<: [*SECRET]}", "- SECRET\n- &SECRET\n",
	} {
		for i := range len(secretPlaces) {
			f.Add(value, i)
		}
	}
	var places []string
	for _, name := range slices.Sorted(maps.Keys(secretPlaces)) {
		places = append(places, secretPlaces[name])
	}
	lines := strings.NewReplacer("\r", " ", "\n", "\n          ", "\u0085", " ", "\u2028", " ", "\u2029", " ")
	f.Fuzz(func(t *testing.T, value string, place int) {
		if strings.Contains(value, "4eC39") {
			return
		}
		content := places[uint(place)%uint(len(places))]
		value = strings.ReplaceAll(lines.Replace(value), "SECRET", canary)
		_, err := Parse([]byte(strings.ReplaceAll(content, "PLACE", value)), known)
		if err != nil {
			require.NotContains(t, err.Error(), "4eC39", "%q", value)
		}
	})
}

func TestSecretInPlaceOfANameIsReported(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secret Secret
		want   string
	}{
		{name: "variable", secret: Secret{Env: "STRIPE_SK_LIVE"}},
		{name: "variable in lower case", secret: Secret{Env: "stripe_key_2"}},
		{name: "file", secret: Secret{File: "/run/secrets/sk_live"}},
		{name: "file in the working directory", secret: Secret{File: "key.txt"}},
		{name: "API key as a variable", secret: Secret{Env: canary}, want: "env: want the name of an environment variable"},
		{name: "base64 as a variable", secret: Secret{Env: "c2VjcmV0Cg=="}, want: "env: want the name of an environment variable"},
		{name: "dollar sign", secret: Secret{Env: "$KEY"}, want: "env: want the name of an environment variable"},
		{name: "API key as a file", secret: Secret{File: canary}, want: "file: want the path of a file"},
		{name: "URL as a file", secret: Secret{File: "postgres://florin:" + canary + "@db/florin"}, want: "file: want the path of a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.secret.problem()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), canary)
		})
	}
}

// Nine lines that stand for a billion values.
func TestAliasesOfAliasesAreBounded(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("processors:\n  a0: &a0 {retry: {}, oauth: {}, breaker: {}, rate_limit: {}}\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&bomb, "  a%d: &a%d {x: [%s]}\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10))
	}
	lists := "audit:\n  allow: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 10; i++ {
		lists += fmt.Sprintf("x%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10))
	}
	wide := "processors:\n  a0: &a {webhook_secrets: [" + strings.Repeat("{env: A},", 1000) + "]}\n"
	for i := range 1000 {
		wide += fmt.Sprintf("  b%d: *a\n", i)
	}
	merges := "processors:\n  a0: &a0 {http_timeout: 1s}\n"
	for i := 1; i < 20; i++ {
		merges += fmt.Sprintf("  a%d: &a%d {<<: [%s]}\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10))
	}
	for name, content := range map[string]string{"mappings": bomb.String(), "lists": lists, "many aliases": wide, "merges": merges} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(content), known)
			require.ErrorContains(t, err, "the file has more than 50000 values, where an alias counts as often as its anchor has values")
		})
	}
}

// The YAML parser takes minutes for some of them.
func TestLargeOrDeepConfigurationIsRefused(t *testing.T) {
	var unknown, wrong strings.Builder
	wrong.WriteString("processors:\n")
	for i := range 2000 {
		fmt.Fprintf(&unknown, "k%d: 1\n", i)
		fmt.Fprintf(&wrong, "  a%d: {http_timeout: x}\n", i)
	}
	for name, tt := range map[string]struct{ content, want string }{
		"too large":                   {content: strings.Repeat("# comment\n", maxSize/10+1), want: "the file has more than 131072 bytes"},
		"lists in lists":              {content: strings.Repeat("[", maxSize), want: "nested more than 100 levels deep"},
		"lists in lists of a mapping": {content: "x:\n  " + strings.Repeat("-  ", maxSize/4), want: "nested more than 100 levels deep"},
		"mappings in a text":          {content: `x: "` + strings.Repeat("{a: ", maxSize/8), want: "nested more than 100 levels deep"},
		"blocks in blocks":            {content: strings.Repeat("- ", maxSize/4), want: "nested more than 100 levels deep"},
		"many unknown keys":           {content: unknown.String(), want: "unknown field"},
		"many wrong texts":            {content: wrong.String(), want: "is not a duration"},
		"many anchors":                {content: strings.Repeat("&a ", maxSize/4), want: "line 1"},
		"many quotation mark":         {content: strings.Repeat(`"`, maxSize-1), want: "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tt.content), known)
			require.ErrorContains(t, err, tt.want)
			require.LessOrEqual(t, len(Problems(err)), 2100)
		})
	}
}

func TestLargeFilesAreNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	file, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, file.Truncate(1<<40)) // sparse
	require.NoError(t, file.Close())
	_, err = Load(path, known)
	require.EqualError(t, err, path+" has more than 131072 bytes: it is another file")
	_, err = Secret{File: path}.Load()
	require.EqualError(t, err, path+" has more than 1048576 bytes: it is another file")
}

// The YAML package would follow such an alias until the stack is full.
func TestAliasInsideItsOwnAnchorOutsideOfAMappingIsReported(t *testing.T) {
	_, err := Parse([]byte("&a [*a]\n"), known)
	require.EqualError(t, err, `line 1: alias "a" is inside its own anchor`)
}

// A secret may also be where none belongs, such as in the place of a name.
func TestErrorQuotesNoSecretThatIsInThePlaceOfSomethingElse(t *testing.T) {
	const valid = "processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}}}\n"
	for _, content := range []string{
		"processors: {p: {adapter: rest, base_url: 'SECRET', api_key: {env: KEY}}}",
		"processors: {p: {adapter: SECRET, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}}}",
		"processors: {p: {adapter: rest, base_url: 'http://127.0.0.1:1', api_key: {env: KEY}, http_timeout: SECRET}}",
		valid + "log: {level: SECRET}",
		valid + "default_processor: SECRET",
		"a: &SECRET b\nc: *SECRET2",
	} {
		_, err := Parse([]byte(strings.ReplaceAll(content, "SECRET", canary)), known)
		require.Error(t, err, content)
		require.NotContains(t, err.Error(), canary, content)
	}
}
