package app

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/config"
)

func TestWorkerIsVersionedOnlyIfADeploymentIsConfigured(t *testing.T) {
	options, err := deploymentOptions(config.Worker{})
	require.NoError(t, err)
	require.Equal(t, worker.DeploymentOptions{}, options)

	options, err = deploymentOptions(config.Worker{Deployment: "florin", BuildID: "v1"})
	require.NoError(t, err)
	require.Equal(t, worker.DeploymentOptions{
		UseVersioning: true, DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
		Version: worker.WorkerDeploymentVersion{DeploymentName: "florin", BuildID: "v1"},
	}, options)

	before := buildID
	t.Cleanup(func() { buildID = before })
	buildID = "linked"
	options, err = deploymentOptions(config.Worker{Deployment: "florin"})
	require.NoError(t, err)
	require.Equal(t, "linked", options.Version.BuildID)
}
