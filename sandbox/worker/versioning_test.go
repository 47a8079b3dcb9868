package worker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/dynamicconfig"

	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

const deployment = "florin"

// startBuild builds a worker with the given build ID and starts it in the deployment.
func startBuild(t *testing.T, env *environment.Environment, id string) *process {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "worker-"+id)
	arguments := []string{"build", "-o", binary, "-ldflags", "-X github.com/florinpay/florin/internal/app.buildID=" + id}
	if race := os.Getenv("RACE"); race != "" {
		arguments = append(arguments, race)
	}
	compile := exec.CommandContext(t.Context(), "go", append(arguments, "./cmd/worker")...)
	compile.Dir = "../.."
	out, err := compile.CombinedOutput()
	require.NoError(t, err, string(out))

	config := writeConfig(t, env)
	content, err := os.ReadFile(config)
	require.NoError(t, err)
	versioned := strings.Replace(string(content), "worker: {", "worker: {deployment: "+deployment+", ", 1)
	require.NoError(t, os.WriteFile(config, []byte(versioned), 0o600))
	cmd := command(t, env, "worker", "--config", config)
	cmd.Path = binary
	return startProcess(t, cmd)
}

// makeCurrent routes new payments to a build. It retries until Temporal knows the build.
func makeCurrent(t *testing.T, env *environment.Environment, id string) {
	t.Helper()
	handle := env.Temporal.WorkerDeploymentClient().GetHandle(deployment)
	require.Eventually(t, func() bool {
		_, err := handle.SetCurrentVersion(t.Context(), client.WorkerDeploymentSetCurrentVersionOptions{BuildID: id})
		return err == nil
	}, timeout, 100*time.Millisecond)
}

// buildOf returns the ID of the build that runs a charge's workflow.
func buildOf(t *testing.T, env *environment.Environment, key string) string {
	t.Helper()
	described, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", key), "")
	require.NoError(t, err)
	return described.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion().GetBuildId()
}

// chargeFor returns a function that charges 12.50 USD and returns the status.
func chargeFor(t *testing.T, env *environment.Environment) func(key, token string, capture payment.Capture) payment.Status {
	return func(key, token string, capture payment.Capture) payment.Status {
		c, err := env.Florin.Charge(t.Context(), payment.ChargeRequest{
			MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: token, Capture: capture,
		})
		require.NoError(t, err)
		return c.Status
	}
}

// startWithoutWorker starts an environment whose workers are the builds that the test starts.
func startWithoutWorker(t *testing.T, o environment.Options) *environment.Environment {
	t.Helper()
	env, err := environment.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, env.Stop()) })
	env.StopWorker()
	return env
}

// The test rolls out a new build while a payment is authorized, and rolls it back.
func TestPaymentInFlightIsFinishedByTheBuildThatStartedIt(t *testing.T) {
	env := startWithoutWorker(t, environment.Options{})
	payments, charge := env.Florin, chargeFor(t, env)

	startBuild(t, env, "a")
	makeCurrent(t, env, "a")
	require.Equal(t, payment.Authorized, charge("in-flight", "tok_visa", payment.CaptureManual))

	startBuild(t, env, "b")
	makeCurrent(t, env, "b")
	require.Equal(t, payment.Succeeded, charge("new", "tok_visa", ""))
	require.Equal(t, "b", buildOf(t, env, "new"))

	captured, err := payments.Capture(t.Context(), "acme", "in-flight", payment.CaptureRequest{})
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, captured.Status)
	require.Equal(t, "a", buildOf(t, env, "in-flight"))

	makeCurrent(t, env, "a")
	require.Equal(t, payment.Succeeded, charge("after-the-rollback", "tok_visa", ""))
	require.Equal(t, "a", buildOf(t, env, "after-the-rollback"))
	stored, err := payments.Get(t.Context(), "acme", "new")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, stored.Status)
}

// A payment that waits continues in a new run once a newer build is current: an authorized one with the next lookup, for which the test
// does not wait a day but sends an event.
func TestPaymentThatWaitsMovesToTheCurrentBuildWithItsNextLookup(t *testing.T) {
	env := startWithoutWorker(t, environment.Options{Simulator: simulator.Options{PendingFor: time.Hour}})
	charge := chargeFor(t, env)
	startBuild(t, env, "a")
	makeCurrent(t, env, "a")
	require.Equal(t, payment.Authorized, charge("authorized", "tok_visa", payment.CaptureManual))
	require.Equal(t, payment.RequiresAction, charge("action", "tok_requires_action", ""))
	keys := []string{"authorized", "action"}
	first := map[string]string{}
	for _, key := range keys {
		first[key] = runOf(t, env, key)
		require.Equal(t, "a", buildOf(t, env, key))
	}

	startBuild(t, env, "b")
	makeCurrent(t, env, "b")
	for _, key := range keys {
		require.Eventually(t, func() bool { // it takes a moment until all of Temporal knows the current build
			workflowID := payment.ChargeWorkflowID("acme", key)
			require.NoError(t, env.Temporal.SignalWorkflow(t.Context(), workflowID, "", payment.SignalProcessorEvent, nil))
			return buildOf(t, env, key) == "b"
		}, timeout, 500*time.Millisecond, key)
		require.NotEqual(t, first[key], runOf(t, env, key))
	}
	require.Equal(t, result{stdout: "histories: replayed=4 differ=0\n"}, starter(t, env, "history", "replay", "--query", "MerchantId='acme'"))
	dir := t.TempDir()
	a := starter(t, env, "history", "export", "--query", "MerchantId='acme'", "--scrub", "--dir", dir)
	require.Zero(t, a.code, "%+v", a)
	require.Equal(t, result{stdout: "histories: replayed=4 differ=0\n"}, starter(t, env, "history", "replay", dir))

	captured, err := env.Florin.Capture(t.Context(), "acme", "authorized", payment.CaptureRequest{})
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, captured.Status)

	makeCurrent(t, env, "a")
	require.Eventually(t, func() bool { return buildOf(t, env, "action") == "a" }, timeout, 50*time.Millisecond, "a rollback moves it back")
	voided, err := env.Florin.Void(t.Context(), "acme", "action")
	require.NoError(t, err)
	require.Equal(t, payment.Voided, voided.Status)
}

// runOf returns the ID of the current run of a charge's workflow.
func runOf(t *testing.T, env *environment.Environment, key string) string {
	t.Helper()
	described, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", key), "")
	require.NoError(t, err)
	return described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

func TestWorkerExitsIfTemporalRefusesItsBuild(t *testing.T) {
	env := startWithoutWorker(t, environment.Options{
		TemporalConfig: map[dynamicconfig.Key]any{dynamicconfig.MatchingMaxVersionsInDeployment.Key(): 1},
	})
	charge := chargeFor(t, env)
	startBuild(t, env, "a")
	makeCurrent(t, env, "a")
	require.Equal(t, payment.Succeeded, charge("order-1", "tok_visa", ""))

	refused := startBuild(t, env, "b")
	select {
	case <-refused.ended:
	case <-time.After(timeout):
		require.Fail(t, "the worker keeps polling")
	}
	require.Equal(t, 1, refused.cmd.ProcessState.ExitCode())
	require.Contains(t, refused.log.String(), "worker: the Temporal server refuses this build: "+
		"cannot add version florin.b since maximum number of versions (1) have been registered in the deployment: delete versions")
	require.Equal(t, payment.Succeeded, charge("order-2", "tok_visa", ""), "the build before continues")
}
