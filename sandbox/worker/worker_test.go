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

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

func TestIdleWorkerStopsWithoutDelayAndExitsWith0(t *testing.T) {
	p := startWorker(t, shared)
	stopping := time.Now()
	require.Zero(t, p.stop(t))
	require.Less(t, time.Since(stopping), 10*time.Second, "must not take the whole stop_timeout")
	require.Contains(t, p.log.String(), "worker stopped")
	require.Contains(t, p.log.String(), `"msg":"memory is bounded","memory_mb":256,"source":"worker.memory_mb"`)
	require.Contains(t, p.log.String(), `"cached_workflows":1872`)
	require.Zero(t, p.healthStatus(t), "the health port is closed")
}

func TestLogHasNoSecretAndNoPaymentMethod(t *testing.T) {
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

// A query of a closed workflow replays it: the replay must not log the transitions again.
func TestEachTransitionIsLoggedOnce(t *testing.T) {
	p := startWorker(t, shared)
	starter(t, shared, chargeFlags("transitions", "tok_insufficient_funds")...)
	again := startWorker(t, shared) // a worker without the workflow in its cache
	_, err := shared.Temporal.QueryWorkflow(t.Context(), payment.ChargeWorkflowID("acme", "transitions"), "", payment.QueryStatus)
	require.NoError(t, err)
	require.Zero(t, p.stop(t))
	_, err = shared.Temporal.QueryWorkflow(t.Context(), payment.ChargeWorkflowID("acme", "transitions"), "", payment.QueryStatus)
	require.NoError(t, err)
	require.Zero(t, again.stop(t))
	type transition struct {
		Level, Msg, From, Status, WorkflowID, RunID string
		PaymentID                                   string `json:"payment_id"`
		Attempt                                     int
	}
	var transitions []transition
	for line := range bytes.Lines(append(p.log.Bytes(), again.log.Bytes()...)) {
		var m transition
		require.NoError(t, json.Unmarshal(line, &m))
		if m.PaymentID != "" {
			require.NotEmpty(t, m.RunID)
			m.RunID = ""
			transitions = append(transitions, m)
		}
	}
	require.Equal(t, []transition{{
		Level: "info", Msg: "payment changed its status", From: "processing", Status: "declined", Attempt: 1,
		WorkflowID: payment.ChargeWorkflowID("acme", "transitions"), PaymentID: payment.PaymentID("acme", "transitions"),
	}}, transitions)
}

func TestSIGTERMLetsTheCallInFlightFinish(t *testing.T) {
	for first, activities := range map[config.FirstAttempt][]int32{config.Inline: nil, config.Queued: {1}} {
		t.Run(string(first), func(t *testing.T) { testSIGTERM(t, first, activities) })
	}
}

// testSIGTERM is about a worker that makes first attempts so. activities are the attempts of each activity in the history.
func testSIGTERM(t *testing.T, first config.FirstAttempt, activities []int32) {
	env, err := environment.Start(t.Context(), environment.Options{
		Simulator: simulator.Options{Latency: simulator.LatencyRange{Min: 2 * time.Second, Max: 2 * time.Second}},
		Tune: func(c *config.Config) {
			p := c.Processors[environment.ProcessorName]
			p.FirstAttempt = first
			c.Processors[environment.ProcessorName] = p
		},
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
	require.Eventually(t, func() bool { return inFlight(t, env, "in-flight") }, timeout, 20*time.Millisecond)
	require.Equal(t, http.StatusOK, p.healthStatus(t))
	require.Zero(t, p.stop(t))

	// The worker stopped only after its call had finished: the next worker reads the result from the history.
	startWorker(t, env)
	select {
	case err := <-charged:
		require.NoError(t, err, "exit code 0")
		require.Contains(t, stdout.String(), `"status": "succeeded"`)
	case <-time.After(timeout):
		require.Fail(t, "the charge has no outcome in time")
	}
	require.Equal(t, activities, attempts(t, env, "in-flight"))
	ledger, err := env.Simulator.Ledger(t.Context())
	require.NoError(t, err)
	require.Len(t, ledger.Payments, 1)
	require.Equal(t, 1, ledger.Payments[0].Requests)
}

// inFlight reports whether a worker has started what calls the processor: an activity or, half a second ago, the first workflow task.
func inFlight(t *testing.T, env *environment.Environment, key string) bool {
	t.Helper()
	w, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", key), "")
	if err != nil {
		return false // not started yet
	}
	if task := w.GetPendingWorkflowTask(); task.GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED {
		return env.Config.Processors[environment.ProcessorName].FirstAttempt == config.Inline && time.Since(task.GetStartedTime().AsTime()) > time.Second/2
	}
	for _, a := range w.GetPendingActivities() {
		if a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
			return true
		}
	}
	return false
}

// attempts returns the last attempt number of each activity in the history.
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

func TestWorkerThatCannotStartPrintsTheReasonAndExitsWith1(t *testing.T) {
	for name, c := range map[string]struct{ env, want string }{
		"no such namespace": {
			env:  "TEMPORAL_NAMESPACE=nope",
			want: "worker: namespace \"nope\" does not exist: create it with `temporal operator namespace create --namespace nope`, or set TEMPORAL_NAMESPACE\n",
		},
		"no API key": {
			env:  "SIMULATOR_API_KEY=",
			want: "worker: processors.simulator: api_key: environment variable SIMULATOR_API_KEY is not set\n",
		},
		"no Temporal server": {
			env:  "TEMPORAL_ADDRESS=127.0.0.1:1",
			want: "worker: no Temporal server answers at 127.0.0.1:1: start one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			cmd := command(t, shared, "worker", "--config", writeConfig(t, shared))
			cmd.Env = append(cmd.Env, c.env)
			cmd.Stderr = &stderr
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Run(), &exit)
			require.Equal(t, 1, exit.ExitCode())
			require.Contains(t, stderr.String(), c.want)
		})
	}
}
