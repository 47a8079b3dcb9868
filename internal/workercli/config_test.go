package workercli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
)

func TestConfigCheckAcceptsValidFiles(t *testing.T) {
	for _, path := range []string{"../../examples/worker.yaml", "../../deploy/compose/worker.yaml", file(t, acme)} {
		code, stdout, stderr := run(t, "config", "check", path)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, path+": ok\n", stdout)
		require.Empty(t, stderr)
	}
}

func TestConfigCheckReportsEveryProblem(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		want          []string
	}{
		{
			name: "unknown keys and invalid values",
			content: "log: {level: loud, colour: red}\nhealth: {lisen: \":1\"}\n" +
				"processors:\n  acme: {adapter: soap, base_url: \"http://acme.example\", http_timeout: 1m}\n",
			want: []string{
				`FILE: line 1: unknown field "colour"`,
				`FILE: line 2: unknown field "lisen"`,
				`FILE: log.level "loud": want debug, info, warn or error`,
				`FILE: processors.acme.adapter "soap": want rest or stripe`,
				`FILE: processors.acme.base_url "http://acme.example" would send the API key unencrypted: want https, or insecure: true`,
				`FILE: processors.acme.api_key: want either env or file`,
				`FILE: processors.acme.http_timeout 1m0s must be shorter than start_to_close 30s`,
				`worker: FILE has 7 problems`,
			},
		},
		{
			name:    "values that cannot be read",
			content: "worker: {stop_timeout: 40}\nprocessors:\n  acme: {api_key: sk_live_1, max_concurrent_calls: many}\n",
			want: []string{
				`FILE: line 1: stop_timeout "40" is not a duration: want a number and a unit, such as 30s or 15m`,
				`FILE: line 3: api_key: want {env: NAME} or {file: PATH}, which refer to a secret`,
				`FILE: line 3: max_concurrent_calls: want a whole number, not a text`,
				`worker: FILE has 3 problems`,
			},
		},
		{
			name:    "one problem",
			content: "# empty\n",
			want:    []string{"FILE: the file is empty: see examples/worker.yaml", "worker: FILE has 1 problem"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, tt.content)
			for _, command := range []string{"check", "print"} {
				code, stdout, stderr := run(t, "config", command, path)
				require.Equal(t, 1, code)
				require.Equal(t, tt.want, strings.Split(strings.TrimSuffix(strings.ReplaceAll(stderr, path, "FILE"), "\n"), "\n"))
				require.Empty(t, stdout)
			}
		})
	}
}

func TestConfigCommandsRefuseWrongArguments(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{
			name: "check without a file",
			args: []string{"check"},
			want: "worker: want one FILE, as in: worker config check worker.yaml\n",
		},
		{
			name: "check of two files",
			args: []string{"check", "a", "b"},
			want: "worker: want one FILE, as in: worker config check worker.yaml\n",
		},
		{
			name: "check of a missing file",
			args: []string{"check", "/nowhere.yaml"},
			want: "worker: open /nowhere.yaml: no such file or directory\n",
		},
		{name: "print without a file", args: []string{"print"}, want: "worker: want either one FILE or --defaults\n"},
		{
			name: "print of a file and the defaults",
			args: []string{"print", "--defaults", "a"},
			want: "worker: want either one FILE or --defaults\n",
		},
		{
			name: "print of a missing file",
			args: []string{"print", "/nowhere.yaml"},
			want: "worker: open /nowhere.yaml: no such file or directory\n",
		},
		{name: "unknown command", args: []string{"prnt"}, want: `worker: unknown command "prnt" for "worker config"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, append([]string{"config"}, tt.args...)...)
			require.Equal(t, 1, code)
			require.Contains(t, stderr, tt.want)
			require.Empty(t, stdout)
		})
	}
}

func TestPrintedConfigurationIsValidAndMeansTheSame(t *testing.T) {
	for _, path := range []string{"../../examples/worker.yaml", "../../deploy/compose/worker.yaml", file(t, acme)} {
		code, printed, stderr := run(t, "config", "print", path)
		require.Equal(t, 0, code, stderr)
		again := file(t, printed)
		code, _, stderr = run(t, "config", "check", again)
		require.Equal(t, 0, code, stderr)
		want, err := config.Load(path, app.BuiltIn)
		require.NoError(t, err)
		got, err := config.Load(again, app.BuiltIn)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestConfigPrintContainsReferencesToSecretsButNoSecrets(t *testing.T) {
	t.Setenv("ACME_KEY", "sk_live_1")
	code, stdout, stderr := run(t, "config", "print", file(t, acme))
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "api_key:\n      env: ACME_KEY\n")
	require.NotContains(t, stdout, "sk_live_1")
	require.NotContains(t, stdout, "{}", "what is not set is omitted")
}

func TestConfigPrintOfDefaultsLacksOnlyWhatHasNoDefault(t *testing.T) {
	code, stdout, stderr := run(t, "config", "print", "--defaults")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "\n    http_timeout: 20s\n")
	code, _, stderr = run(t, "config", "check", file(t, stdout))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `processors.example.base_url "": want https://host/path`)
	require.Contains(t, stderr, "processors.example.api_key: want either env or file")
	require.Contains(t, stderr, "has 2 problems")
}
