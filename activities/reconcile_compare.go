package activities

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/divergence"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

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

// What is stored is compared in three lists, one after the other. A cursor begins with the name of its list.
const (
	// inWindow is what was begun in the window.
	inWindow = ""
	// unknown is what was begun at another time, and has neither an outcome nor an id of the processor; unidentified is what an operator has
	// resolved without an id. Their records, which the processor has dated into the window, can be found by their references only.
	unknown      = "unknown "
	unidentified = "unidentified "
)

// cutList returns the list and the rest of a cursor.
func cutList(cursor string) (list, rest string) {
	for _, list := range []string{unknown, unidentified} {
		if rest, ok := strings.CutPrefix(cursor, list); ok {
			return list, rest
		}
	}
	return inWindow, cursor
}

// withoutOutcome are the statuses of payments whose id at the processor may not be known.
var withoutOutcome = []payment.Status{payment.Processing, payment.Unknown, payment.NeedsReconciliation}

func (p *reconciling) comparePayments(ctx context.Context) (int, error) {
	list, cursor := cutList(p.state.Cursor)
	filter := payment.Filter{Processor: p.Name, Cursor: cursor, Limit: storedPage}
	var page payment.Page
	var err error
	switch list {
	case inWindow:
		filter.CreatedFrom, filter.CreatedBefore = p.run.WindowFrom, p.run.WindowTo
		page, err = p.Store.Payments(ctx, filter)
	case unknown:
		filter.Statuses = withoutOutcome
		page, err = p.Store.Payments(ctx, filter)
	default:
		page.Payments, page.Next, err = p.Store.UnidentifiedPayments(ctx, p.Name, cursor, storedPage)
	}
	if err != nil {
		return 0, err
	}
	all := make([]stored, 0, len(page.Payments))
	for _, c := range page.Payments {
		if list == inWindow || c.ProcessorPaymentID == "" && !p.isInWindow(c.CreatedAt) {
			all = append(all, ofCharge(c))
		}
	}
	return len(page.Payments), p.compare(ctx, payment.OperationCharge, all, list, page.Next)
}

func (p *reconciling) compareRefunds(ctx context.Context) (int, error) {
	list, cursor := cutList(p.state.Cursor)
	var refunds []payment.Refund
	var next string
	var err error
	switch list {
	case inWindow:
		refunds, next, err = p.Store.RefundsOfProcessor(ctx, p.Name, p.run.WindowFrom, p.run.WindowTo, cursor, storedPage)
	case unknown:
		refunds, next, err = p.Store.UnknownRefunds(ctx, p.Name, cursor, storedPage)
	default:
		refunds, next, err = p.Store.UnidentifiedRefunds(ctx, p.Name, cursor, storedPage)
	}
	if err != nil {
		return 0, err
	}
	all := make([]stored, 0, len(refunds))
	for _, r := range refunds {
		if list == inWindow || !p.isInWindow(r.CreatedAt) {
			all = append(all, ofRefund(r))
		}
	}
	return len(refunds), p.compare(ctx, payment.OperationRefund, all, list, next)
}

// isInWindow reports whether what was created at a time is compared with the window.
func (p *reconciling) isInWindow(created time.Time) bool {
	return !created.Before(p.run.WindowFrom) && created.Before(p.run.WindowTo)
}

// compare matches a page of stored payments or refunds with what is listed. Each difference is checked later. next is the cursor of the next page of
// the list.
func (p *reconciling) compare(ctx context.Context, operation payment.Operation, all []stored, list, next string) error {
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
		switch {
		case len(records) > 0:
			matched = append(matched, references[i])
		case list != inWindow: // another window has its record
			continue
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
	switch {
	case next != "":
		p.state.Cursor = list + next
	case list == inWindow:
		p.state.Cursor = unknown
	case list == unknown:
		p.state.Cursor = unidentified
	default:
		p.state.Cursor, p.state.Done = "", true
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
