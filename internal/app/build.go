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

// BuildID returns the name of the code of this binary, for worker versioning: the one that the linker has set, or the revision that
// Go recorded.
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

// deploymentOptions are those of Temporal's worker versioning: off, or this build of the named deployment, whose payments are
// finished by the build that began them.
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
