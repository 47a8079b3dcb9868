package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/priority"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
)

const (
	// doubtPause is the pause before a difference is looked up again that a lagging record would show, too.
	doubtPause = 15 * time.Second
	// maxParts limits the parts of one run, and so its history.
	maxParts = 20
	// reconcileFor limits one part with its retries. A processor that does not respond for so long ends the reconciliation: the next one has
	// the same window, and more.
	reconcileFor = 6 * time.Hour
)

// ErrorNotReconciled is the type of the application error of a reconciliation that is not complete. The next one continues where the last
// complete one has ended.
const ErrorNotReconciled = "NotReconciled"

// Reconcile compares the payments and refunds of a processor with the stored ones, and records each difference that a lookup confirms as a
// divergence. What is not final is only hurried. No money moves. Its window begins before the end of the last complete one, so that what
// was missed is compared by the next run, whatever has ended this one.
func Reconcile(ctx workflow.Context, req payment.ReconcileRequest) (payment.Reconciliation, error) {
	info := workflow.GetInfo(ctx)
	if !isContinued(info) { // the client that has started it has no progress
		req.Earlier = nil
	}
	r := &reconciliation{req: req, at: payment.ReconcileProgress{Phase: payment.ReconcilePhases[0]}}
	if req.Earlier != nil {
		r.at = *req.Earlier
	}
	if err := workflow.SetQueryHandler(ctx, payment.QueryStatus, func() (payment.Reconciliation, error) { return r.status(), nil }); err != nil {
		return payment.Reconciliation{}, err
	}
	runID := cmp.Or(info.FirstRunID, info.WorkflowExecution.RunID)
	if err := runInStore(ctx, "begin, and read the window", &r.run, payment.ActivityBeginReconciliation, req.Processor, runID); err != nil {
		return payment.Reconciliation{}, err
	}
	if !r.run.EndedAt.IsZero() { // it was reset
		return r.run, notReconciled(cmp.Or(r.run.Reason, "the run has ended: start another one"))
	}
	if begun := r.at.BegunAt; !begun.IsZero() && !begun.Equal(r.run.StartedAt) {
		// The store has lost the run, for example in a failover, and with it what was listed. This one has another window.
		r.at = payment.ReconcileProgress{Phase: payment.ReconcilePhases[0]}
	}
	r.at.BegunAt = time.Time{}
	reason, err := r.work(ctx)
	if workflow.IsContinueAsNewError(err) {
		return r.run, err
	}
	return r.end(ctx, reason, err)
}

type reconciliation struct {
	req payment.ReconcileRequest
	run payment.Reconciliation
	at  payment.ReconcileProgress
}

// status returns the state, with the progress.
func (r *reconciliation) status() payment.Reconciliation {
	s := r.run
	if s.EndedAt.IsZero() {
		s.Phase, s.Counts = r.at.Phase, r.at.Counts
	}
	return s
}

// work runs the phases in their order. reason is why the window is not complete.
func (r *reconciliation) work(ctx workflow.Context) (reason string, err error) {
	for parts := 0; ; parts++ {
		info := workflow.GetInfo(ctx)
		if parts > 0 && (parts == maxParts || info.GetContinueAsNewSuggested() || info.GetTargetWorkerDeploymentVersionChanged()) {
			r.at.BegunAt, r.req.Earlier = r.run.StartedAt, &r.at
			return "", workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
				InitialVersioningBehavior: workflow.ContinueAsNewVersioningBehaviorAutoUpgrade,
			}, payment.WorkflowReconcile, r.req)
		}
		r.describe(ctx)
		part, err := r.part(ctx)
		if err != nil {
			return "", err
		}
		r.at.Cursor, r.at.Mark = part.Cursor, part.Mark
		r.at.Counts = r.at.Counts.Add(part.Counts)
		r.at.Doubts += part.Doubts
		if part.Unchecked > 0 {
			return fmt.Sprintf("too many findings: %d are recorded, and %d differences are not checked", r.at.Counts.Findings, part.Unchecked), nil
		}
		if !part.Done {
			continue
		}
		next := r.next()
		if next == "" {
			return "", nil
		}
		if next == payment.ReconcileCheckAgain && r.at.Doubts > 0 {
			if err := pauseFor(ctx, doubtPause, "then look up again what a lagging record would show, too"); err != nil {
				return "", err
			}
		}
		r.at.Phase, r.at.Cursor, r.at.Mark = next, "", ""
	}
}

