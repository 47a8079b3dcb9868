package postgrestest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestCPUTimeIsThatOfAllProcessesAlsoOfThoseThatHaveEnded(t *testing.T) {
	cluster := ForTest(t)
	before, err := cluster.CPU()
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), cluster.DSN())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 1000000)")
	require.NoError(t, err)
	during, err := cluster.CPU()
	require.NoError(t, err)
	require.Greater(t, during-before, 3*tick)
	require.NoError(t, conn.Close(t.Context()))
	after, err := cluster.CPU()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after+tick, during, "the process of the connection has ended, its time counts")
}
