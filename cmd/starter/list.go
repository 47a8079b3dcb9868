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
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print payments, newest first",
		Example: `  starter list --merchant acme --status declined,failed
  starter list --status needs_reconciliation --from 2026-11-01T00:00:00Z`,
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
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			page, err := client.List(cmd.Context(), f)
			if err != nil {
				return err
			}
			return printPage(cmd, page)
		},
	}
	cmd.Flags().StringVar(&f.MerchantID, "merchant", "", "whose payments; everybody's if left out")
	cmd.Flags().StringSliceVar(&statuses, "status", nil, "one or more, separated by commas")
	cmd.Flags().StringVar(&f.Processor, "processor", "", "only of this processor")
	cmd.Flags().StringVar(&from, "from", "", "created at this time or later, as 2026-11-22T08:00:00Z")
	cmd.Flags().StringVar(&before, "before", "", "created before this time")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "payments on a page, at most 500; 50 if left out")
	cmd.Flags().StringVar(&f.Cursor, "cursor", "", "go on after the page that ended with it")
	return cmd
}

func parseTime(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, usageError{fmt.Errorf("%s %q: want a time such as 2026-11-22T08:00:00Z", flag, value)}
	}
	return at, nil
}

func printPage(cmd *cobra.Command, page payment.Page) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), page)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, c := range page.Payments {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", c.CreatedAt.Format(time.RFC3339), c.MerchantID, c.IdempotencyKey, c.Money(), c.Status, c.Processor)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "more: --cursor %s\n", page.Next)
	}
	return nil
}
