package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestDivergencesRefusesInvalidArguments(t *testing.T) {
	for want, args := range map[string][]string{
		`--kind "paid": want one of`:         {"--kind", "paid"},
		"neither a command nor a flag":       {"acme"},
		"want the ID of one divergence":      {"acknowledge"},
		"by: want 1 to 80 characters":        {"acknowledge", "div_1"},
		"want the id of a divergence, such ": {"acknowledge", "", "--by", "jane"},
	} {
		_, _, err := execute(t, "", append([]string{"divergences"}, args...)...)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err))
	}
	_, _, err := execute(t, "", "divergences", "acknowledge", "div_1", "--by", "jane")
	require.Equal(t, exitError, exitCode(err), "there is no Temporal server")
}

func TestDivergencesAreATableFollowedByTheCursor(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	page := payment.DivergencePage{Next: "abc", Divergences: []payment.Divergence{
		{
			DivergenceID: "div_2", PaymentID: "pay_1", MerchantID: "acme", Kind: payment.DivergenceStatus, StatusHere: payment.Declined, StatusThere: "succeeded",
			Evidence: map[string]string{"request_id": "req_1", "captured_there": "12.50 USD"}, DetectedAt: at,
		},
		{
			DivergenceID: "div_1", PaymentID: "pay_2", RefundID: "ref_1", MerchantID: "acme", Kind: payment.DivergenceAmount, StatusHere: payment.Succeeded,
			StatusThere: "succeeded", DetectedAt: at, AcknowledgedAt: at, AcknowledgedBy: "jane",
		},
	}}
	var out, errOut bytes.Buffer
	cmd := divergencesCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	require.NoError(t, printDivergences(cmd, page))
	require.Equal(t, ""+
		"2026-11-22T08:00:00Z  div_2  acme  pay_1  status  declined here, succeeded there  captured_there=12.50 USD, request_id=req_1  open\n"+
		"2026-11-22T08:00:00Z  div_1  acme  ref_1  amount  succeeded                                                                   acknowledged by jane\n",
		out.String())
	require.Equal(t, "next page: --cursor abc\n", errOut.String())
}
