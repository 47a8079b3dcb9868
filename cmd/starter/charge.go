package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
  starter charge --merchant acme --key auto --amount 12.50 --currency USD --payment-method tok_visa
  starter charge --file charges.jsonl`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.MerchantID, "merchant", "", "who is paid")
	keyFlags(flags, &req.IdempotencyKey, "purchase")
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
		if err := replaceAuto(cmd, &req.IdempotencyKey, func(window time.Duration) (string, error) {
			return payment.ContentKey(req, time.Now(), window)
		}); err != nil {
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

// autoKey, as the value of --key, asks for a key that is derived from the request. It is a word of the command line
// only: in a file of requests, as everywhere else, a key that reads "auto" is a key like any other.
const autoKey = "auto"

// keyFlags adds --key and --key-window; what is the thing that the key names.
func keyFlags(flags *pflag.FlagSet, key *string, what string) {
	flags.StringVar(key, "key", "", "idempotency key: your name for this one "+what+"; auto derives one from its content and prints it")
	flags.Duration("key-window", 10*time.Minute, "with --key auto, how long the same content is the same "+what+
		": long enough to try again by hand, short enough to ask for the same once more later. "+
		"A new window may begin at any moment, they are counted from 1970 UTC: to try again, give the printed key")
}

// replaceAuto derives the key if it is auto, and prints it before anything is sent: whoever is interrupted needs it
// to try again. The request was validated, so nothing in it is a card number.
func replaceAuto(cmd *cobra.Command, key *string, derive func(window time.Duration) (string, error)) error {
	if *key != autoKey {
		if cmd.Flags().Changed("key-window") {
			return usageError{errors.New("--key-window goes only with --key auto")}
		}
		return nil
	}
	window, err := cmd.Flags().GetDuration("key-window")
	if err != nil {
		return err
	}
	if *key, err = derive(window); err != nil {
		return usageError{fmt.Errorf("--key-window: %w", err)}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "to try again: --key %s\n", *key)
	return nil
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
