package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func wantsJSON(cmd *cobra.Command) bool {
	enabled, err := cmd.Flags().GetBool("json")
	return err == nil && enabled
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printCharge prints a payment. It returns a statusError unless the payment succeeded or is authorized.
func printCharge(cmd *cobra.Command, c payment.Charge) error {
	if err := writeCharge(cmd, c); err != nil {
		return err
	}
	return statusOf("the payment", c.Status)
}

// writeCharge prints a payment, whatever its status is.
func writeCharge(cmd *cobra.Command, c payment.Charge) error {
	reference := referenceIfUnknown(c.Status, chargeLookup(c.MerchantID, c.IdempotencyKey))
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), struct {
			payment.Charge
			Reference string `json:"reference,omitempty"`
		}{c, reference})
	}
	return printFields(cmd.OutOrStdout(), [][2]string{
		{"payment", c.PaymentID},
		{"status", string(c.Status)},
		{"amount", c.Money().String()},
		{"captured", payment.Money{Amount: c.CapturedAmount, Currency: c.Currency}.String()},
		{"refunded", refundedText(c)},
		{"processor", c.Processor},
		{"processor payment", c.ProcessorPaymentID},
		{"reference", reference},
		{"decline", declineText(c.Decline)},
		{"failure", c.Failure.String()},
		{"workflow", payment.ChargeWorkflowID(c.MerchantID, c.IdempotencyKey)},
	})
}

// referenceIfUnknown returns the reference to look for at the processor if the outcome is unknown. Otherwise it is empty.
func referenceIfUnknown(status payment.Status, call processor.LookupCall) string {
	if status != payment.Unknown && status != payment.NeedsReconciliation {
		return ""
	}
	return call.Reference
}

// refundedText is empty if nothing was refunded.
func refundedText(c payment.Charge) string {
	if c.RefundedAmount == 0 {
		return ""
	}
	return payment.Money{Amount: c.RefundedAmount, Currency: c.Currency}.String()
}

// printRefund prints a refund. It returns a statusError unless the refund succeeded.
func printRefund(cmd *cobra.Command, r payment.Refund) error {
	reference := referenceIfUnknown(r.Status, refundLookup(r.MerchantID, r.IdempotencyKey))
	if wantsJSON(cmd) {
		if err := printJSON(cmd.OutOrStdout(), struct {
			payment.Refund
			Reference string `json:"reference,omitempty"`
		}{r, reference}); err != nil {
			return err
		}
	} else if err := printFields(cmd.OutOrStdout(), [][2]string{
		{"refund", r.RefundID},
		{"status", string(r.Status)},
		{"amount", r.Money().String()},
		{"payment", r.PaymentID},
		{"processor", r.Processor},
		{"processor refund", r.ProcessorRefundID},
		{"reference", reference},
		{"decline", declineText(r.Decline)},
		{"failure", r.Failure.String()},
		{"workflow", payment.RefundWorkflowID(r.MerchantID, r.IdempotencyKey)},
	}); err != nil {
		return err
	}
	return statusOf("the refund", r.Status)
}

// printFields prints one line for each field that is not empty.
func printFields(w io.Writer, fields [][2]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		if f[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", f[0], f[1])
		}
	}
	return table.Flush()
}

func declineText(d *payment.Decline) string {
	if d == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s) %s", d.Code, d.Kind, d.Message))
}
