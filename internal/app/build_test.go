package app

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

func TestAWorkerIsVersionedOnlyWhereADeploymentIsNamed(t *testing.T) {
	options, err := Worker{}.deployment()
	require.NoError(t, err)
	require.Equal(t, worker.DeploymentOptions{}, options)

	options, err = Worker{Deployment: "florin", BuildID: "v1"}.deployment()
	require.NoError(t, err)
	require.Equal(t, worker.DeploymentOptions{
		UseVersioning: true, DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
		Version: worker.WorkerDeploymentVersion{DeploymentName: "florin", BuildID: "v1"},
	}, options)

	before := buildID
	t.Cleanup(func() { buildID = before })
	buildID = "linked"
	options, err = Worker{Deployment: "florin"}.deployment()
	require.NoError(t, err)
	require.Equal(t, "linked", options.Version.BuildID)
}

func TestNamesThatTemporalDoesNotTakeAreRefused(t *testing.T) {
	for name, w := range map[string]Worker{
		"a dot":                    {Deployment: "florin.eu"},
		"a colon in the build":     {Deployment: "florin", BuildID: "a:b"},
		"a build of no deployment": {BuildID: "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			config.Worker.Deployment, config.Worker.BuildID = w.Deployment, w.BuildID
			_, err := config.Complete()
			require.ErrorContains(t, err, "worker.")
		})
	}
}
