// Package postgrestest runs a private PostgreSQL from the binaries of this machine, for tests: it listens on a socket in
// its own directory only, can be killed as a power cut would, and ends with the process that started it.
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
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing says that this machine has no PostgreSQL.
var ErrMissing = errors.New("there is nothing in /usr/lib/postgresql/*/bin: apt-get install postgresql")

// startTimeout bounds how long a server takes to answer, also after a crash.
const startTimeout = 30 * time.Second

// Cluster is a PostgreSQL server and its data. It is not safe for concurrent use.
type Cluster struct {
	bin, dir string
	// as runs a command as another user: PostgreSQL refuses to run as root.
	as []string
	// shell is the server's parent, nil where none runs. It ends the server when its input ends.
	shell *exec.Cmd
	leash io.Closer
}

// Start makes a cluster in dir, an existing directory that is empty, and starts it. Where this process is root, dir
// becomes the user postgres's, who must be able to reach it.
func Start(ctx context.Context, dir string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir}
	if os.Geteuid() == 0 {
		c.as = []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}
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

// Available is ErrMissing where Start could not work.
func Available() error {
	_, err := binaries()
	return err
}

// binaries is the directory of the newest version's.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return "", ErrMissing
	}
	return slices.Max(found), nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) command(ctx context.Context, arguments ...string) *exec.Cmd {
	all := slices.Concat(c.as, arguments)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...) //nolint:gosec // our own words
	cmd.Dir = c.dir
	return cmd
}

// DSN is the URL of the database postgres of the cluster.
func (c *Cluster) DSN() string {
	return (&url.URL{Scheme: "postgres", User: url.User("florin"), Path: "/postgres", RawQuery: url.Values{"host": {c.dir}}.Encode()}).String()
}

// Socket is the path of the socket that the server listens on.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// StartAgain starts the server after Kill or Stop, and returns once it answers.
func (c *Cluster) StartAgain(ctx context.Context) error {
	log, err := os.OpenFile(c.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// The shell stops the server when this process is gone, however it went: then its input ends. ctx does not end it.
	c.shell = c.command(context.WithoutCancel(ctx), "sh", "-c", `"$@" & server=$!; read -r _; kill -INT $server; wait $server`, "sh",
		filepath.Join(c.bin, "postgres"), "-D", c.data(), "-k", c.dir, "-c", "listen_addresses=", "-c", "port=5432", "-c", "max_connections=200")
	c.shell.Stdout, c.shell.Stderr = log, log
	if c.leash, err = c.shell.StdinPipe(); err != nil {
		return err
	}
	if err := c.shell.Start(); err != nil {
		c.shell = nil
		return err
	}
	if err := c.wait(ctx); err != nil {
		said, _ := os.ReadFile(c.log())
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func (c *Cluster) log() string { return filepath.Join(c.dir, "log") }

// wait lasts until the server answers.
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
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}

// Stop ends the server in order. It is safe to call again.
func (c *Cluster) Stop() error {
	if c == nil || c.shell == nil {
		return nil
	}
	if err := c.leash.Close(); err != nil {
		return err
	}
	// The shell ends as the server does; how, does not matter.
	_ = c.shell.Wait()
	c.shell = nil
	return nil
}
