package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/florinpay/florin/internal/postgrestest"
)

// chooseStore reports whether to use SQLite: if the caller asks for it, or if this machine has no PostgreSQL. In CI a
// missing PostgreSQL is an error, so that CI never skips the kills of the database.
func chooseStore(sqlite bool) (bool, error) {
	if sqlite {
		fmt.Println("crash: --sqlite: the store is a SQLite file; skipped:", skippedWithSQLite())
		return true, nil
	}
	err := postgrestest.Available()
	switch {
	case err == nil:
		return false, nil
	case os.Getenv("CI") == "true":
		return false, err
	default:
		fmt.Printf("crash: no PostgreSQL: %v\ncrash: the store is a SQLite file; skipped: %s\n", err, skippedWithSQLite())
		return true, nil
	}
}

// skippedWithSQLite describes the kills and points that need PostgreSQL.
func skippedWithSQLite() string {
	reached := map[point]bool{}
	for _, c := range cells(true) {
		reached[c.point] = true
	}
	text := "kills of the database, and the points"
	for _, r := range matrix {
		if !reached[r.point] {
			text += fmt.Sprintf(" %q", r.point)
		}
	}
	return text
}

// build compiles the unmodified binaries into a directory. The environment variable RACE may hold the flag -race.
func build(ctx context.Context, into string) error {
	arguments := []string{"build", "-o", into}
	if race := os.Getenv("RACE"); race != "" { // set by the Makefile
		arguments = append(arguments, race)
	}
	cmd := exec.CommandContext(ctx, "go", append(arguments, "./cmd/worker", "./cmd/simulator")...) //nolint:gosec // RACE is the caller's
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w (the working directory must be sandbox): %s", err, out)
	}
	return nil
}

// stablePort returns a free port below the range from which the kernel takes the ports of outgoing connections (32768 and
// above on Linux). No such connection can take it while its process is dead, so a restarted process finds it free again.
func stablePort(ctx context.Context) (string, error) {
	for {
		port := strconv.Itoa(15000 + rand.IntN(15000)) //nolint:gosec // not a secret
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, port))
		if err == nil {
			return port, listener.Close()
		}
		if ctx.Err() != nil || !errors.Is(err, syscall.EADDRINUSE) {
			return "", err
		}
	}
}

// The processors in the worker's configuration: the same simulator, configured in four ways. First attempts are inline at plain and shortHold.
const (
	plain = "simulator"
	// queued has its first attempts queued.
	queued = "queued"
	// noAbsenceProof has its first attempts queued, and an absence_proof_after longer than the run: a lookup that finds nothing never proves that the
	// operation was not executed. It is for operations that lookups find late.
	noAbsenceProof = "no-absence-proof"
	// shortHold has authorizations that expire after 2 s.
	shortHold = "short-hold"
)

// writeWorkerConfig writes the worker's configuration. Its timeouts are so short that an unknown outcome is resolved within
// seconds.
func (s *system) writeWorkerConfig(health, webhooks string) (path string, err error) {
	storeLine := fmt.Sprintf("sqlite: %q", filepath.Join(s.dir, "florin.db"))
	if l := s.listeners[database]; l != nil {
		url := filepath.Join(s.dir, "postgres.url")
		if err := os.WriteFile(url, []byte("postgres://"+workerRole+"@"+l.address+"/postgres?sslmode=disable"), 0o600); err != nil {
			return "", err
		}
		storeLine = fmt.Sprintf("postgres: {file: %q}", url)
	}
	processor := func(first, path, absence, hold string) string {
		return fmt.Sprintf(`{adapter: rest, first_attempt: %s, base_url: "http://%s%s", api_key: {env: SIMULATOR_API_KEY}, webhook_secrets: [{env: SIMULATOR_WEBHOOK_SECRET}],
    http_timeout: 1200ms, start_to_close: 2s, schedule_to_close: 5s, send_within: 1m, rate_limit: {max_wait: 1s},
    breaker: {min_calls: 1000}, absence_proof_after: %s, authorization_for: %s,
    retry: {initial: 200ms, max: 1s, longest_wait: 2s},
    resolve: {initial: 250ms, max: 1s, for: 8s}, pending: {initial: 300ms, max: 1s, for: 30m}}`,
			first, s.listeners[simulated].address, path, absence, hold)
	}
	path = filepath.Join(s.dir, "worker.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, `
health: {listen: %q}
webhooks: {listen: %q}
worker: {stop_timeout: 5s}
store: {%s}
audit: {path: %q}
default_processor: %s
processors:
  %s: %s
  %s: %s
  %s: %s
  %s: %s
`, health, webhooks, storeLine, filepath.Join(s.dir, "audit.jsonl"), plain,
		plain, processor("inline", inlinePath, "3s", "1h"), queued, processor("queued", "", "3s", "1h"),
		noAbsenceProof, processor("queued", "", "1h", "1h"), shortHold, processor("inline", inlinePath, "3s", "2s")), 0o600)
}
