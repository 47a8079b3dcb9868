package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestListRefusesInvalidFilters(t *testing.T) {
	for want, args := range map[string][]string{
		`--status "lost": want one of`: {"--status", "declined,lost"},
		`--from "yesterday"`:           {"--from", "yesterday"},
		`--before "2026-11-22"`:        {"--before", "2026-11-22"},
		"neither a command nor a flag": {"acme"},
		"processor: is missing":        {"--refunds"},
		"--merchant cannot be used":    {"--refunds", "--processor", "psp", "--merchant", "acme"},
	} {
		_, _, err := execute(t, "", append([]string{"list"}, args...)...)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err))
	}
}

func TestPageIsATableFollowedByTheCursor(t *testing.T) {
	page := payment.Page{Next: "abc", Payments: []payment.Charge{{
		MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", Status: payment.Declined, Processor: "stripe",
		CreatedAt: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
	}}}
	var out, errOut bytes.Buffer
	cmd := listCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	require.NoError(t, printPage(cmd, page))
	require.Equal(t, "2026-11-22T08:00:00Z  acme  order-1  12.50 USD  declined  stripe\n", out.String())
	require.Equal(t, "next page: --cursor abc\n", errOut.String())
}

func TestPageOfRefundsIsATableFollowedByTheCursor(t *testing.T) {
	page := payment.RefundPage{Next: "abc", Refunds: []payment.ListedRefund{{Refund: payment.Refund{
		MerchantID: "acme", IdempotencyKey: "refund-1", Amount: 1250, Currency: "USD", Status: payment.Succeeded, PaymentID: "pay_1",
		CreatedAt: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
	}}}}
	var out, errOut bytes.Buffer
	cmd := listCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	require.NoError(t, printRefundPage(cmd, page))
	require.Equal(t, "2026-11-22T08:00:00Z  acme  refund-1  12.50 USD  succeeded  pay_1\n", out.String())
	require.Equal(t, "next page: --cursor abc\n", errOut.String())
}

func TestResolveRefusesAnIncompleteResolution(t *testing.T) {
	complete := []string{"resolve", "--merchant", "acme", "--key", "order-1", "--status", "failed", "--by", "jane", "--evidence", "ticket 4711"}
	for want, args := range map[string][]string{
		"--merchant and --key are required":  {"resolve", "--status", "failed", "--by", "jane", "--evidence", "x"},
		`status: "pending": want one of`:     append(complete, "--status", "pending"),
		`status: "voided": want one of`:      append(complete, "--refund", "--status", "voided"),
		"by: want 1 to 80 characters":        append(complete, "--by", ""),
		"evidence: want 1 to 500 characters": append(complete, "--evidence", ""),
	} {
		_, _, err := execute(t, "", args...)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err))
	}
	_, _, err := execute(t, "", complete...)
	require.Equal(t, exitError, exitCode(err), "there is no Temporal server")
}
