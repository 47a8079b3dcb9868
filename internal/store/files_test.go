package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilesOfSQLiteArePrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "florin.db")
	dsn := "sqlite://" + file
	beside := []string{file, file + "-wal", file + "-shm"}
	requirePrivate := func() {
		t.Helper()
		for _, name := range beside {
			info, err := os.Stat(name)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode(), name)
		}
	}
	s := open(t, dsn)
	begin(t, s, newCharge("order-1"))
	requirePrivate()

	for _, name := range beside {
		require.NoError(t, os.Chmod(name, 0o664)) // as an earlier version or an operator left it
	}
	other, err := Open(t.Context(), dsn)
	require.NoError(t, err)
	requirePrivate()
	require.NoError(t, other.Close())

	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(file, link))
	require.NoError(t, os.Chmod(file+"-wal", 0o644))
	_, _, err = Migrate(t.Context(), "sqlite://"+link)
	require.NoError(t, err)
	requirePrivate()
}

func TestDirectoryInWhichEveryUserMayReplaceTheFileIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mode    fs.FileMode
		refused bool
	}{
		{name: "of this user only", mode: 0o700},
		{name: "readable for all", mode: 0o755},
		{name: "writable for the group", mode: 0o775},
		{name: "writable for all", mode: 0o777, refused: true},
		{name: "writable for all others", mode: 0o757, refused: true},
		{name: "writable for all, sticky", mode: 0o777 | fs.ModeSticky},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.Chmod(dir, tt.mode))
			dsn := "sqlite://" + filepath.Join(dir, "florin.db")
			requireResult := func(err error) {
				t.Helper()
				if !tt.refused {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, ErrExposed)
				require.ErrorContains(t, err, "every user may replace the files in "+dir+": run: chmod o-w "+dir)
				require.False(t, Temporary(err))
			}
			_, _, err := Migrate(t.Context(), dsn)
			requireResult(err)
			if tt.refused {
				require.NoFileExists(t, filepath.Join(dir, "florin.db"))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "florin.db"), nil, 0o600))
			}
			s, err := Open(t.Context(), dsn)
			requireResult(err)
			if err == nil {
				require.NoError(t, s.Close())
			}
		})
	}
}
