package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// progressEvery is the time between two looks at a reconciliation that runs.
const progressEvery = time.Second

// findingsError is the error for open findings, which were printed.
type findingsError struct{ text string }

func (e findingsError) Error() string { return e.text }

// openFindings returns a findingsError if a page of open findings has any.
func openFindings(page payment.DivergencePage) error {
	switch n := len(page.Divergences); {
	case page.Next != "":
		return findingsError{fmt.Sprintf("more than %d findings are open", n)}
	case n == 1:
		return findingsError{"1 finding is open"}
	case n > 0:
		return findingsError{fmt.Sprintf("%d findings are open", n)}
	default:
		return nil
	}
}

func reconcileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare everything that a processor has with what is stored",
		Long: `Compare everything that a processor has with what is stored. It moves no money.

Except for acknowledge, the exit code is 1 if findings are open, or if a reconciliation is not complete.`,
		Example: `  starter reconcile run acme
  starter reconcile status
  starter reconcile findings --processor acme
  starter reconcile acknowledge div_0f4f1f0a-6a3b-5a0e-9d35-0f1a7c9b2e64 --by jane --reason "refunded by hand, ticket 4711"`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	acknowledge := acknowledgeCommand()
	acknowledge.Example = strings.ReplaceAll(acknowledge.Example, "divergences", "reconcile")
	cmd.AddCommand(reconcileRunCommand(), reconcileStatusCommand(), reconcileFindingsCommand(), acknowledge)
	addReconcileFile(cmd)
	return cmd
}

func reconcileRunCommand() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "run PROCESSOR",
		Short: "Reconcile a processor now, or join the reconciliation that is running, and wait for its end",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("want the name of one processor")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, processors, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			if err := processors.check(cmd.Context(), args[0]); err != nil {
				return err
			}
			id, err := client.Reconcile(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if noWait {
				return printFields(cmd.OutOrStdout(), [][2]string{{"workflow", id}})
			}
			r, err := awaitReconciliation(cmd.Context(), client, id, progressBar(cmd))
			if err != nil {
				return err
			}
			if err := printReconciliations(cmd, payment.ReconciliationPage{Reconciliations: []payment.Reconciliation{r}}); err != nil {
				return err
			}
			page, err := client.Divergences(cmd.Context(), payment.DivergenceFilter{Processor: args[0], Open: true, Limit: 500})
			if err != nil {
				return err
			}
			return openFindings(page)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "print the ID of the workflow, and do not wait for its end")
	return cmd
}

// awaitReconciliation waits for the end of a reconciliation, and calls show with its progress meanwhile.
func awaitReconciliation(
	ctx context.Context, client *florin.Client, id string, show func(payment.Reconciliation, bool),
) (payment.Reconciliation, error) {
	type result struct {
		payment.Reconciliation
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := client.WaitReconciliation(ctx, id)
		done <- result{r, err}
	}()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case r := <-done:
			show(r.Reconciliation, true)
			return r.Reconciliation, r.err
		case <-tick.C:
			if r, err := client.Reconciliation(ctx, id); err == nil { // otherwise the next look may bring it
				show(r, false)
			}
		}
	}
}

// progressBar returns a function that draws the progress on standard error, if that is a terminal and JSON is not wanted.
func progressBar(cmd *cobra.Command) func(r payment.Reconciliation, ended bool) {
	file, isFile := cmd.ErrOrStderr().(*os.File)
	if !isFile || wantsJSON(cmd) {
		return func(payment.Reconciliation, bool) {}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(payment.Reconciliation, bool) {}
	}
	return func(r payment.Reconciliation, ended bool) { drawProgress(file, r, ended) }
}

// drawProgress draws one line over the one before. How much a phase has to do is not known before its end, so that the bar counts the
// phases.
func drawProgress(w io.Writer, r payment.Reconciliation, ended bool) {
	all := payment.ReconcilePhases
	done, what := slices.Index(all, r.Phase), strings.ReplaceAll(string(r.Phase), "_", " ")
	if ended || done < 0 {
		done, what = len(all), "ended"
	}
	bar := strings.Repeat("█", done) + strings.Repeat("░", len(all)-done)
	fmt.Fprintf(w, "\r\x1b[K%s %s · %d listed · %d compared · %d looked up · %d findings", bar, oneLine(what), r.Counts.Listed,
		r.Counts.Compared, r.Counts.Checked, r.Counts.Findings)
	if ended {
		fmt.Fprintln(w)
	}
}

func reconcileStatusCommand() *cobra.Command {
	var f payment.ReconciliationFilter
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print the reconciliations, the latest first",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, processors, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			page, err := client.Reconciliations(cmd.Context(), f)
			if err != nil {
				return err
			}
			if len(page.Reconciliations) == 0 {
				if err := processors.checkKnown(cmd.Context(), client, f.Processor); err != nil {
					return err
				}
			}
			for i, r := range page.Reconciliations {
				if r.EndedAt.IsZero() { // the store has no progress
					if running, err := client.Reconciliation(cmd.Context(), r.WorkflowID); err == nil && running.RunID == r.RunID {
						page.Reconciliations[i] = running
					}
				}
			}
			if err := printReconciliations(cmd, page); err != nil {
				return err
			}
			open, err := client.Divergences(cmd.Context(), payment.DivergenceFilter{Processor: f.Processor, Open: true, Limit: 500})
			if err != nil {
				return err
			}
			return openFindings(open)
		},
	}
	cmd.Flags().StringVar(&f.Processor, "processor", "", "only those of this processor")
	cmd.Flags().IntVar(&f.Limit, "limit", 10, "maximum number of reconciliations, up to 500")
	cmd.Flags().StringVar(&f.Cursor, "cursor", "", "continue after the page that printed this cursor")
	return cmd
}

func reconcileFindingsCommand() *cobra.Command {
	f := payment.DivergenceFilter{Open: true}
	var kind string
	cmd := &cobra.Command{
		Use:   "findings",
		Short: "Print the divergences that no operator has acknowledged, the latest first",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Kind = payment.DivergenceKind(kind)
			page, err := findDivergences(cmd, f)
			if err != nil {
				return err
			}
			return openFindings(page)
		},
	}
	cmd.Flags().StringVar(&f.Processor, "processor", "", "only those at this processor")
	cmd.Flags().StringVar(&kind, "kind", "", "only those of this kind, such as missing_here")
	cmd.Flags().IntVar(&f.Limit, "limit", 500, "maximum number of findings, up to 500")
	cmd.Flags().StringVar(&f.Cursor, "cursor", "", "continue after the page that printed this cursor")
	return cmd
}

func printReconciliations(cmd *cobra.Command, page payment.ReconciliationPage) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), page)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, r := range page.Reconciliations {
		state := "running"
		switch {
		case r.Complete:
			state = "complete"
		case !r.EndedAt.IsZero():
			state = "not complete: " + r.Reason
		}
		took := ""
		if !r.EndedAt.IsZero() {
			took = r.EndedAt.Sub(r.StartedAt).Round(time.Second).String()
		}
		writeRow(table, r.StartedAt.Format(time.RFC3339), r.Processor, r.WindowFrom.Format(time.RFC3339)+" to "+r.WindowTo.Format(time.RFC3339),
			fmt.Sprintf("%d listed", r.Counts.Listed), fmt.Sprintf("%d compared", r.Counts.Compared), fmt.Sprintf("%d looked up", r.Counts.Checked),
			fmt.Sprintf("%d findings", r.Counts.Findings), took, state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "next page: --cursor %s\n", page.Next)
	}
	return nil
}
