package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	historypb "go.temporal.io/api/history/v1"

	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/replaytest"
)

func replayCommand() *cobra.Command {
	var selected selection
	cmd := &cobra.Command{
		Use:   "replay [DIR | FILE…]",
		Short: "Replay histories against this build, to check that deploying it does not break payments in flight",
		Long: `Replay histories against this build, to check that deploying it does not break payments in flight.

The commands of the replayed workflows are compared with the recorded ones: activities with their inputs and options,
timers, search attributes, update results and workflow results. Each difference is printed on a line. The exit code is 1
if there is a difference, and 0 if there is none.`,
		Example: `  starter history replay --query 'ExecutionStatus="Running"'
  starter history replay in-flight
  starter history replay workflows/testdata/histories/charge-succeeded.json.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var r replay
			if selected.isEmpty() {
				return r.files(cmd, args)
			}
			if len(args) > 0 {
				return usageError{errors.New("use either files, or --query, or --merchant and --key")}
			}
			if err := selected.check(); err != nil {
				return err
			}
			return r.temporal(cmd, selected)
		},
	}
	selected.flags(cmd)
	return cmd
}

// replay counts the replayed histories, and those that differ.
type replay struct{ histories, differ int }

// files replays files, and all files of directories.
func (r *replay) files(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("nothing to replay: name a directory or files, or use --query, or --merchant and --key")}
	}
	for _, path := range args {
		paths := []string{path}
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			paths, err = replaytest.Files(path)
		}
		if err != nil {
			return usageError{err}
		}
		for _, path := range paths {
			h, err := replaytest.Read(path)
			if err != nil {
				return usageError{err}
			}
			if err := r.check(cmd, path, h); err != nil {
				return err
			}
		}
	}
	return r.summarize(cmd)
}

// temporal replays the selected histories of the Temporal server.
func (r *replay) temporal(cmd *cobra.Command, selected selection) error {
	_, processors, closeClient, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	defer closeClient()
	if _, err := selected.each(cmd, processors.temporal, func(e execution) error {
		h, err := fetch(cmd, processors.temporal, e)
		if err != nil {
			return err
		}
		return r.check(cmd, e.workflowID, h)
	}); err != nil {
		return err
	}
	return r.summarize(cmd)
}

// check replays one history and prints each difference.
func (r *replay) check(cmd *cobra.Command, name string, h *historypb.History) error {
	differences, err := replaytest.Check(h, histories.Options)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.histories++
	if len(differences) > 0 {
		r.differ++
	}
	for _, d := range differences {
		if wantsJSON(cmd) {
			err = printJSON(cmd.OutOrStdout(), struct {
				History string `json:"history"`
				replaytest.Difference
			}{name, d})
		} else {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", oneLine(name), oneLine(d.String()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// summarize prints the totals. It returns an error if a history differs.
func (r *replay) summarize(cmd *cobra.Command) error {
	if r.differ > 0 {
		return fmt.Errorf("%d of %d histories differ: this build issues other commands than the recorded ones", r.differ, r.histories)
	}
	if !wantsJSON(cmd) {
		fmt.Fprintf(cmd.OutOrStdout(), "histories: replayed=%d differ=0\n", r.histories)
	}
	return nil
}
