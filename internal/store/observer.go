package store

// What monitoring reads from the store: status transitions as they happen, and the current backlog.

import (
	"context"
	"fmt"
	"time"

	"github.com/florinpay/florin/payment"
)

// Transition is a change of the status of a payment or a refund.
type Transition struct {
	// Refund reports whether this is a refund; otherwise it is a payment.
	Refund    bool
	Processor string
	Currency  string
	// From is empty if the payment or refund begins with this transition.
	From, To payment.Status
	// FirstOutcome reports whether To is the first status that has an outcome for the caller: [payment.Status.HasOutcome].
	FirstOutcome bool
	// After is the time since the request. It is zero if From is empty.
	After time.Duration
}

// SetObserver registers a function that is called once for each transition, after the transition was committed. Metrics are counted
// here and not in the activities: an activity may be repeated, a row changes once. Recording the stored status again is not a
// transition. The transition of a process that crashes between the commit and the call is never reported.
//
// SetObserver must be called before the store is used. observe must not block, and must be safe for concurrent use.
func (s *Store) SetObserver(observe func(Transition)) { s.observer = observe }

func (s *Store) notify(t Transition) {
	if s.observer != nil && t.From != t.To {
		s.observer(t)
	}
}

// previous is what an update returns about the statuses before it.
type previous struct {
	status     payment.Status
	hadOutcome bool
}

const (
	// setPrevious is the part of an UPDATE that keeps what [previous] contains, and selectPrevious returns it.
	setPrevious    = `previous_status = status, had_outcome = had_outcome OR status NOT IN ` + noOutcome
	selectPrevious = `previous_status, had_outcome`
	// noOutcome lists the statuses for which payment.Status.HasOutcome is false.
	noOutcome = `('processing', 'unknown')`
)

// fields returns the scan destinations for selectPrevious.
func (p *previous) fields() []any { return []any{&p.status, &p.hadOutcome} }

// complete sets From and FirstOutcome of t.
func (p *previous) complete(t Transition) Transition {
	t.From, t.FirstOutcome = p.status, !p.hadOutcome && t.To.HasOutcome()
	return t
}

// Backlog is the number of payments, or refunds, of one processor in one non-final status.
type Backlog struct {
	// Refund reports whether refunds are counted; otherwise payments are.
	Refund    bool
	Processor string
	Status    payment.Status
	// Count is at most [MaxBacklog], which means so many or more.
	Count int64
	// Since is the earliest time among them at which one entered this status. Later changes of its details do not count.
	Since time.Time
}

// MaxBacklog is how far [Store.Backlog] counts the payments, or refunds, of one processor in one status.
const MaxBacklog = 10_000

// openPayments and openRefunds must repeat the conditions of the indexes payments_open and refunds_open literally: SQLite uses a partial
// index only for a query that contains its condition.
const (
	openPayments = `status IN ('processing', 'requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation')`
	openRefunds  = `status IN ('processing', 'pending', 'unknown', 'needs_reconciliation')`
)

// selectBacklog counts what is open in table, for each status and processor. It finds the processors, and the oldest time of each,
// by a few steps in the index, and counts a limited number of its entries.
func selectBacklog(table, open string) string {
	of := fmt.Sprintf("FROM %s WHERE %s AND status = of", table, open)
	return fmt.Sprintf(`WITH RECURSIVE waiting (of, name) AS (
			SELECT of, (SELECT min(processor) %[1]s AND processor > '') FROM (SELECT DISTINCT from_status AS of FROM transitions) AS statuses
			UNION ALL
			SELECT of, (SELECT min(processor) %[1]s AND processor > name) FROM waiting WHERE name IS NOT NULL
		)
		SELECT name, of,
			(SELECT count(*) FROM (SELECT 1 %[1]s AND processor = name LIMIT %[2]d) AS counted),
			(SELECT min(coalesce(status_since, created_at)) %[1]s AND processor = name)
		FROM waiting WHERE name IS NOT NULL`, of, MaxBacklog)
}

var selectOpenPayments, selectOpenRefunds = selectBacklog("payments", openPayments), selectBacklog("refunds", openRefunds)

// Backlog counts the payments and refunds in a non-final status. It omits combinations without any. The time that it takes is limited,
// however many there are.
func (s *Store) Backlog(ctx context.Context) (backlog []Backlog, err error) {
	for query, refund := range map[string]bool{selectOpenPayments: false, selectOpenRefunds: true} {
		err := s.read().queryEach(ctx, query, nil, func(row scanner) error {
			b := Backlog{Refund: refund}
			err := row.Scan(&b.Processor, &b.Status, &b.Count, storedTime{&b.Since})
			backlog = append(backlog, b)
			return err
		})
		if err != nil {
			return nil, s.wrap(err, "count the backlog")
		}
	}
	return backlog, nil
}
