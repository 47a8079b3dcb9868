package simulator

// POST /refunds and the refunds in the ledger.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// refundEntry is a refund in the ledger. Its JSON form, after protocolView, is the refund in the protocol.
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
	token string // of the charge
}

// protocolView returns the refund without the decline of a refund that is not declined.
func (e refundEntry) protocolView() refundEntry {
	if e.Status != statusDeclined {
		e.DeclineCode = ""
	}
	return e
}

type refundRequest struct {
	PaymentID string   `json:"payment_id"`
	Amount    *int64   `json:"amount"` // nil: the whole amount that is not refunded yet
	Reference string   `json:"reference"`
	Metadata  metadata `json:"metadata"`
}

// refund is POST /refunds. The token of the charge decides its faults.
func (s *Simulator) refund(ctx context.Context, tx *sql.Tx, req postRequest) (plan, error) {
	var in refundRequest
	if err := decode(req.body, &in); err != nil {
		return plan{}, err
	}
	if in.Amount != nil && *in.Amount <= 0 {
		return plan{}, refuse(http.StatusUnprocessableEntity, "amount_invalid",
			fmt.Sprintf("amount %d: must be above 0; omit it to refund the whole remaining amount", *in.Amount))
	}
	if len(in.Reference) > maxReferenceLength {
		return plan{}, refuse(http.StatusUnprocessableEntity, "reference_invalid",
			fmt.Sprintf("reference has %d bytes: at most %d are allowed", len(in.Reference), maxReferenceLength))
	}
	p, err := paymentByID(ctx, tx, in.PaymentID)
	if err != nil {
		return plan{}, err
	}
	b, _ := behaviorFor(p.token, scopeRefund)
	return plan{
		script:  b.script,
		execute: func() (response, error) { return s.recordRefund(ctx, tx, req, in, p, b.effect) },
	}, nil
}

// recordRefund counts the refund as part of refunded_amount from its acceptance on, even while it is pending, until it fails.
func (s *Simulator) recordRefund(
	ctx context.Context, tx *sql.Tx, req postRequest, in refundRequest, p payment, eff effect,
) (response, error) {
	if p.Status != statusSucceeded {
		return response{}, refuse(http.StatusConflict, "payment_not_refundable",
			fmt.Sprintf("payment %s is %s: only a captured payment can be refunded", p.ID, p.Status))
	}
	remaining := p.CapturedAmount - p.RefundedAmount
	amount := remaining
	if in.Amount != nil {
		amount = *in.Amount
	}
	if amount > remaining || remaining == 0 {
		return response{}, refuse(http.StatusUnprocessableEntity, "refund_exceeds_captured",
			fmt.Sprintf("amount %d exceeds the %d of payment %s that can still be refunded", amount, remaining, p.ID))
	}
	e := refundEntry{
		ID: newID("re", req.key), PaymentID: p.ID, Status: eff.status, Amount: amount, Currency: p.Currency,
		Reference: in.Reference, DeclineCode: eff.declineCode, Metadata: in.Metadata, CreatedAt: s.now().UTC(),
		token: p.token,
	}
	if e.Status == "" {
		e.Status = statusSucceeded
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO refunds (id, idempotency_key, token, payment_id, status, amount, currency,
		reference, decline_code, metadata, settles_to, settles_at, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		e.ID, req.key, e.token, e.PaymentID, e.Status, e.Amount, e.Currency, e.Reference, e.DeclineCode, e.Metadata,
		strings.Join(eff.later, " "), s.due(e.CreatedAt, len(eff.later)), e.CreatedAt.UnixNano()); err != nil {
		return response{}, fmt.Errorf("insert refund: %w", err)
	}
	if e.Status == statusDeclined {
		refusal := refuse(eff.declineStatus, "refund_declined", "the refund was declined: "+eff.declineCode)
		refusal.DeclineCode = eff.declineCode
		return refusal.response(), nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE payments SET refunded_amount = refunded_amount + ? WHERE id = ?`,
		e.Amount, p.ID); err != nil {
		return response{}, fmt.Errorf("update refunded amount: %w", err)
	}
	if e.Status == statusPending {
		return jsonResponse(http.StatusAccepted, e.protocolView()), nil
	}
	return jsonResponse(http.StatusOK, e.protocolView()), nil
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
		return e, refuse(http.StatusNotFound, "refund_not_found", fmt.Sprintf("no refund has the id %q", id))
	}
	if err != nil {
		return e, fmt.Errorf("find refund: %w", err)
	}
	return e, nil
}
