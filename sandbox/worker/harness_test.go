// Package worker tests cmd/worker and cmd/starter as operators run them: as processes, against a real Temporal server and
// the simulated processor.
package worker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/sandbox/environment"
)

// timeout bounds every wait. It is generous for a busy machine.
const timeout = 30 * time.Second

var (
	// binaries is the directory with the built worker and starter.
	binaries string
	// shared is the environment of all tests that need no special one. Its built-in worker is stopped: each test starts a
	// worker process.
	shared *environment.Environment
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	ctx := context.Background()
	var err error
	if binaries, err = os.MkdirTemp("", "florin-binaries-"); err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(binaries) }()
	arguments := []string{"build", "-o", binaries}
	if race := os.Getenv("RACE"); race != "" { // set by make test
		arguments = append(arguments, race)
	}
	build := exec.CommandContext(ctx, "go", append(arguments, "./cmd/worker", "./cmd/starter")...)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	if shared, err = environment.Start(ctx, environment.Options{}); err != nil {
		panic(err)
	}
	defer func() {
		if err := shared.Stop(); err != nil {
			panic(err)
		}
	}()
	shared.StopWorker()
	return m.Run()
}

// command prepares a run of a binary against env. It inherits nothing from the environment of the test.
func command(t *testing.T, env *environment.Environment, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(binaries, name), args...)
	cmd.Env = []string{
		"HOME=" + t.TempDir(),
		fmt.Sprintf("TEMPORAL_ADDRESS=127.0.0.1:%d", env.Ports.Temporal),
		"SIMULATOR_API_KEY=sim_sandbox_key",
	}
	return cmd
}

// process is a running worker.
type process struct {
	cmd *exec.Cmd
	// health is the address of /healthz. webhooks is the address of the webhook endpoint, empty if it is off.
	health, webhooks string
	// log has the process's standard error. It is complete once ended is closed.
	log   bytes.Buffer
	ended chan struct{}
}

// writeConfig writes a worker.yaml for env's simulator, with timeouts short enough for tests, and returns its path.
func writeConfig(t *testing.T, env *environment.Environment) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `
health: {listen: "127.0.0.1:0"}
worker: {stop_timeout: 20s, memory_mb: 256}
store: {sqlite: %q}
processors:
  simulator:
    adapter: rest
    base_url: http://127.0.0.1:%d
    api_key: {env: SIMULATOR_API_KEY}
    http_timeout: 5s
    start_to_close: 8s
    schedule_to_close: 20s
    absence_proof_after: 2s
    first_attempt: %s
    retry: {initial: 200ms, max: 2s, longest_wait: 3s}
    resolve: {initial: 250ms, max: 2s, for: 5s}
    pending: {initial: 500ms, max: 2s, for: 1h}
`, env.Config.Store.SQLite, env.Ports.Simulator, env.Config.Processors[environment.ProcessorName].FirstAttempt), 0o600))
	return path
}

// startWorker starts a worker process and returns once it is ready.
func startWorker(t *testing.T, env *environment.Environment) *process {
	t.Helper()
	return startProcess(t, command(t, env, "worker", "--config", writeConfig(t, env)))
}

// startProcess starts cmd, a worker, and returns once its log has the ready message and its health check succeeds.
func startProcess(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	type line struct{ Msg, Health, Webhooks string }
	ready := make(chan line, 1)
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.log.Write(append(lines.Bytes(), '\n'))
			var l line
			if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "worker is running" {
				ready <- l
			}
		}
		_ = p.cmd.Wait() // the tests read the exit code
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // fails in most tests: the process has ended
		<-p.ended
		if t.Failed() {
			t.Logf("worker:\n%s", p.log.String())
		}
	})
	select {
	case l := <-ready:
		p.health, p.webhooks = l.Health, l.Webhooks
	case <-p.ended:
		require.Fail(t, "the worker exited", p.log.String())
	case <-time.After(timeout):
		require.Fail(t, "the worker is not ready in time")
	}
	require.Eventually(t, func() bool { return p.healthStatus(t) == http.StatusOK }, timeout, 20*time.Millisecond)
	return p
}

// healthStatus returns the HTTP status of /healthz, or 0 if nothing listens there.
func (p *process) healthStatus(t *testing.T) int {
	t.Helper()
	resp, err := http.Get("http://" + p.health + "/healthz")
	if err != nil {
		return 0
	}
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// stop sends SIGTERM and returns the exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(timeout):
		require.Fail(t, "the worker does not stop in time")
	}
	return p.cmd.ProcessState.ExitCode()
}

// result is the result of a starter command.
type result struct {
	code           int
	stdout, stderr string
}

// decode decodes the JSON on standard output into value.
func (r result) decode(t *testing.T, value any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.stdout), value), "%+v", r)
}

// starter runs a starter command and returns its result.
func starter(t *testing.T, env *environment.Environment, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := command(t, env, "starter", args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errOut.String()}
}

// chargeFlags returns the arguments of a charge of 12.50 USD.
func chargeFlags(key, token string, more ...string) []string {
	return append(strings.Fields("charge --json --merchant acme --amount 12.50 --currency USD --key "+key+" --payment-method "+token), more...)
}
