package simulator

// Reading the whole ledger, for tests and for the page. No fault applies here.

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"
)

// Ledger has every payment and refund that was executed, oldest first. Requests that were refused, or failed before
// the execution, are not in it.
type Ledger struct {
	Payments []LedgerPayment `json:"payments"`
	Refunds  []LedgerRefund  `json:"refunds"`
}

// LedgerPayment is an executed charge, with its captures, voids and refunds.
type LedgerPayment struct {
	ID             string            `json:"id"`
	Status         string            `json:"status"` // succeeded, authorized, pending, requires_action, declined, voided
	Amount         int64             `json:"amount"`
	Currency       string            `json:"currency"`
	CapturedAmount int64             `json:"captured_amount"`
	RefundedAmount int64             `json:"refunded_amount"` // including pending refunds
	Reference      string            `json:"reference"`
	DeclineCode    string            `json:"decline_code,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Requests       int               `json:"requests"` // number of POST requests with its idempotency key
	CreatedAt      time.Time         `json:"created_at"`
}

// LedgerRefund is an executed refund. A declined refund moved no money.
type LedgerRefund struct {
	ID        string            `json:"id"`
	PaymentID string            `json:"payment_id"`
	Status    string            `json:"status"` // succeeded, pending, declined
	Amount    int64             `json:"amount"`
	Currency  string            `json:"currency"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Requests  int               `json:"requests"` // number of POST requests with its idempotency key
	CreatedAt time.Time         `json:"created_at"`
}

// Ledger returns a consistent snapshot of the whole ledger.
func (s *Simulator) Ledger(ctx context.Context) (Ledger, error) {
	ledger := Ledger{Payments: []LedgerPayment{}, Refunds: []LedgerRefund{}}
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := forEachRow(ctx, tx, selectLedgerPayment+`ORDER BY seq`, func(scan func(...any) error) error {
			p, err := scanLedgerPayment(scan)
			ledger.Payments = append(ledger.Payments, p)
			return err
		})
		if err != nil {
			return err
		}
		return forEachRow(ctx, tx, selectLedgerRefund+`ORDER BY seq`, func(scan func(...any) error) error {
			r, err := scanLedgerRefund(scan)
			ledger.Refunds = append(ledger.Refunds, r)
			return err
		})
	})
	if err != nil {
		return Ledger{}, fmt.Errorf("simulator: read ledger: %w", err)
	}
	return ledger, nil
}

const selectLedgerPayment = `SELECT id, status, amount, currency, captured_amount, refunded_amount, reference,
	iif(status = 'declined', decline_code, ''), metadata, received, created_at FROM payments JOIN requests USING (idempotency_key) `

func scanLedgerPayment(scan func(...any) error) (LedgerPayment, error) {
	var p LedgerPayment
	var createdAt int64
	err := scan(&p.ID, &p.Status, &p.Amount, &p.Currency, &p.CapturedAmount, &p.RefundedAmount, &p.Reference,
		&p.DeclineCode, (*metadata)(&p.Metadata), &p.Requests, &createdAt)
	p.CreatedAt = time.Unix(0, createdAt).UTC()
	return p, err
}

const selectLedgerRefund = `SELECT id, payment_id, status, amount, currency, reference, metadata, received, created_at
	FROM refunds JOIN requests USING (idempotency_key) `

func scanLedgerRefund(scan func(...any) error) (LedgerRefund, error) {
	var r LedgerRefund
	var createdAt int64
	err := scan(&r.ID, &r.PaymentID, &r.Status, &r.Amount, &r.Currency, &r.Reference, (*metadata)(&r.Metadata), &r.Requests, &createdAt)
	r.CreatedAt = time.Unix(0, createdAt).UTC()
	return r, err
}

// forEachRow calls fn for every row of a query.
func forEachRow(ctx context.Context, tx *sql.Tx, query string, fn func(scan func(...any) error) error, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// getLedger is GET /ledger. It meets no faults.
func (s *Simulator) getLedger(r *http.Request) (response, error) {
	ledger, err := s.Ledger(r.Context())
	if err != nil {
		return response{}, err
	}
	return jsonResponse(http.StatusOK, ledger), nil
}

// statusCount is the number of payments or refunds with one status.
type statusCount struct {
	Kind, Status string // Kind is payments or refunds
	Count        int
}

func (s *Simulator) countByStatus(ctx context.Context) (counts []statusCount, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return forEachRow(ctx, tx, `SELECT 'payments', status, count(*) FROM payments GROUP BY status
			UNION ALL SELECT 'refunds', status, count(*) FROM refunds GROUP BY status ORDER BY 1, 2`,
			func(scan func(...any) error) error {
				var c statusCount
				err := scan(&c.Kind, &c.Status, &c.Count)
				counts = append(counts, c)
				return err
			})
	})
	return counts, err
}
