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

// execute runs the command line in this process. No Temporal is there: what must not connect to one fails
// with exit code 1 if it does.
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

func TestTheExitCodeSaysHowAPaymentStands(t *testing.T) {
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
			require.True(t, status.Final(), "%s may still move money", status)
		}
	}
}

func TestTheExitCodeSaysWhatWentWrong(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"nothing":                 {nil, exitOK},
		"a bad flag":              {usageError{errors.New("unknown flag")}, exitUsage},
		"a bad request":           {&payment.InvalidRequestError{}, exitUsage},
		"refused by the worker":   {florin.ErrInvalidRequest, exitFailed},
		"a key used otherwise":    {florin.ErrIdempotencyMismatch, exitFailed},
		"no such payment":         {florin.ErrPaymentNotFound, exitFailed},
		"not refundable":          {florin.ErrPaymentNotRefundable, exitFailed},
		"more than is left":       {florin.ErrRefundExceedsCaptured, exitFailed},
		"nothing to capture":      {florin.ErrNotCapturable, exitFailed},
		"nothing to void":         {florin.ErrNotVoidable, exitFailed},
		"more than is held":       {florin.ErrCaptureExceedsAuthorized, exitFailed},
		"an order not done":       {undoneError{"capture", payment.Authorized}, exitFailed},
		"no outcome in time":      {florin.ErrOutcomePending, exitUnknown},
		"interrupted":             {fmt.Errorf("%w: %w", florin.ErrOutcomePending, context.Canceled), exitUnknown},
		"not found":               {florin.ErrNotFound, exitNotFound},
		"anything else":           {errors.New("no Temporal"), exitError},
		"a declined payment":      {statusError{"the payment", payment.Declined}, exitDeclined},
		"a line of a file":        {fmt.Errorf("line 3: %w", statusError{"the payment", payment.Declined}), exitDeclined},
		"a bad line of a file":    {fmt.Errorf("line 3: %w", usageError{errors.New("not JSON")}), exitUsage},
		"an outcome not in time ": {fmt.Errorf("line 3: %w", florin.ErrOutcomePending), exitUnknown},
	} {
		require.Equal(t, c.want, exitCode(c.err), name)
	}
}

func TestMistakesOfTheCallerExitWith2(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":        {[]string{"chrage"}, `"chrage" is neither a command nor a flag: see --help`},
		"unknown flag":           {[]string{"charge", "--amonut", "1"}, "unknown flag: --amonut"},
		"unknown flag at root":   {[]string{"--verbose"}, "unknown flag: --verbose"},
		"an argument":            {[]string{"charge", "order-1"}, `"order-1" is neither a command nor a flag`},
		"metadata without value": {[]string{"charge", "--metadata", "order"}, "order must be formatted as key=value"},
		"a word for a number":    {[]string{"charge", "--concurrency", "many"}, `invalid argument "many"`},
		"no concurrency":         {[]string{"charge", "--file", "-", "--concurrency", "0"}, "--concurrency 0: must be above 0"},
		"get without a key":      {[]string{"get", "--merchant", "acme"}, "want --merchant and --key"},
		"wait without merchant":  {[]string{"wait", "--key", "order-1"}, "want --merchant and --key"},
		"capture without a key":  {[]string{"capture", "--merchant", "acme"}, "want --merchant and --key"},
		"void without merchant":  {[]string{"void", "--key", "order-1"}, "want --merchant and --key"},
		"a void of an amount":    {[]string{"void", "--merchant", "acme", "--key", "order-1", "--amount", "1.00"}, "unknown flag: --amount"},
		"both names of a charge": {[]string{"refund", "--payment", "pay_1", "--charge-key", "order-1"}, "want either --payment or --charge-key"},
		"a file that is not":     {[]string{"charge", "--file", "/nowhere.jsonl"}, "/nowhere.jsonl"},
		"an empty file":          {[]string{"charge", "--file", "-"}, "no charge requests: want one JSON object a line"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := execute(t, "", c.args...)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, exitUsage, exitCode(err))
		})
	}
}

func TestWithoutTemporalTheExitCodeIs1(t *testing.T) {
	for _, args := range [][]string{
		{"get", "--merchant", "acme", "--key", "order-1"},
		{"charge", "--merchant", "acme", "--key", "order-1", "--amount", "12.50", "--currency", "USD", "--payment-method", "tok_visa"},
		{"refund", "--merchant", "acme", "--key", "refund-1", "--charge-key", "order-1"},
		{"capture", "--merchant", "acme", "--key", "order-1"},
		{"capture", "--merchant", "acme", "--key", "order-1", "--amount", "12.50", "--currency", "USD"},
		{"void", "--merchant", "acme", "--key", "order-1"},
	} {
		t.Run(args[0], func(t *testing.T) {
			stdout, _, err := execute(t, "", args...)
			require.ErrorContains(t, err, "no Temporal server answers at 127.0.0.1:1")
			require.Equal(t, exitError, exitCode(err))
			require.Empty(t, stdout)
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"charge", "--help"}, {"help", "refund"}, {"capture", "--help"}, {"help", "void"}} {
		stdout, _, err := execute(t, "", args...)
		require.NoError(t, err)
		require.Contains(t, stdout, "Usage:")
	}
}
