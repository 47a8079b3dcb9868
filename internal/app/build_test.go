package app

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"

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

func TestOnlyARefusedVersionIsReported(t *testing.T) {
	limit := &serviceerror.ResourceExhausted{
		Cause: enumspb.RESOURCE_EXHAUSTED_CAUSE_WORKER_DEPLOYMENT_LIMITS, Message: "cannot add version florin.b: there are 100",
	}
	rate := &serviceerror.ResourceExhausted{Cause: enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, Message: "slow down"}
	for _, tt := range []struct {
		name     string
		response error
		want     string
	}{
		{name: "too many versions", response: limit.Status().Err(), want: "the Temporal server refuses this build: " +
			"cannot add version florin.b: there are 100: delete versions of the deployment that are drained " +
			"(temporal worker deployment delete-version), or raise the limit: see docs/rollout.md"},
		{name: "too many requests", response: rate.Status().Err()},
		{name: "no connection", response: errors.New("connection refused")},
		{name: "a task"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused := make(chan error, 1)
			invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				return tt.response
			}
			for range 2 { // each poller is refused
				require.Equal(t, tt.response, reportRefusal(refused)(t.Context(), "Poll", nil, nil, nil, invoke))
			}
			if tt.want == "" {
				require.Empty(t, refused)
				return
			}
			require.EqualError(t, <-refused, tt.want)
			require.Empty(t, refused)
		})
	}
}
