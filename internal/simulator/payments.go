package simulator

// POST /charges, captures and voids, and the payments in the ledger.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	statusSucceeded      = "succeeded"
	statusAuthorized     = "authorized"
	statusPending        = "pending"
	statusRequiresAction = "requires_action"
	statusDeclined       = "declined"
	statusVoided         = "voided"
)

// refundedElsewhere is a change after which the whole captured amount is refunded, without a refund in the ledger.
const refundedElsewhere = "refunded_elsewhere"

const maxReferenceLength = 255

// payment is a payment in the ledger. Its JSON form, after protocolView, is the payment in the protocol.
type payment struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	Amount         int64  `json:"amount"`
	Currency       string `json:"currency"`
	CapturedAmount int64  `json:"captured_amount"`
	RefundedAmount int64  `json:"refunded_amount"`
	Reference      string `json:"reference"`
	DeclineCode    string `json:"decline_code,omitempty"`
	DeclineKind    string `json:"decline_kind,omitempty"`
	// CanStillSucceed is true while the payment is declined, but the customer can still pay it. It is set by protocolView.
	CanStillSucceed bool      `json:"can_still_succeed,omitempty"`
	Metadata        metadata  `json:"metadata,omitempty"`
	CreatedAt       time.Time `json:"created_at"`

	seq           int64
	token         string
	hiddenLookups int // number of lookups by reference that do not find the payment yet
}

// protocolView returns the payment with the spelling of the status that its token selects, and without the decline of
// a payment that is not declined.
func (p payment) protocolView() payment {
	b, _ := behaviorFor(p.token, scopeCharge)
	switch {
	case p.Status == statusDeclined:
		p.CanStillSucceed = b.effect.open
		return p
	case p.Status == statusSucceeded && b.effect.successSpelling != "":
		p.Status = b.effect.successSpelling
	}
	p.DeclineCode, p.DeclineKind = "", ""
	return p
}

type chargeRequest struct {
	CardToken string   `json:"card_token"`
	Amount    int64    `json:"amount"`
	Currency  string   `json:"currency"`
	Capture   *bool    `json:"capture"` // nil means true
	Reference string   `json:"reference"`
	Metadata  metadata `json:"metadata"`
}

// charge is POST /charges.
func (s *Simulator) charge(ctx context.Context, tx *sql.Tx, req postRequest) (plan, error) {
	var in chargeRequest
	if err := decode(req.body, &in); err != nil {
		return plan{}, err
	}
	if in.Amount <= 0 {
		return plan{}, refuse(http.StatusUnprocessableEntity, "amount_invalid",
			fmt.Sprintf("amount %d: must be above 0, in the minor unit of the currency", in.Amount))
	}
	if !isCurrency(in.Currency) {
		return plan{}, refuse(http.StatusUnprocessableEntity, "currency_invalid",
			fmt.Sprintf("currency %q: must be three upper-case letters", in.Currency))
	}
	if len(in.Reference) > maxReferenceLength {
		return plan{}, refuse(http.StatusUnprocessableEntity, "reference_invalid",
			fmt.Sprintf("reference has %d bytes: at most %d are allowed", len(in.Reference), maxReferenceLength))
	}
	b, known := behaviorFor(in.CardToken, scopeCharge)
	if !known { // the message does not repeat the token: it may be a card number
		return plan{}, refuse(http.StatusUnprocessableEntity, "card_token_unknown",
			"unknown card_token: GET / lists the tokens of the simulator")
	}
	in.CardToken = s.drawToken(in.CardToken, req.key)
	b, _ = behaviorFor(in.CardToken, scopeCharge)
	return plan{
		script:  b.script,
		execute: func() (response, error) { return s.recordCharge(ctx, tx, req, in, b) },
	}, nil
}

