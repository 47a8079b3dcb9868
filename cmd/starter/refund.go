package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func refundCommand() *cobra.Command {
	var req payment.RefundRequest
	var amount, chargeKey, paymentID string
	var batch bool
	cmd := &cobra.Command{
		Use:   "refund",
		Short: "Refund a payment, or a part of it, and wait for the outcome",
		Example: `  starter refund --merchant acme --key refund-1 --charge-key order-1
  starter refund --payment-id pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc --key refund-2 --amount 5.00 --currency USD`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.MerchantID, "merchant", "", "ID of the merchant that was paid")
	keyFlags(flags, &req.IdempotencyKey, "refund")
	flags.StringVar(&req.PaymentID, "payment", "", "ID of the payment")
	flags.StringVar(&chargeKey, "charge-key", "", "idempotency key of the charge, instead of --payment")
	flags.StringVar(&paymentID, "payment-id", "", "ID of the payment, instead of --payment and --merchant")
	flags.StringVar(&amount, "amount", "", "amount in major units, such as 5.00; without it, the whole remaining amount")
	flags.StringVar(&req.Currency, "currency", "", "currency of --amount")
	flags.StringVar(&req.Reason, "reason", "", "reason for the refund")
	flags.Var(metadataFlag{&req.Metadata}, "metadata", "a pair, taken as it is; repeat the flag for more pairs")
	batchFlag(flags, &batch)

	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case chargeKey != "" && req.PaymentID != "":
			return usageError{errors.New("--payment and --charge-key cannot be used together: use one of them")}
		case paymentID != "" && (chargeKey != "" || req.PaymentID != "" || req.MerchantID != ""):
			return usageError{errors.New("--payment-id cannot be used together with --merchant, --charge-key and --payment")}
		case paymentID != "":
			if err := checkPaymentID("--payment-id", paymentID); err != nil {
				return err
			}
			req.PaymentID = paymentID
		case chargeKey != "":
			req.PaymentID = payment.PaymentID(req.MerchantID, chargeKey)
		}
		complete := func() error {
			if amount != "" {
				req.Amount = new(int64)
				if err := readAmount(amount, req.Currency, req.Amount); err != nil {
					return allProblems(err, req.ValidateBegun())
				}
			}
			if err := req.ValidateBegun(); err != nil {
				return err
			}
			return replaceAuto(cmd, &req.IdempotencyKey, func(window time.Duration) (string, error) {
				return payment.ContentKey(req, time.Now(), window)
			})
		}
		if paymentID == "" {
			if err := complete(); err != nil {
				return err
			}
		}
		client, _, closeClient, err := connectWith(cmd.Context(), florin.Options{Batch: batch})
		if err != nil {
			return err
		}
		defer closeClient()
		if paymentID != "" {
			of, err := client.Identity(cmd.Context(), paymentID)
			if err != nil {
				return err
			}
			req.MerchantID = of.MerchantID
			if err := complete(); err != nil {
				return err
			}
		}
		refund, err := client.Refund(cmd.Context(), req)
		if err != nil {
			return err
		}
		return printRefund(cmd, refund)
	}
	return cmd
}
