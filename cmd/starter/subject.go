package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// subject names the charge or refund that a command is about: by merchant and idempotency key, or by its id, as Temporal Web shows it.
type subject struct {
	merchant, key       string
	paymentID, refundID string
	isRefund            bool
}

// flags adds the flags that name a charge or, if the command knows refunds, a refund.
func (s *subject) flags(cmd *cobra.Command, knowsRefunds bool) {
	cmd.Flags().StringVar(&s.merchant, "merchant", "", "ID of the merchant")
	cmd.Flags().StringVar(&s.paymentID, "payment-id", "", "ID of the payment, such as pay_…, instead of --merchant and --key")
	if !knowsRefunds {
		cmd.Flags().StringVar(&s.key, "key", "", "idempotency key of the charge")
		return
	}
	cmd.Flags().StringVar(&s.key, "key", "", "idempotency key of the charge or refund")
	cmd.Flags().BoolVar(&s.isRefund, "refund", false, "--key names a refund instead of a charge")
	cmd.Flags().StringVar(&s.refundID, "refund-id", "", "ID of the refund, such as ref_…, instead of --refund, --merchant and --key")
}

// check returns a usageError unless the flags name one charge or refund. Afterwards, isRefund is also set for a refund that is named by
// its id.
func (s *subject) check() error {
	byKey := s.merchant != "" || s.key != ""
	switch {
	case s.paymentID != "" && (byKey || s.isRefund || s.refundID != ""):
		return usageError{errors.New("--payment-id cannot be used together with --merchant, --key, --refund and --refund-id")}
	case s.refundID != "" && byKey:
		return usageError{errors.New("--refund-id cannot be used together with --merchant and --key")}
	case s.paymentID != "":
		return checkPaymentID("--payment-id", s.paymentID)
	case s.refundID != "" && !payment.IsRefundID(s.refundID):
		return usageError{fmt.Errorf("--refund-id %q: want the ID of a refund, ref_ and a UUID", s.refundID)}
	case s.refundID != "":
		s.isRefund = true
	case s.merchant == "" || s.key == "":
		return usageError{errors.New("--merchant and --key are required, or the ID")}
	}
	return nil
}

func checkPaymentID(flag, id string) error {
	if !payment.IsPaymentID(id) {
		return usageError{fmt.Errorf("%s %q: want the ID of a payment, pay_ and a UUID", flag, id)}
	}
	return nil
}

// id returns the payment or refund ID.
func (s *subject) id() string {
	switch {
	case s.paymentID != "":
		return s.paymentID
	case s.refundID != "":
		return s.refundID
	case s.isRefund:
		return payment.RefundID(s.merchant, s.key)
	default:
		return payment.PaymentID(s.merchant, s.key)
	}
}

// identify reads merchant and key, which cannot be derived from the ID. The error is florin.ErrNotFound if Florin has not stored it.
func (s *subject) identify(ctx context.Context, client *florin.Client) error {
	if s.paymentID == "" && s.refundID == "" {
		return nil
	}
	found, err := client.Identity(ctx, s.id())
	s.merchant, s.key = found.MerchantID, found.IdempotencyKey
	return err
}
