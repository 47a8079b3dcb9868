package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/florinpay/florin/internal/divergence"
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
	// Hurry notifies the running workflow with an ID that the processor has something new. Nil: the workflow finds out by itself.
	Hurry func(ctx context.Context, workflowID string) error
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

// stored is a stored payment or refund.
type stored struct {
	operation payment.Operation
	charge    payment.Charge
	refund    payment.Refund
}

func ofCharge(c payment.Charge) stored { return stored{operation: payment.OperationCharge, charge: c} }

func ofRefund(r payment.Refund) stored { return stored{operation: payment.OperationRefund, refund: r} }

func (s stored) isRefund() bool { return s.operation == payment.OperationRefund }

// id, merchantID, processorID and status are those of the payment or refund.
func (s stored) id() string {
	if s.isRefund() {
		return s.refund.RefundID
	}
	return s.charge.PaymentID
}

func (s stored) merchantID() string {
	if s.isRefund() {
		return s.refund.MerchantID
	}
	return s.charge.MerchantID
}

func (s stored) processorID() string {
	if s.isRefund() {
		return s.refund.ProcessorRefundID
	}
	return s.charge.ProcessorPaymentID
}

func (s stored) status() payment.Status {
	if s.isRefund() {
		return s.refund.Status
	}
	return s.charge.Status
}

func (s stored) workflowID() string {
	if s.isRefund() {
		return payment.RefundWorkflowID(s.refund.MerchantID, s.refund.IdempotencyKey)
	}
	return payment.ChargeWorkflowID(s.charge.MerchantID, s.charge.IdempotencyKey)
}

func (s stored) reference() string { return payment.ProcessorKey(s.id(), s.operation, 0) }

// hasMoney reports whether the processor must have a record of it.
func (s stored) hasMoney() bool {
	return s.status() == payment.Succeeded || s.status() == payment.Authorized
}

// about returns a divergence about it.
func (s stored) about(kind payment.DivergenceKind) payment.Divergence {
	d := payment.Divergence{PaymentID: s.charge.PaymentID, MerchantID: s.merchantID(), StatusHere: s.status(), Kind: kind, DetectedBy: byReconcile}
	if s.isRefund() {
		d.PaymentID, d.RefundID = s.refund.PaymentID, s.refund.RefundID
	}
	return d
}

// differs reports whether a record differs in what matters. A running workflow has to learn of an outcome only.
func (s stored) differs(there processor.Result) bool {
	var differ bool
	if s.isRefund() {
		contradictions, failedLate := divergence.OfRefund(s.refund, there)
		differ = failedLate || len(contradictions) > 0
	} else {
		differ = len(divergence.OfPayment(s.charge, 0, there)) > 0
	}
	if s.status().Final() {
		return differ
	}
	return there.Status.HasOutcome() && (there.Status != s.status() || differ)
}

// found are the records that are listed under one reference.
type found struct {
	// own is the record of the payment or refund; nil if none is readable, or if it is known to have another id.
	own *processor.Record
	// others have the same reference, and may have moved money. unreadable are by their ids in the list.
	others     []processor.Record
	unreadable []store.ListedRecord
}

// of sorts the records that are listed under the reference of s.
func (s stored) of(records []store.ListedRecord) (found, error) {
	var f found
	var readable []processor.Record
	for _, r := range records {
		record, err := decodeRecord(r)
		switch {
		case err != nil:
			return f, err
		case record.Unreadable != "":
			f.unreadable = append(f.unreadable, r)
		default:
			readable = append(readable, record)
		}
	}
	if len(readable) == 0 {
		return f, nil
	}
	own := slices.IndexFunc(readable, func(r processor.Record) bool { return r.ID == s.processorID() })
	if own < 0 && s.processorID() == "" {
		own = 0
	}
	if own >= 0 {
		f.own = &readable[own]
	}
	for i, r := range readable {
		if i != own && mayMove(r) {
			f.others = append(f.others, r)
		}
	}
	return f, nil
}

// mayMove reports whether a record has moved money, or can still do so: then it has the time of its first attempt, which no later window
// contains.
func mayMove(r processor.Record) bool { return r.CanStillSucceed || !divergence.MovedNothing(r.Status) }

func decodeRecord(r store.ListedRecord) (record processor.Record, err error) {
	return record, json.Unmarshal([]byte(r.Record), &record)
}

// needsCheck reports whether there is a difference between what is listed and what is stored.
func (s stored) needsCheck(f found) bool {
	switch {
	case len(f.others) > 0 || len(f.unreadable) > 0:
		return true
	case f.own == nil:
		return s.hasMoney()
	default:
		return s.differs(f.own.Result)
	}
}

// beforeWindow begins the cursors of what is compared after the window: what was begun before it, and has neither an outcome nor an id of the
// processor. Its record, of within the window, can be found by its reference only.
const beforeWindow = "before "

// withoutOutcome are the statuses of payments whose id at the processor may not be known.
var withoutOutcome = []payment.Status{payment.Processing, payment.Unknown, payment.NeedsReconciliation}

func (p *reconciling) comparePayments(ctx context.Context) (int, error) {
	filter := payment.Filter{Processor: p.Name, CreatedBefore: p.run.WindowTo, Limit: storedPage}
	cursor, before := strings.CutPrefix(p.state.Cursor, beforeWindow)
	if filter.Cursor = cursor; before {
		filter.CreatedBefore, filter.Statuses = p.run.WindowFrom, withoutOutcome
	} else {
		filter.CreatedFrom = p.run.WindowFrom
	}
	page, err := p.Store.Payments(ctx, filter)
	if err != nil {
		return 0, err
	}
	all := make([]stored, 0, len(page.Payments))
	for _, c := range page.Payments {
		if !before || c.ProcessorPaymentID == "" {
			all = append(all, ofCharge(c))
		}
	}
	return len(page.Payments), p.compare(ctx, payment.OperationCharge, all, before, page.Next)
}

