package workercli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/processor/audit"
)

func auditCommand() *cobra.Command {
	command := &cobra.Command{Use: "audit", Short: "Check the audit log", Args: cobra.NoArgs}
	command.AddCommand(verifyCommand())
	return command
}

func verifyCommand() *cobra.Command {
	var part bool
	var last []string
	command := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Report records of the audit log that were changed, removed or inserted",
		Long: `Report records of the audit log that were changed, removed or inserted. Needs no configuration and changes nothing.

The files are read in the given order, the oldest first: audit-*.log* audit.log. Compressed files are read, too.
The exit code is 1 if there is a fault. A log whose process still runs has no end yet: use --part.

Records that were cut off the end of such a log are only found with --expect-last. The worker logs its position in
the audit log as "position of the audit log", with seq and hash: keep these lines apart from the audit log.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			o := audit.VerifyOptions{Part: part}
			for _, text := range last {
				anchor, err := parseAnchor(text)
				if err != nil {
					return err
				}
				o.Last = append(o.Last, anchor)
			}
			report, err := audit.Verify(files, o)
			if err != nil {
				return err
			}
			return printReport(cmd, report)
		},
	}
	command.Flags().BoolVar(&part, "part", false, "the files are only a part of the log, or its process still runs")
	command.Flags().StringArrayVar(&last, "expect-last", nil, "`SEQ:HASH` of a record that must be in the files; may be repeated")
	return command
}

// parseAnchor parses SEQ:HASH.
func parseAnchor(text string) (audit.Anchor, error) {
	number, sum, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	if decoded, invalid := hex.DecodeString(sum); err != nil || invalid != nil || len(decoded) != 32 {
		return audit.Anchor{}, fmt.Errorf("--expect-last %q: want SEQ:HASH, the seq and the hash of a logged position of the audit log",
			text)
	}
	return audit.Anchor{Seq: seq, Hash: strings.ToLower(sum)}, nil
}

var errTampered = errors.New("the audit log is incomplete or was changed: see docs/runbook.md#a-tampered-or-incomplete-audit-log")

func printReport(cmd *cobra.Command, r audit.Report) error {
	for _, c := range r.Chains {
		state := "no end record"
		if c.Ended {
			state = "ended"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "chain %s: records %d to %d, %s to %s, %s", c.First.Chain, c.First.Seq, c.Last.Seq,
			c.From.Format(time.RFC3339), c.To.Format(time.RFC3339), state)
		if c.Lost > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), ", %d records could not be written", c.Lost)
		}
		fmt.Fprintf(cmd.OutOrStdout(), ", last %d:%s\n", c.Last.Seq, c.Last.Hash)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(cmd.OutOrStdout(), "note:", note)
	}
	for _, fault := range r.Faults {
		fmt.Fprintln(cmd.OutOrStdout(), "fault:", fault)
	}
	if len(r.Faults) > 0 {
		return errTampered
	}
	return nil
}
