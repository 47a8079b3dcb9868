// Package worker tests cmd/worker and cmd/starter as people run them: as processes, against a real Temporal
// server and the simulated processor.
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

// soon bounds what must happen shortly, on a busy machine too.
const soon = 30 * time.Second

// binaries is the directory of the worker and the starter; shared an environment for the tests that need
// nothing of their own. Its worker is stopped: theirs is a process.
var (
	binaries string
	shared   *environment.Environment
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
	if race := os.Getenv("RACE"); race != "" { // as make test says
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

// command runs a binary against the environment; nothing of this machine's own settings gets in.
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
	// health is the address of /healthz, webhooks that of the processors' events, if they are taken.
	health, webhooks string
	// log is what it wrote; complete once ended is closed.
	log   bytes.Buffer
	ended chan struct{}
}

// configure writes a worker.yaml for the environment's simulator, with deadlines as short as a test wants.
func configure(t *testing.T, env *environment.Environment) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `
health: {listen: "127.0.0.1:0"}
worker: {stop_timeout: 20s}
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
    retry: {initial: 200ms, max: 2s, longest_wait: 3s}
    resolve: {initial: 250ms, max: 2s, for: 5s}
    pending: {initial: 500ms, max: 2s, for: 1h}
`, env.Config.Store.SQLite, env.Ports.Simulator), 0o600))
	return path
}

// startWorker starts the worker and returns once it polls.
func startWorker(t *testing.T, env *environment.Environment) *process {
	t.Helper()
	return run(t, command(t, env, "worker", "--config", configure(t, env)))
}

// run starts a worker's process and returns once it polls.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	type line struct{ Msg, Health, Webhooks string }
	runs := make(chan line, 1)
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.log.Write(append(lines.Bytes(), '\n'))
			var l line
			if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "worker runs" {
				runs <- l
			}
		}
		_ = p.cmd.Wait() // the exit code says it
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended in most tests
		<-p.ended
		if t.Failed() {
			t.Logf("worker:\n%s", p.log.String())
		}
	})
	select {
	case l := <-runs:
		p.health, p.webhooks = l.Health, l.Webhooks
	case <-p.ended:
		require.Fail(t, "the worker ended", p.log.String())
	case <-time.After(soon):
		require.Fail(t, "the worker does not run")
	}
	require.Eventually(t, func() bool { return p.healthy(t) == http.StatusOK }, soon, 20*time.Millisecond)
	return p
}

// healthy is the status of /healthz; 0 where nobody answers.
func (p *process) healthy(t *testing.T) int {
	t.Helper()
	resp, err := http.Get("http://" + p.health + "/healthz")
	if err != nil {
		return 0
	}
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// stop asks the worker to end and returns its exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(soon):
		require.Fail(t, "the worker does not stop")
	}
	return p.cmd.ProcessState.ExitCode()
}

// answer is what the starter said.
type answer struct {
	code           int
	stdout, stderr string
}

// into reads the JSON on standard output.
func (a answer) into(t *testing.T, value any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.stdout), value), "%+v", a)
}

// starter runs the starter to its end.
func starter(t *testing.T, env *environment.Environment, args ...string) answer {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := command(t, env, "starter", args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// chargeFlags are those of a charge of 12.50 USD.
func chargeFlags(key, token string, more ...string) []string {
	return append(strings.Fields("charge --json --merchant acme --amount 12.50 --currency USD --key "+key+" --payment-method "+token), more...)
}
