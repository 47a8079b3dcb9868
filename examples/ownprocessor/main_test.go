package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/worker"
)

func TestConfigurationIsAcceptedWithTheAdapter(t *testing.T) {
	temporal, err := client.NewLazyClient(client.Options{}) // connects only when it is used
	require.NoError(t, err)
	defer temporal.Close()
	_, err = worker.New(temporal, options("worker.yaml"))
	require.NoError(t, err)
}

func TestConfigurationIsRefusedWithoutTheAdapter(t *testing.T) {
	_, err := worker.New(nil, worker.Options{ConfigFile: "worker.yaml"})
	require.ErrorContains(t, err, `processors.acme.adapter "acme": want rest or stripe`)
}

func TestWorkerWithoutATemporalServerSaysHowToStartOne(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	t.Setenv("TEMPORAL_CONFIG_FILE", t.TempDir()+"/none.toml")
	o := options("")
	o.Config = []byte("health: {listen: '127.0.0.1:0'}\nprocessors: {acme: {adapter: acme, api_key: {env: ACME_API_KEY}}}\n")
	require.ErrorContains(t, worker.Run(t.Context(), o), "no Temporal server answers at 127.0.0.1:1: start one")
}