func (s *Simulator) recordCharge(
	ctx context.Context, tx *sql.Tx, req postRequest, in chargeRequest, b behavior,
) (response, error) {
	success := statusSucceeded
	if in.Capture != nil && !*in.Capture {
		success = statusAuthorized
	}
	p := payment{
		ID: newID("ch", req.key), Status: b.effect.status, token: in.CardToken, hiddenLookups: b.hiddenLookups,
		Amount: in.Amount, Currency: in.Currency, Reference: in.Reference, Metadata: in.Metadata,
		DeclineCode: b.effect.declineCode, DeclineKind: b.effect.declineKind, CreatedAt: s.now().UTC(),
	}
	if p.Status == "" {
		p.Status = success
	}
	later := slices.Clone(b.effect.later)
	for i := range later {
		if later[i] == statusSucceeded {
			later[i] = success
		}
	}
	if b.effect.alter != nil {
		b.effect.alter(&p)
	}
	if p.Status == statusSucceeded {
		p.CapturedAmount = p.Amount
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO payments (id, idempotency_key, token, status, amount, currency,
		captured_amount, reference, decline_code, decline_kind, metadata, hidden, settles_to, settles_at, created_at)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		p.ID, req.key, p.token, p.Status, p.Amount, p.Currency, p.CapturedAmount, p.Reference, p.DeclineCode,
		p.DeclineKind, p.Metadata, p.hiddenLookups, strings.Join(later, " "), s.due(p.CreatedAt, len(later)),
		p.CreatedAt.UnixNano()); err != nil {
		return response{}, fmt.Errorf("insert payment: %w", err)
	}
	return chargeResponse(p, b.effect), nil
}

// due returns when the first of n changes after t is due, or NULL if there is none.
func (s *Simulator) due(t time.Time, n int) sql.NullInt64 {
	if n == 0 {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.Add(s.pendingFor).UnixNano(), Valid: true}
}

func chargeResponse(p payment, e effect) response {
	switch {
	case p.Status == statusPending:
		return jsonResponse(http.StatusAccepted, p.protocolView())
	case p.Status == statusDeclined && e.declineStatus != http.StatusOK:
		return declineResponse("the card was declined", e)
	default:
		return jsonResponse(http.StatusOK, p.protocolView())
	}
}

func declineResponse(message string, e effect) response {
	refusal := refuse(e.declineStatus, "card_declined", message+": "+e.declineCode)
	refusal.DeclineCode, refusal.DeclineKind = e.declineCode, e.declineKind
	return refusal.response()
}

// capture is POST /payments/{id}/capture. Without an amount it captures the whole authorized amount; the rest of the
// authorization is released. The token of the charge decides its faults.
func (s *Simulator) capture(ctx context.Context, tx *sql.Tx, req postRequest) (plan, error) {
	var in struct {
		Amount *int64 `json:"amount"`
	}
	if err := decodeOptional(req.body, &in); err != nil {
		return plan{}, err
	}
	p, err := paymentByID(ctx, tx, req.paymentID)
	if err != nil {
		return plan{}, err
	}
	b, _ := behaviorFor(p.token, scopeCapture)
	return plan{script: b.script, execute: func() (response, error) {
		if p.Status != statusAuthorized {
			return response{}, refuse(http.StatusConflict, "state_conflict",
				fmt.Sprintf("payment %s is %s: only an authorized payment can be captured", p.ID, p.Status))
		}
		captured := p.Amount
		if in.Amount != nil {
			captured = *in.Amount
		}
		if captured <= 0 || captured > p.Amount {
			return response{}, refuse(http.StatusUnprocessableEntity, "capture_exceeds_authorized",
				fmt.Sprintf("amount %d: must be above 0 and at most the authorized %d", captured, p.Amount))
		}
		if b.effect.status == statusDeclined {
			return declineResponse("the capture was declined", b.effect), nil
		}
		p.Status, p.CapturedAmount = statusSucceeded, captured
		return updatePayment(ctx, tx, p)
	}}, nil
}

