package store

// A PostgreSQL to test on: the one that FLORIN_TEST_POSTGRES names, or a private one from the binaries of this machine.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopServer(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}

// server is started by the first test that needs it.
var server struct {
	once    sync.Once
	dsn     string
	err     error
	dir     string
	process *exec.Cmd
	leash   io.Closer
}

var schemas atomic.Int64

// postgresDSN is an empty schema of the test's own.
func postgresDSN(tb testing.TB) string {
	tb.Helper()
	server.once.Do(startServer)
	if server.err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("no PostgreSQL to test on: %v", server.err)
		}
		tb.Skipf("no PostgreSQL to test on: %v", server.err)
	}
	schema := fmt.Sprintf("florin_test_%d_%d", os.Getpid(), schemas.Add(1))
	admin, err := sql.Open("pgx", server.dsn)
	require.NoError(tb, err)
	_, err = admin.Exec("CREATE SCHEMA " + schema)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_, err := admin.Exec("DROP SCHEMA " + schema + " CASCADE")
		require.NoError(tb, err)
		require.NoError(tb, admin.Close())
	})
	u, err := url.Parse(server.dsn)
	require.NoError(tb, err)
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

func startServer() {
	if server.dsn = os.Getenv("FLORIN_TEST_POSTGRES"); server.dsn != "" {
		return
	}
	server.dsn, server.err = startPrivateServer()
}

// startPrivateServer makes a cluster in a directory of its own, which only listens on a socket in it.
func startPrivateServer() (string, error) {
	binaries, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(binaries) == 0 {
		return "", errors.New("FLORIN_TEST_POSTGRES is not set, and there is nothing in /usr/lib/postgresql/*/bin: apt-get install postgresql")
	}
	bin := slices.Max(binaries)
	if server.dir, err = os.MkdirTemp("", "florin-pg-"); err != nil {
		return "", err
	}
	// PostgreSQL refuses to run as root.
	var as []string
	if os.Geteuid() == 0 {
		as = []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}
		if out, err := exec.Command("chown", "postgres:postgres", server.dir).CombinedOutput(); err != nil {
			return "", fmt.Errorf("chown to postgres: %w: %s", err, out)
		}
	}
	data := filepath.Join(server.dir, "data")
	initdb := slices.Concat(as, []string{filepath.Join(bin, "initdb"), "-D", data, "-U", "florin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"})
	cmd := exec.Command(initdb[0], initdb[1:]...)
	cmd.Dir = server.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	// The shell stops the server when this process is gone, however it went: then its input ends.
	run := slices.Concat(as, []string{"sh", "-c", `"$@" & server=$!; read -r _; kill -INT $server; wait $server`, "sh",
		filepath.Join(bin, "postgres"), "-D", data, "-k", server.dir, "-c", "listen_addresses=", "-c", "max_connections=200"})
	server.process = exec.Command(run[0], run[1:]...)
	server.process.Dir = server.dir
	log, err := os.Create(filepath.Join(server.dir, "log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	server.process.Stdout, server.process.Stderr = log, log
	if server.leash, err = server.process.StdinPipe(); err != nil {
		return "", err
	}
	if err := server.process.Start(); err != nil {
		return "", err
	}
	dsn := (&url.URL{Scheme: "postgres", User: url.User("florin"), Path: "/postgres", RawQuery: url.Values{"host": {server.dir}}.Encode()}).String()
	if err := waitForServer(dsn); err != nil {
		said, _ := os.ReadFile(log.Name())
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return dsn, nil
}

func waitForServer(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		err := db.PingContext(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func stopServer() error {
	if server.process != nil && server.process.Process != nil {
		if err := server.leash.Close(); err != nil {
			return err
		}
		// The shell ends as the server does; how, does not matter.
		_ = server.process.Wait()
	}
	if server.dir == "" {
		return nil
	}
	return os.RemoveAll(server.dir)
}
