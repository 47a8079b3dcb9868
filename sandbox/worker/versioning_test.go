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

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

const deployment = "florin"

// startBuild builds a worker with the given build ID and starts it in the deployment.
func startBuild(t *testing.T, env *environment.Environment, id string) {
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
	startProcess(t, cmd)
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

// The test rolls out a new build while a payment is authorized, and rolls it back.
func TestPaymentInFlightIsFinishedByTheBuildThatStartedIt(t *testing.T) {
	env, err := environment.Start(t.Context(), environment.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, env.Stop()) })
	env.StopWorker()
	payments := env.Florin
	charge := func(key string, capture payment.Capture) payment.Status {
		c, err := payments.Charge(t.Context(), payment.ChargeRequest{
			MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa", Capture: capture,
		})
		require.NoError(t, err)
		return c.Status
	}

	startBuild(t, env, "a")
	makeCurrent(t, env, "a")
	require.Equal(t, payment.Authorized, charge("in-flight", payment.CaptureManual))

	startBuild(t, env, "b")
	makeCurrent(t, env, "b")
	require.Equal(t, payment.Succeeded, charge("new", ""))
	require.Equal(t, "b", buildOf(t, env, "new"))

	captured, err := payments.Capture(t.Context(), "acme", "in-flight", payment.CaptureRequest{})
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, captured.Status)
	require.Equal(t, "a", buildOf(t, env, "in-flight"))

	makeCurrent(t, env, "a")
	require.Equal(t, payment.Succeeded, charge("after-the-rollback", ""))
	require.Equal(t, "a", buildOf(t, env, "after-the-rollback"))
	stored, err := payments.Get(t.Context(), "acme", "new")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, stored.Status)
}
