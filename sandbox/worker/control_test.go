package worker

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestProcessorCommandsReachEveryWorker(t *testing.T) {
	first, second := startWorker(t, shared), startWorker(t, shared)
	t.Cleanup(func() { // for the other tests
		_ = first.cmd.Process.Signal(syscall.SIGCONT)
		_, err := shared.Florin.ControlProcessor(context.Background(), payment.ControlChange{
			Processor: "simulator", Action: payment.ControlResume, By: "jane", Reason: "the end of the test",
		})
		require.NoError(t, err)
	})
	processor := func(args ...string) result {
		return starter(t, shared, append([]string{"processor", "--json"}, args...)...)
	}
	why := []string{"--by", "jane", "--reason", "incident 4711"}
	// Other tests leave workers that were killed.
	namesOnlyTheLost := func(a result) bool {
		return a.code == 1 && strings.Contains(a.stderr, "do not renew their shares any more")
	}
	state := func() payment.ProcessorState {
		a := processor("list")
		require.Zero(t, a.code, "%+v", a)
		var states payment.ProcessorStates
		a.decode(t, &states)
		return states.Processors[len(states.Processors)-1]
	}

	a := processor(append([]string{"pause", "simulator"}, why...)...)
	require.True(t, a.code == 0 || namesOnlyTheLost(a), "%+v", a)
	require.True(t, state().Control.Paused)
	require.GreaterOrEqual(t, len(state().Workers), 2)
	for _, w := range state().Workers {
		require.True(t, w.Applied, w.Worker)
	}

	// It cannot be known that a worker does not execute: its lease ends, and it is named. The command may have to be repeated, because this worker
	// may have taken its task.
	before := state().Lost
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		a = processor(append([]string{"rate", "simulator", "--per-second", "50"}, why...)...)
		return namesOnlyTheLost(a)
	}, 2*timeout, time.Millisecond, "%+v", a)
	lost := slices.DeleteFunc(state().Lost, func(w payment.LostWorker) bool { return slices.Contains(before, w) })
	require.NotEmpty(t, lost)
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool {
		a = processor(append([]string{"rate", "simulator", "--as-configured"}, why...)...)
		after := state().Lost
		return slices.ContainsFunc(lost, func(w payment.LostWorker) bool { return !slices.Contains(after, w) })
	}, 2*timeout, time.Millisecond, "%+v", a)

	_, err := shared.Florin.StartCharge(t.Context(), payment.ChargeRequest{
		MerchantID: "acme", IdempotencyKey: "paused", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa",
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // an attempt was refused
		d, err := shared.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", "paused"), "")
		require.NoError(t, err)
		return len(d.GetPendingActivities()) == 1 && d.GetPendingActivities()[0].GetAttempt() > 1
	}, timeout, 20*time.Millisecond)
	a = processor(append([]string{"resume", "simulator"}, why...)...)
	require.Zero(t, a.code, "%+v", a)
	a = starter(t, shared, "wait", "--merchant", "acme", "--key", "paused")
	require.Zero(t, a.code, "%+v", a)

	a = processor(append([]string{"pause", "nowhere"}, why...)...)
	require.Equal(t, 4, a.code, "%+v", a)
	require.Contains(t, a.stderr, `"nowhere": no worker is configured with it: want backup or simulator`)
	require.Equal(t, 200, second.healthStatus(t))
}
