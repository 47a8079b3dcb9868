package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// ended returns a line whose charge has a status.
func ended(number int, key string, c payment.Charge) *line {
	return &line{Number: number, Key: key, Charge: &c, sent: true, err: statusOf("the payment", c.Status)}
}

// broken returns a line with an error instead of a charge.
func broken(number int, key string, err error) *line {
	l := &line{Number: number, Key: key}
	l.fail(err)
	return l
}

func TestSummaryListsEveryChargeThatDidNotSucceed(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printSummary(&out, []*line{
		ended(1, "order-1", payment.Charge{Status: payment.Succeeded}),
		ended(2, "order-2", payment.Charge{Status: payment.Declined, Decline: &payment.Decline{Code: "insufficient_funds", Kind: payment.DeclineSoft, Message: "try later"}}),
		ended(4, "order-4", payment.Charge{Status: payment.Failed, Failure: &payment.Failure{Class: payment.ClassPermission, Message: "the key may not charge"}}),
		ended(5, "order-5", payment.Charge{Status: payment.Pending}),
		broken(6, "", usageError{errors.New("not a charge request: unexpected EOF")}),
		ended(7, "order-7", payment.Charge{Status: payment.Succeeded}),
	}, 1234*time.Millisecond))
	require.Equal(t, strings.TrimLeft(`
line 2  order-2  declined  insufficient_funds (soft) try later
line 4  order-4  failed    permission: the key may not charge
line 5  order-5  pending   
line 6           error     not a charge request: unexpected EOF
6 lines in 1.23s: declined=1 error=1 failed=1 pending=1 succeeded=2
`, "\n"), out.String())
}

func TestWorstLineDecidesTheExitCode(t *testing.T) {
	// From best to worst: an unknown outcome is the most important one for a script.
	byBadness := []*line{
		ended(1, "", payment.Charge{Status: payment.Succeeded}),
		ended(2, "", payment.Charge{Status: payment.Declined}),
		ended(3, "", payment.Charge{Status: payment.Failed}),
		broken(4, "", usageError{errors.New("bad line")}),
		broken(5, "", errors.New("no Temporal")),
		broken(6, "", florin.ErrOutcomePending),
	}
	codes := []int{exitOK, exitDeclined, exitFailed, exitPartial, exitError, exitUnknown}
	for i := range byBadness {
		require.Equal(t, codes[i], exitCode(worstError(byBadness[:i+1])))
		require.Equal(t, codes[max(i, 1)], exitCode(worstError([]*line{byBadness[i], byBadness[1]})), "the order of the lines does not matter")
	}
	require.EqualError(t, worstError(byBadness[:3]), "line 3: the payment is failed")
	two := []*line{ended(8, "", payment.Charge{Status: payment.Declined}), ended(9, "", payment.Charge{Status: payment.Declined})}
	require.ErrorContains(t, worstError(two), "line 8", "of equally bad lines, the first one is named")
	require.NoError(t, worstError(nil))
	bad := []*line{broken(1, "", usageError{errors.New("bad line")}), broken(2, "", usageError{errors.New("bad line")})}
	require.Equal(t, exitUsage, exitCode(worstError(bad)), "nothing was started")
	sent := broken(3, "", florin.ErrIdempotencyMismatch)
	sent.sent = true
	require.EqualError(t, worstError(append(bad, sent)), "line 1: bad line: the valid lines were charged")
}

// printing returns a command with the flag --json, and its standard output.
func printing(json bool) (*cobra.Command, *bytes.Buffer) {
	cmd, out := &cobra.Command{}, &bytes.Buffer{}
	cmd.Flags().Bool("json", json, "")
	cmd.SetOut(out)
	return cmd, out
}

var charged = payment.Charge{
	PaymentID: "pay_1", MerchantID: "acme", IdempotencyKey: "order-1", Status: payment.Declined, Amount: 1250, Currency: "USD",
	Processor: "simulator", ProcessorPaymentID: "sim_1", Decline: &payment.Decline{Code: "stolen_card", Kind: payment.DeclineHard},
}

func TestJSONOutputIsTheWholePaymentForEveryStatus(t *testing.T) {
	cmd, out := printing(true)
	require.EqualError(t, printCharge(cmd, charged), "the payment is declined")
	var got payment.Charge
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, charged, got)

	cmd, out = printing(true)
	refund := payment.Refund{RefundID: "ref_1", PaymentID: "pay_1", Status: payment.Succeeded, Amount: 500, Currency: "USD"}
	require.NoError(t, printRefund(cmd, refund))
	var back payment.Refund
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, refund, back)
}

func TestTextOutputOmitsEmptyFields(t *testing.T) {
	cmd, out := printing(false)
	require.Error(t, printCharge(cmd, charged))
	require.Equal(t, strings.TrimLeft(`
payment            pay_1
status             declined
amount             12.50 USD
captured           0.00 USD
processor          simulator
processor payment  sim_1
decline            stolen_card (hard)
workflow           charge/acme/order-1
`, "\n"), out.String())
}

// hostile redraws a terminal and reorders a line; shown is how it is printed.
const (
	hostile = "no\x1b[2K\r\npayment  paid\t\u009b31m\u202e\u200b\ufeff\x7f."
	shown   = "no [2K  payment  paid  31m ."
)

