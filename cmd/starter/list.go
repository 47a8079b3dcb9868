package main

import (
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
)

func listCommand() *cobra.Command {
	var f payment.Filter
	var statuses []string
	var from, before string
	var refunds bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print payments, or with --refunds refunds, newest first",
		Example: `  starter list --merchant acme --status declined,failed
  starter list --status needs_reconciliation --from 2026-11-01T00:00:00Z
  starter list --refunds --processor stripe-eu`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			for _, s := range statuses {
				if _, ok := payment.PaymentTransitions[payment.Status(s)]; !ok {
					return usageError{fmt.Errorf("--status %q: want one of %v", s, slices.Sorted(maps.Keys(payment.PaymentTransitions)))}
				}
				f.Statuses = append(f.Statuses, payment.Status(s))
			}
			if f.CreatedFrom, err = parseTime("--from", from); err != nil {
				return err
			}
			if f.CreatedBefore, err = parseTime("--before", before); err != nil {
				return err
			}
			ofRefunds := payment.RefundFilter{
				Processor: f.Processor, CreatedFrom: f.CreatedFrom, CreatedBefore: f.CreatedBefore, Limit: f.Limit, Cursor: f.Cursor,
			}
			if refunds {
				for _, flag := range []string{"merchant", "status", "divergent"} {
					if cmd.Flags().Changed(flag) {
						return usageError{fmt.Errorf("--%s cannot be used with --refunds, which lists those of all merchants", flag)}
					}
				}
				if err := ofRefunds.Validate(); err != nil {
					return err
				}
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			if refunds {
				page, err := client.ListRefunds(cmd.Context(), ofRefunds)
				if err != nil {
					return err
				}
				return printRefundPage(cmd, page)
			}
			page, err := client.List(cmd.Context(), f)
			if err != nil {
				return err
			}
			return printPage(cmd, page)
		},
	}
	cmd.Flags().StringVar(&f.MerchantID, "merchant", "", "only payments of this merchant; without it, of all merchants")
	cmd.Flags().StringSliceVar(&statuses, "status", nil, "only payments with one of these statuses, separated by commas")
	cmd.Flags().StringVar(&f.Processor, "processor", "", "only payments of this processor")
	cmd.Flags().BoolVar(&f.Divergent, "divergent", false, "only payments that their processor contradicts: see starter divergences --open")
	cmd.Flags().BoolVar(&refunds, "refunds", false, "the refunds of all merchants at --processor, instead of payments")
	cmd.Flags().StringVar(&from, "from", "", "only payments created at this time or later, such as 2026-11-22T08:00:00Z")
	cmd.Flags().StringVar(&before, "before", "", "only payments created before this time")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "maximum number of payments, up to 500; without it, 50")
	cmd.Flags().StringVar(&f.Cursor, "cursor", "", "continue after the page that printed this cursor")
	return cmd
}

func parseTime(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, usageError{fmt.Errorf("%s %q: want an RFC 3339 time, such as 2026-11-22T08:00:00Z", flag, value)}
	}
	return at, nil
}

func printPage(cmd *cobra.Command, page payment.Page) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), page)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, c := range page.Payments {
		writeRow(table, c.CreatedAt.Format(time.RFC3339), c.MerchantID, c.IdempotencyKey, c.Money().String(), string(c.Status), c.Processor)
	}
	return flushPage(cmd, table, page.Next)
}

func printRefundPage(cmd *cobra.Command, page payment.RefundPage) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), page)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, r := range page.Refunds {
		writeRow(table, r.CreatedAt.Format(time.RFC3339), r.MerchantID, r.IdempotencyKey, r.Money().String(), string(r.Status), r.PaymentID)
	}
	return flushPage(cmd, table, page.Next)
}

// flushPage prints a table, and how to get the next page.
func flushPage(cmd *cobra.Command, table *tabwriter.Writer, next string) error {
	if err := table.Flush(); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "next page: --cursor %s\n", next)
	}
	return nil
}
