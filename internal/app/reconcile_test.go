package app

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/webhook"
	"github.com/florinpay/florin/payment"
)

// signals records the signals that are sent.
type signals struct {
	webhook.Signaler
	sent []string
}

func (s *signals) SignalWorkflow(_ context.Context, workflowID, _, name string, _ any) error {
	s.sent = append(s.sent, name+" "+workflowID)
	return nil
}

func TestHurriedWorkflowIsSignaled(t *testing.T) {
	secret, err := webhook.NewRotating(func() ([]string, time.Time, error) { return []string{"whsec_of_the_processor"}, time.Time{}, nil }, nil)
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		signed bool
		secret *webhook.Rotating
	}{
		"callers prove nothing":       {},
		"with the processor's secret": {signed: true, secret: secret},
	} {
		t.Run(name, func(t *testing.T) {
			s := &signals{}
			require.NoError(t, hurrier(s, "acme", tt.signed, tt.secret)(t.Context(), "charge/acme/order-1"))
			require.Equal(t, []string{"processor-event charge/acme/order-1"}, s.sent)
		})
	}
	require.Nil(t, hurrier(&signals{}, "acme", true, nil), "a signal without a signature would be refused")
}

// described is a Temporal in which each workflow has one status; 0: there is none.
type described enumspb.WorkflowExecutionStatus

func (d described) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if d == 0 {
		return nil, serviceerror.NewNotFound("workflow not found")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WorkflowExecutionStatus(d)},
	}, nil
}

func TestOnlyARunningWorkflowFindsOutByItself(t *testing.T) {
	for status, want := range map[enumspb.WorkflowExecutionStatus]bool{
		0: false, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING: true, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED: false,
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED: false, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED: true,
	} {
		got, err := runs(t.Context(), described(status), "charge/acme/order-1")
		require.NoError(t, err)
		require.Equal(t, want, got, status)
	}
}

func TestScheduleOfAReconciliation(t *testing.T) {
	for every, jitter := range map[time.Duration]time.Duration{10 * time.Minute: time.Minute, time.Hour: 5 * time.Minute} {
		s := scheduleOf("acme", config.Reconcile{Every: activities.Duration(every)})
		require.Equal(t, "reconcile/acme", s.ID)
		require.Equal(t, client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}, Jitter: jitter}, s.Spec)
		require.Equal(t, enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, s.Overlap)
		require.Equal(t, every, s.CatchupWindow, "one that was missed is made up for, and no more")
		require.False(t, s.PauseOnFailure)
		action := s.Action.(*client.ScheduleWorkflowAction)
		require.Equal(t, []any{payment.ReconcileRequest{Processor: "acme"}}, action.Args)
		require.True(t, payment.IsReconcileWorkflowID(action.ID+"-2026-01-15T12:00:00Z", "acme"))
	}
}
