package simulator

// Refunds.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// refundEntry is a row of the ledger and, in JSON, what the protocol shows of it.
type refundEntry struct {
	ID          string    `json:"id"`
	PaymentID   string    `json:"payment_id"`
	Status      string    `json:"status"`
	Amount      int64     `json:"amount"`
	Currency    string    `json:"currency"`
	Reference   string    `json:"reference"`
	DeclineCode string    `json:"decline_code,omitempty"`
	Metadata    metadata  `json:"metadata,omitempty"`
	CreatedAt   time.Time `json:"created_at"`

	seq   int64
	token string // that paid the payment
}

type refundRequest struct {
	PaymentID string   `json:"payment_id"`
	Amount    *int64   `json:"amount"` // nil: all that is left
	Reference string   `json:"reference"`
	Metadata  metadata `json:"metadata"`
}

// refund is POST /refunds. It behaves as the token says that paid the payment.
func (s *Simulator) refund(ctx context.Context, tx *sql.Tx, c call) (plan, error) {
	var in refundRequest
	if err := decode(c.body, &in); err != nil {
		return plan{}, err
	}
	if in.Amount != nil && *in.Amount <= 0 {
		return plan{}, refuse(http.StatusUnprocessableEntity, "amount_invalid",
			fmt.Sprintf("amount %d: must be above 0; leave it out to refund all that is left", *in.Amount))
	}
	if len(in.Reference) > maxReference {
		return plan{}, refuse(http.StatusUnprocessableEntity, "reference_invalid",
			fmt.Sprintf("reference has %d bytes, at most %d are allowed", len(in.Reference), maxReference))
	}
	p, err := paymentByID(ctx, tx, in.PaymentID)
	if err != nil {
		return plan{}, err
	}
	r, _ := rowFor(p.token, scopeRefund)
	return plan{r.script, func() (answer, error) { return s.bookRefund(ctx, tx, c, in, p, r.books) }}, nil
}

// bookRefund takes a refund out of what was captured as soon as it is accepted, also while it is pending.
func (s *Simulator) bookRefund(ctx context.Context, tx *sql.Tx, c call, in refundRequest, p payment, b booking) (answer, error) {
	if p.Status != statusSucceeded {
		return answer{}, refuse(http.StatusConflict, "payment_not_refundable",
			fmt.Sprintf("payment %s is %s; only a captured one can be refunded", p.ID, p.Status))
	}
	left := p.CapturedAmount - p.RefundedAmount
	amount := left
	if in.Amount != nil {
		amount = *in.Amount
	}
	if amount > left || left == 0 {
		return answer{}, refuse(http.StatusUnprocessableEntity, "refund_exceeds_captured",
			fmt.Sprintf("amount %d: of payment %s only %d is left to refund", amount, p.ID, left))
	}
	e := refundEntry{
		ID: newID("re", c.key), PaymentID: p.ID, Status: b.status, Amount: amount, Currency: p.Currency,
		Reference: in.Reference, DeclineCode: b.declineCode, Metadata: in.Metadata, CreatedAt: s.now().UTC(),
		token: p.token,
	}
	if e.Status == "" {
		e.Status = statusSucceeded
	}
	settlesAt := sql.NullInt64{}
	if b.settlesTo != "" {
		settlesAt = sql.NullInt64{Int64: e.CreatedAt.Add(s.pendingFor).UnixNano(), Valid: true}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO refunds (id, idempotency_key, token, payment_id, status, amount, currency,
		reference, decline_code, metadata, settles_to, settles_at, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		e.ID, c.key, e.token, e.PaymentID, e.Status, e.Amount, e.Currency, e.Reference, e.DeclineCode, e.Metadata,
		b.settlesTo, settlesAt, e.CreatedAt.UnixNano()); err != nil {
		return answer{}, fmt.Errorf("book refund: %w", err)
	}
	if e.Status == statusDeclined {
		refusal := refuse(b.declineStatus, "refund_declined", "the refund was declined: "+b.declineCode)
		refusal.DeclineCode = b.declineCode
		return refusal.answer(), nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE payments SET refunded_amount = refunded_amount + ? WHERE id = ?`, e.Amount, p.ID); err != nil {
		return answer{}, fmt.Errorf("take refund out of payment: %w", err)
	}
	if e.Status == statusPending {
		return jsonAnswer(http.StatusAccepted, e), nil
	}
	return jsonAnswer(http.StatusOK, e), nil
}

const selectRefund = `SELECT seq, id, token, payment_id, status, amount, currency, reference, decline_code, metadata,
	created_at FROM refunds `

func scanRefund(scan func(...any) error) (refundEntry, error) {
	var e refundEntry
	var createdAt int64
	err := scan(&e.seq, &e.ID, &e.token, &e.PaymentID, &e.Status, &e.Amount, &e.Currency, &e.Reference, &e.DeclineCode,
		&e.Metadata, &createdAt)
	e.CreatedAt = time.Unix(0, createdAt).UTC()
	return e, err
}

func refundByID(ctx context.Context, tx *sql.Tx, id string) (refundEntry, error) {
	e, err := scanRefund(tx.QueryRowContext(ctx, selectRefund+`WHERE id = ?`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return e, refuse(http.StatusNotFound, "refund_not_found", fmt.Sprintf("there is no refund %q", id))
	}
	if err != nil {
		return e, fmt.Errorf("find refund: %w", err)
	}
	return e, nil
}
