package store

// What is told of the store to who watches over it: its changes as they happen, and what is open now.

import (
	"context"
	"time"

	"github.com/florinpay/florin/payment"
)

// Change is one move of a payment, or a refund, to another status.
type Change struct {
	Refund    bool
	Processor string
	Currency  string
	// From is empty where it begins.
	From, To payment.Status
	// FirstOutcome: To is the first thing that there is to tell a caller who waits, After the request.
	FirstOutcome bool
	After        time.Duration
}

// Watch has every change told once, after it was stored; what is recorded again is no change. It must be called before
// the store is used. changed must not block, and may be called concurrently. A process that dies at this very moment
// does not tell.
func (s *Store) Watch(changed func(Change)) { s.changed = changed }

func (s *Store) tell(c Change) {
	if s.changed != nil && c.From != c.To {
		s.changed(c)
	}
}

// earlier is what the events before an update know. The update returns it, so that nobody has to ask.
type earlier struct {
	from payment.Status
	told bool
}

const (
	earlierOfPayment = `(SELECT to_status FROM payment_events WHERE subject_id = payments.payment_id AND revision = payments.revision - 1),
		EXISTS (SELECT 1 FROM payment_events WHERE subject_id = payments.payment_id AND revision < payments.revision AND to_status NOT IN ` + noOutcome + `)`
	earlierOfRefund = `(SELECT to_status FROM payment_events WHERE subject_id = refunds.refund_id AND revision = refunds.revision - 1),
		EXISTS (SELECT 1 FROM payment_events WHERE subject_id = refunds.refund_id AND revision < refunds.revision AND to_status NOT IN ` + noOutcome + `)`
	// noOutcome is payment.Status.HasOutcome, turned round.
	noOutcome = `('processing', 'unknown')`
)

func (e *earlier) fields() []any { return []any{optional{(*string)(&e.from)}, &e.told} }

func (e *earlier) change(c Change) Change {
	c.From, c.FirstOutcome = e.from, !e.told && c.To.HasOutcome()
	return c
}

// Waiting is how many payments, or refunds, of a processor stand at a status that is not the last word.
type Waiting struct {
	Refund    bool
	Processor string
	Status    payment.Status
	Count     int64
	// Since is when the oldest of them came to it.
	Since time.Time
}

// Conflicted payments are in the index, too, but nothing is waited for. || keeps SQLite from reading everything by the index
// that begins with the processor.
const selectOpen = `SELECT FALSE, processor || '', status, count(*), min(updated_at) FROM payments
		WHERE ` + openPayments + ` AND status <> 'conflicted' GROUP BY processor || '', status
	UNION ALL
	SELECT TRUE, processor || '', status, count(*), min(updated_at) FROM refunds
		WHERE ` + openRefunds + ` GROUP BY processor || '', status`

// openRefunds is the condition of the index refunds_open, to the letter, as openPayments is.
const openRefunds = `status IN ('processing', 'pending', 'unknown', 'needs_reconciliation')`

// Waiting counts what is open now. It reads no more than that, from an index.
func (s *Store) Waiting(ctx context.Context) (waiting []Waiting, err error) {
	err = s.read().each(ctx, selectOpen, nil, func(row scanner) error {
		var w Waiting
		err := row.Scan(&w.Refund, &w.Processor, &w.Status, &w.Count, storedTime{&w.Since})
		waiting = append(waiting, w)
		return err
	})
	return waiting, s.fail(err, "count what is open")
}
