// Command starter starts and reads payments and refunds from the command line. It uses package florin, as a service
// does. Under the name worker, it is the command worker: so the image needs one program for both.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/workercli"
	"github.com/florinpay/florin/payment"
)

// Exit codes, for scripts.
const (
	exitOK       = 0
	exitError    = 1 // any other error, such as no connection to Temporal; or findings of a reconciliation are open
	exitUsage    = 2 // invalid flags or an invalid request: nothing was started
	exitDeclined = 3 // the processor declined
	exitFailed   = 4 // failed, voided or expired: no money moved; or the worker refused the request
	exitUnknown  = 5 // outcome not known yet: pending, unknown, needs_reconciliation, conflicted, or no outcome in time
	exitNotFound = 6 // no payment or refund has the key, the payment to refund does not exist, or no divergence has the ID
	exitPartial  = 7 // with --file, invalid lines were refused, and the other lines were charged
)

func main() {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "worker" {
		os.Exit(workercli.Main())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	if err != nil {
		printError(os.Stderr, err)
	}
	os.Exit(exitCode(err))
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Charge and refund customers through Florin",
		Long: `Charge and refund customers through Florin.

The connection to Temporal is configured by TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the other variables of the
Temporal CLI, or by a profile. A server on another host must be verified with TLS, unless FLORIN_TEMPORAL_INSECURE=true.

Exit codes:
  0  succeeded or authorized
  1  any other error, findings of a reconciliation are open, or differences between what is compared
  2  invalid flags or request: nothing was started
  3  declined
  4  failed, voided or expired: no money moved; or the request was refused
  5  the outcome is not known yet
  6  no payment or refund has the key, the payment to refund does not exist, or no divergence has the ID
  7  with --file: invalid lines were refused, and the other lines were charged. The worst line decides: 5 and 1 come before 7,
      and 7 before 4 and 3`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments, // cobra passes an unknown command as an argument
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().Bool("json", false, "print JSON")
	tokenFile := root.PersistentFlags().String("token-file", os.Getenv("FLORIN_TOKEN_FILE"),
		"who calls, if the workers require a proof: a file of starter token issue (default $FLORIN_TOKEN_FILE)")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		cmd.SetContext(context.WithValue(cmd.Context(), tokenFileKey{}, *tokenFile))
	}
	root.AddCommand(chargeCommand(), refundCommand(), getCommand(), waitCommand(), captureCommand(), voidCommand(),
		listCommand(), lookupCommand(), resolveCommand(), divergencesCommand(), reconcileCommand(), processorCommand(),
		batchCommand(), historyCommand(), tokenCommand())
	return root
}

// usageError is a mistake of the caller: nothing was started.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// partialError is the error for a file with invalid lines whose other lines were charged.
type partialError struct{ error }

func (e partialError) Unwrap() error { return e.error }

// statusError is the error for a payment or refund that was printed and has not succeeded.
type statusError struct {
	what   string
	status payment.Status
}

func (e statusError) Error() string { return e.what + " is " + string(e.status) }

// statusOf returns nil for a payment or refund that succeeded or is authorized, and a statusError for any other status.
func statusOf(what string, status payment.Status) error {
	if status == payment.Succeeded || status == payment.Authorized {
		return nil
	}
	return statusError{what, status}
}

func exitCode(err error) int {
	var partial partialError
	var usage usageError
	var invalid *payment.InvalidRequestError
	var status statusError
	var notExecuted *florin.NotExecutedError
	var refusal payment.RefusalCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &partial):
		return exitPartial
	case errors.As(err, &usage), errors.As(err, &invalid):
		return exitUsage
	case errors.As(err, &status):
		return statusCode(status.status)
	case errors.As(err, &notExecuted):
		if code := statusCode(notExecuted.Payment.Status); code != exitOK {
			return code
		}
		return exitFailed
	case errors.Is(err, florin.ErrOutcomePending), errors.Is(err, florin.ErrConflicted):
		return exitUnknown
	case errors.Is(err, florin.ErrNotFound), errors.Is(err, florin.ErrPaymentNotFound):
		return exitNotFound
	case errors.As(err, &refusal):
		return exitFailed
	default:
		return exitError
	}
}

func statusCode(status payment.Status) int {
	switch status {
	case payment.Succeeded, payment.Authorized:
		return exitOK
	case payment.Declined:
		return exitDeclined
	case payment.Failed, payment.Voided, payment.Expired:
		return exitFailed
	default:
		return exitUnknown
	}
}

// tokenFileKey is the key of the flag --token-file in the context of a command.
type tokenFileKey struct{}

// connect connects to Temporal. Commands call it after every check that needs no server.
func connect(ctx context.Context) (*florin.Client, *processors, func(), error) {
	return connectWith(ctx, florin.Options{})
}

// connectWith is connect for a client with options.
func connectWith(ctx context.Context, o florin.Options) (*florin.Client, *processors, func(), error) {
	temporal, _, err := app.Dial(ctx, app.TemporalLogger(zap.NewNop()), func(o *client.Options) {
		if file, ok := ctx.Value(tokenFileKey{}).(string); ok && file != "" {
			o.Interceptors = append(o.Interceptors, florin.Caller(florin.TokenFile(file)))
		}
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return florin.NewClient(temporal, o), &processors{temporal: temporal}, temporal.Close, nil
}
