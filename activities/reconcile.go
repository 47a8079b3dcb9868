package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

const (
	// byReconcile names the actor behind what a reconciliation finds.
	byReconcile = "reconcile"
	// partItems limits the records, payments, refunds or lookups of one execution of ReconcileRecords.
	partItems = 5000
	// partTime limits how long it takes, but for what it has begun.
	partTime = 10 * time.Minute
	// storedPage is how many stored payments or refunds are compared at once.
	storedPage = 500
	// checkPage is how many differences are read at once.
	checkPage = 50
	// cleanPage is how many rows one statement deletes: payments wait for it in SQLite.
	cleanPage = 1000
	// skew is how much the clocks of the worker and the processor may differ: so much more than the window is listed.
	skew = 10 * time.Minute
	// maxFindings limits the divergences that one run records: a mistake, such as a list of another account, must not fill the table.
	maxFindings = 1000
	// maxHurried limits the workflows that one run notifies.
	maxHurried = 1000
	// beatEvery is the pause between heartbeats. The timeout of the workflow is longer.
	beatEvery = 5 * time.Second
)

// ReconcileHeartbeat is the time without a heartbeat after which an execution of [Reconciler.ReconcileRecords] counts as dead.
const ReconcileHeartbeat = 30 * time.Second

// ErrorRunEnded is the type of the application error of a part of a reconciliation that has ended.
const ErrorRunEnded = "RunEnded"

// Reconciler compares what one processor has with what is stored. It lists and looks up, and moves no money. What it records comes from the
// processor and the store only: an execution that another program has forged could at most make it look again.
type Reconciler struct {
	Processor processor.Processor
	// Name is the name of the configured processor.
	Name  string
	Store *store.Store
	// PageSize is how many records a page of the processor's lists may have; 0 leaves it to the processor.
	PageSize int
	// Pace waits before each call, so that other calls have their share of the rate. Nil: there is no limit.
	Pace func(ctx context.Context) error
	// Hurry notifies the running workflow with an ID that the processor has something new. It returns a [*serviceerror.NotFound] if none
	// runs. Nil: a workflow that runs finds out by itself.
	Hurry func(ctx context.Context, workflowID string) error
	// Runs reports whether the workflow with an ID runs. It is called instead of Hurry if that is nil, or was called often enough.
	Runs func(ctx context.Context, workflowID string) (bool, error)
	// Refused is [Guard.Refused].
	Refused func(operation, reason string)
}

// Register registers the activity under its name in package payment.
func (r *Reconciler) Register(w worker.ActivityRegistry) {
	w.RegisterActivityWithOptions(r.ReconcileRecords, activity.RegisterOptions{Name: payment.ActivityReconcileRecords})
}

// ReconcilePart is a part of a reconciliation.
type ReconcilePart struct {
	RunID string `json:"run_id"`
	// Progress is where the part begins.
	Progress payment.ReconcileProgress `json:"progress"`
}

// ReconciledPart is how far a part has come. It is also what an attempt leaves for the next one, as heartbeat details.
type ReconciledPart struct {
	// Cursor is where the phase continues, unless it is Done.
	Cursor string `json:"cursor,omitempty"`
	Done   bool   `json:"done,omitempty"`
	// Mark is that of [payment.ReconcileProgress].
	Mark string `json:"mark,omitempty"`
	// Counts are those of this part; Findings are those of the run.
	Counts payment.ReconcileCounts `json:"counts"`
	// Doubts counts the differences that one more lookup decides.
	Doubts int64 `json:"doubts,omitempty"`
	// Invalid is the payment or refund whose last lookup brought a response that cannot be read, and InvalidTimes is how often in a row.
	Invalid      string `json:"invalid,omitempty"`
	InvalidTimes int    `json:"invalid_times,omitempty"`
	// Unchecked counts the differences that were not checked, because the run has too many findings.
	Unchecked int64 `json:"unchecked,omitempty"`
}

