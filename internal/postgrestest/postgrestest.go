// Package postgrestest runs a private PostgreSQL server for tests, from the binaries that are installed on the machine. The
// server listens only on a socket in its own directory, unless a test sets listen_addresses. It can be killed to simulate a power failure, and it stops when the
// process that started it ends.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing reports that PostgreSQL is not installed on this machine.
var ErrMissing = errors.New("no PostgreSQL server in /usr/lib/postgresql/*/bin: run apt-get install postgresql")

// startTimeout limits how long a server may take to accept connections, including recovery after a crash.
const startTimeout = 30 * time.Second

// Cluster is a PostgreSQL server and its data. It is not safe for concurrent use.
type Cluster struct {
	bin, dir string
	// asUser is a command prefix that runs a command as another user, because PostgreSQL refuses to run as root. It is empty if
	// this process is not root.
	asUser []string
	// shell is the parent of the server, or nil if the server is not running. It stops the server at the end of its standard
	// input, which is closed through stdin.
	shell *exec.Cmd
	stdin io.Closer
}

// Start creates a cluster in dir, which must be an existing, empty directory, and starts its server. If this process is root, the
// server runs as the user postgres: Start makes that user the owner of dir, and the user must have access to its parents. Start
// returns [ErrMissing] if PostgreSQL is not installed. ctx limits the start only, not the life of the server.
func Start(ctx context.Context, dir string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir}
	if os.Geteuid() == 0 {
		c.asUser = []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}
		if out, err := exec.CommandContext(ctx, "chown", "postgres:postgres", dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("chown to postgres: %w: %s", err, out)
		}
	}
	initdb := c.command(ctx, filepath.Join(c.bin, "initdb"), "-D", c.data(), "-U", "florin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return c, c.StartAgain(ctx)
}

// ForTest starts a cluster with a directory of its own for a test, and stops and removes it when the test ends. It skips the test if
// PostgreSQL is not installed; in CI, where the environment variable CI is true, it fails instead.
func ForTest(tb testing.TB) *Cluster {
	tb.Helper()
	if err := Available(); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal(err)
		}
		tb.Skip(err)
	}
	dir, err := os.MkdirTemp("", "florin-pg-") // not tb.TempDir: the user postgres has no access to it
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	c, err := Start(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Available returns [ErrMissing] if PostgreSQL is not installed, and nil otherwise.
func Available() error {
	_, err := binaries()
	return err
}

// binaries returns the directory with the binaries of the newest installed version.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return "", ErrMissing
	}
	return slices.Max(found), nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) command(ctx context.Context, arguments ...string) *exec.Cmd {
	all := slices.Concat(c.asUser, arguments)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...) //nolint:gosec // the arguments are constants and paths of this package
	cmd.Dir = c.dir
	return cmd
}

// DSN returns the URL of the database postgres of the cluster, for the superuser florin.
func (c *Cluster) DSN() string { return c.dsn("florin") }

func (c *Cluster) dsn(user string) string {
	return (&url.URL{Scheme: "postgres", User: url.User(user), Path: "/postgres", RawQuery: url.Values{"host": {c.dir}}.Encode()}).String()
}

// CreateRole creates a role that may log in and nothing else, and returns its DSN.
func (c *Cluster) CreateRole(ctx context.Context, name string) (dsn string, err error) {
	conn, err := pgx.Connect(ctx, c.DSN())
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" LOGIN"); err != nil {
		return "", err
	}
	return c.dsn(name), nil
}

// WriteFile writes a file that only the server and root can read, such as a private key, and returns its path.
func (c *Cluster) WriteFile(ctx context.Context, name string, content []byte) (path string, err error) {
	path = filepath.Join(c.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", err
	}
	if c.asUser == nil {
		return path, nil
	}
	if out, err := exec.CommandContext(ctx, "chown", "postgres:postgres", path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("chown to postgres: %w: %s", err, out)
	}
	return path, nil
}

// Socket returns the path of the socket that the server listens on.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// StartAgain starts the server after [Cluster.Kill] or [Cluster.Stop], and returns when it accepts connections. The settings, such as
// "ssl=on", apply until it stops. ctx limits the start only.
func (c *Cluster) StartAgain(ctx context.Context, settings ...string) error {
	log, err := os.OpenFile(c.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// When this process ends, for whatever reason, the standard input of the shell ends too, and the shell stops the server. The
	// end of ctx does not stop it.
	arguments := []string{
		"sh", "-c", `"$@" & server=$!; read -r _; kill -INT $server; wait $server`, "sh",
		filepath.Join(c.bin, "postgres"), "-D", c.data(), "-k", c.dir,
	}
	for _, setting := range append([]string{"listen_addresses=", "port=5432", "max_connections=200"}, settings...) {
		arguments = append(arguments, "-c", setting)
	}
	c.shell = c.command(context.WithoutCancel(ctx), arguments...)
	c.shell.Stdout, c.shell.Stderr = log, log
	if c.stdin, err = c.shell.StdinPipe(); err != nil {
		return err
	}
	if err := c.shell.Start(); err != nil {
		c.shell = nil
		return err
	}
	if err := c.wait(ctx); err != nil {
		output, _ := os.ReadFile(c.log())
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

func (c *Cluster) log() string { return filepath.Join(c.dir, "log") }

// wait returns when the server accepts connections, or when startTimeout or ctx has ended.
func (c *Cluster) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.DSN())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not accept connections: %w", err)
		}
	}
}

// Stop shuts the server down cleanly. It may be called more than once, and on a nil Cluster.
func (c *Cluster) Stop() error {
	if c == nil || c.shell == nil {
		return nil
	}
	if err := c.stdin.Close(); err != nil {
		return err
	}
	// The shell exits with the status of the server, which does not matter here.
	_ = c.shell.Wait()
	c.shell = nil
	return nil
}
