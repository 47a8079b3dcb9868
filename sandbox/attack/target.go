package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

const (
	webhookSecret = "whsec_the_attacker_must_not_see_this"
	apiKey        = "sim_sandbox_key" //nolint:gosec // that of every sandbox
)

// target is a running Florin: a Temporal server, the simulated processor and the binaries, in directories of their own.
type target struct {
	env *environment.Environment
	// temporal is the attacker's connection.
	temporal client.Client
	// reads is the task queue of the worker that reads.
	reads string
	// binaries has worker and starter, dir the files of the worker.
	binaries, dir string
	// hostile is a processor in the attacker's hands.
	hostile *hostileProcessor
	worker  *process
	// issuer signs the claims that the authorizing worker trusts.
	issuer key
	// refunds are the keys of the refunds of merchant acme that the attacks have made with permission.
	refunds []string

	cleanups []func() error
}

// newTarget builds the binaries, unless there is a directory with them, and starts all but the worker. The caller must stop the target.
func newTarget(ctx context.Context, binaries string) (_ *target, err error) {
	t := &target{reads: "payments-read", binaries: binaries}
	defer func() { //nolint:contextcheck // also what was interrupted is stopped
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	if t.dir, err = os.MkdirTemp("", "florin-attack-"); err != nil {
		return nil, err
	}
	t.cleanups = append(t.cleanups, func() error { return os.RemoveAll(t.dir) })
	if t.binaries == "" {
		t.binaries = filepath.Join(t.dir, "binaries")
		if err := build(ctx, t.binaries); err != nil {
			return nil, err
		}
	}
	if t.env, err = environment.Start(ctx, environment.Options{}); err != nil {
		return nil, err
	}
	t.cleanups = append(t.cleanups, t.env.Stop)
	t.env.StopWorker()
	t.hostile = newHostileProcessor()
	t.cleanups = append(t.cleanups, t.hostile.close)
	t.temporal, err = client.DialContext(ctx, client.Options{
		HostPort: t.address(), Logger: silent{}, ContextPropagators: []workflow.ContextPropagator{header{}},
	})
	if err != nil {
		return nil, err
	}
	t.cleanups = append(t.cleanups, func() error { t.temporal.Close(); return nil })
	if t.issuer, err = newKey(); err != nil {
		return nil, err
	}
	jwks := string(canonical(object{"keys": []object{t.issuer.jwk().with(object{"kid": "issuer", "alg": "EdDSA", "use": "sig"})}}))
	for name, secret := range map[string]string{"webhook": webhookSecret, "api-key": apiKey, "jwks.json": jwks} {
		if err := os.WriteFile(t.file(name), []byte(secret), 0o600); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// build compiles the unmodified binaries into a directory. The environment variable RACE may hold the flag -race.
func build(ctx context.Context, into string) error {
	arguments := []string{"build", "-o", into + string(filepath.Separator)}
	if race := os.Getenv("RACE"); race != "" { // set by the Makefile
		arguments = append(arguments, race)
	}
	cmd := exec.CommandContext(ctx, "go", append(arguments, "./cmd/worker", "./cmd/starter")...) //nolint:gosec // RACE is the caller's
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/florinpay/florin").Output()
	if err != nil {
		return fmt.Errorf("go list: %w (the working directory must be in sandbox)", err)
	}
	cmd.Dir = string(bytes.TrimSpace(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

func (t *target) address() string { return fmt.Sprintf("127.0.0.1:%d", t.env.Ports.Temporal) }

// file returns the path of a file of the worker.
func (t *target) file(name string) string { return filepath.Join(t.dir, name) }

func (t *target) stop() error {
	err := t.stopWorker(context.Background())
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		err = errors.Join(err, t.cleanups[i]())
	}
	return err
}

// startOpen starts a worker that requires no proof of callers.
func (t *target) startOpen(ctx context.Context) error { return t.startWorker(ctx, "") }

// startAuthorizing replaces it by one that does.
func (t *target) startAuthorizing(ctx context.Context) error {
	return t.startWorker(ctx, fmt.Sprintf("authorize: {audience: florin, jwks: {file: %q}, clock_skew: 0s, request_lifetime: 3s}\n", t.file("jwks.json")))
}

func (t *target) startWorker(ctx context.Context, more string) error {
	if err := t.stopWorker(ctx); err != nil {
		return err
	}
	processor := func(url, resolve string) string {
		return fmt.Sprintf(`{adapter: rest, base_url: %q, api_key: {file: %q}, webhook_secrets: [{file: %q}],
    http_timeout: 1200ms, start_to_close: 2s, schedule_to_close: 4s, send_within: 1m, rate_limit: {max_wait: 1s}, breaker: {min_calls: 1000},
    absence_proof_after: 2s, retry: {initial: 200ms, max: 1s, longest_wait: 2s}, resolve: %s, pending: {initial: 500ms, max: 2s, for: 1h}}`,
			url, t.file("api-key"), t.file("webhook"), resolve)
	}
	simulator := fmt.Sprintf("http://127.0.0.1:%d", t.env.Ports.Simulator)
	config := fmt.Appendf(nil, `health: {listen: "127.0.0.1:0"}
webhooks: {listen: "127.0.0.1:0"}
worker: {stop_timeout: 5s}
store: {sqlite: %q}
audit: {path: %q}
default_processor: simulator
%sprocessors:
  simulator: %s
  patient: %s
  hostile: %s
`, t.file("florin.db"), t.file("audit.log"), more,
		processor(simulator, "{initial: 250ms, max: 1s, for: 3s}"),
		processor(simulator, "{initial: 1m, max: 1m, for: 1h}"), // what is unknown stays unknown
		processor(t.hostile.url, "{initial: 250ms, max: 1s, for: 3s}"))
	if err := os.WriteFile(t.file("worker.yaml"), config, 0o600); err != nil {
		return err
	}
	var err error
	t.worker, err = startProcess(ctx, t.command(ctx, "worker", "--config", t.file("worker.yaml")))
	return err
}

// stopWorker sends SIGTERM to the worker, if it runs, and keeps its log in the file worker.log.
func (t *target) stopWorker(context.Context) error {
	if t.worker == nil {
		return nil
	}
	p := t.worker
	t.worker = nil
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have exited
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	log, err := os.OpenFile(t.file("worker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = log.WriteString(p.log())
	return errors.Join(err, log.Close())
}

// command prepares a run of a binary, with nothing of the attacker's environment.
func (t *target) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(t.binaries, name), args...) //nolint:gosec // what was just built
	cmd.Env = []string{"HOME=" + t.dir, "TEMPORAL_ADDRESS=" + t.address()}
	return cmd
}

// execute runs a binary, and returns all that it writes and its exit code.
func (t *target) execute(ctx context.Context, name string, args ...string) (output string, code int, err error) {
	cmd := t.command(ctx, name, args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = ctx.Err()
	}
	return string(out), cmd.ProcessState.ExitCode(), err
}

// process is a running worker.
type process struct {
	cmd              *exec.Cmd
	health, webhooks string
	ended            chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// log returns what the process has written to standard error so far.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// startProcess starts a worker, and returns once it polls.
func startProcess(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	worker := exec.CommandContext(context.WithoutCancel(ctx), cmd.Path, cmd.Args[1:]...) //nolint:gosec // what was just built
	worker.Env = cmd.Env
	p := &process{cmd: worker, ended: make(chan struct{})}
	stderr, err := worker.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := worker.Start(); err != nil {
		return nil, err
	}
	type line struct{ Msg, Health, Webhooks string }
	ready := make(chan line, 1)
	go func() {
		defer close(p.ended)
		lines := bufio.NewReader(stderr)
		for {
			text, err := lines.ReadBytes('\n')
			p.mu.Lock()
			p.text.Write(text)
			p.mu.Unlock()
			if err != nil {
				break
			}
			var l line
			if json.Unmarshal(text, &l) == nil && l.Msg == "worker is running" {
				ready <- l
			}
		}
		_ = worker.Wait() // only the end matters
	}()
	select {
	case l := <-ready:
		p.health, p.webhooks = l.Health, l.Webhooks
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("the worker exited: %s", p.log())
	case <-time.After(time.Minute):
		_ = worker.Process.Kill()
		<-p.ended
		return nil, fmt.Errorf("the worker is not ready: %s", p.log())
	}
}

// answer is what a hostile processor answers: REFERENCE in the body stands for the request's idempotency key.
type answer struct {
	status int
	body   string
}

// hostileProcessor is a processor that answers what the attacker wants; otherwise 500.
type hostileProcessor struct {
	server *httptest.Server
	url    string

	mu sync.Mutex
	// answers are for the requests about a reference.
	answers map[string]answer
	// fetched counts the requests that no processor gets.
	fetched int
}

func newHostileProcessor() *hostileProcessor {
	h := &hostileProcessor{answers: map[string]answer{}}
	h.server = httptest.NewServer(h)
	h.url = h.server.URL
	return h
}

func (h *hostileProcessor) close() error { h.server.Close(); return nil }

// set sets the answer to all requests about a charge.
func (h *hostileProcessor) set(merchant, key string, a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[payment.ProcessorKey(payment.PaymentID(merchant, key), payment.OperationCharge, 0)] = a
}

// keysFetched returns how often somebody has asked for keys that a claim of the attacker's names.
func (h *hostileProcessor) keysFetched() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fetched
}

// ServeHTTP implements http.Handler.
func (h *hostileProcessor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reference := cmp.Or(r.Header.Get("Idempotency-Key"), r.URL.Query().Get("reference"))
	h.mu.Lock()
	if strings.HasPrefix(r.URL.Path, "/keys/") {
		h.fetched++
	}
	a, known := h.answers[reference]
	h.mu.Unlock()
	if !known {
		a.status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req_\x1b[2J")
	w.WriteHeader(a.status)
	_, _ = w.Write(bytes.ReplaceAll([]byte(a.body), []byte("REFERENCE"), []byte(reference))) //nolint:gosec // for the worker, which may have gone
}

// dial opens a connection, as a slow or silent client does.
func dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
}

// silent is a logger of the Temporal SDK.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
