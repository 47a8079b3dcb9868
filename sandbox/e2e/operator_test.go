package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// scripted is a processor that answers the nth POST as the test says, and finds every payment by lookup.
type scripted struct {
	posts atomic.Int32
	post  func(n int32, w http.ResponseWriter, key string)
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost {
		s.post(s.posts.Add(1), w, r.Header.Get("Idempotency-Key"))
		return
	}
	_, _ = fmt.Fprintf(w, `{"data":[%s]}`, paid(r.URL.Query().Get("reference")))
}

func paid(reference string) []byte {
	text, err := json.Marshal(map[string]any{"id": "ch_1", "status": "succeeded", "amount": 1250, "currency": "USD", "captured_amount": 1250, "reference": reference})
	if err != nil {
		panic(err)
	}
	return text
}

func refuse(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, `{"error":{"code":"scripted"}}`)
}

// startOn runs an environment whose processors are the given servers.
func startOn(t *testing.T, handlers map[string]http.Handler) *environment.Environment {
	t.Helper()
	urls := map[string]string{}
	for name, handler := range handlers {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		urls[name] = server.URL
	}
	return start(t, environment.Options{Tune: func(c *config.Config) {
		for name, url := range urls {
			p := c.Processors[name]
			p.BaseURL = url
			p.Retry.Initial = activities.Duration(time.Second) // leaves time to reset between attempts
			c.Processors[name] = p
		}
	}})
}

func resetActivity(t *testing.T, env *environment.Environment, workflowID string) {
	t.Helper()
	_, err := env.Temporal.WorkflowService().ResetActivity(t.Context(), &workflowservice.ResetActivityRequest{
		Namespace: "default", Execution: &commonpb.WorkflowExecution{WorkflowId: workflowID}, Identity: "operator",
		Activity: &workflowservice.ResetActivityRequest_Type{Type: payment.ActivityProcessorCharge},
	})
	require.NoError(t, err)
}

