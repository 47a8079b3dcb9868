package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// direct has the flags of the commands that call a processor without Temporal.
type direct struct{ config, processor string }

func (d *direct) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.config, "config", "examples/worker.yaml", "the worker's configuration file, for --processor")
	cmd.Flags().StringVar(&d.processor, "processor", "",
		"name of a configured processor (default: the configured default_processor)")
}

// open opens the processor. Its audit log is written to standard error: one line for each request.
func (d *direct) open(cmd *cobra.Command) (*app.OpenProcessor, error) {
	c, err := config.Load(d.config, app.BuiltIn)
	if err != nil {
		return nil, usageError{fmt.Errorf("configuration: %w", err)}
	}
	opened, err := app.OpenStandalone(cmd.Context(), c, d.processor, cmd.ErrOrStderr())
	if errors.Is(err, app.ErrNotConfigured) {
		return nil, usageError{err}
	}
	return opened, err
}

// get prints the processor's record of a charge or refund. Its reference is derived from the idempotency key. chargeKey may be
// empty; it is the key of the charge that a refund is of.
func (d *direct) get(cmd *cobra.Command, r reading, chargeKey string) error {
	opened, err := d.open(cmd)
	if err != nil {
		return err
	}
	defer opened.Close()
	what, call := "payment", chargeLookup(r.merchant, r.key)
	if r.isRefund {
		what, call = "refund", refundLookup(r.merchant, r.key)
		if chargeKey != "" {
			paid, err := lookup(cmd, opened, chargeLookup(r.merchant, chargeKey))
			if err != nil {
				return err
			}
			call.ProcessorPaymentID = paid.ID
		}
	}
	result, err := lookup(cmd, opened, call)
	if err != nil {
		return err
	}
	return printResult(cmd, what, result)
}

// lookup returns florin.ErrNotFound if the processor has no record.
func lookup(cmd *cobra.Command, p processor.Processor, call processor.LookupCall) (processor.Result, error) {
	result, found, err := p.Lookup(cmd.Context(), call)
	if err == nil && !found {
		err = fmt.Errorf("%w: the processor has no %s with the reference %s at this time",
			florin.ErrNotFound, call.Operation, call.Reference)
	}
	return result, err
}

func chargeLookup(merchant, key string) processor.LookupCall {
	id := payment.PaymentID(merchant, key)
	return processor.LookupCall{
		Operation: payment.OperationCharge,
		Reference: payment.ProcessorKey(id, payment.OperationCharge, 0),
	}
}

func refundLookup(merchant, key string) processor.LookupCall {
	id := payment.RefundID(merchant, key)
	return processor.LookupCall{
		Operation: payment.OperationRefund,
		Reference: payment.ProcessorKey(id, payment.OperationRefund, 0),
	}
}

func printResult(cmd *cobra.Command, what string, r processor.Result) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	} else if err := printFields(cmd.OutOrStdout(), [][2]string{
		{"id", r.ID},
		{"status", string(r.Status)},
		{"amount", payment.Money{Amount: r.Amount, Currency: r.Currency}.String()},
		{"captured", payment.Money{Amount: r.CapturedAmount, Currency: r.Currency}.String()},
		{"refunded", payment.Money{Amount: r.RefundedAmount, Currency: r.Currency}.String()},
		{"reference", r.Reference},
		{"decline", declineText(r.Decline)},
		{"request", r.RequestID},
	}); err != nil {
		return err
	}
	return statusOf("at the processor, the "+what, r.Status)
}

func processorCommand() *cobra.Command {
	var d direct
	get := &cobra.Command{
		Use:   "get PATH",
		Short: "Print the processor's response to a GET of PATH, relative to its base_url",
		Example: `  starter processor get /payments/pay_123
  starter processor get '/payments?limit=5' --config worker.yaml --processor acme`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := url.Parse(args[0])
			if err != nil || path.Host != "" || path.Scheme != "" || path.Path == "" || path.Path[0] != '/' {
				return usageError{fmt.Errorf("PATH %q: want /path or /path?query, without scheme and host", args[0])}
			}
			opened, err := d.open(cmd)
			if err != nil {
				return err
			}
			defer opened.Close()
			return printGet(cmd, opened.Client, path)
		},
	}
	d.flags(get)
	parent := &cobra.Command{
		Use:   "processor",
		Short: "Call a processor directly, without Temporal",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	parent.AddCommand(get)
	return parent
}

// printGet prints the body of the response, and returns an error unless it is a success.
func printGet(cmd *cobra.Command, client *httpclient.Client, path *url.URL) error {
	answer, err := client.Do(cmd.Context(), processor.Call{
		Method: http.MethodGet, Path: path.EscapedPath(), Query: path.Query(), Operation: "get",
	})
	if _, writeErr := cmd.OutOrStdout().Write(answer.Body); writeErr != nil {
		return writeErr
	}
	return err
}
