package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/server/common/dynamicconfig"
	"golang.org/x/sync/errgroup"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/replaytest"
	"github.com/florinpay/florin/sandbox/environment"
)

// shortRuns is an environment whose Temporal server suggests after 60 events that a workflow continues as new, and whose worker looks
// payments up so often that this takes about a second.
type shortRuns struct {
	*environment.Environment
	// unreachable makes the processor answer every request about payments with an error. It still executes what it is sent.
	unreachable *atomic.Bool
}

func startWithShortRuns(t *testing.T, pendingFor time.Duration) shortRuns {
	t.Helper()
	s := shortRuns{unreachable: &atomic.Bool{}}
	s.Environment = start(t, environment.Options{
		Simulator:      simulator.Options{PendingFor: pendingFor},
		TemporalConfig: map[dynamicconfig.Key]any{dynamicconfig.HistoryCountSuggestContinueAsNew.Key(): 60},
		Tune: func(c *config.Config) {
			p := c.Processors[environment.ProcessorName]
			p.BaseURL = s.proxy(t, p.BaseURL)
			often := activities.Duration(50 * time.Millisecond)
			p.Resolve = activities.Poll{Initial: often, Max: often, For: activities.Duration(time.Hour)}
			p.Pending = p.Resolve
			c.Processors[environment.ProcessorName] = p
		},
	})
	return s
}

// proxy returns the address of a proxy in front of the simulator.
func (s shortRuns) proxy(t *testing.T, simulator string) string {
	t.Helper()
	target, err := url.Parse(simulator)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(response *http.Response) error {
		if !s.unreachable.Load() {
			return nil
		}
		body := []byte(`{"error":{"code":"scripted"}}`)
		err := response.Body.Close()
		response.StatusCode = http.StatusInternalServerError
		response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		response.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return err
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// runs returns the IDs of the workflow's runs, the oldest first.
func (s shortRuns) runs(t *testing.T, workflowID string) (ids []string) {
	t.Helper()
	described, err := s.Temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err)
	for id := described.GetWorkflowExecutionInfo().GetFirstRunId(); id != ""; {
		ids = append(ids, id)
		events := s.Temporal.GetWorkflowHistory(t.Context(), workflowID, id, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		id = ""
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			if continued := event.GetWorkflowExecutionContinuedAsNewEventAttributes(); continued != nil {
				id = continued.GetNewExecutionRunId()
			}
		}
	}
	return ids
}

// untilRuns returns once the workflow has at least n runs.
func (s shortRuns) untilRuns(t *testing.T, workflowID string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.runs(t, workflowID)) >= n }, time.Minute, 50*time.Millisecond)
}

// requireReplays requires that every run of the workflow is short, replays, and replays without its personal data.
func (s shortRuns) requireReplays(t *testing.T, workflowID string) {
	t.Helper()
	for _, run := range s.runs(t, workflowID) {
		history, err := histories.Fetch(t.Context(), s.Temporal, workflowID, run)
		require.NoError(t, err)
		require.Less(t, len(history.GetEvents()), 200)
		differences, err := replaytest.Check(history, histories.Options)
		require.NoError(t, err)
		require.Empty(t, differences)
		_, err = histories.Scrub(history)
		require.NoError(t, err)
	}
}

// requirePublished requires that the current run is found in lists by what is known of the payment, and describes it.
func (s shortRuns) requirePublished(t *testing.T, c payment.Charge, workflowID string) {
	t.Helper()
	query := fmt.Sprintf("WorkflowId=%q AND ExecutionStatus='Running' AND PaymentStatus=%q AND PaymentId=%q AND MerchantId=%q "+
		"AND Processor=%q AND Currency=%q AND Amount=%d",
		workflowID, c.Status, c.PaymentID, c.MerchantID, environment.ProcessorName, c.Currency, c.Amount)
	if c.Failure != nil {
		query += fmt.Sprintf(" AND FailureClass=%q", c.Failure.Class)
	}
	require.Eventually(t, func() bool {
		found, err := s.Temporal.ListWorkflow(t.Context(), listRequest(query))
		require.NoError(t, err)
		return len(found.GetExecutions()) == 1
	}, 30*time.Second, 50*time.Millisecond, query)
	require.Contains(t, s.details(t, workflowID), string(c.Status))
}

// details returns the current details in Temporal Web.
func (s shortRuns) details(t *testing.T, workflowID string) string {
	t.Helper()
	encoded, err := s.Temporal.QueryWorkflow(t.Context(), workflowID, "", "__temporal_workflow_metadata")
	require.NoError(t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(t, encoded.Get(&metadata))
	return metadata.GetCurrentDetails()
}

// requireSameRequest requires that the workflow is joined by the same request only.
func (s shortRuns) requireSameRequest(t *testing.T, req payment.ChargeRequest) {
	t.Helper()
	_, err := s.Florin.StartCharge(t.Context(), req)
	require.NoError(t, err)
	req.Amount++
	_, err = s.Florin.StartCharge(t.Context(), req)
	require.ErrorIs(t, err, florin.ErrIdempotencyMismatch)
	_, err = s.Florin.Charge(t.Context(), req)
	require.ErrorIs(t, err, florin.ErrIdempotencyMismatch)
}

func TestPendingPaymentSucceedsAfterSeveralRuns(t *testing.T) {
	t.Parallel()
	s := startWithShortRuns(t, 10*time.Second)
	req, workflowID := charge("order-1", "tok_pending"), payment.ChargeWorkflowID("acme", "order-1")
	c, err := s.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, payment.Pending, c.Status)
	var waited payment.Charge
	var group errgroup.Group
	group.Go(func() (err error) {
		waited, err = s.Florin.Wait(t.Context(), "acme", "order-1")
		return err
	})

	s.untilRuns(t, workflowID, 3)
	c = get(t, s.Environment, "order-1")
	require.Equal(t, payment.Pending, c.Status)
	s.requirePublished(t, c, workflowID)
	s.requireSameRequest(t, req)
	again, err := s.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, c, again, "repeat the charge")

	require.NoError(t, group.Wait())
	require.Equal(t, payment.Succeeded, waited.Status)
	require.Equal(t, waited, get(t, s.Environment, "order-1"))
	again, err = s.Florin.Charge(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, waited, again, "repeat the charge after the last run")
	s.requireSameRequest(t, req)
	requireLedgerMatches(t, s.Environment, []payment.Charge{waited}, nil)
	s.requireReplays(t, workflowID)
}

