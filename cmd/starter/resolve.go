package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
)

func resolveCommand() *cobra.Command {
	var merchant, key, status string
	var resolution payment.Resolution
	var isRefund bool
	cmd := &cobra.Command{
		Use:   "resolve",
		Short: "Resolve a payment, or with --refund a refund, whose outcome the processor does not report",
		Example: `  starter resolve --merchant acme --key order-1 --status succeeded --processor-id ch_123 --by jane --evidence "dashboard, ticket 4711"
  starter resolve --merchant acme --key order-1 --status failed --by jane --evidence "not in the dashboard, ticket 4711"`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if merchant == "" || key == "" {
				return usageError{errors.New("--merchant and --key are required")}
			}
			resolution.Status = payment.Status(status)
			statuses := payment.ResolvedPaymentStatuses
			if isRefund {
				statuses = payment.ResolvedRefundStatuses
			}
			if err := resolution.Validate(statuses); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			if isRefund {
				r, err := client.ResolveRefund(cmd.Context(), merchant, key, resolution)
				if err != nil {
					return err
				}
				return printRefund(cmd, r)
			}
			c, err := client.Resolve(cmd.Context(), merchant, key, resolution)
			if err != nil {
				return err
			}
			return printCharge(cmd, c)
		},
	}
	cmd.Flags().StringVar(&merchant, "merchant", "", "ID of the merchant")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key of the charge or refund")
	cmd.Flags().BoolVar(&isRefund, "refund", false, "--key names a refund instead of a charge")
	cmd.Flags().StringVar(&status, "status", "", "the outcome, such as succeeded or failed")
	cmd.Flags().StringVar(&resolution.By, "by", "", "name of the operator who resolves it")
	cmd.Flags().Int64Var(&resolution.CapturedAmount, "captured", 0,
		"for a charge with manual capture, the amount that the processor captured, in minor units")
	cmd.Flags().StringVar(&resolution.ProcessorID, "processor-id", "", "ID of the payment or refund at the processor")
	cmd.Flags().BoolVar(&resolution.WithoutProcessorID, "without-processor-id", false,
		"resolve as succeeded although the ID at the processor is not found: a payment without it cannot be refunded")
	cmd.Flags().StringVar(&resolution.Evidence, "evidence", "", "what shows the outcome, and where it was seen")
	return cmd
}
