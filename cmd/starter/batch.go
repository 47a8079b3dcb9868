package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func batchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "batch", Short: "Submit a file of charges and refunds of any size, and watch and control its execution", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(batchSubmitCommand(), batchStatusCommand(), batchResultsCommand(), batchWaitCommand(),
		batchControlCommand(payment.BatchPause, "Start no further lines until the batch is resumed; what runs goes on"),
		batchControlCommand(payment.BatchResume, "End the pause of a batch"),
		batchControlCommand(payment.BatchCancel, "Never start a further line of a batch; what runs goes on"),
		batchControlCommand(payment.BatchRate, "Change how many lines are started per second, or are in flight"))
	return cmd
}

// batchArgument accepts the name of one batch.
func batchArgument(_ *cobra.Command, args []string) error {
	if len(args) != 1 || !payment.IsBatchName(args[0]) {
		return usageError{errors.New("want the name of one batch, as starter batch submit has printed it")}
	}
	return nil
}

func batchStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status NAME", Short: "Print the state and the numbers of a batch", Args: batchArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			b, err := client.Batch(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printBatch(cmd, b)
		},
	}
}

// printBatch prints a batch, whatever its state is.
func printBatch(cmd *cobra.Command, b payment.Batch) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), b)
	}
	rate := "as many as may be in flight"
	if b.PerSecond > 0 {
		rate = strconv.FormatFloat(b.PerSecond, 'g', 6, 64) + " per second"
	}
	change := ""
	if b.Revision > 0 {
		change = fmt.Sprintf("%s by %s: %s", b.At.Format(time.RFC3339), b.By, b.Reason)
	}
	received := ""
	if b.Received < b.Lines {
		received = fmt.Sprintf("%d of them were handed over", b.Received)
	}
	return printFields(cmd.OutOrStdout(), [][2]string{
		{"batch", b.Name},
		{"state", string(b.State)},
		{"lines", strings.TrimSpace(fmt.Sprintf("%d %s", b.Lines, received))},
		{"results", countsText(b)},
		{"in flight", fmt.Sprintf("at most %d", b.InFlight)},
		{"started", rate},
		{"progress", progressText(b, time.Now())},
		{"latest change", change},
		{"workflow", payment.BatchWorkflowID(b.Name)},
	})
}

func countsText(b payment.Batch) string {
	return fmt.Sprintf("waiting=%d open=%d succeeded=%d authorized=%d declined=%d failed=%d conflicted=%d refused=%d",
		b.Waiting, b.Open, b.Succeeded, b.Authorized, b.Declined, b.Failed, b.Conflicted, b.Refused)
}