func TestPendingRefundSucceedsAfterSeveralRuns(t *testing.T) {
	t.Parallel()
	s := startWithShortRuns(t, 6*time.Second)
	paid := succeed(t, s.Environment, charge("order-1", "tok_refund_pending"))
	r, err := s.Florin.Refund(t.Context(), refund("refund-1", paid.PaymentID, 500))
	require.NoError(t, err)
	require.Equal(t, payment.Pending, r.Status)
	r, err = s.Florin.WaitRefund(t.Context(), "acme", "refund-1")
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, r.Status)
	workflowID := payment.RefundWorkflowID("acme", "refund-1")
	require.Greater(t, len(s.runs(t, workflowID)), 1)
	requireLedgerMatches(t, s.Environment, []payment.Charge{get(t, s.Environment, "order-1")}, []payment.Refund{r})
	s.requireReplays(t, workflowID)
}

func TestChargeReturnsTheOutcomeThatALaterRunFindsOut(t *testing.T) {
	t.Parallel()
	s := startWithShortRuns(t, 0)
	s.unreachable.Store(true)
	req, workflowID := charge("order-1", "tok_visa"), payment.ChargeWorkflowID("acme", "order-1")
	var charged payment.Charge
	var group errgroup.Group
	group.Go(func() (err error) {
		charged, err = s.Florin.Charge(t.Context(), req)
		return err
	})
	require.Eventually(t, func() bool { // before, the workflow may not have started
		_, err := s.Florin.Get(t.Context(), "acme", "order-1")
		require.True(t, err == nil || errors.Is(err, florin.ErrNotFound), err)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	s.untilRuns(t, workflowID, 3)
	c := get(t, s.Environment, "order-1")
	require.Equal(t, payment.Unknown, c.Status)
	s.requirePublished(t, c, workflowID)
	s.requireSameRequest(t, req)

	s.unreachable.Store(false)
	require.NoError(t, group.Wait())
	require.Equal(t, payment.Succeeded, charged.Status)
	requireLedgerMatches(t, s.Environment, []payment.Charge{charged}, nil)
	s.requireReplays(t, workflowID)
}

// Each event of the processor makes the history longer.
func TestAuthorizedPaymentIsCapturedAfterManyEvents(t *testing.T) {
	t.Parallel()
	s := startWithShortRuns(t, 0)
	workflowID := payment.ChargeWorkflowID("acme", "order-1")
	c := authorize(t, s.Environment, manual("order-1", "tok_visa"))
	require.Eventually(t, func() bool {
		require.NoError(t, s.Temporal.SignalWorkflow(t.Context(), workflowID, "", payment.SignalProcessorEvent, payment.ProcessorEvent{}))
		return len(s.runs(t, workflowID)) >= 3
	}, time.Minute, 20*time.Millisecond)
	s.requirePublished(t, c, workflowID)

	captured, err := s.Florin.Capture(t.Context(), "acme", "order-1", partial(1000))
	require.NoError(t, err)
	require.Equal(t, payment.Succeeded, captured.Status)
	require.EqualValues(t, 1000, captured.CapturedAmount)
	requireLedgerMatches(t, s.Environment, []payment.Charge{captured}, nil)
	s.requireReplays(t, workflowID)
}

func TestCaptureReturnsTheOutcomeThatALaterRunFindsOut(t *testing.T) {
	t.Parallel()
	s := startWithShortRuns(t, 0)
	workflowID := payment.ChargeWorkflowID("acme", "order-1")
	authorize(t, s.Environment, manual("order-1", "tok_visa"))
	s.unreachable.Store(true)
	var captured payment.Charge
	var group errgroup.Group
	group.Go(func() (err error) {
		captured, err = s.Florin.Capture(t.Context(), "acme", "order-1", partial(1000))
		return err
	})
	s.untilRuns(t, workflowID, 3)
	c := get(t, s.Environment, "order-1")
	require.Equal(t, payment.Unknown, c.Status)
	require.NotNil(t, c.Modification)
	s.requirePublished(t, c, workflowID)
	_, err := s.Florin.Void(t.Context(), "acme", "order-1")
	require.ErrorIs(t, err, florin.ErrNotVoidable, "a capture is in flight")

	s.unreachable.Store(false)
	require.NoError(t, group.Wait())
	require.Equal(t, payment.Succeeded, captured.Status)
	require.EqualValues(t, 1000, captured.CapturedAmount)
	requireLedgerMatches(t, s.Environment, []payment.Charge{captured}, nil)
	s.requireReplays(t, workflowID)
}
