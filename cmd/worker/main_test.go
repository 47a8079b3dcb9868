package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// binary is the worker as people run it.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "florin-worker-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "worker")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// start runs the worker until it ends, with no Temporal to connect to.
func start(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "TEMPORAL_ADDRESS=127.0.0.1:1", "TEMPORAL_CONFIG_FILE="+filepath.Join(t.TempDir(), "none.toml"))
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	require.Empty(t, out.String(), "errors belong on standard error")
	return cmd.ProcessState.ExitCode(), errOut.String()
}

// configured writes a configuration whose health address is listen.
func configured(t *testing.T, listen string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, []byte("health: {listen: \""+listen+"\"}\n"+
		"processors:\n  acme: {adapter: rest, base_url: \"https://api.acme.example\", api_key: {env: ACME_KEY}}\n"), 0o600))
	return path
}

func TestABadStartSaysWhyAndExitsWith1(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("log: {level: info}\nhealth: {lisen: \":1\"}\n"), 0o600))
	inUse := configured(t, taken.Addr().String())
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no such configuration": {[]string{"--config", "/nowhere.yaml"}, "worker: configuration: open /nowhere.yaml: no such file or directory\n"},
		"an unknown key":        {[]string{"--config", bad}, "worker: configuration: " + bad + ": line 2: unknown field \"lisen\"\n"},
		"a port in use":         {[]string{"--config", inUse}, "worker: cannot listen on " + taken.Addr().String() + ": choose another address with health.listen in " + inUse + ": "},
		"no Temporal":           {[]string{"--config", configured(t, "127.0.0.1:0")}, "worker: no Temporal server answers at 127.0.0.1:1: start one (make demo, or docker compose up), or set TEMPORAL_ADDRESS: "},
		"an unknown flag":       {[]string{"--confg", "x"}, "worker: unknown flag: --confg\n"},
		"an argument":           {[]string{"worker.yaml"}, `worker: unknown command "worker.yaml" for "worker"`},
		"nobody to ask":         {[]string{"healthcheck", "--url", "http://127.0.0.1:1/healthz"}, "worker: "},
	} {
		t.Run(name, func(t *testing.T) {
			code, stderr := start(t, c.args...)
			require.Equal(t, 1, code)
			require.Contains(t, stderr, c.want)
		})
	}
}

func TestMigrateMakesTheTablesAndMayBeRepeated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "worker.yaml")
	require.NoError(t, os.WriteFile(path, []byte("store: {sqlite: \""+filepath.Join(dir, "florin.db")+"\"}\n"+
		"processors:\n  acme: {adapter: rest, base_url: \"https://api.acme.example\", api_key: {env: ACME_KEY}}\n"), 0o600))
	for _, want := range []string{"migrated the database from version 0 to ", "has version "} {
		out, err := exec.CommandContext(t.Context(), binary, "migrate", "--config", path).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), want)
	}
}
