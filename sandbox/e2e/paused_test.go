package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// setRateLimit limits the default processor's task queue, as docs/runbook.md describes for pausing a processor. Nil removes
// the limit.
func setRateLimit(ctx context.Context, env *environment.Environment, limit *taskqueuepb.RateLimit) error {
	_, err := env.Temporal.WorkflowService().UpdateTaskQueueConfig(ctx, &workflowservice.UpdateTaskQueueConfigRequest{
		Namespace: "default", TaskQueue: payment.ProcessorTaskQueue(env.Config.DefaultProcessor), TaskQueueType: enumspb.TASK_QUEUE_TYPE_ACTIVITY,
		UpdateQueueRateLimit: &workflowservice.UpdateTaskQueueConfigRequest_RateLimitUpdate{RateLimit: limit, Reason: "a test"},
	})
	return err
}

// paused is the rate limit of a paused queue.
var paused = &taskqueuepb.RateLimit{RequestsPerSecond: 0}

func TestPausedQueueDelaysAllCalls(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{Tune: queued})
	require.NoError(t, setRateLimit(t.Context(), env, paused))
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	_, err := env.Florin.Charge(ctx, charge("order-1", "tok_visa"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, metrics(t, env), "florin_processor_calls_total")
	require.Contains(t, metrics(t, env), `florin_payments_waiting{processor="simulator",status="processing"} 1`)

	require.NoError(t, setRateLimit(t.Context(), env, nil))
	succeed(t, env, charge("order-1", "tok_visa"))
}

// startWithoutAbsenceProof starts an environment in which a lookup that finds nothing does not prove that a call was not
// executed.
func startWithoutAbsenceProof(t *testing.T, tune func(*config.Processor)) *environment.Environment {
	t.Helper()
	return start(t, environment.Options{Tune: func(c *config.Config) {
		queued(c)
		p := c.Processors[environment.ProcessorName]
		p.AbsenceProofAfter = new(activities.Duration(0))
		tune(&p)
		c.Processors[environment.ProcessorName] = p
	}})
}

func TestCallsThatNoWorkerStartedDuringALongPauseWereNotSent(t *testing.T) {
	t.Parallel()
	env := startWithoutAbsenceProof(t, func(*config.Processor) {})
	paid := succeed(t, env, charge("paid", "tok_visa"))
	authorize(t, env, manual("authorized", "tok_visa"))
	require.NoError(t, setRateLimit(t.Context(), env, paused))

	_, err := env.Florin.StartCharge(t.Context(), charge("charged", "tok_visa"))
	require.NoError(t, err)
	_, err = env.Florin.StartRefund(t.Context(), refund("refunded", paid.PaymentID, 500))
	require.NoError(t, err)
	captured := make(chan error, 1)
	go func() {
		_, err := env.Florin.Capture(t.Context(), "acme", "authorized", full)
		captured <- err
	}()
	require.Eventually(t, func() bool {
		c, err := env.Florin.Get(t.Context(), "acme", "charged")
		require.NoError(t, err)
		r, err := env.Florin.GetRefund(t.Context(), "acme", "refunded")
		require.NoError(t, err)
		a, err := env.Florin.Get(t.Context(), "acme", "authorized")
		require.NoError(t, err)
		return c.Status == payment.Unknown && r.Status == payment.Unknown && a.Status == payment.Unknown
	}, 30*time.Second, 50*time.Millisecond)
	require.NoError(t, setRateLimit(t.Context(), env, nil))

	c, err := env.Florin.Wait(t.Context(), "acme", "charged")
	require.NoError(t, err)
	require.Equal(t, payment.Failed, c.Status)
	require.Equal(t, payment.ClassNotSent, c.Failure.Class)
	require.Equal(t, "no worker picked up the call in time; the processor has no record of it: no money moved", c.Failure.Message)
	r, err := env.Florin.WaitRefund(t.Context(), "acme", "refunded")
	require.NoError(t, err)
	require.Equal(t, payment.Failed, r.Status)
	require.Equal(t, payment.ClassNotSent, r.Failure.Class)
	// The failed refund does not reduce the refundable amount.
	full, err := env.Florin.Refund(t.Context(), refund("refunded-again", paid.PaymentID, 1250))
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, full.Status)
	// The capture is executed late: its caller still wants the money.
	require.NoError(t, <-captured)
	a, err := env.Florin.Wait(t.Context(), "acme", "authorized")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, a.Status)
	paid, err = env.Florin.Get(t.Context(), "acme", "paid")
	require.NoError(t, err)
	requireLedgerMatches(t, env, []payment.Charge{paid, c, a}, []payment.Refund{r, full})
}

