package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

// execute runs the command line in this process. There is no Temporal server: a command that must not connect to one
// fails with exit code 1 if it does.
func execute(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	t.Setenv("TEMPORAL_CONFIG_FILE", filepath.Join(t.TempDir(), "none.toml"))
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	var out, errOut bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

func TestExitCodeReflectsTheStatus(t *testing.T) {
	for status, want := range map[payment.Status]int{
		payment.Succeeded:            exitOK,
		payment.Authorized:           exitOK,
		payment.Declined:             exitDeclined,
		payment.Failed:               exitFailed,
		payment.Voided:               exitFailed,
		payment.Expired:              exitFailed,
		payment.Processing:           exitUnknown,
		payment.RequiresAction:       exitUnknown,
		payment.Pending:              exitUnknown,
		payment.Unknown:              exitUnknown,
		payment.NeedsReconciliation:  exitUnknown,
		payment.Conflicted:           exitUnknown,
		"a status of a newer worker": exitUnknown,
	} {
		require.Equal(t, want, exitCode(statusOf("the payment", status)), status)
	}
	for status := range payment.PaymentTransitions {
		if exitCode(statusOf("the payment", status)) == exitFailed {
			require.True(t, status.Final(), "%s is not final: money may still move", status)
		}
	}
}

func TestExitCodeReflectsTheError(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"no error":                    {err: nil, want: exitOK},
		"invalid flag":                {err: usageError{errors.New("unknown flag")}, want: exitUsage},
		"invalid request":             {err: &payment.InvalidRequestError{}, want: exitUsage},
		"refused by the worker":       {err: florin.ErrInvalidRequest, want: exitFailed},
		"idempotency mismatch":        {err: florin.ErrIdempotencyMismatch, want: exitFailed},
		"payment to refund not found": {err: florin.ErrPaymentNotFound, want: exitNotFound},
		"not refundable":              {err: florin.ErrPaymentNotRefundable, want: exitFailed},
		"refund too large":            {err: florin.ErrRefundExceedsCaptured, want: exitFailed},
		"not capturable":              {err: florin.ErrNotCapturable, want: exitFailed},
		"not voidable":                {err: florin.ErrNotVoidable, want: exitFailed},
		"capture too large":           {err: florin.ErrCaptureExceedsAuthorized, want: exitFailed},
		"capture not executed":        {err: &florin.NotExecutedError{Operation: payment.OperationCapture, Payment: payment.Charge{Status: payment.Authorized}}, want: exitFailed},
		"no worker":                   {err: florin.ErrNoWorker, want: exitError},
		"outcome pending":             {err: florin.ErrOutcomePending, want: exitUnknown},
		"interrupted": {err: fmt.Errorf("%w: %w", florin.ErrOutcomePending, context.Canceled),
			want: exitUnknown},
		"payment not found": {err: florin.ErrNotFound, want: exitNotFound},
		"any other error":   {err: errors.New("no Temporal"), want: exitError},
		"declined payment":  {err: statusError{"the payment", payment.Declined}, want: exitDeclined},
		"declined line of a file": {err: fmt.Errorf("line 3: %w", statusError{"the payment", payment.Declined}),
			want: exitDeclined},
		"invalid line of a file": {err: fmt.Errorf("line 3: %w", usageError{errors.New("not JSON")}), want: exitUsage},
		"pending line of a file": {err: fmt.Errorf("line 3: %w", florin.ErrOutcomePending), want: exitUnknown},
	} {
		require.Equal(t, c.want, exitCode(c.err), name)
	}
}

