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

// build makes a worker that calls itself so, and starts it in the deployment.
func build(t *testing.T, env *environment.Environment, id string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "worker-"+id)
	arguments := []string{"build", "-o", binary, "-ldflags", "-X github.com/florinpay/florin/internal/app.buildID=" + id}
	if race := os.Getenv("RACE"); race != "" {
		arguments = append(arguments, race)
	}
	building := exec.CommandContext(t.Context(), "go", append(arguments, "./cmd/worker")...)
	building.Dir = "../.."
	out, err := building.CombinedOutput()
	require.NoError(t, err, string(out))

	config := configure(t, env)
	content, err := os.ReadFile(config)
	require.NoError(t, err)
	versioned := strings.Replace(string(content), "worker: {", "worker: {deployment: "+deployment+", ", 1)
	require.NoError(t, os.WriteFile(config, []byte(versioned), 0o600))
	cmd := command(t, env, "worker", "--config", config)
	cmd.Path = binary
	run(t, cmd)
}

// makeCurrent gives new payments to a build, once Temporal has heard of it.
func makeCurrent(t *testing.T, env *environment.Environment, id string) {
	t.Helper()
	handle := env.Temporal.WorkerDeploymentClient().GetHandle(deployment)
	require.Eventually(t, func() bool {
		_, err := handle.SetCurrentVersion(t.Context(), client.WorkerDeploymentSetCurrentVersionOptions{BuildID: id})
		return err == nil
	}, soon, 100*time.Millisecond)
}

// builtBy is the build that works on a charge.
func builtBy(t *testing.T, env *environment.Environment, key string) string {
	t.Helper()
	described, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", key), "")
	require.NoError(t, err)
	return described.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion().GetBuildId()
}

// A new build is brought out while money is held, and taken back again.
func TestPaymentsInFlightAreFinishedByTheBuildThatBeganThem(t *testing.T) {
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

	build(t, env, "a")
	makeCurrent(t, env, "a")
	require.Equal(t, payment.Authorized, charge("in-flight", payment.CaptureManual))

	build(t, env, "b")
	makeCurrent(t, env, "b")
	require.Equal(t, payment.Succeeded, charge("new", ""))
	require.Equal(t, "b", builtBy(t, env, "new"))

	captured, err := payments.Capture(t.Context(), "acme", "in-flight", payment.CaptureRequest{})
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, captured.Status)
	require.Equal(t, "a", builtBy(t, env, "in-flight"))

	makeCurrent(t, env, "a")
	require.Equal(t, payment.Succeeded, charge("after-the-rollback", ""))
	require.Equal(t, "a", builtBy(t, env, "after-the-rollback"))
	stored, err := payments.Get(t.Context(), "acme", "new")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, stored.Status)
}
