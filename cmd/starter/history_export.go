package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/histories"
)

func exportCommand() *cobra.Command {
	var wanted selection
	var dir string
	var scrub bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Save histories as files, each under the name of its workflow and run",
		Long: `Save histories as files, each under the name of its workflow and run.

With --scrub they may leave the house: payment methods, customer ids, descriptions, reasons, metadata, what operators said and
names of machines are taken out of all that was written down, and fingerprints are made anew from what is left. Ids, idempotency
keys, amounts, times and what a processor said stay. A scrubbed history replays as the original does; one that cannot, because
the request was refused for what would be taken out, is not saved, and named.`,
		Example: `  starter history export --merchant acme --key order-1
  starter history export --query 'ExecutionStatus="Running"' --scrub --dir in-flight`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := wanted.check(); err != nil {
				return err
			}
			_, processors, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
			var failed []error
			n, err := wanted.each(cmd, processors.temporal, func(e execution) error {
				path, err := export(cmd, processors.temporal, e, dir, scrub)
				if errors.Is(err, histories.ErrNotScrubbed) {
					failed = append(failed, err)
					return nil
				}
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), path)
				}
				return err
			})
			if err == nil && n == 0 {
				err = fmt.Errorf("%w: no charge or refund fits --query", florin.ErrNotFound)
			}
			return errors.Join(append(failed, err)...)
		},
	}
	wanted.flags(cmd)
	cmd.Flags().StringVar(&dir, "dir", "histories", "the directory to save them in")
	cmd.Flags().BoolVar(&scrub, "scrub", false, "take out what is personal")
	return cmd
}

func export(cmd *cobra.Command, temporal client.Client, e execution, dir string, scrub bool) (path string, err error) {
	h, err := fetch(cmd, temporal, e)
	if err != nil {
		return "", err
	}
	if scrub {
		if h, err = histories.Scrub(h); err != nil {
			return "", fmt.Errorf("workflow %s: %w", e.workflowID, err)
		}
	}
	packed, err := histories.Pack(h)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, histories.FileName(e.workflowID, e.runID))
	return path, os.WriteFile(path, packed, 0o600)
}

// fetch reads a history from Temporal.
func fetch(cmd *cobra.Command, temporal client.Client, e execution) (*historypb.History, error) {
	h, err := histories.Fetch(cmd.Context(), temporal, e.workflowID, e.runID)
	if err != nil {
		return nil, fmt.Errorf("workflow %s: %w", e.workflowID, err)
	}
	return h, nil
}
