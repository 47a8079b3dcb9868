package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// scripted is a processor that answers POST requests with post, and finds every payment that is looked up.
type scripted struct {
	posts atomic.Int32
	// post writes the response to the nth POST, counted from 1.
	post func(n int32, w http.ResponseWriter, key string)
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost {
		s.post(s.posts.Add(1), w, r.Header.Get("Idempotency-Key"))
		return
	}
	_, _ = fmt.Fprintf(w, `{"data":[%s]}`, paid(r.URL.Query().Get("reference")))
}

// paid is the record of a payment that has succeeded.
func paid(reference string) []byte {
	text, err := json.Marshal(map[string]any{"id": "ch_1", "status": "succeeded", "amount": 1250, "currency": "USD", "captured_amount": 1250, "reference": reference})
	if err != nil {
		panic(err)
	}
	return text
}

// respondWithError writes an error response of the processor.
func respondWithError(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, `{"error":{"code":"scripted"}}`)
}

// startWithProcessors starts an environment in which each handler serves the processor of that name.
func startWithProcessors(t *testing.T, handlers map[string]http.Handler) *environment.Environment {
	t.Helper()
	urls := map[string]string{}
	for name, handler := range handlers {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		urls[name] = server.URL
	}
	return start(t, environment.Options{Tune: func(c *config.Config) {
		queued(c)
		for name, url := range urls {
			p := c.Processors[name]
			p.BaseURL = url
			p.Retry.Initial = activities.Duration(time.Second) // leaves time to reset between attempts
			c.Processors[name] = p
		}
	}})
}

// resetActivity resets the pending activity that charges, as an operator can in Temporal Web.
func resetActivity(t *testing.T, env *environment.Environment, workflowID string) {
	t.Helper()
	_, err := env.Temporal.WorkflowService().ResetActivity(t.Context(), &workflowservice.ResetActivityRequest{
		Namespace: "default", Execution: &commonpb.WorkflowExecution{WorkflowId: workflowID}, Identity: "operator",
		Activity: &workflowservice.ResetActivityRequest_Type{Type: payment.ActivityProcessorCharge},
	})
	require.NoError(t, err)
}

// A reset of an activity, in Temporal Web or with the temporal CLI, sets its attempt number to 1 again.
func TestActivityResetKeepsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		post func(release <-chan struct{}) func(n int32, w http.ResponseWriter, key string)
		when int32 // number of POSTs before the operator resets the activity
	}{
		"between two attempts": {when: 1, post: func(<-chan struct{}) func(int32, http.ResponseWriter, string) {
			return func(n int32, w http.ResponseWriter, _ string) {
				if n == 1 {
					respondWithError(w, http.StatusInternalServerError) // money has moved
					return
				}
				respondWithError(w, http.StatusForbidden)
			}
		}},
		"during the second attempt": {when: 2, post: func(release <-chan struct{}) func(int32, http.ResponseWriter, string) {
			return func(n int32, w http.ResponseWriter, _ string) {
				switch n {
				case 1:
					respondWithError(w, http.StatusTooManyRequests)
				case 2:
					<-release // money moves, and the response does not come in time
				default:
					respondWithError(w, http.StatusForbidden)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			p := &scripted{post: tt.post(release)}
			env := startWithProcessors(t, map[string]http.Handler{environment.ProcessorName: p})
			t.Cleanup(func() { close(release) })
			req := charge("reset", "tok_any")
			_, err := env.Florin.StartCharge(t.Context(), req)
			require.NoError(t, err)
			workflowID := payment.ChargeWorkflowID("acme", "reset")
			require.Eventually(t, func() bool {
				d, err := env.Temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
				require.NoError(t, err)
				pending := d.GetPendingActivities()
				return p.posts.Load() == tt.when && len(pending) == 1 && (tt.when == 2 || pending[0].GetAttempt() == 2)
			}, 10*time.Second, 5*time.Millisecond)
			resetActivity(t, env, workflowID)
			c, err := env.Florin.Wait(t.Context(), "acme", "reset")
			require.NoError(t, err)
			require.Equal(t, payment.Succeeded, c.Status)
		})
	}
}

func TestWorkflowResetDoesNotChargeAgain(t *testing.T) {
	t.Parallel()
	accept := func(_ int32, w http.ResponseWriter, key string) { _, _ = w.Write(paid(key)) }
	first, second := &scripted{post: accept}, &scripted{post: accept}
	env := startWithProcessors(t, map[string]http.Handler{environment.ProcessorName: first, environment.BackupName: second})
	c := succeed(t, env, charge("reset", "tok_any"))
	require.Equal(t, environment.ProcessorName, c.Processor)

	env.StopWorker()
	env.Config.DefaultProcessor = environment.BackupName
	require.NoError(t, env.StartWorker(t.Context()))
	workflowID := payment.ChargeWorkflowID("acme", "reset")
	_, err := env.Temporal.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
		WorkflowTaskFinishEventId: workflowTask(t, env, workflowID, 1), RequestId: "reset", Reason: "a test",
	})
	require.NoError(t, err)
	again, err := env.Florin.Wait(t.Context(), "acme", "reset")
	require.NoError(t, err)
	require.Equal(t, c, again, "the outcome is in the store")
	require.EqualValues(t, 1, first.posts.Load()+second.posts.Load())
}