// progressText returns the average rate of a batch and the time that is left, or how long it took.
func progressText(b payment.Batch, now time.Time) string {
	if b.StartedAt.IsZero() {
		return ""
	}
	if b.Finished() {
		now = b.FinishedAt
	}
	took := now.Sub(b.StartedAt)
	if took <= 0 || b.Ended() == 0 {
		return ""
	}
	perSecond := float64(b.Ended()) / took.Seconds()
	text := fmt.Sprintf("%d of %d in %s, %.1f per second", b.Ended(), b.Lines, took.Round(time.Second), perSecond)
	if b.State == payment.BatchRunning {
		left := time.Duration(float64(b.Waiting+b.Open) / perSecond * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

func batchResultsCommand() *cobra.Command {
	var f payment.BatchLineFilter
	var status, output string
	cmd := &cobra.Command{
		Use: "results NAME", Short: "Print what has become of the lines of a batch, in the order of the file", Args: batchArgument,
		Example: `  starter batch results june --status declined
  starter batch results june --output june-results.csv`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			f.Name, f.Status, f.Limit = args[0], payment.Status(status), 500
			if err := f.Validate(); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			to := cmd.OutOrStdout()
			asJSON := wantsJSON(cmd)
			if output != "" {
				file, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
				if err != nil {
					return usageError{err}
				}
				defer func() { err = errors.Join(err, file.Close()) }()
				to, asJSON = file, asJSON || strings.HasPrefix(strings.ToLower(filepath.Ext(output)), ".json")
			}
			return writeResults(cmd.Context(), client, f, to, asJSON)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only lines with this status: waiting, open, succeeded, authorized, declined, failed, voided, expired, conflicted or refused")
	cmd.Flags().StringVar(&output, "output", "", "write them to this new file instead: JSON lines if its name ends with .jsonl, and CSV otherwise")
	return cmd
}

// batchLister lists lines; a florin.Client implements it.
type batchLister interface {
	BatchLines(ctx context.Context, f payment.BatchLineFilter) (payment.BatchLinePage, error)
}

var resultColumns = []string{
	"line", "operation", "merchant_id", "idempotency_key", "id", "status", "current", "amount", "currency", "why",
}

// writeResults writes the lines page by page: JSON on a line each, or CSV.
func writeResults(ctx context.Context, client batchLister, f payment.BatchLineFilter, to io.Writer, asJSON bool) error {
	table := csv.NewWriter(to)
	if !asJSON {
		if err := table.Write(resultColumns); err != nil {
			return err
		}
	}
	for {
		page, err := client.BatchLines(ctx, f)
		if err != nil {
			return err
		}
		for _, l := range page.Lines {
			if asJSON {
				err = writeJSON(to, l, "")
			} else {
				err = table.Write(resultCells(l))
			}
			if err != nil {
				return err
			}
		}
		if table.Flush(); table.Error() != nil {
			return table.Error()
		}
		if page.Next == 0 {
			return nil
		}
		f.After = page.Next
	}
}

func resultCells(l payment.BatchResult) []string {
	amount := ""
	if l.Amount != 0 {
		amount = payment.Money{Amount: l.Amount, Currency: l.Currency}.Decimal()
	}
	why := l.Refusal + declineText(l.Decline) + l.Failure.String()
	cells := []string{
		strconv.FormatInt(l.Line, 10), string(l.Operation), l.MerchantID, l.IdempotencyKey, l.ID, string(l.Status), string(l.Current), amount, l.Currency, why,
	}
	for i := range cells {
		if cells[i] = oneLine(cells[i]); strings.ContainsAny(cells[i][:min(len(cells[i]), 1)], "=+-@") {
			cells[i] = "'" + cells[i] // a spreadsheet would execute it as a formula
		}
	}
	return cells
}

func batchWaitCommand() *cobra.Command {
	var summary string
	var every time.Duration
	cmd := &cobra.Command{
		Use: "wait NAME", Short: "Wait until every line of a batch has ended, with a progress bar", Args: batchArgument,
		Long: `Wait until every line of a batch has ended; of a canceled one, every line that was started. The exit code is that of the worst line:
5 if one is conflicted, then 4 if one failed or was refused, or the batch was canceled, then 3 if one was declined.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			b, err := awaitBatch(cmd, client.Batch, args[0], every)
			if err != nil {
				return err
			}
			if summary != "" {
				if err := writeSummary(summary, b); err != nil {
					return err
				}
			}
			if err := printBatch(cmd, b); err != nil {
				return err
			}
			return batchOutcome(b)
		},
	}
	cmd.Flags().StringVar(&summary, "summary", "", "write the numbers to this file, as JSON, at the end")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often the batch is read")
	return cmd
}

// awaitBatch reads a batch until it has finished. A read that fails is repeated for some time.
func awaitBatch(
	cmd *cobra.Command, read func(context.Context, string) (payment.Batch, error), name string, every time.Duration,
) (payment.Batch, error) {
	if every < 100*time.Millisecond {
		return payment.Batch{}, usageError{fmt.Errorf("--every %s: want 100ms or more", every)}
	}
	var bar *progressbar.ProgressBar
	for failingSince := (time.Time{}); ; {
		b, err := read(cmd.Context(), name)
		var refusal payment.RefusalCode
		switch {
		case err == nil:
			failingSince = time.Time{}
			if bar == nil {
				bar = batchBar(cmd, b.Lines, "batch "+name)
			}
			_ = bar.Set64(b.Ended()) // what cannot be drawn does not matter
		case errors.As(err, &refusal), !failingSince.IsZero() && time.Since(failingSince) > submitPatience:
			return b, err
		case failingSince.IsZero():
			failingSince = time.Now()
		}
		if err == nil && b.Finished() {
			_ = bar.Exit()
			return b, nil
		}
		select {
		case <-cmd.Context().Done():
			return b, errors.Join(florin.ErrOutcomePending, cmd.Context().Err())
		case <-time.After(every):
		}
	}
}

func writeSummary(path string, b payment.Batch) error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// batchOutcome returns the error of the worst line of a batch that has finished.
func batchOutcome(b payment.Batch) error {
	switch what := "the batch has lines that ended as"; {
	case b.Conflicted > 0:
		return statusError{what + " conflicted: it", payment.Conflicted}
	case b.Failed+b.Refused > 0:
		return statusError{fmt.Sprintf("%d lines failed, and %d were refused: the worst", b.Failed, b.Refused), payment.Failed}
	case b.State == payment.BatchCanceled && b.Waiting > 0:
		return statusError{fmt.Sprintf("the batch was canceled, and %d lines were never started: the worst", b.Waiting), payment.Failed}
	case b.Declined > 0:
		return statusError{fmt.Sprintf("%d lines were declined: the worst", b.Declined), payment.Declined}
	default:
		return nil
	}
}

func batchControlCommand(action payment.BatchAction, short string) *cobra.Command {
	change := payment.BatchChange{Action: action}
	example := `  starter batch ` + string(action) + ` june --by jane --reason "acme's incident 4711"`
	var perSecond float64
	cmd := &cobra.Command{
		Use: string(action) + " NAME", Short: short, Example: example, Args: batchArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			change.Name = args[0]
			if cmd.Flags().Changed("per-second") {
				change.PerSecond = &perSecond
			}
			if err := change.Validate(); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			b, err := client.ControlBatch(cmd.Context(), change)
			if err != nil {
				return err
			}
			return printBatch(cmd, b)
		},
	}
	cmd.Flags().StringVar(&change.By, "by", "", "name of the operator who decides it")
	cmd.Flags().StringVar(&change.Reason, "reason", "", "why; it is recorded forever")
	if action == payment.BatchRate {
		cmd.Example += " --per-second 20"
		cmd.Flags().Float64Var(&perSecond, "per-second", 0, "how many lines are started per second at most; 0: as many as may be in flight")
		cmd.Flags().IntVar(&change.InFlight, "in-flight", 0, "how many lines may be in flight")
	}
	return cmd
}
