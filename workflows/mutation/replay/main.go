// Command replay replays a directory of histories with package replaytest and with the SDK's own replayer, and prints as
// JSON in how many of them each finds a difference. Command mutation builds it with mutated workflows.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/replaytest"
	"github.com/florinpay/florin/workflows"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	paths, err := replaytest.Files(dir)
	if err != nil {
		return err
	}
	result := struct {
		Histories  int    `json:"histories"`
		Replaytest int    `json:"replaytest"`
		Plain      int    `json:"plain"`
		First      string `json:"first"`
	}{Histories: len(paths)}
	for _, path := range paths {
		h, err := replaytest.Read(path)
		if err != nil {
			return err
		}
		differences, err := replaytest.Check(h, histories.Options)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(differences) > 0 {
			result.Replaytest++
			if result.First == "" {
				result.First = filepath.Base(path) + ": " + differences[0].String()
			}
		}
		if replayPlain(h) != nil {
			result.Plain++
		}
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// replayPlain replays a history with the SDK's own replayer, as replay tests usually do.
func replayPlain(h *historypb.History) error {
	replayer := worker.NewWorkflowReplayer()
	workflows.Register(replayer)
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), h)
}
