package workflows_test

import (
	"cmp"
	"os"
	"testing"

	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/replaytest"
)

// What these payments and refunds did when they were recorded, they do with the code of today. HISTORIES names another
// directory of them.
func TestEveryRecordedHistoryReplays(t *testing.T) {
	replaytest.Run(t, cmp.Or(os.Getenv("HISTORIES"), "testdata/histories"), histories.Options)
}
