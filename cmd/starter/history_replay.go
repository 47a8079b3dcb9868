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
	var wanted selection
	cmd := &cobra.Command{
		Use:   "replay [DIR | FILE…]",
		Short: "See whether this version's code does what histories have: would deploying it break payments in flight?",
		Long: `See whether this version's code does what histories have: would deploying it break payments in flight?

Every command of the workflows is compared with what was recorded: activities with all that they are given, timers, search
attributes, answers, results. Each difference is a line; the exit code is 1 if there is one, and 0 if there is none.`,
		Example: `  starter history replay --query 'ExecutionStatus="Running"'
  starter history replay in-flight
  starter history replay workflows/testdata/histories/charge-succeeded.json.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var r replay
			if wanted.isEmpty() {
				return r.files(cmd, args)
			}
			if len(args) > 0 {
				return usageError{errors.New("want files, or --query, or --merchant and --key")}
			}
			if err := wanted.check(); err != nil {
				return err
			}
			return r.temporal(cmd, wanted)
		},
	}
	wanted.flags(cmd)
	return cmd
}

// replay counts what was replayed.
type replay struct{ histories, differ int }

// files replays files and directories of them.
func (r *replay) files(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("want a directory or files, or --query, or --merchant and --key")}
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
	return r.verdict(cmd)
}

// temporal replays what the server has.
func (r *replay) temporal(cmd *cobra.Command, wanted selection) error {
	_, processors, closeClient, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	defer closeClient()
	if _, err := wanted.each(cmd, processors.temporal, func(e execution) error {
		h, err := fetch(cmd, processors.temporal, e)
		if err != nil {
			return err
		}
		return r.check(cmd, e.workflowID, h)
	}); err != nil {
		return err
	}
	return r.verdict(cmd)
}

// check prints each difference of one history.
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
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", name, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) verdict(cmd *cobra.Command) error {
	if r.differ > 0 {
		return fmt.Errorf("%d of %d histories differ: this code would do otherwise than it was recorded", r.differ, r.histories)
	}
	if !wantsJSON(cmd) {
		fmt.Fprintf(cmd.OutOrStdout(), "histories: replayed=%d differ=0\n", r.histories)
	}
	return nil
}
