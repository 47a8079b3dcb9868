package payment

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The statuses of contract.md.
var (
	chargeStatuses = []Status{Processing, RequiresAction, Pending, Authorized, Succeeded, Declined, Failed, Voided, Expired,
		Unknown, NeedsReconciliation, Conflicted}
	refundStatuses = []Status{Processing, Pending, Succeeded, Declined, Failed, Unknown, NeedsReconciliation}
)

func TestTransitionsCoverTheStatusesOfTheContract(t *testing.T) {
	require.ElementsMatch(t, chargeStatuses, slices.Collect(maps.Keys(PaymentTransitions)))
	require.ElementsMatch(t, refundStatuses, slices.Collect(maps.Keys(RefundTransitions)))
}

func TestTransitionsLeadSomewhereKnownAndNeverBackToTheStart(t *testing.T) {
	for name, transitions := range map[string]map[Status][]Status{"payment": PaymentTransitions, "refund": RefundTransitions} {
		for from, moves := range transitions {
			seen := map[Status]bool{}
			for _, to := range moves {
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

func TestMoneyThatMovedIsNeverForgotten(t *testing.T) {
	require.Empty(t, PaymentTransitions[Succeeded])
	for _, transitions := range []map[Status][]Status{PaymentTransitions, RefundTransitions} {
		// What is unknown may turn out any way, but does not stop being looked after by itself.
		require.Subset(t, transitions[Unknown], []Status{Succeeded, Declined, Failed, NeedsReconciliation})
		require.Subset(t, transitions[NeedsReconciliation], []Status{Succeeded, Declined, Failed})
	}
}

// A processor's answer may come first, after it was lost, or while it is polled for: none may be illegal.
func TestEveryOpenStatusCanTakeWhateverAProcessorSays(t *testing.T) {
	for _, from := range chargeStatuses {
		if from.Final() {
			continue
		}
		for _, says := range []Status{RequiresAction, Pending, Authorized, Succeeded, Declined, Voided, Conflicted} {
			require.True(t, from == says || slices.Contains(PaymentTransitions[from], says), "payment: %s to %s", from, says)
		}
	}
	for _, from := range refundStatuses {
		if from.Final() {
			continue
		}
		for _, says := range []Status{Pending, Succeeded, Declined, NeedsReconciliation} {
			require.True(t, from == says || slices.Contains(RefundTransitions[from], says), "refund: %s to %s", from, says)
		}
	}
}

func TestOutcomesAndFinals(t *testing.T) {
	for _, tc := range []struct {
		status            Status
		hasOutcome, final bool
	}{
		{"", false, false},
		{Processing, false, false},
		{Unknown, false, false},
		{RequiresAction, true, false},
		{Pending, true, false},
		{NeedsReconciliation, true, false},
		{Authorized, true, false},
		{Succeeded, true, true},
		{Declined, true, true},
		{Failed, true, true},
		{Voided, true, true},
		{Expired, true, true},
		{Conflicted, true, true},
	} {
		require.Equal(t, tc.hasOutcome, tc.status.HasOutcome(), "outcome of %q", tc.status)
		require.Equal(t, tc.final, tc.status.Final(), "final %q", tc.status)
	}
}
