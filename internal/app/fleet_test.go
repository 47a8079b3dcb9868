package app

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/store"
)

func TestRateLimitIsSharedUnlessItIsPerWorker(t *testing.T) {
	unlimited := math.Inf(1)
	for _, tt := range []struct {
		name        string
		limit       config.RateLimit
		shared, own store.Rate
	}{
		{
			name: "for all workers together", limit: config.RateLimit{PerSecond: 20, Burst: 5},
			shared: store.Rate{PerSecond: 20, Burst: 5}, own: store.Rate{PerSecond: unlimited, Burst: 5},
		},
		{
			name: "for each worker", limit: config.RateLimit{PerSecond: 20, Burst: 5, PerWorker: true},
			shared: store.Rate{Burst: 5}, own: store.Rate{PerSecond: 20, Burst: 5},
		},
		{
			name: "no limit", limit: config.RateLimit{Burst: 5},
			shared: store.Rate{Burst: 5}, own: store.Rate{PerSecond: unlimited, Burst: 5},
		},
		{
			name: "no limit for each worker", limit: config.RateLimit{Burst: 5, PerWorker: true},
			shared: store.Rate{Burst: 5}, own: store.Rate{PerSecond: unlimited, Burst: 5},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config.Processor{Adapter: "rest", BaseURL: "https://acme.example", APIKey: config.Secret{Env: "FLORIN_TEST_KEY"}, RateLimit: tt.limit}
			t.Setenv("FLORIN_TEST_KEY", "sk_test")
			complete, err := config.Config{Processors: map[string]config.Processor{"acme": c}}.Complete(BuiltIn)
			require.NoError(t, err)
			opened, err := openProcessor(t.Context(), "acme", complete.Processors["acme"], BuiltIn, nil, nil, nil, nil)
			require.NoError(t, err)
			t.Cleanup(opened.Close)
			p := fleetProcessor(opened, complete.Processors["acme"].RateLimit)
			require.Equal(t, "acme", p.Name)
			require.Equal(t, tt.shared, p.Shared)
			require.Equal(t, tt.own, p.Own)
		})
	}
}

func TestInstanceNamesDiffer(t *testing.T) {
	name := instanceName()
	require.True(t, strings.HasPrefix(name, strconv.Itoa(os.Getpid())+"@"), name)
	require.LessOrEqual(t, len(name), 200)
	require.NotEqual(t, name, instanceName())
}
