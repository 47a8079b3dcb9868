package e2e

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	_ "modernc.org/sqlite"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// Temporal deduplicates updates by ID and keeps the terminated run's answer. Returning that answer is not enough: without a
// new run, no workflow would resolve the payment.
func TestRepeatedChargeRestartsAWorkflowTerminatedAfterItsFirstOutcome(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	req := charge("terminated-late", "tok_lost")
	c, err := env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, payment.NeedsReconciliation, c.Status)
	workflowID := payment.ChargeWorkflowID("acme", "terminated-late")
	require.NoError(t, env.Temporal.TerminateWorkflow(t.Context(), workflowID, "", "a test"))
	c, err = env.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, payment.NeedsReconciliation, c.Status)
	d, err := env.Temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, d.GetWorkflowExecutionInfo().GetStatus(), "a new run must be in progress")
}

func TestRefundRefusedOnceCanSucceedLater(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	r := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "early", PaymentID: payment.PaymentID("acme", "early")}
	_, err := env.Florin.Refund(t.Context(), r)
	require.ErrorIs(t, err, florin.ErrPaymentNotFound)
	succeed(t, env, charge("early", "tok_visa"))
	require.Eventually(t, func() bool {
		refunded, err := env.Florin.Refund(t.Context(), r)
		return err == nil && refunded.Status == payment.Succeeded
	}, 10*time.Second, 200*time.Millisecond)
}

// The part of the history that a reset keeps has no trace of the calls that were made after that point.
func TestWorkflowResetBetweenTwoCallsFindsTheSecond(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := &scripted{post: func(n int32, w http.ResponseWriter, _ string) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "3")
			respondWithError(w, http.StatusTooManyRequests)
		case 2:
			<-release // money has moved, and the response does not come in time
		default:
			respondWithError(w, http.StatusForbidden)
		}
	}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	env := start(t, environment.Options{Tune: func(c *config.Config) {
		q := c.Processors[environment.ProcessorName]
		q.BaseURL = server.URL
		q.Retry.Max = q.Retry.Initial
		q.Retry.LongestWait = q.Retry.Initial
		c.Processors[environment.ProcessorName] = q
	}})
	t.Cleanup(func() { close(release) })
	_, err := env.Florin.StartCharge(t.Context(), charge("mid", "tok_any"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.posts.Load() == 2 }, 20*time.Second, 5*time.Millisecond)
	workflowID := payment.ChargeWorkflowID("acme", "mid")
	_, err = env.Temporal.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
		WorkflowTaskFinishEventId: workflowTask(t, env, workflowID, 2), RequestId: "reset", Reason: "a test",
	})
	require.NoError(t, err)
	c, err := env.Florin.Wait(t.Context(), "acme", "mid")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status, "resolved by a lookup: the 403 of the third call proves nothing about the second")
}

func TestMismatchedRequestDoesNotHideThatTheWorkflowWasTerminated(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := &scripted{post: func(int32, http.ResponseWriter, string) { <-release }}
	env := startWithProcessors(t, map[string]http.Handler{environment.ProcessorName: p})
	t.Cleanup(func() { close(release) })
	req := charge("mismatch", "tok_any")
	_, err := env.Florin.StartCharge(t.Context(), req)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.posts.Load() > 0 }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, env.Temporal.TerminateWorkflow(t.Context(), payment.ChargeWorkflowID("acme", "mismatch"), "", "a test"))
	other := req
	other.Amount++
	_, err = env.Florin.Charge(t.Context(), other)
	require.ErrorIs(t, err, florin.ErrIdempotencyMismatch)
	c, err := env.Florin.Get(t.Context(), "acme", "mismatch")
	require.ErrorIs(t, err, florin.ErrStopped)
	require.Equal(t, payment.Processing, c.Status)
}

// A lock, such as that of a backup, can last longer than the time limit of one local activity.
func TestChargeWaitsForALockedStore(t *testing.T) {
	t.Parallel()
	env := start(t, environment.Options{})
	db, err := sql.Open("sqlite", "file:"+env.Config.Store.SQLite)
	require.NoError(t, err)
	defer db.Close()
	lock, err := db.Conn(t.Context())
	require.NoError(t, err)
	_, err = lock.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	_, err = env.Florin.StartCharge(t.Context(), charge("locked", "tok_visa"))
	require.NoError(t, err)
	<-time.After(7 * time.Second)
	_, err = lock.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	c, err := env.Florin.Wait(t.Context(), "acme", "locked")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, c.Status)
}
