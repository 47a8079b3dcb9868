package app

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/processor"
)

// openFiles returns the files below the directory that this process has open.
func openFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	const descriptors = "/proc/self/fd"
	entries, err := os.ReadDir(descriptors)
	if err != nil {
		t.Skip("this system does not list open files: ", err)
	}
	for _, entry := range entries {
		file, err := os.Readlink(filepath.Join(descriptors, entry.Name()))
		if err == nil && strings.HasPrefix(file, dir+string(filepath.Separator)) {
			files = append(files, file)
		}
	}
	return files
}

// callingAdapter returns the adapter rest with a constructor that calls the processor once, because the first audit record opens
// the audit file. opened is called after that.
func callingAdapter(t *testing.T, opened func()) processor.Adapter {
	t.Helper()
	adapter := BuiltIn["rest"]
	newProcessor := adapter.New
	adapter.New = func(c processor.Client) processor.Processor {
		_, err := c.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments", Operation: "list"})
		require.NoError(t, err)
		opened()
		return newProcessor(c)
	}
	return adapter
}

func TestErrorOfNewWorkersLeavesNoFileOpen(t *testing.T) {
	inUse, err := Listen(t.Context(), "127.0.0.1:0", "")
	require.NoError(t, err)
	defer func() { _ = inUse.Close() }()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":[]}`))
	}))
	defer server.Close()
	temporal, err := client.NewLazyClient(client.Options{Logger: TemporalLogger(zap.NewNop())})
	require.NoError(t, err)
	defer temporal.Close()
	t.Setenv("FLORIN_TEST_KEY", "key_1")
	t.Setenv("FLORIN_TEST_WHSEC", "whsec_0123456789")

	acme := fmt.Sprintf("{adapter: rest, base_url: %q, api_key: {env: FLORIN_TEST_KEY}, "+
		"webhook_secrets: [{env: FLORIN_TEST_WHSEC}]}", server.URL)
	for _, tt := range []struct {
		name string
		// settings follow those of the processor acme.
		settings string
		want     string
	}{
		{
			name:     "API key of another processor is not set",
			settings: "  bolt: {adapter: rest, base_url: https://api.bolt.example, api_key: {env: FLORIN_TEST_UNSET}}",
			want:     "processors.bolt: api_key: environment variable FLORIN_TEST_UNSET is not set",
		},
		{
			name:     "address of the webhooks is in use",
			settings: fmt.Sprintf("webhooks: {listen: %q}", inUse.Addr()),
			want:     "cannot listen on " + inUse.Addr().String(),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			require.NoError(t, err)
			path := filepath.Join(dir, "worker.yaml")
			require.NoError(t, os.WriteFile(path, fmt.Appendf(nil,
				"default_processor: acme\naudit: {path: %q}\nstore: {sqlite: %q}\nprocessors:\n  acme: %s\n%s\n",
				filepath.Join(dir, "audit.log"), filepath.Join(dir, "florin.db"), acme, tt.settings), 0o600))
			adapters := maps.Clone(BuiltIn)
			var open []string
			adapters["rest"] = callingAdapter(t, func() { open = openFiles(t, dir) })
			c, err := config.Load(path, adapters)
			require.NoError(t, err)

			_, err = NewWorkers(t.Context(), temporal, c, WorkersOptions{Adapters: adapters, Logger: zap.NewNop()})
			require.ErrorContains(t, err, tt.want)
			require.Contains(t, open, filepath.Join(dir, "audit.log"))
			require.Contains(t, open, filepath.Join(dir, "florin.db"))
			require.Empty(t, openFiles(t, dir))
		})
	}
}