func TestInvalidUsageExitsWith2(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":      {args: []string{"chrage"}, want: `"chrage" is neither a command nor a flag: see --help`},
		"unknown flag":         {args: []string{"charge", "--amonut", "1"}, want: "unknown flag: --amonut"},
		"unknown flag at root": {args: []string{"--verbose"}, want: "unknown flag: --verbose"},
		"positional argument":  {args: []string{"charge", "order-1"}, want: `"order-1" is neither a command nor a flag`},
		"metadata without a value": {args: []string{"charge", "--metadata", "order"},
			want: "order must be formatted as key=value"},
		"word instead of a number": {args: []string{"charge", "--concurrency", "many"}, want: `invalid argument "many"`},
		"concurrency of zero": {args: []string{"charge", "--file", "-", "--concurrency", "0"},
			want: "--concurrency 0: must be above 0"},
		"get without a key": {args: []string{"get", "--merchant", "acme"}, want: "--merchant and --key are required"},
		"get from a worker and without": {args: []string{"get", "--merchant", "acme", "--key", "a", "--ask-processor", "--direct"},
			want: "--ask-processor and --direct cannot be used together"},
		"get from a worker with a configuration": {args: []string{"get", "--merchant", "acme", "--key", "a", "--ask-processor", "--config", "x"},
			want: "--config can be used only with --direct"},
		"wait without a merchant": {args: []string{"wait", "--key", "order-1"}, want: "--merchant and --key are required"},
		"capture without a key": {args: []string{"capture", "--merchant", "acme"},
			want: "--merchant and --key are required"},
		"void without a merchant": {args: []string{"void", "--key", "order-1"}, want: "--merchant and --key are required"},
		"void with an amount": {args: []string{"void", "--merchant", "acme", "--key", "order-1", "--amount", "1.00"},
			want: "unknown flag: --amount"},
		"get by two names": {args: []string{"get", "--merchant", "acme", "--payment-id", payment.PaymentID("acme", "order-1")},
			want: "--payment-id cannot be used together with --merchant, --key, --refund and --refund-id"},
		"get a refund by a payment ID": {args: []string{"get", "--refund", "--payment-id", payment.PaymentID("acme", "order-1")},
			want: "--payment-id cannot be used together with"},
		"lookup without a key": {args: []string{"lookup", "--merchant", "acme"}, want: "--merchant and --key are required"},
		"resolve by two names": {args: []string{"resolve", "--key", "refund-1", "--refund-id", payment.RefundID("acme", "refund-1")},
			want: "--refund-id cannot be used together with --merchant and --key"},
		"wait for a refund ID that is a payment ID": {args: []string{"wait", "--refund-id", payment.PaymentID("acme", "order-1")},
			want: "want the ID of a refund, ref_ and a UUID"},
		"capture by a key as a payment ID": {args: []string{"capture", "--payment-id", "order-1"},
			want: `--payment-id "order-1": want the ID of a payment, pay_ and a UUID`},
		"capture by a refund ID": {args: []string{"capture", "--refund-id", payment.RefundID("acme", "refund-1")},
			want: "unknown flag: --refund-id"},
		"refund by an ID and a merchant": {args: []string{"refund", "--merchant", "acme", "--payment-id", payment.PaymentID("acme", "order-1")},
			want: "--payment-id cannot be used together with --merchant, --charge-key and --payment"},
		"refund by a key as a payment ID": {args: []string{"refund", "--payment-id", "pay_1", "--key", "refund-1"},
			want: `--payment-id "pay_1": want the ID of a payment`},
		"payment and charge key": {args: []string{"refund", "--payment", "pay_1", "--charge-key", "order-1"},
			want: "--payment and --charge-key cannot be used together"},
		"missing file": {args: []string{"charge", "--file", "/nowhere.jsonl"}, want: "/nowhere.jsonl"},
		"empty file": {args: []string{"charge", "--file", "-"},
			want: "no charge requests: want one JSON object on each line"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := execute(t, "", c.args...)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, exitUsage, exitCode(err))
		})
	}
}

func TestMissingTemporalServerExitsWith1(t *testing.T) {
	for _, args := range [][]string{
		{"get", "--merchant", "acme", "--key", "order-1"},
		{"charge", "--merchant", "acme", "--key", "order-1", "--amount", "12.50", "--currency", "USD", "--payment-method", "tok_visa"},
		{"refund", "--merchant", "acme", "--key", "refund-1", "--charge-key", "order-1"},
		{"capture", "--merchant", "acme", "--key", "order-1"},
		{"capture", "--merchant", "acme", "--key", "order-1", "--amount", "12.50", "--currency", "USD"},
		{"void", "--merchant", "acme", "--key", "order-1"},
		{"get", "--payment-id", payment.PaymentID("acme", "order-1")},
		{"wait", "--refund-id", payment.RefundID("acme", "refund-1")},
		{"refund", "--payment-id", payment.PaymentID("acme", "order-1"), "--key", "refund-1"},
		{"charge", "--merchant", "acme", "--key", "{order}", "--amount", "12.50", "--currency", "USD", "--payment-method", "tok_visa"},
	} {
		t.Run(args[0], func(t *testing.T) {
			stdout, _, err := execute(t, "", args...)
			require.ErrorContains(t, err, "no Temporal server answers at 127.0.0.1:1")
			require.Equal(t, exitError, exitCode(err))
			require.Empty(t, stdout)
		})
	}
}

func TestHelpExitsWithoutError(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"charge", "--help"}, {"help", "refund"}, {"capture", "--help"}, {"help", "void"}} {
		stdout, _, err := execute(t, "", args...)
		require.NoError(t, err)
		require.Contains(t, stdout, "Usage:")
	}
}
