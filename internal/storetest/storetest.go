// Package storetest gives each test a store of its own.
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/store"
)

// New returns an empty store in a file of its own, on SQLite. It is closed when the test ends, unless the test has closed it. The file is a copy of
// one that is migrated once: with the race detector, a migration takes most of a second.
func New(tb testing.TB) *store.Store {
	tb.Helper()
	content, err := migrated()
	require.NoError(tb, err)
	path := filepath.Join(tb.TempDir(), "florin.db")
	require.NoError(tb, os.WriteFile(path, content, 0o600))
	s, err := store.Open(tb.Context(), "sqlite://"+path)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// migrated is the content of a migrated database.
var migrated = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "florin-storetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "florin.db")
	if _, _, err := store.Migrate(context.Background(), "sqlite://"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
