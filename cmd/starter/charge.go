package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func chargeCommand() *cobra.Command {
	var req payment.ChargeRequest
	var amount, capture, file string
	var concurrency int
	var batch bool
	cmd := &cobra.Command{
		Use:   "charge",
		Short: "Charge a customer and wait for the outcome",
		Example: `  starter charge --merchant acme --key order-1 --amount 12.50 --currency USD --payment-method tok_visa
  starter charge --merchant acme --key auto --amount 12.50 --currency USD --payment-method tok_visa
  starter charge --file charges.jsonl`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.MerchantID, "merchant", "", "ID of the merchant that is paid")
	keyFlags(flags, &req.IdempotencyKey, "purchase")
	flags.StringVar(&amount, "amount", "", "amount in major units, such as 12.50")
	flags.StringVar(&req.Currency, "currency", "", "ISO 4217 code, such as USD")
	flags.StringVar(&req.PaymentMethod, "payment-method", "", "token from the processor's vault, never a card number")
	flags.StringVar(&capture, "capture", "", "automatic (default) or manual")
	flags.StringVar(&req.Processor, "processor", "", "name of the processor; without it, the default processor")
	flags.StringVar(&req.CustomerID, "customer", "", "ID of the customer")
	flags.StringVar(&req.Description, "description", "", "description of the charge")
	flags.Var(metadataFlag{&req.Metadata}, "metadata", "a pair, taken as it is; repeat the flag for more pairs")
	flags.StringVar(&file, "file", "", "charge a file with one JSON charge request on each line; - reads standard input")
	batchFlag(flags, &batch)
	flags.IntVar(&concurrency, "concurrency", 50, "with --file, maximum number of charges at once")

	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file != "" {
			return chargeFile(cmd, file, concurrency, batch)
		}
		req.Capture = payment.Capture(capture)
		if err := readAmount(amount, req.Currency, &req.Amount); err != nil {
			// Report the amount together with all other invalid fields.
			return allProblems(err, req.ValidateBegun())
		}
		if err := req.ValidateBegun(); err != nil { // the client refuses what is invalid only for a new payment
			return err
		}
		if err := replaceAuto(cmd, &req.IdempotencyKey, func(window time.Duration) (string, error) {
			return payment.ContentKey(req, time.Now(), window)
		}); err != nil {
			return err
		}
		client, processors, closeClient, err := connectWith(cmd.Context(), florin.Options{Batch: batch})
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

// batchFlag adds --batch.
func batchFlag(flags *pflag.FlagSet, batch *bool) {
	flags.BoolVar(batch, "batch", false, "no customer waits for it: where workers or a processor have no capacity for all, others are served first")
}

// autoKey is the value of --key that derives the key from the request. It is special only for this flag: in a file of
// requests, and in the API, "auto" is a key like any other.
const autoKey = "auto"

// keyFlags adds --key and --key-window. what is "purchase" or "refund", which the key identifies.
func keyFlags(flags *pflag.FlagSet, key *string, what string) {
	flags.StringVar(key, "key", "", "idempotency key: your unique ID of this "+what+
		"; auto derives a key from the request and prints it")
	flags.Duration("key-window", 10*time.Minute, "with --key auto, how long an equal request is the same "+what+
		": long enough to retry manually, short enough for an intended second "+what+" later. "+
		"Windows are counted from 1970-01-01 UTC, so that the next one may begin at any moment: to retry, use the printed key")
}

// replaceAuto derives the key if it is auto. It prints the key before anything is sent: a caller who interrupts the
// command needs it to retry. The request must be valid, so that the key is not derived from a card number.
func replaceAuto(cmd *cobra.Command, key *string, derive func(window time.Duration) (string, error)) error {
	if *key != autoKey {
		if cmd.Flags().Changed("key-window") {
			return usageError{errors.New("--key-window can be used only with --key auto")}
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
	fmt.Fprintf(cmd.ErrOrStderr(), "to retry: --key %s\n", *key)
	return nil
}

// readAmount converts --amount to minor units. Its error is a payment.FieldError.
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
		// In a refund request, 0 would mean the whole remaining amount.
		return payment.FieldError{Field: "amount", Problem: strconv.Quote(amount) + ": must be above 0"}
	}
	*minor = money.Amount
	return nil
}

// allProblems merges the errors of readAmount and Validate. It drops Validate's error for the same field, and the one for
// the amount, which Validate saw as 0.
func allProblems(amountErr, validateErr error) error {
	var unread payment.FieldError
	if !errors.As(amountErr, &unread) {
		return amountErr
	}
	fields := []payment.FieldError{}
	var invalid *payment.InvalidRequestError
	if errors.As(validateErr, &invalid) {
		for _, f := range invalid.Fields {
			if f.Field != "amount" && f.Field != unread.Field {
				fields = append(fields, f)
			}
		}
	}
	return &payment.InvalidRequestError{Fields: append(fields, unread)}
}

// noArguments refuses positional arguments, which include unknown commands.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q is neither a command nor a flag: see --help", args[0])}
	}
	return nil
}
