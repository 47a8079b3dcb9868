package worker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/payment"
)

func TestExitCodeReportsTheOutcomeOfTheCharge(t *testing.T) {
	startWorker(t, shared)
	for name, c := range map[string]struct {
		token  string
		code   int
		status payment.Status
		stderr string
	}{
		"succeeded":               {token: "tok_visa", code: 0, status: payment.Succeeded},
		"succeeded after a retry": {token: "tok_503_then_ok", code: 0, status: payment.Succeeded},
		"declined":                {token: "tok_insufficient_funds", code: 3, status: payment.Declined, stderr: "starter: the payment is declined\n"},
		"failed":                  {token: "tok_403", code: 4, status: payment.Failed, stderr: "starter: the payment is failed\n"},
		"charged a wrong amount":  {token: "tok_wrong_amount", code: 5, status: payment.Conflicted, stderr: "starter: the payment is conflicted\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a := starter(t, shared, chargeFlags("exit-"+c.token, c.token)...)
			require.Equal(t, c.code, a.code, "%+v", a)
			require.Equal(t, c.stderr, a.stderr)
			var charge payment.Charge
			a.decode(t, &charge)
			require.Equal(t, c.status, charge.Status)
			require.Equal(t, int64(1250), charge.Amount)
			require.Equal(t, payment.PaymentID("acme", "exit-"+c.token), charge.PaymentID)

			again := starter(t, shared, chargeFlags("exit-"+c.token, c.token)...)
			require.Equal(t, a, again, "the same request returns the same payment")
		})
	}
}

func TestDifferentRequestWithTheSameKeyExitsWith4(t *testing.T) {
	startWorker(t, shared)
	require.Zero(t, starter(t, shared, chargeFlags("mismatch", "tok_visa")...).code)
	a := starter(t, shared, chargeFlags("mismatch", "tok_success")...)
	require.Equal(t, 4, a.code, "%+v", a)
	require.Empty(t, a.stdout)
	require.Contains(t, a.stderr, "charge/acme/mismatch")
}

func TestInvalidRequestExitsWith2AndStartsNothing(t *testing.T) {
	startWorker(t, shared)
	a := starter(t, shared, chargeFlags("mistake", "tok_visa", "--amount", "12.505")...)
	require.Equal(t, 2, a.code)
	require.Contains(t, a.stderr, "rounding it would change the sum")

	a = starter(t, shared, chargeFlags("mistake", "tok_visa", "--processor", "nowhere")...)
	require.Equal(t, 2, a.code, "%+v", a)
	require.Contains(t, a.stderr, `processor: "nowhere": no worker serves it`)

	_, err := shared.Florin.Get(t.Context(), "acme", "mistake")
	require.ErrorIs(t, err, florin.ErrNotFound)

	a = starter(t, shared, append(chargeFlags("mistake", "tok_visa"), "--key", "{workflowId}'")...)
	require.Equal(t, 2, a.code, "%+v", a)
	require.Contains(t, a.stderr, "idempotency_key: ")
	_, err = shared.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", "{workflowId}'"), "")
	var notFound *serviceerror.NotFound
	require.ErrorAs(t, err, &notFound)
}

func TestGetAndWaitReturnThePayment(t *testing.T) {
	startWorker(t, shared)
	a := starter(t, shared, chargeFlags("read", "tok_visa")...)
	require.Zero(t, a.code, "%+v", a)
	for _, subcommand := range []string{"get", "wait"} {
		read := starter(t, shared, subcommand, "--json", "--merchant", "acme", "--key", "read")
		require.Zero(t, read.code, "%+v", read)
		require.JSONEq(t, a.stdout, read.stdout)

		text := starter(t, shared, subcommand, "--merchant", "acme", "--key", "read")
		require.Contains(t, text.stdout, "status             succeeded\namount             12.50 USD\n")

		byID := starter(t, shared, subcommand, "--json", "--payment-id", payment.PaymentID("acme", "read"))
		require.Equal(t, read, byID)
		missing := starter(t, shared, subcommand, "--payment-id", payment.PaymentID("acme", "never"))
		require.Equal(t, 6, missing.code)
		require.Contains(t, missing.stderr, "the charge would have the reference "+
			payment.ProcessorKey(payment.PaymentID("acme", "never"), payment.OperationCharge, 0))

		missing = starter(t, shared, subcommand, "--merchant", "acme", "--key", "never")
		require.Equal(t, 6, missing.code)
		require.Contains(t, missing.stderr, "starter: workflow charge/acme/never: not found")
	}
	// A pending payment: charge exits with 5, outcome not known yet, and wait waits for the outcome.
	key := fmt.Sprintf("read-pending-%d", time.Now().UnixNano()) // unique: with -count all runs share the environment
	a = starter(t, shared, chargeFlags(key, "tok_pending")...)
	require.Equal(t, 5, a.code, "%+v", a)
	a = starter(t, shared, "wait", "--json", "--merchant", "acme", "--key", key)
	require.Zero(t, a.code, "%+v", a)
	require.Contains(t, a.stdout, `"status": "succeeded"`)
}