// A failover to a standby that lags behind may lose the row of a payment. An operator then resets its workflow.
func TestPaymentWhoseRowWasLostIsAsOldAsItsWorkflowAfterAReset(t *testing.T) {
	t.Parallel()
	p := &scripted{post: func(_ int32, w http.ResponseWriter, key string) { _, _ = w.Write(paid(key)) }}
	env := startWithProcessors(t, map[string]http.Handler{environment.ProcessorName: p})
	c := succeed(t, env, charge("lost", "tok_any"))

	env.StopWorker()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.RemoveAll(env.Config.Store.SQLite+suffix))
	}
	require.NoError(t, env.StartWorker(t.Context()))
	workflowID := payment.ChargeWorkflowID("acme", "lost")
	_, err := env.Temporal.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
		WorkflowTaskFinishEventId: workflowTask(t, env, workflowID, 1), RequestId: "reset", Reason: "a test",
	})
	require.NoError(t, err)
	again, err := env.Florin.Wait(t.Context(), "acme", "lost")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, again.Status)
	require.Equal(t, c.CreatedAt, again.CreatedAt, "the age of its idempotency key is counted from then")
	require.True(t, again.UpdatedAt.After(c.UpdatedAt))
}

// workflowTask returns the ID of the event that completed the nth workflow task.
func workflowTask(t *testing.T, env *environment.Environment, workflowID string, n int) int64 {
	t.Helper()
	events := env.Temporal.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			if n--; n == 0 {
				return event.GetEventId()
			}
		}
	}
	require.Fail(t, "the history has too few completed workflow tasks")
	return 0
}

func TestRepeatedChargeRestartsATerminatedWorkflow(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	charged := map[string]bool{}
	var mu sync.Mutex
	p := &scripted{post: func(n int32, w http.ResponseWriter, key string) {
		mu.Lock()
		charged[key] = true
		mu.Unlock()
		if n == 1 {
			<-release // money has moved, and the response does not come in time
		}
		_, _ = w.Write(paid(key))
	}}
	env := startWithProcessors(t, map[string]http.Handler{environment.ProcessorName: p})
	t.Cleanup(func() { close(release) })
	req := charge("terminated", "tok_any")
	_, err := env.Florin.StartCharge(t.Context(), req)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.posts.Load() > 0 }, 10*time.Second, 5*time.Millisecond)
	workflowID := payment.ChargeWorkflowID("acme", "terminated")
	require.NoError(t, env.Temporal.TerminateWorkflow(t.Context(), workflowID, "", "a test"))
	_, err = env.Florin.Get(t.Context(), "acme", "terminated")
	require.ErrorIs(t, err, florin.ErrStopped)

	other := req
	other.Amount++
	_, err = env.Florin.Charge(t.Context(), other)
	require.ErrorIs(t, err, florin.ErrIdempotencyMismatch)
	c, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err, "a mismatched request does not block the original one")
	require.Equal(t, payment.Succeeded, c.Status)
	require.Len(t, charged, 1, "idempotency keys")
}

