package store

// The PostgreSQL server for tests: the one whose DSN is in FLORIN_TEST_POSTGRES, or a private one that runs the binaries
// installed on this machine.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/postgrestest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopServer(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}

// server is started by the first test that needs PostgreSQL.
var server struct {
	once    sync.Once
	dsn     string
	err     error
	dir     string
	cluster *postgrestest.Cluster // nil if FLORIN_TEST_POSTGRES is set
}

var schemas atomic.Int64

// postgresDSN creates an empty schema for the test and returns its DSN. It skips the test if there is no PostgreSQL; in CI it
// fails instead.
func postgresDSN(tb testing.TB) string {
	tb.Helper()
	server.once.Do(startServer)
	if server.err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("no PostgreSQL for tests: %v", server.err)
		}
		tb.Skipf("no PostgreSQL for tests: %v", server.err)
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
	ctx := context.Background()
	if server.dir, server.err = os.MkdirTemp("", "florin-pg-"); server.err != nil {
		return
	}
	if server.cluster, server.err = postgrestest.Start(ctx, server.dir); server.err != nil {
		server.err = fmt.Errorf("FLORIN_TEST_POSTGRES is not set, and a private server did not start: %w", server.err)
		return
	}
	server.dsn = server.cluster.DSN()
}

func stopServer() error {
	if server.dir == "" {
		return nil
	}
	return errors.Join(server.cluster.Stop(), os.RemoveAll(server.dir))
}
