package worker

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

func TestAnIdleWorkerStopsAtOnceAndExitsWith0(t *testing.T) {
	p := startWorker(t, shared)
	began := time.Now()
	require.Zero(t, p.stop(t))
	require.Less(t, time.Since(began), 10*time.Second, "not the whole stop_timeout")
	require.Contains(t, p.log.String(), "worker stopped")
	require.Zero(t, p.healthy(t), "nobody listens any more")
}

func TestTheLogHoldsNoSecretAndNoPaymentMethod(t *testing.T) {
	p := startWorker(t, shared)
	for _, token := range []string{"tok_visa", "tok_403", "tok_500_twice"} {
		starter(t, shared, chargeFlags("log-"+token[4:], token)...)
	}
	require.Zero(t, p.stop(t))
	require.NotEmpty(t, p.log.String())
	require.NotContains(t, p.log.String(), "sim_sandbox_key")
	require.NotContains(t, p.log.String(), "tok_")
	for line := range bytes.Lines(p.log.Bytes()) {
		require.True(t, bytes.HasPrefix(line, []byte("{")), "not JSON: %s", line)
	}
}

// A query of a payment that has ended replays it: the log must not tell it again.
func TestEachMoveOfAPaymentIsOneLineOfTheLog(t *testing.T) {
	p := startWorker(t, shared)
	starter(t, shared, chargeFlags("moves", "tok_insufficient_funds")...)
	again := startWorker(t, shared) // it knows nothing of the payment yet
	_, err := shared.Temporal.QueryWorkflow(t.Context(), payment.ChargeWorkflowID("acme", "moves"), "", payment.QueryStatus)
	require.NoError(t, err)
	require.Zero(t, p.stop(t))
	_, err = shared.Temporal.QueryWorkflow(t.Context(), payment.ChargeWorkflowID("acme", "moves"), "", payment.QueryStatus)
	require.NoError(t, err)
	require.Zero(t, again.stop(t))
	type move struct {
		Level, Msg, From, Status, WorkflowID, RunID string
		PaymentID                                   string `json:"payment_id"`
		Attempt                                     int
	}
	var moves []move
	for line := range bytes.Lines(append(p.log.Bytes(), again.log.Bytes()...)) {
		var m move
		require.NoError(t, json.Unmarshal(line, &m))
		if m.PaymentID != "" {
			require.NotEmpty(t, m.RunID)
			m.RunID = ""
			moves = append(moves, m)
		}
	}
	require.Equal(t, []move{{
		Level: "info", Msg: "payment moved", From: "processing", Status: "declined", Attempt: 1,
		WorkflowID: payment.ChargeWorkflowID("acme", "moves"), PaymentID: payment.PaymentID("acme", "moves"),
	}}, moves)
}

func TestSIGTERMLetsACallInFlightFinish(t *testing.T) {
	env, err := environment.Start(t.Context(), environment.Options{
		Simulator: simulator.Options{Latency: simulator.LatencyRange{Min: 2 * time.Second, Max: 2 * time.Second}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, env.Stop()) })
	env.StopWorker()
	p := startWorker(t, env)

	var stdout bytes.Buffer
	charge := command(t, env, "starter", chargeFlags("in-flight", "tok_visa")...)
	charge.Stdout = &stdout
	require.NoError(t, charge.Start())
	charged := make(chan error, 1)
	go func() { charged <- charge.Wait() }()
	require.Eventually(t, func() bool { return inFlight(t, env, "in-flight") }, soon, 20*time.Millisecond)
	require.Equal(t, http.StatusOK, p.healthy(t))
	require.Zero(t, p.stop(t))

	// The worker is gone, its call is not: the next one finds the result in the history.
	startWorker(t, env)
	select {
	case err := <-charged:
		require.NoError(t, err, "exit code 0")
		require.Contains(t, stdout.String(), `"status": "succeeded"`)
	case <-time.After(soon):
		require.Fail(t, "no outcome")
	}
	require.Equal(t, []int32{1}, attempts(t, env, "in-flight"))
	ledger, err := env.Simulator.Ledger(t.Context())
	require.NoError(t, err)
	require.Len(t, ledger.Payments, 1)
	require.Equal(t, 1, ledger.Payments[0].Requests)
}

// inFlight reports whether a worker has begun the call to the processor.
func inFlight(t *testing.T, env *environment.Environment, key string) bool {
	t.Helper()
	w, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", key), "")
	if err != nil {
		return false // not started yet
	}
	for _, a := range w.GetPendingActivities() {
		if a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
			return true
		}
	}
	return false
}

// attempts are the attempts that the history counts, one for each call to the processor.
func attempts(t *testing.T, env *environment.Environment, key string) (counts []int32) {
	t.Helper()
	events := env.Temporal.GetWorkflowHistory(t.Context(), payment.ChargeWorkflowID("acme", key), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		if started := event.GetActivityTaskStartedEventAttributes(); started != nil {
			counts = append(counts, started.GetAttempt())
		}
	}
	return counts
}

func TestAWorkerThatCannotWorkSaysWhyAndExitsWith1(t *testing.T) {
	for name, c := range map[string]struct{ env, want string }{
		"no such namespace": {"TEMPORAL_NAMESPACE=nope", "worker: namespace \"nope\" does not exist: create it with `temporal operator namespace create --namespace nope`, or set TEMPORAL_NAMESPACE\n"},
		"no API key":        {"SIMULATOR_API_KEY=", "worker: processors.simulator: api_key: environment variable SIMULATOR_API_KEY is not set\n"},
		"nobody there":      {"TEMPORAL_ADDRESS=127.0.0.1:1", "worker: no Temporal server answers at 127.0.0.1:1: start one"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			cmd := command(t, shared, "worker", "--config", configure(t, shared))
			cmd.Env = append(cmd.Env, c.env)
			cmd.Stderr = &stderr
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Run(), &exit)
			require.Equal(t, 1, exit.ExitCode())
			require.Contains(t, stderr.String(), c.want)
		})
	}
}