func TestPaymentIsReturnedAfterTheRetentionOfItsWorkflow(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := charge("retention", "tok_visa")
	first := succeed(t, env, req)
	amount := int64(500)
	refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "retention", PaymentID: first.PaymentID, Amount: &amount}
	refunded, err := env.Florin.Refund(t.Context(), refund)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, refunded.Status)
	current, err := env.Florin.Get(t.Context(), "acme", "retention")
	require.NoError(t, err)
	require.EqualValues(t, 500, current.RefundedAmount, "without delay")
	deleteWorkflow(t, env, payment.ChargeWorkflowID("acme", "retention"))
	deleteWorkflow(t, env, payment.RefundWorkflowID("acme", "retention"))

	later, err := env.Florin.Get(t.Context(), "acme", "retention")
	require.NoError(t, err)
	require.Equal(t, current, later)
	refundLater, err := env.Florin.GetRefund(t.Context(), "acme", "retention")
	require.NoError(t, err)
	require.Equal(t, refunded, refundLater)
	_, err = env.Florin.Get(t.Context(), "acme", "never")
	require.ErrorIs(t, err, florin.ErrNotFound)

	other := req
	other.Amount++
	_, err = env.Florin.Charge(t.Context(), other)
	require.ErrorIs(t, err, florin.ErrIdempotencyMismatch)
	again, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.EqualValues(t, 500, again.RefundedAmount, "including the refund")
	again.RefundedAmount = 0
	require.Equal(t, first, again)
	refundAgain, err := env.Florin.Refund(t.Context(), refund)
	require.NoError(t, err)
	require.Equal(t, refunded, refundAgain)
	requireLedgerMatches(t, env, []payment.Charge{first}, []payment.Refund{refunded})
}

func TestListReturnsPages(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for i := range 5 {
		token := "tok_visa"
		if i == 2 {
			token = "tok_insufficient_funds"
		}
		_, err := chargeUntilResolved(t.Context(), env, charge(fmt.Sprint("list-", i), token))
		require.NoError(t, err)
	}
	var keys []string
	f := payment.Filter{MerchantID: "acme", Limit: 2}
	for {
		page, err := env.Florin.List(t.Context(), f)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Payments), 2)
		for _, c := range page.Payments {
			keys = append(keys, c.IdempotencyKey)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	require.Equal(t, []string{"list-4", "list-3", "list-2", "list-1", "list-0"}, keys)
	declined, err := env.Florin.List(t.Context(), payment.Filter{Statuses: []payment.Status{payment.Declined}})
	require.NoError(t, err)
	require.Len(t, declined.Payments, 1)
	_, err = env.Florin.List(t.Context(), payment.Filter{Cursor: "nonsense"})
	require.ErrorIs(t, err, florin.ErrInvalidRequest)
}

func TestOperatorResolvesAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	resolution := payment.Resolution{Status: payment.Failed, Evidence: "not in the dashboard", By: "jane"}
	_, err := env.Florin.Resolve(t.Context(), "acme", "resolve", resolution)
	require.ErrorIs(t, err, florin.ErrNotFound)
	c, err := chargeUntilResolved(t.Context(), env, charge("resolve", "tok_lost"))
	require.NoError(t, err)
	require.Equal(t, payment.NeedsReconciliation, c.Status)
	for range 2 {
		c, err = env.Florin.Resolve(t.Context(), "acme", "resolve", resolution)
		require.NoError(t, err, "repeating the resolution is not an error")
		require.Equal(t, payment.Failed, c.Status)
	}
	c, err = env.Florin.Wait(t.Context(), "acme", "resolve")
	require.NoError(t, err)
	require.Equal(t, "resolved by jane: not in the dashboard", c.Failure.Message)
	resolution.By = "joe"
	_, err = env.Florin.Resolve(t.Context(), "acme", "resolve", resolution)
	require.ErrorIs(t, err, florin.ErrNotResolvable)
}

// deleteWorkflow deletes a closed workflow, as Temporal does at the end of the retention.
func deleteWorkflow(t *testing.T, env *environment.Environment, workflowID string) {
	t.Helper()
	_, err := env.Temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := env.Temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
		var notFound *serviceerror.NotFound
		return errors.As(err, &notFound)
	}, time.Minute, 20*time.Millisecond)
}
