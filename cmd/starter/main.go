// Command starter starts and reads payments and refunds from the command line, through package florin, as a
// service would.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/payment"
)

// The exit codes, for scripts.
const (
	exitOK       = 0
	exitError    = 1 // Temporal cannot be reached, or something else went wrong around the payment
	exitUsage    = 2 // bad flags or a bad request: nothing was started
	exitDeclined = 3 // the processor said no
	exitFailed   = 4 // failed, voided or expired: no money moved; or the request was refused by the worker
	exitUnknown  = 5 // nobody knows yet: pending, unknown, needs reconciliation, conflicted, or no answer in time
	exitNotFound = 6 // no payment or refund has this key
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "starter:", err)
	}
	os.Exit(exitCode(err))
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Charge and refund customers through Florin",
		Long: `Charge and refund customers through Florin.

The connection to Temporal comes from TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and so on, or a profile.

Exit codes: 0 succeeded or authorized; 2 bad flags or request, nothing was started; 3 declined;
4 failed (no money moved), or refused; 5 not known yet; 6 no such payment; 1 anything else.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments, // an unknown command arrives here
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().Bool("json", false, "print JSON")
	root.AddCommand(chargeCommand(), refundCommand(), getCommand(), waitCommand(), captureCommand(), voidCommand(), listCommand(), resolveCommand(), processorCommand(), historyCommand())
	return root
}

// usageError is a mistake of whoever called: nothing was started.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// statusError is a payment or refund that did not succeed, once it was printed.
type statusError struct {
	what   string
	status payment.Status
}

func (e statusError) Error() string { return e.what + " is " + string(e.status) }

// statusOf makes the exit code say how the payment stands.
func statusOf(what string, status payment.Status) error {
	if status == payment.Succeeded || status == payment.Authorized {
		return nil
	}
	return statusError{what, status}
}

func exitCode(err error) int {
	var usage usageError
	var invalid *payment.InvalidRequestError
	var status statusError
	var undone undoneError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.As(err, &invalid):
		return exitUsage
	case errors.As(err, &status):
		return statusCode(status.status)
	case errors.As(err, &undone):
		return exitFailed
	case errors.Is(err, florin.ErrOutcomePending):
		return exitUnknown
	case errors.Is(err, florin.ErrNotFound):
		return exitNotFound
	case errors.Is(err, florin.ErrInvalidRequest), errors.Is(err, florin.ErrIdempotencyMismatch),
		errors.Is(err, florin.ErrPaymentNotFound), errors.Is(err, florin.ErrNotResolvable), errors.Is(err, florin.ErrNotCapturable),
		errors.Is(err, florin.ErrNotVoidable), errors.Is(err, florin.ErrCaptureExceedsAuthorized), errors.Is(err, florin.ErrPaymentNotRefundable), errors.Is(err, florin.ErrRefundExceedsCaptured):
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

// connect is called after everything that can be checked without a server was.
func connect(ctx context.Context) (*florin.Client, *processors, func(), error) {
	temporal, _, err := app.Dial(ctx, app.TemporalLogger(zap.NewNop()), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	return florin.NewClient(temporal, florin.Options{}), &processors{temporal: temporal}, temporal.Close, nil
}
