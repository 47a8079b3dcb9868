package workflows_test

import (
	"cmp"
	"os"
	"testing"

	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/replaytest"
)

// TestRecordedHistoriesReplay checks that the workflows issue the same commands as when the histories were recorded, so
// that payments in flight survive a deployment. The environment variable HISTORIES names another directory of histories.
func TestRecordedHistoriesReplay(t *testing.T) {
	replaytest.Run(t, cmp.Or(os.Getenv("HISTORIES"), "testdata/histories"), histories.Options)
}
