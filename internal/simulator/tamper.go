package simulator

// Changing the ledger directly, for tests of reconciliation.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Tamper changes the ledger directly, without requests and without the rules of the protocol. It is for tests of reconciliation,
// which has to find every such change: payments that another system made, lost and doubled ones, other amounts. No endpoint does
// any of this.
//
// All changes of one call are one transaction, which is undone if change returns an error. Requests wait meanwhile, so change
// must use nothing of the simulator but t. With many entries, one call is far faster than one for each entry.
func (s *Simulator) Tamper(ctx context.Context, change func(t *Tampering) error) error {
	if !s.begin() {
		return errors.New("simulator: tamper with the ledger: the simulator is closed")
	}
	defer s.active.Done()
	if err := s.tamper(ctx, change); err != nil {
		return fmt.Errorf("simulator: tamper with the ledger: %w", err)
	}
	return nil
}

func (s *Simulator) tamper(ctx context.Context, change func(t *Tampering) error) (err error) {
	// The only connection: nothing else sees the database without its constraints.
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := setConstraints(ctx, conn, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, setConstraints(context.WithoutCancel(ctx), conn, true)) }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := s.makeDueChanges(ctx, tx); err != nil {
		return err
	}
	t := &Tampering{sim: s, ctx: ctx, tx: tx, prepared: map[string]*sql.Stmt{}}
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(seq), 0) FROM sqlite_sequence`).Scan(&t.entries); err != nil {
		return err
	}
	if err := change(t); err != nil {
		return err
	}
	return tx.Commit()
}

// setConstraints sets whether changes have to obey the constraints of the tables. Unique columns stay unique in any case.
func setConstraints(ctx context.Context, conn *sql.Conn, on bool) error {
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA ignore_check_constraints = %t", !on), fmt.Sprintf("PRAGMA foreign_keys = %t", on),
	} {
		if _, err := conn.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// Tampering is the ledger while [Simulator.Tamper] changes it. Nothing is checked: amounts may contradict each other, and a
// status that the protocol does not have makes an entry unreadable. Only the entry itself is changed: that a payment counts what
// was refunded of it, for example, is for the caller. What was changed has no later changes, such as from pending to succeeded,
// and neither have the refunds of a payment that was. A Tampering must not be used concurrently, nor after Tamper has returned.
type Tampering struct {
	sim      *Simulator
	ctx      context.Context //nolint:containedctx // that of Tamper, in which the Tampering ends
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
	entries  int64 // number of entries that the ledger ever had
}

// AddPayment adds a payment that was made without a request, and returns its id. An ID, a CreatedAt and Requests that are zero
// are filled in. Metadata and Reference are those of a payment of Florin's, of another system's or of none, as the caller likes.
func (t *Tampering) AddPayment(p LedgerPayment) (id string, err error) {
	key, err := t.fill("ch", &p.ID, &p.CreatedAt, p.Requests)
	if err != nil {
		return "", err
	}
	return p.ID, t.exec(`INSERT INTO payments (id, idempotency_key, token, status, amount, currency, captured_amount, refunded_amount, reference,
		decline_code, decline_kind, metadata, hidden, settles_to, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,'',?,0,'',?)`,
		p.ID, key, plainToken, p.Status, p.Amount, p.Currency, p.CapturedAmount, p.RefundedAmount, p.Reference,
		p.DeclineCode, metadata(p.Metadata), p.CreatedAt.UnixNano())
}

// AddRefund adds a refund that was made without a request, and returns its id. It is filled in as by AddPayment. Its payment need
// not exist.
func (t *Tampering) AddRefund(r LedgerRefund) (id string, err error) {
	key, err := t.fill("re", &r.ID, &r.CreatedAt, r.Requests)
	if err != nil {
		return "", err
	}
	return r.ID, t.exec(`INSERT INTO refunds (id, idempotency_key, token, payment_id, status, amount, currency, reference, decline_code,
		metadata, settles_to, created_at) VALUES (?,?,?,?,?,?,?,?,'',?,'',?)`,
		r.ID, key, plainToken, r.PaymentID, r.Status, r.Amount, r.Currency, r.Reference, metadata(r.Metadata), r.CreatedAt.UnixNano())
}

// fill sets what is zero, and counts requests with a new idempotency key, which it returns.
func (t *Tampering) fill(prefix string, id *string, createdAt *time.Time, requests int) (key string, err error) {
	t.entries++
	key = fmt.Sprintf("tampered-%d", t.entries)
	if *id == "" {
		*id = newID(prefix, key)
	}
	if createdAt.IsZero() {
		*createdAt = t.sim.now()
	}
	return key, t.exec(`INSERT INTO requests (idempotency_key, received) VALUES (?, ?)`, key, max(1, requests))
}

// ChangePayment calls change with the payment, and stores what change has made of it. The ID and Requests stay as they are.
func (t *Tampering) ChangePayment(id string, change func(*LedgerPayment)) error {
	p, err := t.payment(id)
	if err != nil {
		return err
	}
	change(&p)
	// A refund that fails later would change the payment.
	if err := t.exec(`UPDATE refunds SET settles_at = NULL WHERE payment_id = ?`, id); err != nil {
		return err
	}
	return t.exec(`UPDATE payments SET status = ?, amount = ?, currency = ?, captured_amount = ?, refunded_amount = ?, reference = ?,
		decline_code = ?, metadata = ?, created_at = ?, settles_at = NULL WHERE id = ?`,
		p.Status, p.Amount, p.Currency, p.CapturedAmount, p.RefundedAmount, p.Reference,
		p.DeclineCode, metadata(p.Metadata), p.CreatedAt.UnixNano(), id)
}

// ChangeRefund calls change with the refund, and stores what change has made of it. The ID and Requests stay as they are.
func (t *Tampering) ChangeRefund(id string, change func(*LedgerRefund)) error {
	r, err := t.refund(id)
	if err != nil {
		return err
	}
	change(&r)
	return t.exec(`UPDATE refunds SET payment_id = ?, status = ?, amount = ?, currency = ?, reference = ?, metadata = ?, created_at = ?,
		settles_at = NULL WHERE id = ?`,
		r.PaymentID, r.Status, r.Amount, r.Currency, r.Reference, metadata(r.Metadata), r.CreatedAt.UnixNano(), id)
}

// DuplicatePayment adds a payment with the same reference, as a processor that executed a request twice, and returns its id.
func (t *Tampering) DuplicatePayment(id string) (duplicate string, err error) {
	p, err := t.payment(id)
	if err != nil {
		return "", err
	}
	p.ID, p.Requests = "", 0
	return t.AddPayment(p)
}

// DuplicateRefund adds a refund with the same reference, as a processor that executed a request twice, and returns its id.
func (t *Tampering) DuplicateRefund(id string) (duplicate string, err error) {
	r, err := t.refund(id)
	if err != nil {
		return "", err
	}
	r.ID, r.Requests = "", 0
	return t.AddRefund(r)
}

// DeletePayment deletes a payment, but not its refunds. The response to its request stays stored.
func (t *Tampering) DeletePayment(id string) error {
	if _, err := t.payment(id); err != nil {
		return err
	}
	return t.exec(`DELETE FROM payments WHERE id = ?`, id)
}

// DeleteRefund deletes a refund. The response to its request stays stored.
func (t *Tampering) DeleteRefund(id string) error {
	if _, err := t.refund(id); err != nil {
		return err
	}
	return t.exec(`DELETE FROM refunds WHERE id = ?`, id)
}

func (t *Tampering) payment(id string) (LedgerPayment, error) {
	p, err := scanLedgerPayment(t.tx.QueryRowContext(t.ctx, selectLedgerPayment+`WHERE id = ?`, id).Scan)
	if err != nil {
		return p, fmt.Errorf("payment %q: %w", id, err)
	}
	return p, nil
}

func (t *Tampering) refund(id string) (LedgerRefund, error) {
	r, err := scanLedgerRefund(t.tx.QueryRowContext(t.ctx, selectLedgerRefund+`WHERE id = ?`, id).Scan)
	if err != nil {
		return r, fmt.Errorf("refund %q: %w", id, err)
	}
	return r, nil
}

// exec executes a statement. The transaction closes the prepared ones.
func (t *Tampering) exec(query string, args ...any) error {
	stmt, ok := t.prepared[query]
	if !ok {
		var err error
		if stmt, err = t.tx.PrepareContext(t.ctx, query); err != nil {
			return err
		}
		t.prepared[query] = stmt
	}
	_, err := stmt.ExecContext(t.ctx, args...)
	return err
}
