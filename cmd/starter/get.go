package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func getCommand() *cobra.Command {
	var d direct
	var isDirect, asks bool
	var chargeKey string
	cmd, s := readCommand("get", "Print the current state of a payment, or with --refund of a refund",
		(*florin.Client).Get, (*florin.Client).GetRefund)
	cmd.Example += `
  starter get --merchant acme --key order-1 --ask-processor
  starter get --merchant acme --key order-1 --direct --config worker.yaml`
	cmd.Flags().BoolVar(&asks, "ask-processor", false,
		"let a worker read the payment from its processor; works for every adapter, and needs no secrets")
	cmd.Flags().BoolVar(&isDirect, "direct", false,
		"read the payment from the processor without Temporal and worker; knows the built-in adapters, and needs the API key")
	cmd.Flags().StringVar(&chargeKey, "charge-key", "",
		"with --ask-processor or --direct, and --refund, the key of the refunded charge: some processors find a refund only by its charge")
	d.flags(cmd)
	fromTemporal := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := s.check(); err != nil {
			return err
		}
		switch {
		case asks && isDirect:
			return usageError{errors.New("--ask-processor and --direct cannot be used together: use one of them")}
		case asks && d.config != "":
			return usageError{errors.New("--config can be used only with --direct: with --ask-processor, the worker has the configuration")}
		case isDirect && chargeKey != "" && s.refundID != "":
			return usageError{errors.New("--charge-key with --direct needs --merchant and --key instead of --refund-id: " +
				"the merchant of the charge cannot be derived")}
		case asks:
			return ask(cmd, *s, d.processor, chargeKey)
		case isDirect:
			return d.get(cmd, *s, chargeKey)
		default:
			return fromTemporal(cmd, args)
		}
	}
	return cmd
}

func waitCommand() *cobra.Command {
	cmd, _ := readCommand("wait", "Wait for the final status of a payment, or with --refund of a refund",
		(*florin.Client).Wait, (*florin.Client).WaitRefund)
	return cmd
}

// readCommand returns the command get or wait, which differ in the method of the client that they call.
func readCommand(use, short string,
	charge func(c *florin.Client, ctx context.Context, merchantID, key string) (payment.Charge, error),
	refund func(c *florin.Client, ctx context.Context, merchantID, key string) (payment.Refund, error),
) (*cobra.Command, *subject) {
	var s subject
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  starter " + use + " --merchant acme --key order-1\n  starter " + use + " --payment-id pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc",
		Args:    noArguments,
	}
	s.flags(cmd, true)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := s.check(); err != nil {
			return err
		}
		client, _, closeClient, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		if err := s.identify(cmd.Context(), client); err != nil {
			return withReference(err, s.lookup())
		}
		if s.isRefund {
			got, err := refund(client, cmd.Context(), s.merchant, s.key)
			if err != nil {
				return withReference(err, s.lookup())
			}
			return printRefund(cmd, got)
		}
		got, err := charge(client, cmd.Context(), s.merchant, s.key)
		if err != nil {
			return withReference(err, s.lookup())
		}
		return printCharge(cmd, got)
	}
	return cmd, &s
}

// withReference adds to "not found" what to look for at the processor.
func withReference(err error, call processor.LookupCall) error {
	if errors.Is(err, florin.ErrNotFound) {
		return fmt.Errorf("%w; at a processor, the %s would have the reference %s", err, call.Operation, call.Reference)
	}
	return err
}
