package simulator

// The ledger as tests and people read it: the truth, past every fault.

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"
)

// Ledger is everything that was executed, oldest first. What was refused, or failed before it was executed, is not
// in it.
type Ledger struct {
	Payments []LedgerPayment `json:"payments"`
	Refunds  []LedgerRefund  `json:"refunds"`
}

// LedgerPayment is a charge that was executed.
type LedgerPayment struct {
	ID             string            `json:"id"`
	Status         string            `json:"status"` // succeeded, authorized, pending, requires_action, declined, voided
	Amount         int64             `json:"amount"`
	Currency       string            `json:"currency"`
	CapturedAmount int64             `json:"captured_amount"`
	RefundedAmount int64             `json:"refunded_amount"` // with refunds that are pending
	Reference      string            `json:"reference"`
	DeclineCode    string            `json:"decline_code,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Requests       int               `json:"requests"` // how often POST was received with its idempotency key
	CreatedAt      time.Time         `json:"created_at"`
}

// LedgerRefund is a refund that was executed. A declined one moved no money.
type LedgerRefund struct {
	ID        string            `json:"id"`
	PaymentID string            `json:"payment_id"`
	Status    string            `json:"status"` // succeeded, pending, declined
	Amount    int64             `json:"amount"`
	Currency  string            `json:"currency"`
	Reference string            `json:"reference"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Requests  int               `json:"requests"` // as of LedgerPayment
	CreatedAt time.Time         `json:"created_at"`
}

// Ledger reads the whole ledger at one moment.
func (s *Simulator) Ledger(ctx context.Context) (Ledger, error) {
	ledger := Ledger{Payments: []LedgerPayment{}, Refunds: []LedgerRefund{}}
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := each(ctx, tx, `SELECT id, status, amount, currency, captured_amount, refunded_amount, reference,
			iif(status = 'declined', decline_code, ''), metadata, received, created_at
			FROM payments JOIN requests USING (idempotency_key) ORDER BY seq`, func(scan func(...any) error) error {
			var p LedgerPayment
			var createdAt int64
			err := scan(&p.ID, &p.Status, &p.Amount, &p.Currency, &p.CapturedAmount, &p.RefundedAmount, &p.Reference,
				&p.DeclineCode, (*metadata)(&p.Metadata), &p.Requests, &createdAt)
			p.CreatedAt = time.Unix(0, createdAt).UTC()
			ledger.Payments = append(ledger.Payments, p)
			return err
		})
		if err != nil {
			return err
		}
		return each(ctx, tx, `SELECT id, payment_id, status, amount, currency, reference, metadata, received, created_at
			FROM refunds JOIN requests USING (idempotency_key) ORDER BY seq`, func(scan func(...any) error) error {
			var f LedgerRefund
			var createdAt int64
			err := scan(&f.ID, &f.PaymentID, &f.Status, &f.Amount, &f.Currency, &f.Reference, (*metadata)(&f.Metadata),
				&f.Requests, &createdAt)
			f.CreatedAt = time.Unix(0, createdAt).UTC()
			ledger.Refunds = append(ledger.Refunds, f)
			return err
		})
	})
	if err != nil {
		return Ledger{}, fmt.Errorf("simulator: read ledger: %w", err)
	}
	return ledger, nil
}

// each calls fn for every row of a query.
func each(ctx context.Context, tx *sql.Tx, query string, fn func(scan func(...any) error) error) error {
	rows, err := tx.QueryContext(ctx, query)
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

// getLedger is GET /ledger. No fault touches it.
func (s *Simulator) getLedger(r *http.Request) (answer, error) {
	ledger, err := s.Ledger(r.Context())
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, ledger), nil
}

// count is how many payments or refunds have one status.
type count struct {
	Kind, Status string
	Number       int
}

func (s *Simulator) counts(ctx context.Context) (counts []count, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, `SELECT 'payments', status, count(*) FROM payments GROUP BY status
			UNION ALL SELECT 'refunds', status, count(*) FROM refunds GROUP BY status ORDER BY 1, 2`,
			func(scan func(...any) error) error {
				var c count
				err := scan(&c.Kind, &c.Status, &c.Number)
				counts = append(counts, c)
				return err
			})
	})
	return counts, err
}
