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

func TestSimulatorServesUntilItsContextEnds(t *testing.T) {
	t.Setenv("SIMULATOR_TEST_KEY", "secret")
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	cmd := newCommand()
	cmd.SetArgs([]string{"--listen", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "ledger.db"), "--api-key-env", "SIMULATOR_TEST_KEY"})
	cmd.SetOut(write)
	exited := make(chan error)
	go func() { exited <- cmd.ExecuteContext(ctx) }()

	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "(API key from SIMULATOR_TEST_KEY)")
	require.NotContains(t, line, "secret")
	address := "http" + strings.Fields(line[strings.Index(line, "://"):])[0]

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/charges",
		strings.NewReader(`{"card_token":"tok_timeout_after_charge","amount":1,"currency":"EUR"}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer secret")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "k")
	unanswered := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request.WithContext(context.Background()))
		unanswered <- err
	}()
	require.Eventually(t, func() bool { return hasPayment(t, address) }, 10*time.Second, 5*time.Millisecond, "the charge was not executed")
	response, err := http.Get(address + "/healthz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	stop()
	require.NoError(t, <-exited)
	require.Error(t, <-unanswered)
}

// hasPayment reports whether the simulator has executed a charge.
func hasPayment(t *testing.T, address string) bool {
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

func TestErrorForAPortInUseNamesTheAddressAndTheFlag(t *testing.T) {
	inUse, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = inUse.Close() }()
	err = execute("--listen", inUse.Addr().String())
	require.ErrorContains(t, err, inUse.Addr().String())
	require.ErrorContains(t, err, "choose another address with --listen")
}

func TestErrorForAnInvalidFlagNamesTheFlag(t *testing.T) {
	for flag, value := range map[string]string{"--faults": "teapot=1", "--latency": "fast"} {
		require.ErrorContains(t, execute(flag, value), flag)
	}
	require.ErrorContains(t, execute("--pending-for", "-1s"), "pending for -1s")
}
