package workflows_test

import (
	"cmp"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/replaytest"
	"github.com/florinpay/florin/workflows"
)

// TestRecordedHistoriesReplay checks that the workflows issue the same commands as when the histories were recorded, so
// that payments in flight survive a deployment. The environment variable HISTORIES names another directory of histories.
func TestRecordedHistoriesReplay(t *testing.T) {
	t.Parallel()
	replaytest.Run(t, cmp.Or(os.Getenv("HISTORIES"), "testdata/histories"), histories.Options)
}

// The recorded histories are those of payments in flight: a change of them hides that new code does not replay them.
func TestRecordedHistoriesAreSealed(t *testing.T) {
	t.Parallel()
	require.NoError(t, histories.CheckSealed("testdata/histories"))
}

// A run that is reset inherits what the run before it concluded, and replays it under its own run ID.
func TestHistoryReplaysInARunThatWasReset(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"charge-waited-long", "charge-canceled-before-sent", "charge-terminated", "charge-declined"} {
		h, err := replaytest.Read("testdata/histories/" + name + ".json.gz")
		require.NoError(t, err)
		replayer := worker.NewWorkflowReplayer()
		workflows.Register(replayer)
		err = replayer.ReplayWorkflowHistoryWithOptions(nil, h, worker.ReplayWorkflowHistoryOptions{
			OriginalExecution: workflow.Execution{ID: "charge/acme/reset", RunID: "another run"},
		})
		require.NoError(t, err, name)
	}
}
