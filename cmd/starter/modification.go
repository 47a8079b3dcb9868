package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func captureCommand() *cobra.Command {
	var amount, currency string
	var req payment.CaptureRequest
	cmd := modificationCommand("capture", "Capture an authorized payment, or a part of it",
		func() error {
			req.Currency = currency
			if amount != "" {
				req.Amount = new(int64)
				if err := readAmount(amount, currency, req.Amount); err != nil {
					return allProblems(err, nil)
				}
			}
			return req.Validate()
		},
		func(ctx context.Context, client *florin.Client, merchant, key string) (payment.Charge, error) {
			return client.Capture(ctx, merchant, key, req)
		})
	cmd.Example += "\n  starter capture --merchant acme --key order-1 --amount 10.00 --currency USD"
	cmd.Flags().StringVar(&amount, "amount", "",
		"amount in major units, such as 10.00; without it, the whole authorized amount")
	cmd.Flags().StringVar(&currency, "currency", "", "currency of --amount; must be the currency of the payment")
	return cmd
}

func voidCommand() *cobra.Command {
	return modificationCommand("void", "Void an authorized payment: release the authorized amount",
		func() error { return nil },
		func(ctx context.Context, client *florin.Client, merchant, key string) (payment.Charge, error) {
			return client.Void(ctx, merchant, key)
		})
}

// modificationCommand returns the command capture or void. check reads and validates its flags.
func modificationCommand(use, short string, check func() error,
	modify func(ctx context.Context, client *florin.Client, merchant, key string) (payment.Charge, error),
) *cobra.Command {
	var s subject
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  starter " + use + " --merchant acme --key order-1\n  starter " + use + " --payment-id pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			if err := check(); err != nil {
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
			c, err := modify(cmd.Context(), client, s.merchant, s.key)
			if c.PaymentID != "" { // also with an error, as far as the payment is known
				if err := writeCharge(cmd, c); err != nil {
					return err
				}
			}
			return err
		},
	}
	s.flags(cmd, false)
	return cmd
}
