package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func getCommand() *cobra.Command {
	var d direct
	var ask bool
	var chargeKey string
	cmd, r := readCommand("get", "Print a payment, or with --refund a refund, as it stands",
		(*florin.Client).Get, (*florin.Client).GetRefund)
	cmd.Example += `
  starter get --merchant acme --key order-1 --direct --config worker.yaml`
	cmd.Flags().BoolVar(&ask, "direct", false, "ask the processor itself, without Temporal")
	cmd.Flags().StringVar(&chargeKey, "charge-key", "", "key of the charge that a refund is of: some processors find a refund only by it, for --direct")
	d.flags(cmd)
	fromTemporal := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !ask {
			return fromTemporal(cmd, args)
		}
		if err := r.check(); err != nil {
			return err
		}
		return d.get(cmd, *r, chargeKey)
	}
	return cmd
}

func waitCommand() *cobra.Command {
	cmd, _ := readCommand("wait", "Wait until a payment, or with --refund a refund, has its final status",
		(*florin.Client).Wait, (*florin.Client).WaitRefund)
	return cmd
}

// reading is the charge or refund that get and wait are about.
type reading struct {
	merchant, key string
	isRefund      bool
}

func (r *reading) check() error {
	if r.merchant == "" || r.key == "" {
		return usageError{errors.New("want --merchant and --key")}
	}
	return nil
}

// readCommand is get or wait: they differ in what they call.
func readCommand(use, short string,
	charge func(c *florin.Client, ctx context.Context, merchantID, key string) (payment.Charge, error),
	refund func(c *florin.Client, ctx context.Context, merchantID, key string) (payment.Refund, error),
) (*cobra.Command, *reading) {
	var r reading
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  starter " + use + " --merchant acme --key order-1",
		Args:    noArguments,
	}
	cmd.Flags().StringVar(&r.merchant, "merchant", "", "who is paid")
	cmd.Flags().StringVar(&r.key, "key", "", "idempotency key of the charge or refund")
	cmd.Flags().BoolVar(&r.isRefund, "refund", false, "the key is a refund's")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := r.check(); err != nil {
			return err
		}
		client, _, closeClient, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		if r.isRefund {
			got, err := refund(client, cmd.Context(), r.merchant, r.key)
			if err != nil {
				return err
			}
			return printRefund(cmd, got)
		}
		got, err := charge(client, cmd.Context(), r.merchant, r.key)
		if err != nil {
			return err
		}
		return printCharge(cmd, got)
	}
	return cmd, &r
}
