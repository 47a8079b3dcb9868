package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin/payment"
)

func chargeCommand() *cobra.Command {
	var req payment.ChargeRequest
	var amount, capture, file string
	var concurrency int
	cmd := &cobra.Command{
		Use:   "charge",
		Short: "Charge a customer and wait for the outcome",
		Example: `  starter charge --merchant acme --key order-1 --amount 12.50 --currency USD --payment-method tok_visa
  starter charge --file charges.jsonl`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.MerchantID, "merchant", "", "who is paid")
	flags.StringVar(&req.IdempotencyKey, "key", "", "idempotency key: your name for this one purchase")
	flags.StringVar(&amount, "amount", "", "amount in major units, such as 12.50")
	flags.StringVar(&req.Currency, "currency", "", "ISO 4217 code, such as USD")
	flags.StringVar(&req.PaymentMethod, "payment-method", "", "token of the processor's vault, never a card number")
	flags.StringVar(&capture, "capture", "", "automatic (default) or manual")
	flags.StringVar(&req.Processor, "processor", "", "processor, if not the default one")
	flags.StringVar(&req.CustomerID, "customer", "", "customer id")
	flags.StringVar(&req.Description, "description", "", "description")
	flags.StringToStringVar(&req.Metadata, "metadata", nil, "key=value pairs")
	flags.StringVar(&file, "file", "", "charge every line of a file of JSON charge requests; - reads standard input")
	flags.IntVar(&concurrency, "concurrency", 50, "charges of a file at once")

	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file != "" {
			return chargeFile(cmd, file, concurrency)
		}
		req.Capture = payment.Capture(capture)
		if err := readAmount(amount, req.Currency, &req.Amount); err != nil {
			// The amount is reported together with whatever else is wrong.
			return allProblems(err, req.Validate())
		}
		if err := req.Validate(); err != nil {
			return err
		}
		client, processors, closeClient, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		if err := processors.check(cmd.Context(), req.Processor); err != nil {
			return err
		}
		charge, err := client.Charge(cmd.Context(), req)
		if err != nil {
			return err
		}
		return printCharge(cmd, charge)
	}
	return cmd
}

// readAmount reads the flag --amount into minor units. Its error is a payment.FieldError.
func readAmount(amount, currency string, minor *int64) error {
	if amount == "" {
		return payment.FieldError{Field: "amount", Problem: "is missing: want a decimal number, such as 12.50"}
	}
	if _, err := payment.Exponent(currency); err != nil {
		return payment.FieldError{Field: "currency", Problem: err.Error()}
	}
	money, err := payment.ParseMoney(amount, currency)
	if err != nil {
		return payment.FieldError{Field: "amount", Problem: err.Error()}
	}
	if money.Amount == 0 {
		// In a refund request, 0 would mean all that is left.
		return payment.FieldError{Field: "amount", Problem: strconv.Quote(amount) + ": must be above 0"}
	}
	*minor = money.Amount
	return nil
}

// allProblems puts the problem of reading the amount in the place of what Validate says of the same field, and
// of an amount that was never read.
func allProblems(amountError, invalid error) error {
	var unread payment.FieldError
	if !errors.As(amountError, &unread) {
		return amountError
	}
	fields := []payment.FieldError{}
	var rest *payment.InvalidRequestError
	if errors.As(invalid, &rest) {
		for _, f := range rest.Fields {
			if f.Field != "amount" && f.Field != unread.Field {
				fields = append(fields, f)
			}
		}
	}
	return &payment.InvalidRequestError{Fields: append(fields, unread)}
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q is neither a command nor a flag: see --help", args[0])}
	}
	return nil
}