// ReconcileRecords works on a phase of a reconciliation until its end, or until it has worked on a few thousand items. An attempt continues
// where the one before has sent its last heartbeat; what was done since then is repeated, which changes nothing.
func (r *Reconciler) ReconcileRecords(ctx context.Context, part ReconcilePart) (ReconciledPart, error) {
	info := activity.GetInfo(ctx)
	run, err := r.Store.Reconciliation(ctx, part.RunID)
	switch {
	case err != nil && !errors.Is(err, payment.ErrNotFound):
		return ReconciledPart{}, err
	case err != nil || run.Processor != r.Name || run.WorkflowID != info.WorkflowExecution.ID ||
		info.WorkflowType == nil || info.WorkflowType.Name != payment.WorkflowReconcile:
		return ReconciledPart{}, r.refuseForeign(ctx)
	case !run.EndedAt.IsZero() && part.Progress.Phase != payment.ReconcileClean:
		return ReconciledPart{}, temporal.NewNonRetryableApplicationError("the run has ended: "+run.Reason, ErrorRunEnded, nil)
	}
	p := &reconciling{Reconciler: r, run: run, hurried: part.Progress.Counts.Hurried, pages: part.Progress.Counts.Pages}
	p.state.Cursor, p.state.Mark = part.Progress.Cursor, part.Progress.Mark
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &p.state); err != nil {
			return ReconciledPart{}, err
		}
	}
	p.state.Counts.Findings = run.Counts.Findings
	stop := p.beat(ctx)
	defer stop()
	step, known := map[payment.ReconcilePhase]func(context.Context) (int, error){
		payment.ReconcileClean:           p.clean,
		payment.ReconcileListPayments:    func(ctx context.Context) (int, error) { return p.list(ctx, payment.OperationCharge) },
		payment.ReconcileListRefunds:     func(ctx context.Context) (int, error) { return p.list(ctx, payment.OperationRefund) },
		payment.ReconcileComparePayments: p.comparePayments,
		payment.ReconcileCompareRefunds:  p.compareRefunds,
		payment.ReconcileMatch:           p.match,
		payment.ReconcileCheck:           func(ctx context.Context) (int, error) { return p.check(ctx, 0) },
		payment.ReconcileCheckAgain:      func(ctx context.Context) (int, error) { return p.check(ctx, 1) },
	}[part.Progress.Phase]
	if !known {
		return ReconciledPart{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("unknown phase %q: a newer worker has to continue", part.Progress.Phase), string(payment.ErrInvalidRequest), nil)
	}
	began := time.Now()
	for items := 0; items < partItems && time.Since(began) < partTime && !p.state.Done && p.state.Unchecked == 0 && !isStopping(ctx); {
		n, err := step(ctx)
		if err != nil {
			return ReconciledPart{}, p.retryable(ctx, err)
		}
		items += max(n, 1)
		p.record(ctx)
	}
	return p.state, nil
}

// isStopping reports whether the worker stops. A part ends early then: another worker continues.
func isStopping(ctx context.Context) bool {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}

// refuseForeign ends an activity that another program has scheduled. It counts as a refused call, for which there is an alert.
func (r *Reconciler) refuseForeign(ctx context.Context) error {
	activity.GetLogger(ctx).Error("refused a reconciliation that no workflow of Florin has scheduled")
	if r.Refused != nil {
		r.Refused(payment.ActivityReconcileRecords, "foreign")
	}
	return temporal.NewNonRetryableApplicationError("only the workflow that has begun the run may reconcile", string(payment.ClassPermission), nil)
}

// reconciling is one execution of ReconcileRecords.
type reconciling struct {
	*Reconciler
	run payment.Reconciliation
	// hurried and pages were counted by the parts before this one.
	hurried, pages int64

	mu   sync.Mutex
	sent ReconciledPart // the last heartbeat
	// state is only used by the execution itself.
	state ReconciledPart
}

