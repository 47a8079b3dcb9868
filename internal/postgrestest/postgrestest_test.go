package postgrestest

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestKilledClusterRecoversCommittedData(t *testing.T) {
	if _, err := binaries(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ctx := t.Context()
	// Not t.TempDir: the user postgres has no access to it.
	dir, err := os.MkdirTemp("", "florin-pg-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	cluster, err := Start(ctx, dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })

	conn, err := pgx.Connect(ctx, cluster.DSN())
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "CREATE TABLE kept (n int)")
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "INSERT INTO kept VALUES (1)")
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "BEGIN; INSERT INTO kept VALUES (2)")
	require.NoError(t, err)

	require.NoError(t, cluster.Kill(ctx))
	_, err = conn.Exec(ctx, "COMMIT")
	require.Error(t, err, "the server is killed")
	_, err = pgx.Connect(ctx, cluster.DSN())
	require.Error(t, err, "no process listens")

	require.NoError(t, cluster.StartAgain(ctx))
	conn, err = pgx.Connect(ctx, cluster.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	var sum int
	require.NoError(t, conn.QueryRow(ctx, "SELECT sum(n) FROM kept").Scan(&sum))
	require.Equal(t, 1, sum, "committed rows only")
}