func TestTextsOfOthersCannotRedrawTheTerminal(t *testing.T) {
	c := charged
	c.IdempotencyKey, c.Processor, c.ProcessorPaymentID = hostile, hostile, hostile
	c.Decline = &payment.Decline{Code: hostile, Kind: hostile, Message: hostile}
	c.Failure = &payment.Failure{Class: payment.ClassUnavailable, Message: hostile}
	r := payment.Refund{RefundID: "ref_1", PaymentID: hostile, Decline: c.Decline, Failure: c.Failure, ProcessorRefundID: hostile}
	d := payment.Divergence{
		DivergenceID: "div_1", StatusThere: hostile, Evidence: map[string]string{hostile: hostile}, AcknowledgedBy: hostile,
	}
	record := processor.Result{ID: hostile, Reference: hostile, RequestID: hostile, Decline: c.Decline, Currency: hostile}
	for name, output := range map[string]func(cmd *cobra.Command) error{
		"payment": func(cmd *cobra.Command) error { return printCharge(cmd, c) },
		"refund":  func(cmd *cobra.Command) error { return printRefund(cmd, r) },
		"divergences": func(cmd *cobra.Command) error {
			return printDivergences(cmd, payment.DivergencePage{Divergences: []payment.Divergence{d}})
		},
		"processors": func(cmd *cobra.Command) error {
			return printProcessors(cmd, []payment.ProcessorState{{
				Processor: hostile, Control: payment.ProcessorControl{By: hostile, Reason: hostile, Revision: 1},
				Workers: []payment.ProcessorWorker{{Worker: hostile}},
			}})
		},
		"list":   func(cmd *cobra.Command) error { return printPage(cmd, payment.Page{Payments: []payment.Charge{c}}) },
		"record": func(cmd *cobra.Command) error { return printResult(cmd, source{name: hostile}, "payment", record) },
		"summary": func(cmd *cobra.Command) error {
			return printSummary(cmd.OutOrStdout(), []*line{ended(1, hostile, c), broken(2, hostile, errors.New(hostile))}, time.Second)
		},
	} {
		for _, asJSON := range []bool{false, true} {
			if asJSON && name == "summary" {
				continue // it is text only
			}
			cmd, out := printing(asJSON)
			_ = output(cmd) // the error is for the exit code
			requireHarmless(t, out.String())
			if !asJSON {
				require.Contains(t, out.String(), shown, name)
				continue
			}
			require.True(t, json.Valid(out.Bytes()), name)
			require.Contains(t, out.String(), `no\u001b[2K\r\npayment  paid\t\u009b31m\u202e\u200b\ufeff\u007f.`, name)
		}
	}
}

func TestErrorsCannotRedrawTheTerminal(t *testing.T) {
	var out bytes.Buffer
	printError(&out, errors.Join(errors.New("first\x1b[2J"), errors.New(hostile)))
	require.Equal(t, "starter: first [2J\n  no [2K \n  payment  paid  31m .\n", out.String())
}

// requireHarmless requires that a text has no control characters, except line breaks, and no invisible ones.
func requireHarmless(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		require.True(t, printable.IsClean(strings.TrimSuffix(line, "\n")), "%q", line)
	}
}

// The reference is what an operator searches for in the processor's dashboard.
func TestUnknownOutcomeIsPrintedWithItsReference(t *testing.T) {
	c := payment.Charge{PaymentID: payment.PaymentID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "order-1", Currency: "USD"}
	r := payment.Refund{RefundID: payment.RefundID("acme", "order-1"), MerchantID: "acme", IdempotencyKey: "order-1", Currency: "USD"}
	ofCharge := payment.ProcessorKey(c.PaymentID, payment.OperationCharge, 0)
	ofRefund := payment.ProcessorKey(r.RefundID, payment.OperationRefund, 0)
	for status, want := range map[payment.Status]bool{
		payment.Unknown: true, payment.NeedsReconciliation: true, payment.Succeeded: false, payment.Pending: false,
	} {
		c.Status, r.Status = status, status
		for _, asJSON := range []bool{false, true} {
			cmd, out := printing(asJSON)
			_ = printCharge(cmd, c) // the error is for the exit code
			require.Equal(t, want, strings.Contains(out.String(), ofCharge), "%s:\n%s", status, out)
			cmd, out = printing(asJSON)
			_ = printRefund(cmd, r)
			require.Equal(t, want, strings.Contains(out.String(), ofRefund), "%s:\n%s", status, out)
		}
	}
}

func TestJSONOutputOfALineIsOneObject(t *testing.T) {
	for want, l := range map[string]*line{
		`{"line":3,"error":"not JSON"}`:                                broken(3, "", usageError{errors.New("not JSON")}),
		`{"line":4,"idempotency_key":"order-4","error":"no Temporal"}`: broken(4, "order-4", errors.New("no Temporal")),
	} {
		got, err := json.Marshal(l)
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
	got, err := json.Marshal(ended(5, "order-1", charged))
	require.NoError(t, err)
	require.Contains(t, string(got), `{"line":5,"idempotency_key":"order-1","charge":{"payment_id":"pay_1",`)
	require.NotContains(t, string(got), `"error"`)
}
