package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/store"
)

func TestOpenStoreCreatesAMissingSQLiteFileWithItsTables(t *testing.T) {
	s := config.Store{SQLite: filepath.Join(t.TempDir(), "a b", "florin.db")}
	require.NoError(t, os.Mkdir(filepath.Dir(s.SQLite), 0o700))
	for range 2 {
		opened, err := OpenStore(t.Context(), s, zap.NewNop())
		require.NoError(t, err)
		require.NoError(t, opened.Close())
	}
	from, to, err := MigrateStore(t.Context(), s, "")
	require.NoError(t, err)
	require.Equal(t, from, to)
}

func TestErrorOfAnOutdatedSchemaNamesTheCommand(t *testing.T) {
	s := config.Store{SQLite: filepath.Join(t.TempDir(), "florin.db")}
	require.NoError(t, os.WriteFile(s.SQLite, nil, 0o600))
	_, err := OpenStore(t.Context(), s, zap.NewNop())
	require.ErrorIs(t, err, store.ErrOutdated)
	require.ErrorContains(t, err, "worker migrate")
	_, _, err = MigrateStore(t.Context(), s, "")
	require.NoError(t, err)
	opened, err := OpenStore(t.Context(), s, zap.NewNop())
	require.NoError(t, err)
	require.NoError(t, opened.Close())
}

func TestStoreThatCannotBeOpenedIsReportedWithoutThePassword(t *testing.T) {
	t.Setenv("STORE_TEST_URL", "postgres://florin:hunter2@127.0.0.1:1/florin?connect_timeout=1")
	for want, s := range map[string]config.Store{
		"STORE_TEST_NOWHERE is not set": {Postgres: config.Secret{Env: "STORE_TEST_NOWHERE"}},
		"127.0.0.1:1":                   {Postgres: config.Secret{Env: "STORE_TEST_URL"}},
		"store.sqlite":                  {SQLite: filepath.Join(t.TempDir(), "none", "florin.db")},
	} {
		_, err := OpenStore(t.Context(), s, zap.NewNop())
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
