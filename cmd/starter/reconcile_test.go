package main

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/florintest"
	"github.com/florinpay/florin/payment"
)

func TestReconcileRefusesInvalidArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"want the name of one processor": {"run"},
		`--kind "paid": want one of`:     {"findings", "--kind", "paid"},
		"by: want 1 to 80 characters":    {"acknowledge", "div_1", "--reason", "refunded by hand"},
		"reason: looks like a card":      {"acknowledge", "div_1", "--by", "jane", "--reason", "4242 4242 4242 4242"},
		"neither a command nor a flag":   {"status", "acme"},
	} {
		_, _, err := execute(t, "", append([]string{"reconcile"}, args...)...)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err))
	}
	_, _, err := execute(t, "", "reconcile", "status")
	require.Equal(t, exitError, exitCode(err), "there is no Temporal server")
}

// A misspelled processor has no findings, but that must not look like a processor that agrees with the store.
func TestMisspelledProcessorIsRefused(t *testing.T) {
	notServed := &payment.InvalidRequestError{Fields: []payment.FieldError{{Field: "processor", Problem: "no worker serves it"}}}
	p := &processors{checked: map[string]error{"acme": nil, "simulator": notServed, "simulatr": notServed, "down": errors.New("no Temporal")}}
	fake := florintest.New()
	_, err := fake.Charge(t.Context(), payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: "order-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"})
	require.NoError(t, err)
	for name, want := range map[string]string{
		"": "", "acme": "", "simulator": "", "down": "no Temporal",
		"simulatr": `processor: "simulatr": no worker serves it, and no payment was made there`,
	} {
		err := p.checkKnown(t.Context(), fake, name)
		if want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, exitUsage, exitCode(p.checkKnown(t.Context(), fake, "simulatr")))
}

func TestOpenFindingsExitWith1(t *testing.T) {
	require.NoError(t, openFindings(payment.DivergencePage{}))
	one := make([]payment.Divergence, 1)
	for want, page := range map[string]payment.DivergencePage{
		"1 finding is open":             {Divergences: one},
		"2 findings are open":           {Divergences: make([]payment.Divergence, 2)},
		"more than 1 findings are open": {Divergences: one, Next: "abc"},
	} {
		err := openFindings(page)
		require.EqualError(t, err, want)
		require.Equal(t, exitError, exitCode(err))
	}
}

func TestReconciliationsAreATableFollowedByTheCursor(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	run := payment.Reconciliation{
		Processor: "acme", WindowFrom: at.Add(-3 * time.Hour), WindowTo: at.Add(-10 * time.Minute), StartedAt: at,
		Counts: payment.ReconcileCounts{Listed: 3, Compared: 2, Checked: 1},
	}
	complete, failed := run, run
	complete.EndedAt, complete.Complete = at.Add(90*time.Second), true
	failed.EndedAt, failed.Reason = at.Add(time.Second), "invalid key\x1b[2J"
	var out, errOut bytes.Buffer
	cmd := reconcileCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	require.NoError(t, printReconciliations(cmd, payment.ReconciliationPage{Next: "abc", Reconciliations: []payment.Reconciliation{run, complete, failed}}))
	const row = "2026-11-22T08:00:00Z  acme  2026-11-22T05:00:00Z to 2026-11-22T07:50:00Z  3 listed  2 compared  1 looked up  0 findings  "
	require.Equal(t, row+"       running\n"+row+"1m30s  complete\n"+row+"1s     not complete: invalid key [2J\n", out.String())
	require.Equal(t, "next page: --cursor abc\n", errOut.String())
}

func TestProgressIsOneLineThatIsDrawnAgain(t *testing.T) {
	var out bytes.Buffer
	r := payment.Reconciliation{Phase: payment.ReconcileComparePayments, Counts: payment.ReconcileCounts{Listed: 300, Compared: 200}}
	drawProgress(&out, r, false)
	r.Phase = ""
	drawProgress(&out, r, true)
	require.Equal(t, "\r\x1b[K███░░░░░ compare payments · 300 listed · 200 compared · 0 looked up · 0 findings"+
		"\r\x1b[K████████ ended · 300 listed · 200 compared · 0 looked up · 0 findings\n", out.String())
}
