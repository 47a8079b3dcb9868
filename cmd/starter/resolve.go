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
		Use:     "resolve",
		Short:   "Say how a payment, or with --refund a refund, ended of which the processor tells nothing",
		Example: `  starter resolve --merchant acme --key order-1 --status failed --by jane --evidence "not in the dashboard, ticket 4711"`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if merchant == "" || key == "" {
				return usageError{errors.New("want --merchant and --key")}
			}
			resolution.Status = payment.Status(status)
			statuses := payment.ResolvedPayment
			if isRefund {
				statuses = payment.ResolvedRefund
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
	cmd.Flags().StringVar(&merchant, "merchant", "", "who is paid")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key of the charge or refund")
	cmd.Flags().BoolVar(&isRefund, "refund", false, "the key is a refund's")
	cmd.Flags().StringVar(&status, "status", "", "how it ended, such as succeeded or failed")
	cmd.Flags().StringVar(&resolution.By, "by", "", "who says so")
	cmd.Flags().Int64Var(&resolution.CapturedAmount, "captured", 0, "what the processor has taken, in minor units, of a payment that was to be held first")
	cmd.Flags().StringVar(&resolution.ProcessorID, "processor-id", "", "the processor's id of the payment or refund")
	cmd.Flags().StringVar(&resolution.Evidence, "evidence", "", "what was seen, and where")
	return cmd
}
