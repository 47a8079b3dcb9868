package workercli

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/postgrestest"
)

// binary is the path of the built worker.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "florin-worker-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "worker")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "../../cmd/worker").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// run runs the worker until it exits. There is no Temporal server to connect to.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "TEMPORAL_ADDRESS=127.0.0.1:1", "TEMPORAL_CONFIG_FILE="+filepath.Join(t.TempDir(), "none.toml"))
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// file writes a file with the content and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// acme is the configuration of a processor.
const acme = "processors:\n  acme: {adapter: rest, base_url: \"https://api.acme.example\", api_key: {env: ACME_KEY}}\n"

// configured writes a configuration whose health address is listen.
func configured(t *testing.T, listen string) string {
	t.Helper()
	return file(t, "health: {listen: \""+listen+"\"}\n"+acme)
}

func TestFailedStartReportsTheReasonAndExitsWith1(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	bad := file(t, "log: {level: info}\nhealth: {lisen: \":1\"}\n")
	inUse := configured(t, taken.Addr().String())
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{
			name: "missing configuration file",
			args: []string{"--config", "/nowhere.yaml"},
			want: "worker: configuration: open /nowhere.yaml: no such file or directory\n",
		},
		{
			name: "unknown key",
			args: []string{"--config", bad},
			want: "worker: configuration: " + bad + ": line 2: unknown field \"lisen\"\n",
		},
		{
			name: "port in use",
			args: []string{"--config", inUse},
			want: "worker: cannot listen on " + taken.Addr().String() + ": choose another address with health.listen in " + inUse + ": ",
		},
		{
			name: "no Temporal server",
			args: []string{"--config", configured(t, "127.0.0.1:0")},
			want: "worker: no Temporal server answers at 127.0.0.1:1: start one (make demo, or docker compose up), or set TEMPORAL_ADDRESS: ",
		},
		{
			name: "migrate with an empty role",
			args: []string{"migrate", "--grant-to", "", "--config", inUse},
			want: "worker: --grant-to is empty: want the name of a role\n",
		},
		{
			name: "migrate with a role in SQLite",
			args: []string{"migrate", "--grant-to", "florin_worker", "--config", file(t, "store: {sqlite: \""+filepath.Join(t.TempDir(), "florin.db")+"\"}\n"+acme)},
			want: "worker: grant to role \"florin_worker\": invalid: SQLite has no roles\n",
		},
		{name: "unknown flag", args: []string{"--confg", "x"}, want: "worker: unknown flag: --confg\n"},
		{name: "argument", args: []string{"worker.yaml"}, want: `worker: unknown command "worker.yaml" for "worker"`},
		{name: "healthcheck without a worker", args: []string{"healthcheck", "--url", "http://127.0.0.1:1/healthz"}, want: "worker: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, tt.args...)
			require.Equal(t, 1, code)
			require.Contains(t, stderr, tt.want)
			require.Empty(t, stdout, "errors belong on standard error")
		})
	}
}

func TestMigrateCreatesTheTablesAndIsSafeToRepeat(t *testing.T) {
	path := file(t, "store: {sqlite: \""+filepath.Join(t.TempDir(), "florin.db")+"\"}\n"+acme)
	for _, want := range []string{"migrated the database from version 0 to ", "has version "} {
		code, stdout, stderr := run(t, "migrate", "--config", path)
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stdout, want)
	}
}

func TestMigrateGrantsToTheRoleOfTheWorkers(t *testing.T) {
	cluster := postgrestest.ForTest(t)
	_, err := cluster.CreateRole(t.Context(), "florin_worker")
	require.NoError(t, err)
	t.Setenv("DATABASE_URL", cluster.DSN())
	path := file(t, "store: {postgres: {env: DATABASE_URL}}\n"+acme)
	for _, want := range []string{"migrated the database from version 0 to ", "the database has version "} {
		code, stdout, stderr := run(t, "migrate", "--grant-to", "florin_worker", "--config", path)
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stdout, want)
		require.Contains(t, stdout, "\ngranted to role \"florin_worker\" what a worker needs\n")
	}
	code, _, stderr := run(t, "migrate", "--grant-to", "nobody", "--config", path)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `worker: grant to role "nobody": invalid: there is no such role: create it with: CREATE ROLE "nobody" LOGIN PASSWORD '…'`)
}
