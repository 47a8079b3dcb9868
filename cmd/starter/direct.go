package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/internal/processor/audit"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// direct has the flags of the commands that call a processor without Temporal.
type direct struct{ config, processor string }

func (d *direct) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.config, "config", "",
		"the configuration file of the worker, which a call without Temporal reads; it must be named")
	cmd.Flags().StringVar(&d.processor, "processor", "",
		"name of the payment's processor; may be left out if only one is configured")
}

// asked is a processor that is called without Temporal.
type asked struct {
	*app.OpenProcessor
	source
}

// source is where a record comes from.
type source struct {
	// name says which processor it is, and address where; an empty address is known to the worker only.
	name, address string
	// proof says what "not found" proves.
	proof string
}

// notFound returns florin.ErrNotFound with what that proves.
func (s source) notFound(call processor.LookupCall) error {
	return fmt.Errorf("%w: processor %s has no %s with the reference %s at this time: %s",
		florin.ErrNotFound, s, call.Operation, call.Reference, s.proof)
}

func (s source) String() string {
	if s.address == "" {
		return s.name
	}
	return s.name + " at " + s.address
}

// open opens the processor. Its audit log is written to standard error: one line for each request. Neither the configuration nor one of
// several processors is guessed: another processor's "not found" would pass for proof that no money moved.
func (d *direct) open(cmd *cobra.Command) (*asked, error) {
	if d.config == "" {
		return nil, usageError{errors.New("--config is missing: name the configuration of the worker that has the payment")}
	}
	c, err := config.Load(d.config, app.BuiltIn)
	if err != nil {
		return nil, usageError{fmt.Errorf("configuration: %w", err)}
	}
	name := d.processor
	if name == "" {
		names := slices.Sorted(maps.Keys(c.Processors))
		if len(names) > 1 {
			return nil, usageError{fmt.Errorf("--processor is missing: want the payment's, which `starter get` shows: %s", strings.Join(names, " or "))}
		}
		name = names[0]
	}
	opened, err := app.OpenStandalone(cmd.Context(), c, name, cmd.ErrOrStderr())
	if errors.Is(err, app.ErrNotConfigured) {
		return nil, usageError{err}
	}
	if err != nil {
		return nil, err
	}
	p := c.Processors[name]
	proof := "this never proves that no money moved"
	if after := *p.AbsenceProofAfter; after > 0 {
		proof = fmt.Sprintf("this proves that no money moved only %s after the last send", after)
	}
	return &asked{OpenProcessor: opened, source: source{name: name, address: p.BaseURL, proof: proof}}, nil
}

// get prints the processor's record of a charge or refund. Its reference is derived from its id. chargeKey may be empty; it is
// the key of the charge that a refund is of.
func (d *direct) get(cmd *cobra.Command, s subject, chargeKey string) error {
	opened, err := d.open(cmd)
	if err != nil {
		return err
	}
	defer opened.Close()
	what, call := "payment", s.lookup()
	if s.isRefund {
		what = "refund"
		if chargeKey != "" {
			of := payment.PaymentID(s.merchant, chargeKey)
			paid, err := lookup(cmd, opened, of, chargeLookup(of))
			if err != nil {
				return err
			}
			call.ProcessorPaymentID = paid.ID
		}
	}
	result, err := lookup(cmd, opened, s.id(), call)
	if err != nil {
		return err
	}
	return printResult(cmd, opened.source, what, result)
}

// lookup returns florin.ErrNotFound if the processor has no record.
func lookup(cmd *cobra.Command, p *asked, id string, call processor.LookupCall) (processor.Result, error) {
	result, found, err := p.Lookup(audit.WithPaymentID(cmd.Context(), id), call)
	if err == nil && !found {
		err = p.notFound(call)
	}
	return result, err
}

// lookup returns the lookup of the charge or refund.
func (s *subject) lookup() processor.LookupCall {
	if s.isRefund {
		return refundLookup(s.id())
	}
	return chargeLookup(s.id())
}

func chargeLookup(paymentID string) processor.LookupCall {
	return processor.LookupCall{
		Operation: payment.OperationCharge,
		Reference: payment.ProcessorKey(paymentID, payment.OperationCharge, 0),
	}
}

func refundLookup(refundID string) processor.LookupCall {
	return processor.LookupCall{
		Operation: payment.OperationRefund,
		Reference: payment.ProcessorKey(refundID, payment.OperationRefund, 0),
	}
}

func printResult(cmd *cobra.Command, from source, what string, r processor.Result) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd.OutOrStdout(), struct {
			Processor string `json:"processor"`
			Address   string `json:"address,omitempty"`
			processor.Result
		}{from.name, from.address, r}); err != nil {
			return err
		}
	} else if err := printFields(cmd.OutOrStdout(), [][2]string{
		{"processor", from.String()},
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
		Short: "Pause, resume and limit the calls to a processor, or call it directly, without Temporal",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	parent.AddCommand(append(controlCommands(), get)...)
	return parent
}

// printGet prints the body of the response, and returns an error unless it is a success.
func printGet(cmd *cobra.Command, client *httpclient.Client, path *url.URL) error {
	answer, err := client.Do(cmd.Context(), processor.Call{
		Method: http.MethodGet, Path: path.EscapedPath(), Query: path.Query(), Operation: "get",
	})
	if _, writeErr := io.WriteString(cmd.OutOrStdout(), printable.EscapeJSON(string(answer.Body))); writeErr != nil {
		return writeErr
	}
	return err
}
