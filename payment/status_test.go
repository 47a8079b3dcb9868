package payment

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The statuses are part of the API.
var (
	chargeStatuses = []Status{Processing, RequiresAction, Pending, Authorized, Succeeded, Declined, Failed, Voided, Expired,
		Unknown, NeedsReconciliation, Conflicted}
	refundStatuses = []Status{Processing, Pending, Succeeded, Declined, Failed, Unknown, NeedsReconciliation}
)

func TestTransitionsCoverEveryStatus(t *testing.T) {
	require.ElementsMatch(t, chargeStatuses, slices.Collect(maps.Keys(PaymentTransitions)))
	require.ElementsMatch(t, refundStatuses, slices.Collect(maps.Keys(RefundTransitions)))
}

func TestTransitionsLeadToKnownStatusesAndNeverBackToProcessing(t *testing.T) {
	for name, transitions := range map[string]map[Status][]Status{"payment": PaymentTransitions, "refund": RefundTransitions} {
		for from, targets := range transitions {
			seen := map[Status]bool{}
			for _, to := range targets {
				require.Contains(t, transitions, to, "%s: %s to %s", name, from, to)
				require.NotEqual(t, Processing, to, "%s: from %s", name, from)
				require.NotEqual(t, from, to, "%s", name)
				require.False(t, seen[to], "%s: %s to %s is listed twice", name, from, to)
				seen[to] = true
			}
		}
	}
}

// A processor may report a succeeded refund as failed later.
func TestOnlyASucceededRefundHasATransitionFromAFinalStatus(t *testing.T) {
	for name, transitions := range map[string]map[Status][]Status{"payment": PaymentTransitions, "refund": RefundTransitions} {
		for from, next := range transitions {
			if name == "refund" && from == Succeeded {
				require.True(t, from.Final())
				require.Equal(t, []Status{Failed}, next)
				continue
			}
			require.Equal(t, from.Final(), len(next) == 0, "%s: %s", name, from)
		}
	}
}

func TestSucceededIsFinalAndUnknownOutcomesCanStillBeResolved(t *testing.T) {
	require.Empty(t, PaymentTransitions[Succeeded])
	for _, transitions := range []map[Status][]Status{PaymentTransitions, RefundTransitions} {
		// An unknown outcome can be resolved as any outcome.
		require.Subset(t, transitions[Unknown], []Status{Succeeded, Declined, Failed, NeedsReconciliation})
		require.Subset(t, transitions[NeedsReconciliation], []Status{Succeeded, Declined, Failed})
	}
}

// A processor may report each of its statuses in the first response, in a lookup after a lost response, or while Florin polls.
func TestEveryStatusOfAProcessorIsALegalTransitionUnlessFinal(t *testing.T) {
	for _, from := range chargeStatuses {
		if from.Final() {
			continue
		}
		for _, reported := range []Status{RequiresAction, Pending, Authorized, Succeeded, Declined, Voided, Conflicted} {
			require.True(t, from == reported || slices.Contains(PaymentTransitions[from], reported), "payment: %s to %s", from, reported)
		}
	}
	for _, from := range refundStatuses {
		if from.Final() {
			continue
		}
		for _, reported := range []Status{Pending, Succeeded, Declined, NeedsReconciliation} {
			require.True(t, from == reported || slices.Contains(RefundTransitions[from], reported), "refund: %s to %s", from, reported)
		}
	}
}

func TestHasOutcomeAndFinalOfEveryStatus(t *testing.T) {
	for _, tc := range []struct {
		status            Status
		hasOutcome, final bool
	}{
		{status: ""},
		{status: Processing},
		{status: Unknown},
		{status: RequiresAction, hasOutcome: true},
		{status: Pending, hasOutcome: true},
		{status: NeedsReconciliation, hasOutcome: true},
		{status: Authorized, hasOutcome: true},
		{status: Succeeded, hasOutcome: true, final: true},
		{status: Declined, hasOutcome: true, final: true},
		{status: Failed, hasOutcome: true, final: true},
		{status: Voided, hasOutcome: true, final: true},
		{status: Expired, hasOutcome: true, final: true},
		{status: Conflicted, hasOutcome: true, final: true},
	} {
		require.Equal(t, tc.hasOutcome, tc.status.HasOutcome(), "outcome of %q", tc.status)
		require.Equal(t, tc.final, tc.status.Final(), "final %q", tc.status)
	}
}
