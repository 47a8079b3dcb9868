package simulator

// Charges, captures, voids.

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

const maxReference = 255

// payment is a row of the ledger and, in JSON, what the protocol shows of it.
type payment struct {
	ID             string    `json:"id"`
	Status         string    `json:"status"`
	Amount         int64     `json:"amount"`
	Currency       string    `json:"currency"`
	CapturedAmount int64     `json:"captured_amount"`
	RefundedAmount int64     `json:"refunded_amount"`
	Reference      string    `json:"reference"`
	DeclineCode    string    `json:"decline_code,omitempty"`
	DeclineKind    string    `json:"decline_kind,omitempty"`
	Metadata       metadata  `json:"metadata,omitempty"`
	CreatedAt      time.Time `json:"created_at"`

	seq    int64
	token  string
	hidden int
}

// shown is the payment as its processor spells it. A decline that has not happened yet is not told.
func (p payment) shown() payment {
	if p.Status != statusDeclined {
		p.DeclineCode, p.DeclineKind = "", ""
	}
	if r, _ := rowFor(p.token, scopeCharge); p.Status == statusSucceeded && r.books.spelling != "" {
		p.Status = r.books.spelling
	}
	return p
}

type chargeRequest struct {
	CardToken string   `json:"card_token"`
	Amount    int64    `json:"amount"`
	Currency  string   `json:"currency"`
	Capture   *bool    `json:"capture"` // nil: true
	Reference string   `json:"reference"`
	Metadata  metadata `json:"metadata"`
}

// charge is POST /charges.
func (s *Simulator) charge(ctx context.Context, tx *sql.Tx, c call) (plan, error) {
	var in chargeRequest
	if err := decode(c.body, &in); err != nil {
		return plan{}, err
	}
	if in.Amount <= 0 {
		return plan{}, refuse(http.StatusUnprocessableEntity, "amount_invalid",
			fmt.Sprintf("amount %d: must be above 0, in the currency's minor unit", in.Amount))
	}
	if !isCurrency(in.Currency) {
		return plan{}, refuse(http.StatusUnprocessableEntity, "currency_invalid",
			fmt.Sprintf("currency %q: must be three upper-case letters", in.Currency))
	}
	if len(in.Reference) > maxReference {
		return plan{}, refuse(http.StatusUnprocessableEntity, "reference_invalid",
			fmt.Sprintf("reference has %d bytes, at most %d are allowed", len(in.Reference), maxReference))
	}
	r, known := rowFor(in.CardToken, scopeCharge)
	if !known { // what was sent is not repeated: it may be a card number
		return plan{}, refuse(http.StatusUnprocessableEntity, "card_token_unknown",
			"card_token is none of this simulator's tokens; GET / shows them")
	}
	return plan{r.script, func() (answer, error) { return s.bookCharge(ctx, tx, c, in, r) }}, nil
}

func (s *Simulator) bookCharge(ctx context.Context, tx *sql.Tx, c call, in chargeRequest, r row) (answer, error) {
	success := statusSucceeded
	if in.Capture != nil && !*in.Capture {
		success = statusAuthorized
	}
	p := payment{
		ID: newID("ch", c.key), Status: r.books.status, token: in.CardToken, hidden: r.hidden,
		Amount: in.Amount, Currency: in.Currency, Reference: in.Reference, Metadata: in.Metadata,
		DeclineCode: r.books.declineCode, DeclineKind: r.books.declineKind, CreatedAt: s.now().UTC(),
	}
	if p.Status == "" {
		p.Status = success
	}
	settlesTo, settlesAt := r.books.settlesTo, sql.NullInt64{}
	if settlesTo == statusSucceeded {
		settlesTo = success
	}
	if settlesTo != "" {
		settlesAt = sql.NullInt64{Int64: p.CreatedAt.Add(s.pendingFor).UnixNano(), Valid: true}
	}
	if r.books.alters != nil {
		r.books.alters(&p)
	}
	if p.Status == statusSucceeded {
		p.CapturedAmount = p.Amount
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO payments (id, idempotency_key, token, status, amount, currency,
		captured_amount, reference, decline_code, decline_kind, metadata, hidden, settles_to, settles_at, created_at)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		p.ID, c.key, p.token, p.Status, p.Amount, p.Currency, p.CapturedAmount, p.Reference, p.DeclineCode,
		p.DeclineKind, p.Metadata, p.hidden, settlesTo, settlesAt, p.CreatedAt.UnixNano()); err != nil {
		return answer{}, fmt.Errorf("book charge: %w", err)
	}
	return chargeAnswer(p, r.books), nil
}