// For such a call, Temporal reports nearly the same timeout as for a call that no worker ever started.
func TestCallSentBeforeAPauseStaysUnknown(t *testing.T) {
	t.Parallel()
	for name, intervene := range map[string]func(*testing.T, *environment.Environment){
		"no intervention": func(*testing.T, *environment.Environment) {},
		"activity reset": func(t *testing.T, env *environment.Environment) {
			resetActivity(t, env, payment.ChargeWorkflowID("acme", "order-1"))
		},
		"activity options changed": func(t *testing.T, env *environment.Environment) {
			_, err := env.Temporal.WorkflowService().UpdateActivityOptions(t.Context(), &workflowservice.UpdateActivityOptionsRequest{
				Namespace: "default", Execution: &commonpb.WorkflowExecution{WorkflowId: payment.ChargeWorkflowID("acme", "order-1")},
				Activity:        &workflowservice.UpdateActivityOptionsRequest_Type{Type: payment.ActivityProcessorCharge},
				ActivityOptions: &activitypb.ActivityOptions{StartToCloseTimeout: durationpb.New(1500 * time.Millisecond)},
				UpdateMask:      &fieldmaskpb.FieldMask{Paths: []string{"start_to_close_timeout"}},
			})
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testCallSentBeforeAPause(t, intervene)
		})
	}
}

// testCallSentBeforeAPause pauses the queue after the first attempt, whose outcome is unknown, and calls intervene while
// the second attempt waits.
func testCallSentBeforeAPause(t *testing.T, intervene func(*testing.T, *environment.Environment)) {
	var env *environment.Environment
	var posts atomic.Int32
	processor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodPost {
			_, _ = fmt.Fprint(w, `{"data":[]}`)
			return
		}
		posts.Add(1)
		if setRateLimit(r.Context(), env, paused) != nil { // before a second attempt can start
			respondWithError(w, http.StatusForbidden) // the setup failed: make the payment, and with it the test, fail
			return
		}
		respondWithError(w, http.StatusInternalServerError)
	}))
	t.Cleanup(processor.Close)
	env = startWithoutAbsenceProof(t, func(p *config.Processor) {
		p.BaseURL = processor.URL
		p.Retry.Initial = activities.Duration(time.Second)
	})
	_, err := env.Florin.StartCharge(t.Context(), charge("order-1", "tok_visa"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the first attempt has ended
		d, err := env.Temporal.DescribeWorkflowExecution(t.Context(), payment.ChargeWorkflowID("acme", "order-1"), "")
		require.NoError(t, err)
		return len(d.GetPendingActivities()) == 1 && d.GetPendingActivities()[0].GetAttempt() == 2
	}, 10*time.Second, 20*time.Millisecond)
	intervene(t, env)
	requireReaches := func(want payment.Status) {
		require.Eventually(t, func() bool {
			c, err := env.Florin.Get(t.Context(), "acme", "order-1")
			require.NoError(t, err)
			require.NotEqual(t, payment.Failed, c.Status)
			return c.Status == want
		}, 30*time.Second, 50*time.Millisecond)
	}
	requireReaches(payment.Unknown)
	require.Equal(t, int32(1), posts.Load())
	require.NoError(t, setRateLimit(t.Context(), env, nil))
	requireReaches(payment.NeedsReconciliation)
	require.Equal(t, int32(1), posts.Load())
}
