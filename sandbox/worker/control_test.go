package worker

import (
	"context"
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

	a := processor(append([]string{"pause", "simulator"}, why...)...)
	require.Zero(t, a.code, "%+v", a)
	var state payment.ProcessorState
	a.decode(t, &state)
	require.True(t, state.Control.Paused)
	require.GreaterOrEqual(t, len(state.Workers), 2)

	a = processor("list")
	require.Zero(t, a.code, "%+v", a)
	var states payment.ProcessorStates
	a.decode(t, &states)
	for _, w := range states.Processors[len(states.Processors)-1].Workers {
		require.True(t, w.Applied, w.Worker)
	}

	// A worker that does not execute obeys once its lease has ended: it makes no call before it has read the decision. The command may have to
	// be repeated, because this worker may have taken its task.
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		a = processor(append([]string{"rate", "simulator", "--per-second", "50"}, why...)...)
		return a.code == 0
	}, 2*timeout, time.Millisecond, "%+v", a)
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	a = processor(append([]string{"rate", "simulator", "--as-configured"}, why...)...)
	require.Zero(t, a.code, "%+v", a)

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
