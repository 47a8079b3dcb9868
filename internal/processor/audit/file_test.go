package audit

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lines returns the lines of a file. It decompresses a .gz file.
func lines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	if strings.HasSuffix(path, ".gz") {
		reader, err := gzip.NewReader(bytes.NewReader(content))
		require.NoError(t, err)
		content, err = io.ReadAll(reader)
		require.NoError(t, err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(content), "\n"), "\n")
}

var chainFields = regexp.MustCompile(`"chain":"[0-9a-f]{16}","seq":[0-9]+,"prev":"[0-9a-f]*",`)

// calls returns the records of calls in a file, without the fields of their chain.
func calls(t *testing.T, path string) (records []string) {
	t.Helper()
	for _, line := range lines(t, path) {
		if strings.Contains(line, `"msg":"`+message+`"`) {
			records = append(records, chainFields.ReplaceAllString(line, ""))
		}
	}
	return records
}

// mode returns the mode of a file.
func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode()
}

func TestFileIsPrivateAndAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "audit.log")
	for range 2 {
		l, err := Open(Options{Path: path})
		require.NoError(t, err)
		l.Write(charge())
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		l.Write(charge()) // after Close
		require.EqualValues(t, 1, l.Failures())
	}
	require.Len(t, calls(t, path), 2)
	require.Equal(t, fs.FileMode(0o600), mode(t, path))
	require.Equal(t, fs.FileMode(0o700), mode(t, filepath.Dir(path)).Perm())
}

func TestExistingFileBecomesPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte("before\n"), 0o644))
	l, err := Open(Options{Path: path})
	require.NoError(t, err)
	l.Write(charge())
	require.NoError(t, l.Close())
	require.Equal(t, "before\n", lines(t, path)[0])
	require.Equal(t, []string{written(t, charge())}, calls(t, path))
	require.Equal(t, fs.FileMode(0o600), mode(t, path))
}

func TestRotationKeepsEveryLine(t *testing.T) {
	for name, o := range map[string]Options{"plain": {}, "compressed": {Compress: true}} {
		t.Run(name, func(t *testing.T) {
			o.Path, o.MaxSizeMB = filepath.Join(t.TempDir(), "audit.log"), 1
			l, err := Open(o)
			require.NoError(t, err)
			line := written(t, charge())
			count := 3<<20/len(line) + 1
			for range count {
				l.Write(charge())
			}
			require.NoError(t, l.Close())
			require.Zero(t, l.Failures())

			files, err := filepath.Glob(filepath.Join(filepath.Dir(o.Path), "*"))
			require.NoError(t, err)
			require.Len(t, files, 4)
			found := 0
			for _, file := range files {
				require.Equal(t, fs.FileMode(0o600), mode(t, file), file)
				require.Equal(t, o.Compress && file != o.Path, strings.HasSuffix(file, ".gz"), file)
				for _, got := range calls(t, file) {
					require.Equal(t, strings.TrimSuffix(line, "\n"), strings.TrimSuffix(got, "\n"))
					found++
				}
			}
			require.Equal(t, count, found)
		})
	}
}

func TestNoMoreThanMaxBackupsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := Open(Options{Path: path, MaxSizeMB: 1, MaxBackups: 2})
	require.NoError(t, err)
	for range 6 << 20 / len(written(t, charge())) {
		l.Write(charge())
	}
	require.NoError(t, l.Close())
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.Len(t, files, 3)
}

func TestOpenRejectsInvalidOptions(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for name, tc := range map[string]struct {
		options Options
		want    string
	}{
		"directory":        {options: Options{Path: dir}, want: "want a regular file or stdout"},
		"device":           {options: Options{Path: os.DevNull}, want: "want a regular file or stdout"},
		"below a file":     {options: Options{Path: filepath.Join(dir, "file", "audit.log")}, want: "create its directory"},
		"negative size":    {options: Options{Path: filepath.Join(dir, "a"), MaxSizeMB: -1}, want: "size -1 MB"},
		"negative backups": {options: Options{Path: filepath.Join(dir, "a"), MaxBackups: -1}, want: "-1 backups"},
		"negative age":     {options: Options{Path: filepath.Join(dir, "a"), MaxAgeDays: -1}, want: "-1 days"},
		"file name that is too long": {
			options: Options{Path: filepath.Join(dir, strings.Repeat("x", 300))}, want: "want a writable file or stdout",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(tc.options)
			require.ErrorContains(t, err, tc.want)
		})
	}
	require.NoFileExists(t, filepath.Join(dir, "a"))
}

func TestStandardOutputIsTheDefault(t *testing.T) {
	for _, path := range []string{"", "stdout"} {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		require.NoError(t, err)
		stdout := os.Stdout
		os.Stdout = out
		l, err := Open(Options{Path: path})
		os.Stdout = stdout
		require.NoError(t, err)

		l.Write(charge())
		require.NoError(t, l.Close())
		require.NoError(t, out.Close(), "closing the log must not close standard output")
		require.Equal(t, []string{written(t, charge())}, calls(t, out.Name()))
	}
}
