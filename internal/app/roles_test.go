package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/store"
)

// inFile returns a store in PostgreSQL whose URL is in a file.
func inFile(t *testing.T, url string) config.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(path, []byte(url+"\n"), 0o600))
	return config.Store{Postgres: config.Secret{File: path}}
}

func TestStoreInPostgreSQLIsMigratedByItsOwnerAndOpenedByAnotherRole(t *testing.T) {
	cluster := postgrestest.ForTest(t)
	owner := inFile(t, cluster.DSN())

	_, _, err := MigrateStore(t.Context(), owner, "florin_worker")
	require.ErrorIs(t, err, store.ErrInvalid)
	require.ErrorContains(t, err, `create it with: CREATE ROLE "florin_worker" LOGIN PASSWORD '…'`)
	dsn, err := cluster.CreateRole(t.Context(), "florin_worker")
	require.NoError(t, err)
	worker := inFile(t, dsn)
	_, err = OpenStore(t.Context(), worker, zap.NewNop())
	require.ErrorIs(t, err, store.ErrNotGranted)
	for range 2 {
		from, to, err := MigrateStore(t.Context(), owner, "florin_worker")
		require.NoError(t, err)
		require.Equal(t, from, to, "the first call migrated it, too")
	}

	opened, err := OpenStore(t.Context(), worker, zap.NewNop())
	require.NoError(t, err)
	require.NoError(t, opened.Close())
	_, err = OpenStore(t.Context(), owner, zap.NewNop())
	require.ErrorIs(t, err, store.ErrPrivileged)
	owner.AllowOwner = true
	opened, err = OpenStore(t.Context(), owner, zap.NewNop())
	require.NoError(t, err)
	require.NoError(t, opened.Close())
}
