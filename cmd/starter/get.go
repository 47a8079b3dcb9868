package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func getCommand() *cobra.Command {
	return readCommand("get", "Print a payment, or with --refund a refund, as it stands",
		(*florin.Client).Get, (*florin.Client).GetRefund)
}

func waitCommand() *cobra.Command {
	return readCommand("wait", "Wait until a payment, or with --refund a refund, has its final status",
		(*florin.Client).Wait, (*florin.Client).WaitRefund)
}

// readCommand is get or wait: they differ in what they call.
func readCommand(use, short string,
	charge func(c *florin.Client, ctx context.Context, merchantID, key string) (payment.Charge, error),
	refund func(c *florin.Client, ctx context.Context, merchantID, key string) (payment.Refund, error),
) *cobra.Command {
	var merchant, key string
	var isRefund bool
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  starter " + use + " --merchant acme --key order-1",
		Args:    noArguments,
	}
	cmd.Flags().StringVar(&merchant, "merchant", "", "who is paid")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key of the charge or refund")
	cmd.Flags().BoolVar(&isRefund, "refund", false, "the key is a refund's")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if merchant == "" || key == "" {
			return usageError{errors.New("want --merchant and --key")}
		}
		client, _, closeClient, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		if isRefund {
			r, err := refund(client, cmd.Context(), merchant, key)
			if err != nil {
				return err
			}
			return printRefund(cmd, r)
		}
		c, err := charge(client, cmd.Context(), merchant, key)
		if err != nil {
			return err
		}
		return printCharge(cmd, c)
	}
	return cmd
}
