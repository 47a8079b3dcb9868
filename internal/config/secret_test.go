package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSecretIsReadFromTheEnvironmentOrAFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	t.Setenv("FLORIN_TEST_KEY", "sk_env")
	t.Setenv("FLORIN_TEST_LINE", "sk_env\n")
	t.Setenv("FLORIN_TEST_EMPTY", " ")
	for _, tt := range []struct {
		name      string
		secret    Secret
		want, err string
	}{
		{name: "environment variable", secret: Secret{Env: "FLORIN_TEST_KEY"}, want: "sk_env"},
		{name: "environment variable with a line break", secret: Secret{Env: "FLORIN_TEST_LINE"}, want: "sk_env"},
		{
			name:   "environment variable that is not set",
			secret: Secret{Env: "FLORIN_TEST_UNSET"},
			err:    "environment variable FLORIN_TEST_UNSET is not set",
		},
		{
			name:   "empty environment variable",
			secret: Secret{Env: "FLORIN_TEST_EMPTY"},
			err:    "environment variable FLORIN_TEST_EMPTY is not set",
		},
		{name: "file", secret: Secret{File: file("key", "sk_file")}, want: "sk_file"},
		{name: "file with a line break", secret: Secret{File: file("line", " sk_file\r\n")}, want: "sk_file"},
		{name: "empty file", secret: Secret{File: file("empty", "\n")}, err: "empty is empty"},
		{name: "missing file", secret: Secret{File: filepath.Join(dir, "nowhere")}, err: filepath.Join(dir, "nowhere")},
		{name: "directory", secret: Secret{File: dir}, err: dir},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.secret.Load()
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestReplacedSecretFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, key := range []string{"sk_old", "sk_new"} {
		require.NoError(t, os.WriteFile(path, []byte(key+"\n"), 0o600))
		got, err := Secret{File: path}.Load()
		require.NoError(t, err)
		require.Equal(t, key, got)
	}
}

func TestWebhookSecretsFromAFileAreReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte("whsec_file\n"), 0o600))
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_env")
	env, file, missing := Secret{Env: "FLORIN_TEST_WHSEC"}, Secret{File: path}, Secret{File: path + "-none"}
	for _, tt := range []struct {
		name   string
		from   []Secret
		want   []string
		reread bool
	}{
		{name: "environment", from: []Secret{env}, want: []string{"whsec_env"}},
		{name: "file", from: []Secret{file}, want: []string{"whsec_file"}, reread: true},
		{name: "both", from: []Secret{env, file}, want: []string{"whsec_env", "whsec_file"}, reread: true},
		{name: "missing file", from: []Secret{env, missing}, reread: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, refreshAt, err := Processor{WebhookSecrets: tt.from}.LoadWebhookSecrets()
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == nil, err != nil)
			require.Equal(t, tt.reread, !refreshAt.IsZero())
			require.True(t, refreshAt.Before(time.Now().Add(rereadFile)))
		})
	}
}
