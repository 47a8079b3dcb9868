package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func captureCommand() *cobra.Command {
	var amount, currency string
	var req payment.CaptureRequest
	cmd := orderCommand("capture", "Take what an authorized payment holds, or a part of it", payment.Succeeded,
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
	cmd.Flags().StringVar(&amount, "amount", "", "amount in major units; without it, all that is held")
	cmd.Flags().StringVar(&currency, "currency", "", "currency of --amount, which must be the payment's")
	return cmd
}

func voidCommand() *cobra.Command {
	return orderCommand("void", "Let go of what an authorized payment holds", payment.Voided, func() error { return nil },
		func(ctx context.Context, client *florin.Client, merchant, key string) (payment.Charge, error) {
			return client.Void(ctx, merchant, key)
		})
}

// orderCommand is capture or void: check reads what it is asked for, and want is how the payment stands once that is done.
func orderCommand(use, short string, want payment.Status, check func() error,
	order func(ctx context.Context, client *florin.Client, merchant, key string) (payment.Charge, error),
) *cobra.Command {
	var merchant, key string
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  starter " + use + " --merchant acme --key order-1",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if merchant == "" || key == "" {
				return usageError{errors.New("want --merchant and --key")}
			}
			if err := check(); err != nil {
				return err
			}
			client, _, closeClient, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			c, err := order(cmd.Context(), client, merchant, key)
			if err != nil {
				return err
			}
			if err := showCharge(cmd, c); err != nil {
				return err
			}
			return orderOutcome(use, c.Status, want)
		},
	}
	cmd.Flags().StringVar(&merchant, "merchant", "", "who is paid")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key of the charge")
	return cmd
}

// orderOutcome makes the exit code say whether the order was carried out.
func orderOutcome(order string, got, want payment.Status) error {
	switch got {
	case want:
		return nil
	case payment.Succeeded, payment.Authorized:
		return undoneError{order, got}
	default:
		return statusOf("the payment", got)
	}
}

// undoneError is an order that was not carried out, though all is well with the payment.
type undoneError struct {
	order  string
	status payment.Status
}

func (e undoneError) Error() string {
	return "the " + e.order + " was not carried out: the payment is " + string(e.status)
}
