package app

import (
	"errors"
	"runtime/debug"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// buildID names this binary, where the linker was told so: -ldflags "-X github.com/florinpay/florin/internal/app.buildID=v1.2.3".
var buildID string

// BuildID names the code of this binary, so that payments in flight stay with it: what the linker was told, or the
// revision that Go has built it from.
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
		return "", errors.New("this binary does not know what it was built from: build it in its git repository with go build, or set worker.build_id")
	}
	return revision[:min(len(revision), 12)] + modified, nil
}

// deployment is how the workers take part in Temporal's worker versioning: not at all, or as this build of the named
// deployment, whose payments are finished by the build that began them.
func (w Worker) deployment() (options worker.DeploymentOptions, err error) {
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