func TestAskingTheProcessorThroughAWorker(t *testing.T) {
	key := fmt.Sprintf("asked-%d", time.Now().UnixNano()) // unique: with -count all runs share the environment
	ask := func(key string, more ...string) result {
		return starter(t, shared, append([]string{"get", "--ask-processor", "--merchant", "acme", "--key", key}, more...)...)
	}
	a := ask(key, "--processor", "simulator")
	require.Equal(t, 1, a.code, "%+v", a)
	require.Contains(t, a.stderr, `no worker answers on task queue "processor-simulator"`)

	startWorker(t, shared)
	require.Zero(t, starter(t, shared, chargeFlags(key, "tok_visa")...).code)
	require.Zero(t, starter(t, shared, "refund", "--merchant", "acme", "--key", key, "--charge-key", key).code)
	a = ask(key)
	require.Zero(t, a.code, "%+v", a)
	require.Regexp(t, `processor +simulator\n`, a.stdout)
	require.Regexp(t, `status +succeeded\n`, a.stdout)
	require.Contains(t, a.stdout, payment.ProcessorKey(payment.PaymentID("acme", key), payment.OperationCharge, 0))
	a = starter(t, shared, "get", "--ask-processor", "--payment-id", payment.PaymentID("acme", key))
	require.Zero(t, a.code, "%+v", a)
	require.Regexp(t, `status +succeeded\n`, a.stdout)
	a = starter(t, shared, "get", "--ask-processor", "--refund-id", payment.RefundID("acme", key), "--charge-key", key)
	require.Zero(t, a.code, "%+v", a)
	a = ask(key, "--refund", "--charge-key", key, "--json")
	require.Zero(t, a.code, "%+v", a)
	require.Contains(t, a.stdout, `"amount": 1250`)

	a = ask("never-"+key, "--processor", "simulator")
	require.Equal(t, 6, a.code, "%+v", a)
	require.Contains(t, a.stderr, "processor simulator has no charge with the reference")
	require.Contains(t, a.stderr, "absence_proof_after")
	a = ask("never-" + key)
	require.Equal(t, 6, a.code, "%+v", a)
	require.Contains(t, a.stderr, "name the processor with --processor")
	a = ask(key, "--processor", "backup")
	require.Equal(t, 2, a.code, "%+v", a)
	require.Contains(t, a.stderr, `the payment is of processor "simulator"`)
}