// record sends a heartbeat with the current state.
func (p *reconciling) record(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = p.state
	activity.RecordHeartbeat(ctx, p.sent)
}

// beat repeats the last heartbeat while a call or a wait takes long, until the returned function is called.
func (p *reconciling) beat(ctx context.Context) (stop func()) {
	p.record(ctx)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p.mu.Lock()
				activity.RecordHeartbeat(ctx, p.sent)
				p.mu.Unlock()
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// retryable returns the error of an attempt: Temporal makes the next one, unless the same call would get the same response.
func (p *reconciling) retryable(ctx context.Context, err error) error {
	var e *processor.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &e):
		return err
	}
	e = clean(e)
	return temporal.NewApplicationErrorWithOptions(e.Error(), string(e.Class), temporal.ApplicationErrorOptions{
		NonRetryable: !e.Retry, NextRetryDelay: min(e.RetryAfter, longestRetryAfter),
	})
}

// longestRetryAfter limits what a processor may ask a part to wait: the next attempt asks again.
const longestRetryAfter = 5 * time.Minute

func (p *reconciling) pace(ctx context.Context) error {
	if p.Pace == nil {
		return nil
	}
	return p.Pace(ctx)
}

func (p *reconciling) clean(ctx context.Context) (int, error) {
	more, err := p.Store.CleanReconciliations(ctx, p.Name, cleanPage)
	p.state.Done = !more
	return cleanPage, err
}

// list keeps one page of what the processor has. What was created after the window is not kept, except for what may have been stored
// within it.
func (p *reconciling) list(ctx context.Context, operation payment.Operation) (int, error) {
	if err := p.pace(ctx); err != nil {
		return 0, err
	}
	page, err := p.Processor.List(ctx, processor.ListCall{
		Operation: operation, CreatedAfter: p.run.WindowFrom.Add(-skew), Cursor: p.state.Cursor, Limit: p.PageSize,
	})
	if err != nil {
		return 0, err
	}
	records := make([]store.ListedRecord, 0, len(page.Records))
	for _, r := range page.Records {
		if r.CreatedAt.After(time.Now().Add(skew)) { // otherwise no window would contain it
			r.CreatedAt = time.Time{}
		}
		if !r.CreatedAt.IsZero() && !r.CreatedAt.Before(p.run.WindowTo.Add(skew)) {
			continue
		}
		text, err := json.Marshal(r)
		if err != nil {
			return 0, err
		}
		records = append(records, store.ListedRecord{ID: recordID(r), Reference: r.Reference, CreatedAt: r.CreatedAt, Record: string(text)})
	}
	if err := p.Store.StageRecords(ctx, p.run.RunID, operation, records); err != nil {
		return 0, err
	}
	if page.Next != "" && page.Next == p.state.Cursor {
		return 0, errors.New("the processor's list does not advance: the next page is the same one")
	}
	p.state.Cursor, p.state.Done = page.Next, page.Next == ""
	p.state.Counts.Pages++
	p.state.Counts.Listed += int64(len(page.Records))
	switch pages := p.pages + p.state.Counts.Pages; {
	case page.Next == "":
	case page.Next == p.state.Mark:
		return 0, temporal.NewNonRetryableApplicationError("the processor's list repeats itself: it has come to the same page again",
			string(payment.ClassInvalidResponse), nil)
	case p.state.Mark == "" || pages&(pages-1) == 0: // at each power of two, so that a circle of any length is noticed
		p.state.Mark = page.Next
	}
	return len(page.Records), nil
}

// recordID returns the id of a record or, if that cannot be read, one that is derived from what can be.
func recordID(r processor.Record) string {
	if r.ID != "" && len(r.ID) <= 255 {
		return r.ID
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", r.Reference, r.CreatedAt, r.Unreadable))
	return "unidentified-" + hex.EncodeToString(sum[:8])
}
