package payment

import (
	"strings"
	"time"
)

// ReconcileRequest is the input of the workflow [WorkflowReconcile].
type ReconcileRequest struct {
	// Processor is the name of a configured processor.
	Processor string `json:"processor"`
	// Earlier is the progress of the runs before this one, if the workflow has continued as new.
	Earlier *ReconcileProgress `json:"earlier,omitempty"`
}

// ReconcilePhase is a step of a reconciliation.
type ReconcilePhase string

// The phases, in their order.
const (
	// ReconcileClean deletes what ended runs have left.
	ReconcileClean ReconcilePhase = "clean"
	// ReconcileListPayments reads the processor's payments, and ReconcileListRefunds its refunds.
	ReconcileListPayments ReconcilePhase = "list_payments"
	ReconcileListRefunds  ReconcilePhase = "list_refunds"
	// ReconcileComparePayments compares the stored payments with the listed ones, and ReconcileCompareRefunds the refunds.
	ReconcileComparePayments ReconcilePhase = "compare_payments"
	ReconcileCompareRefunds  ReconcilePhase = "compare_refunds"
	// ReconcileMatch searches the store for the listed records that matched none of the window.
	ReconcileMatch ReconcilePhase = "match"
	// ReconcileCheck looks up each difference, because a list may be older than the store. ReconcileCheckAgain does so once more for what a
	// lagging record would show, too.
	ReconcileCheck      ReconcilePhase = "check"
	ReconcileCheckAgain ReconcilePhase = "check_again"
)

// ReconcilePhases are the phases in their order.
var ReconcilePhases = []ReconcilePhase{
	ReconcileClean, ReconcileListPayments, ReconcileListRefunds, ReconcileComparePayments, ReconcileCompareRefunds, ReconcileMatch,
	ReconcileCheck, ReconcileCheckAgain,
}

// ReconcileCounts are the numbers of a reconciliation.
type ReconcileCounts struct {
	// Pages and Listed count the pages and records that the processor has listed, and Compared the stored payments and refunds.
	Pages    int64 `json:"pages"`
	Listed   int64 `json:"listed"`
	Compared int64 `json:"compared"`
	// Checked counts the lookups of differences, and Hurried the running workflows that were notified of one.
	Checked int64 `json:"checked"`
	Hurried int64 `json:"hurried"`
	// Findings counts the divergences that were recorded.
	Findings int64 `json:"findings"`
}

// Add returns the sums of both, except that Findings is that of the later one, more.
func (c ReconcileCounts) Add(more ReconcileCounts) ReconcileCounts {
	c.Pages += more.Pages
	c.Listed += more.Listed
	c.Compared += more.Compared
	c.Checked += more.Checked
	c.Hurried += more.Hurried
	c.Findings = max(c.Findings, more.Findings)
	return c
}

// ReconcileProgress is how far a reconciliation is.
type ReconcileProgress struct {
	// BegunAt is, in the request of a workflow that continues, StartedAt of the reconciliation that it is the progress of.
	BegunAt time.Time      `json:"begun_at,omitzero"`
	Phase   ReconcilePhase `json:"phase"`
	// Cursor is where the phase continues; empty at its begin.
	Cursor string `json:"cursor,omitempty"`
	// Mark is an earlier cursor of the phase: a list that comes to it again repeats itself and has no end.
	Mark   string          `json:"mark,omitempty"`
	Counts ReconcileCounts `json:"counts"`
	// Doubts counts the differences that one more lookup decides.
	Doubts int64 `json:"doubts,omitempty"`
}

// Reconciliation is a comparison of a processor's payments and refunds with the stored ones: the state and the result of the workflow
// [WorkflowReconcile].
type Reconciliation struct {
	// RunID is Temporal's ID of the first run of the workflow.
	RunID      string `json:"run_id"`
	Processor  string `json:"processor"`
	WorkflowID string `json:"workflow_id"`
	// WindowFrom and WindowTo limit what is compared: WindowFrom <= CreatedAt < WindowTo.
	WindowFrom time.Time `json:"window_from"`
	WindowTo   time.Time `json:"window_to"`
	StartedAt  time.Time `json:"started_at"`
	// EndedAt is zero while it runs. Complete reports that all of the window was compared: the next one begins at its end, minus an overlap.
	// Reason is why it is not complete.
	EndedAt  time.Time `json:"ended_at,omitzero"`
	Complete bool      `json:"complete"`
	Reason   string    `json:"reason,omitempty"`
	// Phase is what it does now; empty in the store, and once it has ended.
	Phase  ReconcilePhase  `json:"phase,omitempty"`
	Counts ReconcileCounts `json:"counts"`
}

// ReconciliationFilter selects reconciliations. Zero fields match everything.
type ReconciliationFilter struct {
	Processor string `json:"processor,omitempty"`
	// Limit is the size of a page: 50 by default, and at most 500.
	Limit int `json:"limit,omitempty"`
	// Cursor is the Next of the previous page, for the same filter.
	Cursor string `json:"cursor,omitempty"`
}

// Validate checks the fields, as [Filter.Validate] does.
func (f ReconciliationFilter) Validate() error {
	var v validator
	v.processor(f.Processor)
	v.cursor(f.Cursor)
	return v.err()
}

// ReconciliationPage is a page of reconciliations, the latest first.
type ReconciliationPage struct {
	Reconciliations []Reconciliation `json:"reconciliations"`
	// Next is the cursor of the next page. It is empty on the last page.
	Next string `json:"next,omitempty"`
}

// ReconcileScheduleID returns the ID of the schedule that starts the reconciliations of a processor. The IDs of its workflows begin with
// it.
func ReconcileScheduleID(processor string) string { return "reconcile/" + processor }

// IsReconcileWorkflowID reports whether a workflow with this ID may reconcile the processor: it was started by the processor's schedule,
// which appends a hyphen and a time, or by an operator, with a slash and a name.
func IsReconcileWorkflowID(id, processor string) bool {
	rest, ok := strings.CutPrefix(id, ReconcileScheduleID(processor))
	return ok && processor != "" && (rest == "" || rest[0] == '-' || rest[0] == '/')
}