// next returns the phase after the current one; empty after the last.
func (r *reconciliation) next() payment.ReconcilePhase {
	for i, phase := range payment.ReconcilePhases[:len(payment.ReconcilePhases)-1] {
		if phase == r.at.Phase {
			return payment.ReconcilePhases[i+1]
		}
	}
	return ""
}

// part runs the activity for the next part of the current phase.
func (r *reconciliation) part(ctx workflow.Context) (done activities.ReconciledPart, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              payment.ReconcileTaskQueue(r.req.Processor),
		ScheduleToCloseTimeout: reconcileFor,
		StartToCloseTimeout:    time.Hour,
		HeartbeatTimeout:       activities.ReconcileHeartbeat,
		WaitForCancellation:    true,
		Summary:                strings.ReplaceAll(string(r.at.Phase), "_", " "),
		Priority:               priority.Background(""),
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	err = workflow.ExecuteActivity(ctx, payment.ActivityReconcileRecords, activities.ReconcilePart{RunID: r.run.RunID, Progress: r.at}).Get(ctx, &done)
	return done, err
}

// end persists how the reconciliation has ended, also if it was canceled, and deletes what it has kept meanwhile.
func (r *reconciliation) end(ctx workflow.Context, reason string, cause error) (payment.Reconciliation, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if cause != nil {
		reason = reasonOf(cause)
	}
	counts := r.at.Counts
	if err := runInStore(ctx, "persist the end", &r.run, payment.ActivityEndReconciliation, r.run.RunID, reason, counts); err != nil {
		return r.run, err
	}
	reason = cmp.Or(reason, r.run.Reason) // another run may have begun meanwhile
	if err := workflow.UpsertTypedSearchAttributes(ctx, temporalweb.FindingsAttribute(r.run.Counts.Findings)); err != nil {
		return r.run, err
	}
	r.describe(ctx)
	if cause == nil { // otherwise the next run deletes it: the worker or the store may be what has failed
		r.at.Phase, r.at.Cursor = payment.ReconcileClean, ""
		for done := false; !done; {
			part, err := r.part(ctx)
			if err != nil {
				workflow.GetLogger(ctx).Warn("failed to delete what the reconciliation has kept: the next one will", "error", err)
				break
			}
			done = part.Done
		}
	}
	switch {
	case temporal.IsCanceledError(cause):
		return r.run, cause
	case reason != "":
		workflow.GetLogger(ctx).Error("a reconciliation is not complete", "processor", r.req.Processor, "reason", reason)
		return r.run, notReconciled(reason)
	}
	return r.run, nil
}

func notReconciled(reason string) error {
	return temporal.NewNonRetryableApplicationError("not complete: "+reason, ErrorNotReconciled, nil)
}

// reasonOf returns why a part has failed, without what Temporal says about the activity.
func reasonOf(err error) string {
	var application *temporal.ApplicationError
	switch {
	case temporal.IsCanceledError(err):
		return "canceled"
	case errors.As(err, &application):
		return application.Message()
	default:
		return err.Error()
	}
}

// describe sets the details in Temporal Web.
func (r *reconciliation) describe(ctx workflow.Context) {
	s := r.status()
	state := fmt.Sprintf("Phase: **%s**.", strings.ReplaceAll(string(s.Phase), "_", " "))
	switch {
	case s.Complete:
		state = "**Complete.**"
	case !s.EndedAt.IsZero():
		state = "**Not complete**: " + temporalweb.Escape(s.Reason) + ". The next reconciliation begins at the end of the last complete one."
	}
	text := fmt.Sprintf("%s\n\nWindow: %s to %s.\n\n| pages | listed there | compared here | looked up | hurried | findings |\n"+
		"| --- | --- | --- | --- | --- | --- |\n| %d | %d | %d | %d | %d | **%d** |", state,
		temporalweb.Escape(formatTime(s.WindowFrom)), temporalweb.Escape(formatTime(s.WindowTo)),
		s.Counts.Pages, s.Counts.Listed, s.Counts.Compared, s.Counts.Checked, s.Counts.Hurried, s.Counts.Findings)
	if s.Counts.Findings > 0 {
		text += "\n\nList them: `starter reconcile findings`"
	}
	workflow.SetCurrentDetails(ctx, text)
}