func TestAuthorizedPaymentIsCapturedOrVoided(t *testing.T) {
	startWorker(t, shared)
	for _, key := range []string{"capture", "void"} {
		a := starter(t, shared, chargeFlags(key, "tok_visa", "--capture", "manual")...)
		require.Zero(t, a.code, "%+v", a)
		require.Contains(t, a.stdout, `"status": "authorized"`)
	}
	run := func(subcommand, key string, more ...string) result {
		return starter(t, shared, append([]string{subcommand, "--merchant", "acme", "--key", key}, more...)...)
	}
	a := run("capture", "capture", "--amount", "12.51", "--currency", "USD")
	require.Equal(t, 4, a.code, "%+v", a)
	require.Contains(t, a.stderr, "capture of 12.51 USD exceeds the authorized 12.50 USD")

	a = run("capture", "capture", "--json", "--amount", "10.00", "--currency", "USD")
	require.Zero(t, a.code, "%+v", a)
	var c payment.Charge
	a.decode(t, &c)
	require.Equal(t, payment.Succeeded, c.Status)
	require.Equal(t, int64(1000), c.CapturedAmount)
	require.Equal(t, a, run("capture", "capture", "--json", "--amount", "10.00", "--currency", "USD"), "a repeated capture returns the same")
	require.Equal(t, 4, run("capture", "capture").code, "a capture of the full amount is a different one")
	require.Equal(t, 4, run("void", "capture").code)

	a = starter(t, shared, "void", "--payment-id", payment.PaymentID("acme", "void"))
	require.Zero(t, a.code, "the void succeeded: %+v", a)
	require.Contains(t, a.stdout, "status             voided\n")
	require.Equal(t, 4, run("get", "void").code, "get exits with 4: no money moved")
	a = run("capture", "void")
	require.Equal(t, 4, a.code)
	require.Contains(t, a.stderr, "not capturable: it is voided")
	for _, subcommand := range []string{"capture", "void"} {
		require.Equal(t, 6, run(subcommand, "never-authorized").code)
	}
}

func TestPartialRefundAndThenTheRest(t *testing.T) {
	startWorker(t, shared)
	require.Zero(t, starter(t, shared, chargeFlags("refunded", "tok_visa")...).code)
	refund := func(more ...string) result {
		return starter(t, shared, append([]string{"refund", "--json", "--merchant", "acme", "--charge-key", "refunded"}, more...)...)
	}
	var r payment.Refund
	a := refund("--key", "part", "--amount", "5.00", "--currency", "USD")
	require.Zero(t, a.code, "%+v", a)
	a.decode(t, &r)
	require.Equal(t, int64(500), r.Amount)

	a = starter(t, shared, "refund", "--json", "--payment-id", payment.PaymentID("acme", "refunded"), "--key", "rest")
	require.Zero(t, a.code, "%+v", a)
	a.decode(t, &r)
	require.Equal(t, int64(750), r.Amount)
	require.Equal(t, payment.PaymentID("acme", "refunded"), r.PaymentID)

	read := starter(t, shared, "get", "--json", "--refund", "--merchant", "acme", "--key", "rest")
	require.JSONEq(t, a.stdout, read.stdout)

	a = refund("--key", "too-much", "--amount", "1.00", "--currency", "USD")
	require.Equal(t, 4, a.code, "%+v", a)
}

func TestRefundOfAnUnknownPaymentExitsWith6(t *testing.T) {
	startWorker(t, shared)
	a := starter(t, shared, "refund", "--merchant", "acme", "--key", "orphan", "--charge-key", "never-charged")
	require.Equal(t, 6, a.code, "%+v", a)
	require.Empty(t, a.stdout)
}