// void is POST /payments/{id}/void. It also cancels a payment that waits for an action of the customer, and a declined one
// that can still succeed. The token of the charge decides its faults.
func (s *Simulator) void(ctx context.Context, tx *sql.Tx, req postRequest) (plan, error) {
	if err := decodeOptional(req.body, &struct{}{}); err != nil {
		return plan{}, err
	}
	p, err := paymentByID(ctx, tx, req.paymentID)
	if err != nil {
		return plan{}, err
	}
	b, _ := behaviorFor(p.token, scopeCapture)
	return plan{script: b.script, execute: func() (response, error) {
		canStillSucceed := p.protocolView().CanStillSucceed
		if p.Status != statusAuthorized && p.Status != statusRequiresAction && !canStillSucceed {
			return response{}, refuse(http.StatusConflict, "state_conflict", fmt.Sprintf(
				"payment %s is %s: only a payment that is authorized, requires_action or can still succeed can be voided", p.ID, p.Status))
		}
		if canStillSucceed {
			if paid, err := s.payNow(ctx, tx, p); err != nil || paid {
				// Not an error, which would undo the payment.
				return refuse(http.StatusConflict, "state_conflict",
					fmt.Sprintf("payment %s was paid: it cannot be voided", p.ID)).response(), err
			}
		}
		p.Status = statusVoided
		return updatePayment(ctx, tx, p)
	}}, nil
}

// payNow lets the customer pay a declined payment, if that would happen later. It reports whether it did.
func (s *Simulator) payNow(ctx context.Context, tx *sql.Tx, p payment) (paid bool, err error) {
	result, err := tx.ExecContext(ctx, `UPDATE payments SET settles_at = ? WHERE id = ? AND settles_at IS NOT NULL`,
		s.now().UnixNano(), p.ID)
	if err != nil {
		return false, fmt.Errorf("pay now: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil || n == 0 {
		return false, err
	}
	return true, s.makeDueChanges(ctx, tx)
}

// updatePayment stores the status after a capture or a void, which is final: it also removes a scheduled change of the
// status.
func updatePayment(ctx context.Context, tx *sql.Tx, p payment) (response, error) {
	if _, err := tx.ExecContext(ctx, `UPDATE payments SET status = ?, captured_amount = ?, settles_at = NULL WHERE id = ?`,
		p.Status, p.CapturedAmount, p.ID); err != nil {
		return response{}, fmt.Errorf("update payment: %w", err)
	}
	return jsonResponse(http.StatusOK, p.protocolView()), nil
}

const selectPayment = `SELECT seq, id, token, status, amount, currency, captured_amount, refunded_amount, reference,
	decline_code, decline_kind, metadata, hidden, created_at FROM payments `

func scanPayment(scan func(...any) error) (payment, error) {
	var p payment
	var createdAt int64
	err := scan(&p.seq, &p.ID, &p.token, &p.Status, &p.Amount, &p.Currency, &p.CapturedAmount, &p.RefundedAmount,
		&p.Reference, &p.DeclineCode, &p.DeclineKind, &p.Metadata, &p.hiddenLookups, &createdAt)
	p.CreatedAt = time.Unix(0, createdAt).UTC()
	return p, err
}

func paymentByID(ctx context.Context, tx *sql.Tx, id string) (payment, error) {
	p, err := scanPayment(tx.QueryRowContext(ctx, selectPayment+`WHERE id = ?`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return p, refuse(http.StatusNotFound, "payment_not_found", fmt.Sprintf("no payment has the id %q", id))
	}
	if err != nil {
		return p, fmt.Errorf("find payment: %w", err)
	}
	return p, nil
}

// newID derives an ID from the idempotency key. Each key is executed once, so that the ID is unique. Derived IDs make runs
// repeatable.
func newID(prefix, key string) string {
	sum := sha256.Sum256([]byte(prefix + "\n" + key))
	return prefix + "_" + hex.EncodeToString(sum[:12])
}

func isCurrency(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

// decode refuses unknown fields: a misspelled field must not be ignored silently.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "json_invalid", "the body does not fit this operation: "+err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "json_invalid", "the body has more data after the JSON object")
	}
	return nil
}

func decodeOptional(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	return decode(body, into)
}
