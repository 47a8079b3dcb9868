package postgrestest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestKilledClusterRecoversCommittedData(t *testing.T) {
	cluster := ForTest(t)
	ctx := t.Context()
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
