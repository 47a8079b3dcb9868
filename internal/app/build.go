package app

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/florinpay/florin/internal/config"
)

// buildID names this binary if the linker sets it: -ldflags "-X github.com/florinpay/florin/internal/app.buildID=v1.2.3".
var buildID string

// BuildID returns the build ID of this binary for worker versioning: the one that the linker has set, or the revision that Go has
// recorded. It returns an error if there is neither.
func BuildID() (string, error) {
	if buildID != "" {
		return buildID, nil
	}
	var revision, modified string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				revision = setting.Value
			case "vcs.modified":
				if setting.Value == "true" {
					modified = "-modified"
				}
			}
		}
	}
	if revision == "" {
		return "", errors.New("this binary has no build information: build it in its git repository with go build, or set worker.build_id")
	}
	return revision[:min(len(revision), 12)] + modified, nil
}

// deploymentOptions returns the options of Temporal's worker versioning. It is off if no deployment is configured. Otherwise the
// worker is a version of the deployment, and a run of a workflow is finished by the build that began it.
func deploymentOptions(w config.Worker) (options worker.DeploymentOptions, err error) {
	if w.Deployment == "" {
		return options, nil
	}
	id := w.BuildID
	if id == "" {
		if id, err = BuildID(); err != nil {
			return options, err
		}
	}
	return worker.DeploymentOptions{
		UseVersioning:             true,
		Version:                   worker.WorkerDeploymentVersion{DeploymentName: w.Deployment, BuildID: id},
		DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
	}, nil
}

// WatchRefusals makes a client that is created with the options report if Temporal refuses a worker's version, because the deployment
// has as many as Temporal allows. A worker would only log that, and poll forever in vain. The channel receives the first refusal, as an
// error that names the remedy.
func WatchRefusals(o *client.Options) <-chan error {
	refused := make(chan error, 1)
	o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions, grpc.WithChainUnaryInterceptor(reportRefusal(refused)))
	return refused
}

// reportRefusal returns an interceptor that sends a refusal to the channel, unless it is full.
func reportRefusal(refused chan<- error) grpc.UnaryClientInterceptor {
	return func(
		ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption,
	) error {
		err := invoke(ctx, method, req, reply, cc, o...)
		var exhausted *serviceerror.ResourceExhausted
		if errors.As(serviceerror.FromStatus(status.Convert(err)), &exhausted) &&
			exhausted.Cause == enumspb.RESOURCE_EXHAUSTED_CAUSE_WORKER_DEPLOYMENT_LIMITS {
			select {
			case refused <- fmt.Errorf("the Temporal server refuses this build: %s: delete versions of the deployment that are drained "+
				"(temporal worker deployment delete-version), or raise the limit: see docs/rollout.md", exhausted.Message):
			default:
			}
		}
		return err
	}
}
