package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func execute(args ...string) error {
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(io.Discard)
	cmd.SetErr(&bytes.Buffer{})
	return cmd.Execute()
}

func TestItServesUntilItIsToldToStop(t *testing.T) {
	t.Setenv("SIMULATOR_TEST_KEY", "secret")
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	cmd := newCommand()
	cmd.SetArgs([]string{"--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "ledger.db"), "--api-key-env", "SIMULATOR_TEST_KEY"})
	cmd.SetOut(write)
	ended := make(chan error)
	go func() { ended <- cmd.ExecuteContext(ctx) }()

	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "(key from SIMULATOR_TEST_KEY)")
	require.NotContains(t, line, "secret")
	address := "http" + strings.Fields(line[strings.Index(line, "://"):])[0]

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/charges",
		strings.NewReader(`{"card_token":"tok_timeout_after_charge","amount":1,"currency":"EUR"}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer secret")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "k")
	hanging := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request.WithContext(context.Background()))
		hanging <- err
	}()
	require.Eventually(t, func() bool { return ledger(t, address) }, 10*time.Second, 5*time.Millisecond, "the charge arrives")
	response, err := http.Get(address + "/healthz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	stop()
	require.NoError(t, <-ended)
	require.Error(t, <-hanging)
}

// ledger reports whether the simulator has a charge.
func ledger(t *testing.T, address string) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/payments", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer secret")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return strings.Contains(string(body), `"id"`)
}

func TestAPortInUseNamesTheAddressAndTheFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	err = execute("--listen", taken.Addr().String())
	require.ErrorContains(t, err, taken.Addr().String())
	require.ErrorContains(t, err, "choose another address with --listen")
}

func TestWrongFlagsAreNamed(t *testing.T) {
	for flag, value := range map[string]string{"--faults": "teapot=1", "--latency": "fast"} {
		require.ErrorContains(t, execute(flag, value), flag)
	}
	require.ErrorContains(t, execute("--pending-for", "-1s"), "pending for -1s")
}
