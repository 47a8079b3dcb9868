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

// chooseStore takes PostgreSQL where this machine has it. CI must not go without.
func chooseStore(sqlite bool) (bool, error) {
	if sqlite {
		fmt.Println("crash: the store is a SQLite file, as asked: without", leftOut())
		return true, nil
	}
	err := postgrestest.Available()
	switch {
	case err == nil:
		return false, nil
	case os.Getenv("CI") == "true":
		return false, err
	default:
		fmt.Printf("crash: no PostgreSQL: %v\ncrash: the store is a SQLite file: without %s\n", err, leftOut())
		return true, nil
	}
}

// leftOut names what cannot be struck without PostgreSQL.
func leftOut() string {
	with := map[point]bool{}
	for _, c := range cells(true) {
		with[c.point] = true
	}
	text := "kills of the database, and without the points"
	for _, r := range matrix {
		if !with[r.point] {
			text += fmt.Sprintf(" %q", r.point)
		}
	}
	return text
}

// build makes the binaries, unmodified, with RACE where it is set.
func build(ctx context.Context, into string) error {
	arguments := []string{"build", "-o", into}
	if race := os.Getenv("RACE"); race != "" { // as make says
		arguments = append(arguments, race)
	}
	cmd := exec.CommandContext(ctx, "go", append(arguments, "./cmd/worker", "./cmd/simulator")...) //nolint:gosec // RACE is the caller's
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w (run it in the folder sandbox): %s", err, out)
	}
	return nil
}

// quietPort is free, and none that the kernel gives to outgoing connections: a process that is started again finds it
// free again.
func quietPort(ctx context.Context) (string, error) {
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

// The processors that the worker knows: one simulator, under different terms.
const (
	plain = "simulator"
	// patient is for what lookups find late, however late that is: absence proves nothing.
	patient = "patient"
	// fleeting holds money for a moment only.
	fleeting = "fleeting"
)

// writeWorkerConfig has deadlines so short that a lost answer is found out about within seconds.
func (s *system) writeWorkerConfig(health string) (path string, err error) {
	storeLine := fmt.Sprintf("sqlite: %q", filepath.Join(s.dir, "florin.db"))
	if d := s.doors[database]; d != nil {
		url := filepath.Join(s.dir, "postgres.url")
		if err := os.WriteFile(url, []byte("postgres://florin@"+d.address+"/postgres?sslmode=disable"), 0o600); err != nil {
			return "", err
		}
		storeLine = fmt.Sprintf("postgres: {file: %q}", url)
	}
	processor := func(absence, lookups, hold string) string {
		return fmt.Sprintf(`{adapter: rest, base_url: "http://%s", api_key: {env: SIMULATOR_API_KEY},
    http_timeout: 1200ms, start_to_close: 2s, schedule_to_close: 5s, rate_limit: {patience: 1s},
    breaker: {min_calls: 1000}, absence_proof_after: %s, authorization_for: %s,
    retry: {initial: 200ms, max: 1s, longest_wait: 2s},
    resolve: {initial: 250ms, max: 1s, for: %s}, pending: {initial: 300ms, max: 1s, for: 30m}}`, s.doors[simulated].address, absence, hold, lookups)
	}
	path = filepath.Join(s.dir, "worker.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, `
health: {listen: %q}
worker: {stop_timeout: 5s}
store: {%s}
audit: {path: %q}
default_processor: %s
processors:
  %s: %s
  %s: %s
  %s: %s
`, health, storeLine, filepath.Join(s.dir, "audit.jsonl"), plain,
		plain, processor("3s", "8s", "1h"), patient, processor("1h", "8s", "1h"), fleeting, processor("3s", "8s", "2s")), 0o600)
}
