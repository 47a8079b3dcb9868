package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASecretComesFromTheEnvironmentOrAFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	t.Setenv("FLORIN_TEST_KEY", "sk_env")
	t.Setenv("FLORIN_TEST_LINE", "sk_env\n")
	t.Setenv("FLORIN_TEST_EMPTY", " ")
	for name, c := range map[string]struct {
		secret    Secret
		want, err string
	}{
		"environment":              {secret: Secret{Env: "FLORIN_TEST_KEY"}, want: "sk_env"},
		"environment, two lines":   {secret: Secret{Env: "FLORIN_TEST_LINE"}, want: "sk_env"},
		"unset environment":        {secret: Secret{Env: "FLORIN_TEST_UNSET"}, err: "environment variable FLORIN_TEST_UNSET is not set"},
		"empty environment":        {secret: Secret{Env: "FLORIN_TEST_EMPTY"}, err: "environment variable FLORIN_TEST_EMPTY is not set"},
		"file":                     {secret: Secret{File: file("key", "sk_file")}, want: "sk_file"},
		"file with an end of line": {secret: Secret{File: file("line", " sk_file\r\n")}, want: "sk_file"},
		"empty file":               {secret: Secret{File: file("empty", "\n")}, err: "empty is empty"},
		"missing file":             {secret: Secret{File: filepath.Join(dir, "nowhere")}, err: filepath.Join(dir, "nowhere")},
		"a directory":              {secret: Secret{File: dir}, err: dir},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.secret.Load()
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestARotatedSecretIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, key := range []string{"sk_old", "sk_new"} {
		require.NoError(t, os.WriteFile(path, []byte(key+"\n"), 0o600))
		got, err := Secret{File: path}.Load()
		require.NoError(t, err)
		require.Equal(t, key, got)
	}
}
