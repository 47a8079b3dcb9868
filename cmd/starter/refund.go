package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
)

func refundCommand() *cobra.Command {
	var req payment.RefundRequest
	var amount, chargeKey string
	cmd := &cobra.Command{
		Use:   "refund",
		Short: "Refund a payment, or a part of it, and wait for the outcome",
		Example: `  starter refund --merchant acme --key refund-1 --charge-key order-1
  starter refund --merchant acme --key refund-2 --payment pay_… --amount 5.00 --currency USD`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.MerchantID, "merchant", "", "ID of the merchant that was paid")
	keyFlags(flags, &req.IdempotencyKey, "refund")
	flags.StringVar(&req.PaymentID, "payment", "", "ID of the payment")
	flags.StringVar(&chargeKey, "charge-key", "", "idempotency key of the charge, instead of --payment")
	flags.StringVar(&amount, "amount", "", "amount in major units, such as 5.00; without it, the whole remaining amount")
	flags.StringVar(&req.Currency, "currency", "", "currency of --amount")
	flags.StringVar(&req.Reason, "reason", "", "reason for the refund")
	flags.Var(metadataFlag{&req.Metadata}, "metadata", "a pair, taken as it is; repeat the flag for more pairs")

	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if chargeKey != "" && req.PaymentID != "" {
			return usageError{errors.New("--payment and --charge-key cannot be used together: use one of them")}
		}
		if chargeKey != "" {
			req.PaymentID = payment.PaymentID(req.MerchantID, chargeKey)
		}
		if amount != "" {
			req.Amount = new(int64)
			if err := readAmount(amount, req.Currency, req.Amount); err != nil {
				return allProblems(err, req.Validate())
			}
		}
		if err := req.Validate(); err != nil {
			return err
		}
		if err := replaceAuto(cmd, &req.IdempotencyKey, func(window time.Duration) (string, error) {
			return payment.ContentKey(req, time.Now(), window)
		}); err != nil {
			return err
		}
		client, _, closeClient, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		refund, err := client.Refund(cmd.Context(), req)
		if err != nil {
			return err
		}
		return printRefund(cmd, refund)
	}
	return cmd
}
