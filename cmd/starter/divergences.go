package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
)

func divergencesCommand() *cobra.Command {
	var f payment.DivergenceFilter
	var kind string
	cmd := &cobra.Command{
		Use:   "divergences",
		Short: "Print where processors contradict final payments and refunds, the latest first",
		Example: `  starter divergences --open
  starter divergences --payment pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc
  starter divergences acknowledge div_0f4f1f0a-6a3b-5a0e-9d35-0f1a7c9b2e64 --by jane`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Kind = payment.DivergenceKind(kind)
			_, err := findDivergences(cmd, f)
			return err
		},
	}
	cmd.Flags().StringVar(&f.MerchantID, "merchant", "", "only those of this merchant; without it, of all merchants")
	cmd.Flags().StringVar(&f.PaymentID, "payment", "", "only those of the payment with this ID, such as pay_…, and of its refunds")
	cmd.Flags().StringVar(&kind, "kind", "", "only those of this kind, such as status or dispute")
	cmd.Flags().BoolVar(&f.Open, "open", false, "only those that no operator has acknowledged")
	cmd.Flags().StringVar(&f.Processor, "processor", "", "only those at this processor")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "maximum number of divergences, up to 500; without it, 50")
	cmd.Flags().StringVar(&f.Cursor, "cursor", "", "continue after the page that printed this cursor")
	cmd.AddCommand(acknowledgeCommand())
	return cmd
}

// findDivergences prints a page of divergences, and returns it.
func findDivergences(cmd *cobra.Command, f payment.DivergenceFilter) (page payment.DivergencePage, err error) {
	if f.Kind != "" && !slices.Contains(payment.DivergenceKinds, f.Kind) {
		return page, usageError{fmt.Errorf("--kind %q: want one of %v", f.Kind, payment.DivergenceKinds)}
	}
	client, processors, closeClient, err := connect(cmd.Context())
	if err != nil {
		return page, err
	}
	defer closeClient()
	if page, err = client.Divergences(cmd.Context(), f); err != nil {
		return page, err
	}
	if len(page.Divergences) == 0 {
		if err := processors.checkKnown(cmd.Context(), client, f.Processor); err != nil {
			return page, err
		}
	}
	return page, printDivergences(cmd, page)
}

func acknowledgeCommand() *cobra.Command {
	var a payment.Acknowledgement
	cmd := &cobra.Command{
		Use:     "acknowledge DIVERGENCE",
		Short:   "Record that an operator has dealt with a divergence; it cannot be undone",
		Example: `  starter divergences acknowledge div_0f4f1f0a-6a3b-5a0e-9d35-0f1a7c9b2e64 --by jane`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("want the ID of one divergence, such as div_…")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.DivergenceID = args[0]
			if err := a.Validate(); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			d, err := client.Acknowledge(cmd.Context(), a)
			if err != nil {
				return err
			}
			return printDivergences(cmd, payment.DivergencePage{Divergences: []payment.Divergence{d}})
		},
	}
	cmd.Flags().StringVar(&a.By, "by", "", "name of the operator who has dealt with it")
	cmd.Flags().StringVar(&a.Reason, "reason", "", "what the operator has found out and done; it may be omitted")
	return cmd
}

func printDivergences(cmd *cobra.Command, page payment.DivergencePage) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), page)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, d := range page.Divergences {
		about := d.PaymentID
		switch {
		case d.RefundID != "":
			about = d.RefundID
		case d.PaymentID == "":
			about = d.Processor + " " + d.ProcessorRecordID
		}
		state := "open"
		if d.AcknowledgedBy != "" {
			state = "acknowledged by " + d.AcknowledgedBy
		}
		if d.AcknowledgedReason != "" {
			state += ": " + d.AcknowledgedReason
		}
		writeRow(table, d.DetectedAt.Format(time.RFC3339), d.DivergenceID, d.MerchantID, about, string(d.Kind), statusesText(d),
			evidenceText(d), state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "next page: --cursor %s\n", page.Next)
	}
	return nil
}

// statusesText returns the status here, and the one at the processor if it is another.
func statusesText(d payment.Divergence) string {
	switch {
	case d.StatusThere == "" || d.StatusThere == string(d.StatusHere):
		return string(d.StatusHere)
	case d.StatusHere == "":
		return d.StatusThere + " there"
	}
	return fmt.Sprintf("%s here, %s there", d.StatusHere, d.StatusThere)
}

func evidenceText(d payment.Divergence) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(d.Evidence)) {
		all = append(all, key+"="+d.Evidence[key])
	}
	return strings.Join(all, ", ")
}
