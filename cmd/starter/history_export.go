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
	var selected selection
	var dir string
	var scrub bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Save histories as files, named after the workflow and the run",
		Long: `Save histories as files, named after the workflow and the run.

With --scrub, the files can be shared outside the company. Payment methods, customer IDs, descriptions, reasons, metadata,
the names and evidence of operators, and host names are removed from all events, and fingerprints are recomputed from the
remaining data. IDs, idempotency keys, amounts, times and the processor's responses stay. A scrubbed history replays like
the original. If it cannot, because the request was refused for data that --scrub removes, the command does not save the
history and prints an error that names the workflow.`,
		Example: `  starter history export --merchant acme --key order-1
  starter history export --query 'ExecutionStatus="Running"' --scrub --dir in-flight`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := selected.check(); err != nil {
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
			n, err := selected.each(cmd, processors.temporal, func(e execution) error {
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
				err = fmt.Errorf("%w: no charge or refund matches --query", florin.ErrNotFound)
			}
			return errors.Join(append(failed, err)...)
		},
	}
	selected.flags(cmd)
	cmd.Flags().StringVar(&dir, "dir", "histories", "directory for the files")
	cmd.Flags().BoolVar(&scrub, "scrub", false, "remove personal data")
	return cmd
}

// export saves one history and returns the path of its file. The error is histories.ErrNotScrubbed if the history cannot be
// scrubbed.
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

// fetch reads the history of a workflow run from Temporal.
func fetch(cmd *cobra.Command, temporal client.Client, e execution) (*historypb.History, error) {
	h, err := histories.Fetch(cmd.Context(), temporal, e.workflowID, e.runID)
	if err != nil {
		return nil, fmt.Errorf("workflow %s: %w", e.workflowID, err)
	}
	return h, nil
}
