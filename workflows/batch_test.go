package workflows

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/payment"
)

// batchRun is a run of Batch in a test environment. Each execution of SendBatchLines returns the next of the batches, and the last one again.
type batchRun struct {
	*testsuite.TestWorkflowEnvironment
	// sent are the times at which executions ended, since the start. Each takes half a minute.
	sent []time.Duration
}

func newBatchRun(returns ...payment.Batch) *batchRun {
	var suite testsuite.WorkflowTestSuite
	r := &batchRun{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment()}
	r.SetTestTimeout(10 * time.Minute)
	Register(r)
	r.RegisterActivityWithOptions(func(payment.BatchRequest) (payment.Batch, error) { return payment.Batch{}, errors.New("not mocked") },
		activity.RegisterOptions{Name: payment.ActivitySendBatchLines})
	r.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: payment.BatchWorkflowID("june"), TaskQueue: payment.TaskQueue})
	began := r.Now()
	r.OnActivity(payment.ActivitySendBatchLines, mock.Anything).Return(func(payment.BatchRequest) (payment.Batch, error) {
		r.sent = append(r.sent, r.Now().Sub(began))
		b := returns[min(len(r.sent), len(returns))-1]
		if b.Name == "" {
			return b, errors.New("the store is down")
		}
		return b, nil
	}).After(30 * time.Second)
	return r
}

func (r *batchRun) execute(t *testing.T) (payment.Batch, error) {
	t.Helper()
	r.ExecuteWorkflow(payment.WorkflowBatch, payment.BatchRequest{Name: "june"})
	require.True(t, r.IsWorkflowCompleted())
	var b payment.Batch
	if err := r.GetWorkflowError(); err != nil {
		return b, err
	}
	return b, r.GetWorkflowResult(&b)
}

var (
	sendingBatch = payment.Batch{Name: "june", State: payment.BatchRunning, Lines: 100, Waiting: 60, Open: 10, Succeeded: 30, InFlight: 10}
	sweeping     = payment.Batch{Name: "june", State: payment.BatchRunning, Lines: 100, Open: 10, Succeeded: 90, InFlight: 10}
	pausing      = payment.Batch{Name: "june", State: payment.BatchPaused, Lines: 100, Waiting: 70, Succeeded: 30, InFlight: 10}
	endedBatch   = payment.Batch{
		Name: "june", State: payment.BatchCompleted, Lines: 100, Succeeded: 97, Declined: 3, InFlight: 10,
		FinishedAt: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
	}
)

func TestBatchIsSentUntilAllLinesHaveEnded(t *testing.T) {
	t.Parallel()
	r := newBatchRun(sendingBatch, sendingBatch, endedBatch)
	b, err := r.execute(t)
	require.NoError(t, err)
	require.Equal(t, endedBatch, b)
	require.Len(t, r.sent, 3)
	require.Less(t, r.sent[2], 100*time.Second, "without a pause")
}

func TestOpenLinesOfABatchAreReadAtGrowingIntervals(t *testing.T) {
	t.Parallel()
	r := newBatchRun(sendingBatch, sweeping, sweeping, sweeping, sweeping, sweeping, sweeping, sweeping, sweeping, sweeping, endedBatch)
	_, err := r.execute(t)
	require.NoError(t, err)
	var pauses []time.Duration
	for i := 2; i < len(r.sent); i++ {
		pauses = append(pauses, (r.sent[i] - r.sent[i-1] - 30*time.Second).Round(time.Minute))
	}
	require.Equal(t, []time.Duration{
		time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour,
	}, pauses)
}

func TestPausedBatchIsReadAgainWhenACallerChangesIt(t *testing.T) {
	t.Parallel()
	r := newBatchRun(pausing, pausing, endedBatch)
	for _, at := range []time.Duration{10 * time.Minute, 20 * time.Minute} {
		r.RegisterDelayedCallback(func() { r.SignalWorkflow(payment.SignalBatchChanged, payment.BatchChange{Action: payment.BatchResume}) }, at)
	}
	var shown payment.Batch
	r.RegisterDelayedCallback(func() {
		value, err := r.QueryWorkflow(payment.QueryStatus)
		require.NoError(t, err)
		require.NoError(t, value.Get(&shown))
	}, 5*time.Minute)
	_, err := r.execute(t)
	require.NoError(t, err)
	require.Equal(t, pausing, shown)
	require.Len(t, r.sent, 3)
	require.InDelta(t, 10*60+30, r.sent[1].Seconds(), 1)
	require.InDelta(t, 20*60+30, r.sent[2].Seconds(), 1)
}

// A change may arrive while lines are sent, after the execution has read the batch.
func TestChangeDuringAnExecutionIsNotMissed(t *testing.T) {
	t.Parallel()
	r := newBatchRun(pausing, endedBatch)
	r.RegisterDelayedCallback(func() { r.SignalWorkflow(payment.SignalBatchChanged, payment.BatchChange{Action: payment.BatchResume}) }, 20*time.Second)
	_, err := r.execute(t)
	require.NoError(t, err)
	require.LessOrEqual(t, r.sent[1], time.Minute)
}

func TestBatchWaitsForAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	r := newBatchRun(payment.Batch{}, payment.Batch{}, endedBatch)
	b, err := r.execute(t)
	require.NoError(t, err)
	require.Equal(t, endedBatch, b)
}

func TestLongBatchContinuesAsNew(t *testing.T) {
	t.Parallel()
	r := newBatchRun(sendingBatch)
	_, err := r.execute(t)
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &again)
	require.Len(t, r.sent, maxSends)
	require.Less(t, maxSends*6, 4096, "events of a run")
}

func TestCanceledWorkflowOfABatchEnds(t *testing.T) {
	t.Parallel()
	r := newBatchRun(pausing)
	r.RegisterDelayedCallback(r.CancelWorkflow, 10*time.Minute)
	_, err := r.execute(t)
	require.ErrorContains(t, err, "canceled")
}

func TestTemporalWebShowsTheNumbersOfABatch(t *testing.T) {
	t.Parallel()
	b := &batch{value: sendingBatch, perSecond: 12.5}
	b.value.By, b.value.Reason = "jane", "acme *halved* our quota"
	text := b.details()
	for _, want := range []string{
		"**running.** 30 of 100 lines have ended. 12.5 lines per second, 6s left.", "| 60 | 10 | 30 | 0 | 0 | 0 | 0 | 0 |",
		"At most 10 lines are in flight", "`starter batch pause`", `acme \*halved\* our quota`,
	} {
		require.Contains(t, text, want)
	}
	b = &batch{value: endedBatch}
	require.Contains(t, b.details(), "`starter batch results` june")
	require.NotContains(t, strings.ToLower(b.details()), "left")
}
