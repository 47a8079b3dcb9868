package store

// A PostgreSQL to test on: the one that FLORIN_TEST_POSTGRES names, or a private one from the binaries of this machine.

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

// server is started by the first test that needs it.
var server struct {
	once    sync.Once
	dsn     string
	err     error
	dir     string
	cluster *postgrestest.Cluster // nil: FLORIN_TEST_POSTGRES
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
	ctx := context.Background()
	if server.dir, server.err = os.MkdirTemp("", "florin-pg-"); server.err != nil {
		return
	}
	if server.cluster, server.err = postgrestest.Start(ctx, server.dir); server.err != nil {
		server.err = fmt.Errorf("FLORIN_TEST_POSTGRES is not set, and a private server: %w", server.err)
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