// Resetting an activity, in Temporal Web or by the command line, makes its attempt number 1 again.
func TestResettingAnActivityDoesNotForgetThatMoneyMayHaveMoved(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		post func(release <-chan struct{}) func(n int32, w http.ResponseWriter, key string)
		when int32 // how many POSTs there were when the operator resets
	}{
		"between two attempts": {when: 1, post: func(<-chan struct{}) func(int32, http.ResponseWriter, string) {
			return func(n int32, w http.ResponseWriter, _ string) {
				if n == 1 {
					refuse(w, http.StatusInternalServerError) // the money has moved
					return
				}
				refuse(w, http.StatusForbidden)
			}
		}},
		"during the second attempt": {when: 2, post: func(release <-chan struct{}) func(int32, http.ResponseWriter, string) {
			return func(n int32, w http.ResponseWriter, _ string) {
				switch n {
				case 1:
					refuse(w, http.StatusTooManyRequests)
				case 2:
					<-release // the money moves, and no answer comes in time
				default:
					refuse(w, http.StatusForbidden)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			p := &scripted{post: tt.post(release)}
			env := startOn(t, map[string]http.Handler{environment.ProcessorName: p})
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

func TestAResetWorkflowDoesNotChargeAgain(t *testing.T) {
	t.Parallel()
	accept := func(_ int32, w http.ResponseWriter, key string) { _, _ = w.Write(paid(key)) }
	first, second := &scripted{post: accept}, &scripted{post: accept}
	env := startOn(t, map[string]http.Handler{environment.ProcessorName: first, environment.BackupName: second})
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
	require.Equal(t, c, again, "the store knows how it ended")
	require.EqualValues(t, 1, first.posts.Load()+second.posts.Load())
}

// workflowTask is the event that ended the nth workflow task.
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
	require.Fail(t, "fewer workflow tasks were completed")
	return 0
}

func TestATerminatedPaymentGoesOnWhenItIsAskedForAgain(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	booked := map[string]bool{}
	var mu sync.Mutex
	p := &scripted{post: func(n int32, w http.ResponseWriter, key string) {
		mu.Lock()
		booked[key] = true
		mu.Unlock()
		if n == 1 {
			<-release // the money has moved, and nobody hears of it
		}
		_, _ = w.Write(paid(key))
	}}
	env := startOn(t, map[string]http.Handler{environment.ProcessorName: p})
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
	require.NoError(t, err, "a refused stranger does not keep the owner out")
	require.Equal(t, payment.Succeeded, c.Status)
	require.Len(t, booked, 1, "under one key")
}

func TestAKeyIsKnownLongAfterTemporalHasForgottenTheWorkflow(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := charge("forgotten", "tok_visa")
	first := succeed(t, env, req)
	half := int64(500)
	refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "forgotten", PaymentID: first.PaymentID, Amount: &half}
	given, err := env.Florin.Refund(t.Context(), refund)
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, given.Status)
	now, err := env.Florin.Get(t.Context(), "acme", "forgotten")
	require.NoError(t, err)
	require.EqualValues(t, 500, now.RefundedAmount, "at once")
	forget(t, env, payment.ChargeWorkflowID("acme", "forgotten"))
	forget(t, env, payment.RefundWorkflowID("acme", "forgotten"))

	later, err := env.Florin.Get(t.Context(), "acme", "forgotten")
	require.NoError(t, err)
	require.Equal(t, now, later)
	givenLater, err := env.Florin.GetRefund(t.Context(), "acme", "forgotten")
	require.NoError(t, err)
	require.Equal(t, given, givenLater)
	_, err = env.Florin.Get(t.Context(), "acme", "never")
	require.ErrorIs(t, err, florin.ErrNotFound)

	other := req
	other.Amount++
	_, err = env.Florin.Charge(t.Context(), other)
	require.ErrorIs(t, err, florin.ErrIdempotencyMismatch)
	again, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.EqualValues(t, 500, again.RefundedAmount, "and it knows what went back since")
	again.RefundedAmount = 0
	require.Equal(t, first, again)
	givenAgain, err := env.Florin.Refund(t.Context(), refund)
	require.NoError(t, err)
	require.Equal(t, given, givenAgain)
	requireEqualBooks(t, env, []payment.Charge{first}, []payment.Refund{given})
}

func TestPaymentsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	for i := range 5 {
		token := "tok_visa"
		if i == 2 {
			token = "tok_insufficient_funds"
		}
		_, err := final(t.Context(), env, charge(fmt.Sprint("list-", i), token))
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

func TestAnOperatorResolvesWhatTheProcessorCannotTell(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	said := payment.Resolution{Status: payment.Failed, Evidence: "not in the dashboard", By: "jane"}
	_, err := env.Florin.Resolve(t.Context(), "acme", "resolve", said)
	require.ErrorIs(t, err, florin.ErrNotFound)
	c, err := final(t.Context(), env, charge("resolve", "tok_lost"))
	require.NoError(t, err)
	require.Equal(t, payment.NeedsReconciliation, c.Status)
	for range 2 {
		c, err = env.Florin.Resolve(t.Context(), "acme", "resolve", said)
		require.NoError(t, err, "the same twice is one")
		require.Equal(t, payment.Failed, c.Status)
	}
	c, err = env.Florin.Wait(t.Context(), "acme", "resolve")
	require.NoError(t, err)
	require.Equal(t, "resolved by jane: not in the dashboard", c.Failure.Message)
	said.By = "joe"
	_, err = env.Florin.Resolve(t.Context(), "acme", "resolve", said)
	require.ErrorIs(t, err, florin.ErrNotResolvable)
}

// forget is what Temporal does at the end of its retention.
func forget(t *testing.T, env *environment.Environment, workflowID string) {
	t.Helper()
	_, err := env.Temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := env.Temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
		var gone *serviceerror.NotFound
		return errors.As(err, &gone)
	}, time.Minute, 20*time.Millisecond)
}
