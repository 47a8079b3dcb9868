package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func wantsJSON(cmd *cobra.Command) bool {
	enabled, err := cmd.Flags().GetBool("json")
	return err == nil && enabled
}

func printJSON(w io.Writer, value any) error { return writeJSON(w, value, "  ") }

// writeJSON writes a value as JSON, in which control characters and invisible ones are escaped, also those that JSON need not escape.
func writeJSON(w io.Writer, value any, indent string) error {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(w, printable.EscapeJSON(encoded.String()))
	return err
}

// maxText limits one printed text in bytes.
const maxText = 4000

// oneLine returns a text for a line of a terminal. Callers, operators and processors may have written parts of it.
func oneLine(text string) string { return printable.Clean(text, maxText) }

// writeRow writes one row of a table.
func writeRow(table *tabwriter.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = oneLine(cell)
	}
	fmt.Fprintln(table, strings.Join(cells, "\t"))
}

// printError prints an error. Lines after the first are indented: none of them can look like a line of its own.
func printError(w io.Writer, err error) {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = oneLine(line)
	}
	fmt.Fprintln(w, "starter:", strings.Join(lines, "\n  "))
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
	reference := referenceIfUnknown(c.Status, chargeLookup(c.PaymentID))
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
	reference := referenceIfUnknown(r.Status, refundLookup(r.RefundID))
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
			writeRow(table, f[0], f[1])
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
