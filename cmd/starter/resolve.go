package main

import (
	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
)

func resolveCommand() *cobra.Command {
	var s subject
	var status string
	var resolution payment.Resolution
	cmd := &cobra.Command{
		Use:   "resolve",
		Short: "Resolve a payment, or with --refund a refund, whose outcome the processor does not report",
		Example: `  starter resolve --merchant acme --key order-1 --status succeeded --processor-id ch_123 --by jane --evidence "dashboard, ticket 4711"
  starter resolve --merchant acme --key order-1 --status failed --by jane --evidence "not in the dashboard, ticket 4711"
  starter resolve --refund-id ref_0f4f1f0a-6a3b-5a0e-9d35-0f1a7c9b2e64 --status succeeded --processor-id re_123 --by jane --evidence "the dashboard"`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			resolution.Status = payment.Status(status)
			statuses := payment.ResolvedPaymentStatuses
			if s.isRefund {
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
			if err := s.identify(cmd.Context(), client); err != nil {
				return err
			}
			if s.isRefund {
				r, err := client.ResolveRefund(cmd.Context(), s.merchant, s.key, resolution)
				if err != nil {
					return err
				}
				return printRefund(cmd, r)
			}
			c, err := client.Resolve(cmd.Context(), s.merchant, s.key, resolution)
			if err != nil {
				return err
			}
			return printCharge(cmd, c)
		},
	}
	s.flags(cmd, true)
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