func chargeAnswer(p payment, b booking) answer {
	switch {
	case p.Status == statusPending:
		return jsonAnswer(http.StatusAccepted, p.shown())
	case p.Status == statusDeclined && b.declineStatus != http.StatusOK:
		return declineAnswer("the card was declined", b)
	default:
		return jsonAnswer(http.StatusOK, p.shown())
	}
}

func declineAnswer(message string, b booking) answer {
	refusal := refuse(b.declineStatus, "card_declined", message+": "+b.declineCode)
	refusal.DeclineCode, refusal.DeclineKind = b.declineCode, b.declineKind
	return refusal.answer()
}

// capture is POST /payments/{id}/capture. No amount captures all; what is not captured is released. As void, it behaves as
// the token says that paid the payment.
func (s *Simulator) capture(ctx context.Context, tx *sql.Tx, c call) (plan, error) {
	var in struct {
		Amount *int64 `json:"amount"`
	}
	if err := decodeOptional(c.body, &in); err != nil {
		return plan{}, err
	}
	p, err := paymentByID(ctx, tx, c.paymentID)
	if err != nil {
		return plan{}, err
	}
	r, _ := rowFor(p.token, scopeCapture)
	return plan{r.script, func() (answer, error) {
		if p.Status != statusAuthorized {
			return answer{}, refuse(http.StatusConflict, "state_conflict",
				fmt.Sprintf("payment %s is %s; only an authorized one can be captured", p.ID, p.Status))
		}
		captured := p.Amount
		if in.Amount != nil {
			captured = *in.Amount
		}
		if captured <= 0 || captured > p.Amount {
			return answer{}, refuse(http.StatusUnprocessableEntity, "capture_exceeds_authorized",
				fmt.Sprintf("amount %d: must be above 0 and at most the %d authorized", captured, p.Amount))
		}
		if r.books.status == statusDeclined {
			return declineAnswer("the capture was declined", r.books), nil
		}
		p.Status, p.CapturedAmount = statusSucceeded, captured
		return updatePayment(ctx, tx, p)
	}}, nil
}

// void is POST /payments/{id}/void. It also calls off what waits for the customer.
func (s *Simulator) void(ctx context.Context, tx *sql.Tx, c call) (plan, error) {
	if err := decodeOptional(c.body, &struct{}{}); err != nil {
		return plan{}, err
	}
	p, err := paymentByID(ctx, tx, c.paymentID)
	if err != nil {
		return plan{}, err
	}
	r, _ := rowFor(p.token, scopeCapture)
	return plan{r.script, func() (answer, error) {
		if p.Status != statusAuthorized && p.Status != statusRequiresAction {
			return answer{}, refuse(http.StatusConflict, "state_conflict",
				fmt.Sprintf("payment %s is %s; only one that is authorized or requires an action can be voided", p.ID, p.Status))
		}
		p.Status = statusVoided
		return updatePayment(ctx, tx, p)
	}}, nil
}

// updatePayment writes a final status: nothing settles it any more.
func updatePayment(ctx context.Context, tx *sql.Tx, p payment) (answer, error) {
	if _, err := tx.ExecContext(ctx, `UPDATE payments SET status = ?, captured_amount = ?, settles_at = NULL WHERE id = ?`,
		p.Status, p.CapturedAmount, p.ID); err != nil {
		return answer{}, fmt.Errorf("update payment: %w", err)
	}
	return jsonAnswer(http.StatusOK, p.shown()), nil
}

const selectPayment = `SELECT seq, id, token, status, amount, currency, captured_amount, refunded_amount, reference,
	decline_code, decline_kind, metadata, hidden, created_at FROM payments `

func scanPayment(scan func(...any) error) (payment, error) {
	var p payment
	var createdAt int64
	err := scan(&p.seq, &p.ID, &p.token, &p.Status, &p.Amount, &p.Currency, &p.CapturedAmount, &p.RefundedAmount,
		&p.Reference, &p.DeclineCode, &p.DeclineKind, &p.Metadata, &p.hidden, &createdAt)
	p.CreatedAt = time.Unix(0, createdAt).UTC()
	return p, err
}

func paymentByID(ctx context.Context, tx *sql.Tx, id string) (payment, error) {
	p, err := scanPayment(tx.QueryRowContext(ctx, selectPayment+`WHERE id = ?`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return p, refuse(http.StatusNotFound, "payment_not_found", fmt.Sprintf("there is no payment %q", id))
	}
	if err != nil {
		return p, fmt.Errorf("find payment: %w", err)
	}
	return p, nil
}

// newID derives an id from the key whose execution it names, which happens once. Derived ids make runs repeatable.
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

// decode reads a body strictly: a misspelled field must not be silently ignored.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "json_invalid", "the body is not what this call takes: "+err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "json_invalid", "the body goes on after its JSON value")
	}
	return nil
}

func decodeOptional(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	return decode(body, into)
}