func (p *reconciling) compareRefunds(ctx context.Context) (int, error) {
	var refunds []payment.Refund
	var next string
	var err error
	cursor, before := strings.CutPrefix(p.state.Cursor, beforeWindow)
	if before {
		refunds, next, err = p.Store.UnknownRefunds(ctx, p.Name, p.run.WindowFrom, cursor, storedPage)
	} else {
		refunds, next, err = p.Store.RefundsOfProcessor(ctx, p.Name, p.run.WindowFrom, p.run.WindowTo, cursor, storedPage)
	}
	if err != nil {
		return 0, err
	}
	all := make([]stored, len(refunds))
	for i, r := range refunds {
		all[i] = ofRefund(r)
	}
	return len(all), p.compare(ctx, payment.OperationRefund, all, before, next)
}

// compare matches a page of stored payments or refunds with what is listed. Each difference is checked later. before and next are where the page
// was, and the cursor of the next one.
func (p *reconciling) compare(ctx context.Context, operation payment.Operation, all []stored, before bool, next string) error {
	references := make([]string, len(all))
	for i, s := range all {
		references[i] = s.reference()
	}
	listed, err := p.Store.RecordsByReference(ctx, p.run.RunID, operation, references)
	if err != nil {
		return err
	}
	var matched []string
	var checks []store.Check
	for i, s := range all {
		records := listed[references[i]]
		if len(records) > 0 {
			matched = append(matched, references[i])
		}
		f, err := s.of(records)
		if err != nil {
			return err
		}
		if s.needsCheck(f) {
			checks = append(checks, store.Check{Operation: operation, SubjectID: s.id(), MerchantID: s.merchantID()})
		}
	}
	if err := p.Store.CompareRecords(ctx, p.run.RunID, operation, matched, checks); err != nil {
		return err
	}
	p.state.Counts.Compared += int64(len(all))
	p.state.Cursor, p.state.Done = next, before && next == ""
	if before || next == "" {
		p.state.Cursor = beforeWindow + next
	}
	return nil
}

// match searches the store for the listed records that match nothing of the window. Its cursor is the operation, a space and the id of the
// last record.
func (p *reconciling) match(ctx context.Context) (int, error) {
	operation, after := payment.OperationCharge, ""
	if rest, ok := cutOperation(p.state.Cursor, payment.OperationRefund); ok {
		operation, after = payment.OperationRefund, rest
	} else if rest, ok := cutOperation(p.state.Cursor, payment.OperationCharge); ok {
		after = rest
	}
	records, err := p.Store.UnmatchedRecords(ctx, p.run, operation, after, storedPage)
	if err != nil {
		return 0, err
	}
	var checks []store.Check
	for _, listed := range records {
		record, err := decodeRecord(listed)
		if err != nil {
			return 0, err
		}
		known, err := p.search(ctx, operation, record)
		switch {
		case errors.Is(err, payment.ErrNotFound):
			if record.Unreadable != "" || mayMove(record) {
				checks = append(checks, store.Check{Operation: operation, SubjectID: "record " + listed.ID, RecordID: listed.ID})
			}
		case err != nil:
			return 0, err
		default:
			f, err := known.of([]store.ListedRecord{listed})
			if err != nil {
				return 0, err
			}
			if known.needsCheck(f) {
				checks = append(checks, store.Check{Operation: operation, SubjectID: known.id(), MerchantID: known.merchantID()})
			}
		}
	}
	if err := p.Store.CompareRecords(ctx, p.run.RunID, operation, nil, checks); err != nil {
		return 0, err
	}
	switch {
	case len(records) > 0:
		p.state.Cursor = string(operation) + " " + records[len(records)-1].ID
	case operation == payment.OperationCharge:
		p.state.Cursor = string(payment.OperationRefund) + " "
	default:
		p.state.Cursor, p.state.Done = "", true
	}
	return len(records), nil
}

func cutOperation(cursor string, operation payment.Operation) (rest string, ok bool) {
	prefix := string(operation) + " "
	if len(cursor) < len(prefix) || cursor[:len(prefix)] != prefix {
		return "", false
	}
	return cursor[len(prefix):], true
}

// search returns the payment or refund of a record, whatever its window and its configured processor: by Florin's id in the record, if its
// reference fits, or by the processor's id. It returns [payment.ErrNotFound] if the store has none.
func (p *reconciling) search(ctx context.Context, operation payment.Operation, r processor.Record) (stored, error) {
	if r.OwnID != "" && r.Reference == payment.ProcessorKey(r.OwnID, operation, 0) {
		identity, err := p.Store.Identity(ctx, r.OwnID)
		if err == nil {
			return p.read(ctx, operation, identity.MerchantID, r.OwnID)
		}
		if !errors.Is(err, payment.ErrNotFound) {
			return stored{}, err
		}
	}
	if r.ID == "" {
		return stored{}, payment.ErrNotFound
	}
	if operation == payment.OperationRefund {
		refund, err := p.Store.RefundByProcessorID(ctx, p.Name, r.ID)
		return ofRefund(refund), err
	}
	charge, err := p.Store.PaymentByProcessorID(ctx, p.Name, r.ID)
	return ofCharge(charge), err
}

// read reads a payment or refund as of the last write.
func (p *reconciling) read(ctx context.Context, operation payment.Operation, merchantID, id string) (stored, error) {
	if operation == payment.OperationRefund {
		r, err := p.Store.CurrentRefund(ctx, merchantID, id)
		return ofRefund(r), err
	}
	c, err := p.Store.CurrentPayment(ctx, merchantID, id)
	return ofCharge(c), err
}
