package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/internal/storetest"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// pagedProcessor lists one payment per page, and counts the pages.
type pagedProcessor struct {
	processor.Processor
	cursors []string
}

func (p *pagedProcessor) List(_ context.Context, call processor.ListCall) (processor.Page, error) {
	p.cursors = append(p.cursors, call.Cursor)
	next := map[string]string{"": "2", "2": "3", "3": ""}
	return processor.Page{
		Records: []processor.Record{{Result: processor.Result{ID: "ch_" + call.Cursor, Status: payment.Succeeded}, CreatedAt: time.Now().Add(-time.Hour)}},
		Next:    next[call.Cursor],
	}, nil
}

// newReconciler returns an environment with the activity in a workflow of this type and ID, and a store in which the run run-1 has begun.
func newReconciler(t *testing.T, workflowType, id string) (*testsuite.TestActivityEnvironment, *Reconciler, *pagedProcessor) {
	t.Helper()
	db := storetest.New(t)
	_, err := db.BeginReconciliation(t.Context(), payment.Reconciliation{RunID: "run-1", Processor: "one", WorkflowID: "reconcile/one"}, store.Window{Overlap: 2 * time.Hour})
	require.NoError(t, err)
	var suite testsuite.WorkflowTestSuite
	env := inWorkflow(suite.NewTestActivityEnvironment(), workflowType, id)
	p := &pagedProcessor{}
	r := &Reconciler{Processor: p, Name: "one", Store: db}
	r.Register(env)
	return env, r, p
}

func listFrom(cursor string) ReconcilePart {
	return ReconcilePart{RunID: "run-1", Progress: payment.ReconcileProgress{Phase: payment.ReconcileListPayments, Cursor: cursor}}
}

// A worker was killed mid-page: its last heartbeat has the cursor of the next page, and the counts of the pages before.
func TestReconciliationContinuesAtTheLastHeartbeat(t *testing.T) {
	env, _, p := newReconciler(t, payment.WorkflowReconcile, "reconcile/one")
	env.SetHeartbeatDetails(ReconciledPart{Cursor: "3", Counts: payment.ReconcileCounts{Pages: 2, Listed: 2}})
	value, err := env.ExecuteActivity(payment.ActivityReconcileRecords, listFrom(""))
	require.Equal(t, ReconciledPart{Done: true, Counts: payment.ReconcileCounts{Pages: 3, Listed: 3}}, decode[ReconciledPart](t, value, err))
	require.Equal(t, []string{"3"}, p.cursors)
}

func TestOnlyTheWorkflowThatHasBegunTheRunReconciles(t *testing.T) {
	for name, tt := range map[string]struct {
		workflowType, id, run, processor string
		refused                          bool
	}{
		"its workflow":         {workflowType: payment.WorkflowReconcile, id: "reconcile/one", run: "run-1", processor: "one"},
		"another workflow":     {workflowType: payment.WorkflowReconcile, id: "reconcile/one-2", run: "run-1", processor: "one", refused: true},
		"another type":         {workflowType: payment.WorkflowCharge, id: "reconcile/one", run: "run-1", processor: "one", refused: true},
		"no workflow":          {run: "run-1", processor: "one", refused: true},
		"a run that is none":   {workflowType: payment.WorkflowReconcile, id: "reconcile/one", run: "run-2", processor: "one", refused: true},
		"of another processor": {workflowType: payment.WorkflowReconcile, id: "reconcile/one", run: "run-1", processor: "two", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			env, r, p := newReconciler(t, tt.workflowType, tt.id)
			r.Name = tt.processor
			var refused []string
			r.Refused = func(operation, reason string) { refused = append(refused, operation+" "+reason) }
			part := listFrom("")
			part.RunID = tt.run
			_, err := env.ExecuteActivity(payment.ActivityReconcileRecords, part)
			if !tt.refused {
				require.NoError(t, err)
				return
			}
			requireRefusal(t, err, payment.RefusalCode(payment.ClassPermission))
			require.Empty(t, p.cursors)
			require.Equal(t, []string{"ReconcileRecords foreign"}, refused)
		})
	}
}

func TestPartOfARunThatHasEndedIsNotRepeated(t *testing.T) {
	env, r, p := newReconciler(t, payment.WorkflowReconcile, "reconcile/one")
	_, err := r.Store.EndReconciliation(t.Context(), "run-1", false, "another one has begun", payment.ReconcileCounts{})
	require.NoError(t, err)
	_, err = env.ExecuteActivity(payment.ActivityReconcileRecords, listFrom(""))
	requireRefusal(t, err, ErrorRunEnded)
	require.Empty(t, p.cursors)
	value, err := env.ExecuteActivity(payment.ActivityReconcileRecords, ReconcilePart{
		RunID: "run-1", Progress: payment.ReconcileProgress{Phase: payment.ReconcileClean},
	})
	require.True(t, decode[ReconciledPart](t, value, err).Done)
}

func TestPacedCallsWait(t *testing.T) {
	env, r, p := newReconciler(t, payment.WorkflowReconcile, "reconcile/one")
	paced := 0
	r.Pace = func(context.Context) error { paced++; return nil }
	value, err := env.ExecuteActivity(payment.ActivityReconcileRecords, listFrom(""))
	require.Equal(t, int64(3), decode[ReconciledPart](t, value, err).Counts.Pages)
	require.Equal(t, 3, paced)
	require.Len(t, p.cursors, 3)

	r.Pace = func(context.Context) error { return temporal.NewCanceledError() }
	_, err = env.ExecuteActivity(payment.ActivityReconcileRecords, listFrom(""))
	require.Error(t, err)
	require.Len(t, p.cursors, 3)
}
