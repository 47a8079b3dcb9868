package app

import (
	"errors"
	"runtime/debug"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

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
// worker is a version of the deployment, and a payment is finished by the build that began it.
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