func TestBatchThatNamesAProcessorWithoutWorkersIsNotSubmitted(t *testing.T) {
	startWorker(t, shared)
	line := func(key, processor string) string {
		return fmt.Sprintf(`{"merchant_id":"acme","idempotency_key":%q,"amount":1250,"currency":"USD","payment_method":"tok_visa","processor":%q}`, key, processor)
	}
	path := filepath.Join(t.TempDir(), "june.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(line("june-1", "simulator")+"\n"+line("june-2", "simulatr")), 0o600))
	a := starter(t, shared, "batch", "submit", path, "--name", "june")
	require.Equal(t, 2, a.code, "%+v", a)
	require.Contains(t, a.stderr, path+`:2: invalid request: processor: "simulatr": no worker serves it`)
	_, err := shared.Florin.Batch(t.Context(), "june")
	require.ErrorIs(t, err, florin.ErrNotFound)
}

func TestChargeFileChargesValidLinesAndReportsInvalidOnes(t *testing.T) {
	startWorker(t, shared)
	line := func(key, token, more string) string {
		return fmt.Sprintf(`{"merchant_id":"acme","idempotency_key":%q,"amount":1250,"currency":"USD","payment_method":%q%s}`, key, token, more)
	}
	path := filepath.Join(t.TempDir(), "charges.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join([]string{
		line("file-1", "tok_visa", ""),
		"",
		line("file-3", "4242424242424242", ""),
		line("file-4", "tok_visa", `,"processor":"nowhere"`),
		line("file-5", "tok_insufficient_funds", ""),
		line("file-6", "tok_visa", `,"processor":"simulator"`),
		line("file-1", "tok_visa", ""),
		`{"merchant_id":`,
	}, "\n")), 0o600))

	a := starter(t, shared, "charge", "--json", "--file", path)
	require.Equal(t, 7, a.code, "%+v", a)
	require.Contains(t, a.stderr, path+":3: invalid request: payment_method: looks like a card number")
	require.Contains(t, a.stderr, path+`:4: invalid request: processor: "nowhere": no worker serves it`)
	require.Contains(t, a.stderr, path+`:7: idempotency_key "file-1" was used on line 1`)
	require.Contains(t, a.stderr, path+":8: not a charge request: the JSON is not complete")
	require.NotContains(t, a.stdout+a.stderr, "4242424242424242")

	type lineResult struct {
		Line   int             `json:"line"`
		Charge *payment.Charge `json:"charge"`
		Error  string          `json:"error"`
	}
	got := map[int]string{}
	for _, text := range strings.Split(strings.TrimSpace(a.stdout), "\n") {
		var r lineResult
		require.NoError(t, json.Unmarshal([]byte(text), &r))
		if r.Charge == nil {
			require.NotEmpty(t, r.Error)
			got[r.Line] = "error"
		} else {
			got[r.Line] = string(r.Charge.Status)
		}
	}
	require.Equal(t, map[int]string{1: "succeeded", 3: "error", 4: "error", 5: "declined", 6: "succeeded", 7: "error", 8: "error"}, got)
	for _, key := range []string{"file-3", "file-4"} {
		_, err := shared.Florin.Get(t.Context(), "acme", key)
		require.ErrorIs(t, err, florin.ErrNotFound, key)
	}

	text := starter(t, shared, "charge", "--file", path)
	require.Equal(t, 7, text.code)
	require.Contains(t, text.stdout, "declined=1 error=4 succeeded=2\n")
	require.Contains(t, text.stdout, "line 5  file-5  declined  insufficient_funds (soft)")
}

func TestCaptureInADifferentCurrencyIsRefused(t *testing.T) {
	startWorker(t, shared)
	require.Zero(t, starter(t, shared, chargeFlags("currency", "tok_visa", "--capture", "manual")...).code)
	a := starter(t, shared, "capture", "--json", "--merchant", "acme", "--key", "currency", "--amount", "1000", "--currency", "JPY")
	require.Equal(t, 4, a.code, "%+v", a)
	require.Contains(t, a.stderr, `"JPY": the payment is in USD`)
	c, err := shared.Florin.Get(t.Context(), "acme", "currency")
	require.NoError(t, err)
	require.Equal(t, payment.Authorized, c.Status)
}

// An authorized payment is looked up once a day.
func TestLookupIsMadeAtOnce(t *testing.T) {
	startWorker(t, shared)
	require.Zero(t, starter(t, shared, chargeFlags("held-lookup", "tok_visa", "--capture", "manual")...).code)
	require.Zero(t, starter(t, shared, chargeFlags("paid-lookup", "tok_visa")...).code)
	r := starter(t, shared, "lookup", "--merchant", "acme", "--key", "held-lookup")
	require.Equal(t, result{stdout: "workflow charge/acme/held-lookup was asked to look it up\n"}, r)
	require.Eventually(t, func() bool {
		events := shared.Temporal.GetWorkflowHistory(t.Context(), payment.ChargeWorkflowID("acme", "held-lookup"), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			if event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == payment.ActivityProcessorLookup {
				return true
			}
		}
		return false
	}, timeout, 20*time.Millisecond)

	r = starter(t, shared, "lookup", "--merchant", "acme", "--key", "paid-lookup")
	require.Equal(t, 6, r.code)
	require.Contains(t, r.stderr, "or it is final: use starter get --ask-processor")
}
