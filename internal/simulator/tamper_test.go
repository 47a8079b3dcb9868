package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// charged makes a charge of 10 EUR that succeeds or is pending.
func (h *harness) charged(token, reference string) (p payment) {
	h.t.Helper()
	h.post("/charges", reference, chargeBody(token, reference)).into(h.t, &p)
	return p
}

// tamper makes changes that must succeed.
func (h *harness) tamper(change func(*Tampering) error) {
	h.t.Helper()
	require.NoError(h.t, h.sim.Tamper(h.t.Context(), change))
}

func TestTamperedPaymentIsListedAsItWasMade(t *testing.T) {
	h := start(t, Options{})
	paid := h.charged("tok_visa", "paid")
	other := h.charged("tok_visa", "other")
	created := h.clock.now().Add(-48 * time.Hour)
	outside := LedgerPayment{Status: "succeeded", Amount: 500, Currency: "CHF", CapturedAmount: 500, Reference: "invoice 7",
		Metadata: map[string]string{"basket": "7"}, CreatedAt: created}
	var outsideID, twiceID, plainID string
	h.tamper(func(tp *Tampering) (err error) {
		if outsideID, err = tp.AddPayment(outside); err != nil {
			return err
		}
		if plainID, err = tp.AddPayment(LedgerPayment{ID: "ch_plain", Status: "authorized", Amount: 1, Currency: "EUR"}); err != nil {
			return err
		}
		if twiceID, err = tp.DuplicatePayment(paid.ID); err != nil {
			return err
		}
		return tp.ChangePayment(paid.ID, func(p *LedgerPayment) {
			p.Status, p.Amount, p.Currency, p.CapturedAmount, p.RefundedAmount = "in_limbo", 1, "USD", 3, 4
		})
	})
	var list page[payment]
	h.get("/payments").into(t, &list)
	require.Len(t, list.Data, 5)
	changed, added, plain, twice := list.Data[0], list.Data[2], list.Data[3], list.Data[4]
	require.Equal(t, payment{ID: paid.ID, Status: "in_limbo", Amount: 1, Currency: "USD", CapturedAmount: 3, RefundedAmount: 4, Reference: "paid",
		Metadata: paid.Metadata, CreatedAt: paid.CreatedAt}, changed)
	require.Equal(t, other, list.Data[1])
	require.Equal(t, payment{ID: outsideID, Status: "succeeded", Amount: 500, Currency: "CHF", CapturedAmount: 500, Reference: "invoice 7",
		Metadata: metadata{"basket": "7"}, CreatedAt: created}, added)
	require.Equal(t, payment{ID: plainID, Status: "authorized", Amount: 1, Currency: "EUR", CreatedAt: h.clock.now()}, plain)
	require.Equal(t, "ch_plain", plainID)
	want := paid
	want.ID = twiceID
	require.Equal(t, want, twice)
	require.NotEqual(t, paid.ID, twiceID)
	require.Len(t, h.ledger().Payments, 5)

	h.tamper(func(tp *Tampering) error { return tp.DeletePayment(other.ID) })
	require.Equal(t, "404 payment_not_found", h.get("/payments/"+other.ID).String())
	require.Len(t, h.ledger().Payments, 4)
	// Its request is still known: a repeat does not charge again.
	require.Equal(t, "200 succeeded, replayed", h.post("/charges", "other", chargeBody("tok_visa", "other")).String())
}

func TestTamperedRefundIsListedAsItWasMade(t *testing.T) {
	h := start(t, Options{})
	paid := h.charged("tok_visa", "paid")
	var made, other refundEntry
	h.post("/refunds", "r1", fmt.Sprintf(`{"payment_id":%q,"amount":100,"reference":"r1"}`, paid.ID)).into(t, &made)
	h.post("/refunds", "r2", fmt.Sprintf(`{"payment_id":%q,"amount":100,"reference":"r2"}`, paid.ID)).into(t, &other)
	var outsideID, twiceID string
	h.tamper(func(tp *Tampering) (err error) {
		if outsideID, err = tp.AddRefund(LedgerRefund{PaymentID: "ch_nowhere", Status: "succeeded", Amount: 5, Currency: "EUR"}); err != nil {
			return err
		}
		if twiceID, err = tp.DuplicateRefund(made.ID); err != nil {
			return err
		}
		if err := tp.ChangeRefund(made.ID, func(r *LedgerRefund) { r.Status, r.Amount = "in_limbo", 7 }); err != nil {
			return err
		}
		return tp.DeleteRefund(other.ID)
	})
	var list page[refundEntry]
	h.get("/refunds").into(t, &list)
	require.Len(t, list.Data, 3)
	twice := made
	twice.ID = twiceID
	made.Status, made.Amount = "in_limbo", 7
	require.Equal(t, []refundEntry{made, {ID: outsideID, PaymentID: "ch_nowhere", Status: "succeeded", Amount: 5, Currency: "EUR",
		CreatedAt: h.clock.now()}, twice}, list.Data)
	require.Len(t, h.ledger().Refunds, 3)
	require.Equal(t, int64(200), h.ledger().Payments[0].RefundedAmount, "only the entry itself is changed")
}

func TestPaymentCanBeDeletedBeforeItsRefunds(t *testing.T) {
	h := start(t, Options{})
	paid := h.charged("tok_visa", "paid")
	require.Equal(t, http.StatusOK, h.post("/refunds", "r", fmt.Sprintf(`{"payment_id":%q,"reference":"r"}`, paid.ID)).status)
	h.tamper(func(tp *Tampering) error { return tp.DeletePayment(paid.ID) })
	require.Empty(t, h.ledger().Payments)
	require.Len(t, h.ledger().Refunds, 1)
}

func TestFailedTamperingChangesNothing(t *testing.T) {
	h := start(t, Options{})
	paid := h.charged("tok_visa", "paid")
	before := h.ledger()
	errStop := errors.New("stop")
	for want, change := range map[string]func(*Tampering) error{
		"stop":                                  func(*Tampering) error { return errStop },
		`payment "ch_x": sql: no rows`:          func(tp *Tampering) error { return tp.ChangePayment("ch_x", func(*LedgerPayment) {}) },
		`payment "ch_y": sql: no rows`:          func(tp *Tampering) error { return tp.DeletePayment("ch_y") },
		`payment "ch_z": sql: no rows`:          func(tp *Tampering) error { _, err := tp.DuplicatePayment("ch_z"); return err },
		`refund "re_x": sql: no rows`:           func(tp *Tampering) error { return tp.ChangeRefund("re_x", func(*LedgerRefund) {}) },
		`refund "re_y": sql: no rows`:           func(tp *Tampering) error { return tp.DeleteRefund("re_y") },
		`refund "re_z": sql: no rows`:           func(tp *Tampering) error { _, err := tp.DuplicateRefund("re_z"); return err },
		"UNIQUE constraint failed: payments.id": func(tp *Tampering) error { _, err := tp.AddPayment(LedgerPayment{ID: paid.ID}); return err },
	} {
		err := h.sim.Tamper(t.Context(), func(tp *Tampering) error {
			if err := tp.ChangePayment(paid.ID, func(p *LedgerPayment) { p.Amount = -1 }); err != nil {
				return err
			}
			return change(tp)
		})
		require.ErrorContains(t, err, want)
		require.Equal(t, before, h.ledger())
	}
	// The rules of the ledger apply again.
	_, err := h.sim.db.ExecContext(t.Context(), `UPDATE payments SET status = 'in_limbo'`)
	require.ErrorContains(t, err, "CHECK constraint failed")
	_, err = h.sim.db.ExecContext(t.Context(), `INSERT INTO refunds (id, idempotency_key, token, payment_id, status, amount, currency, reference,
		decline_code, metadata, settles_to, created_at) VALUES ('r','r','','none','pending',1,'EUR','','','{}','',1)`)
	require.ErrorContains(t, err, "FOREIGN KEY constraint failed")
	require.NoError(t, h.sim.Close())
	require.ErrorContains(t, h.sim.Tamper(t.Context(), func(*Tampering) error { return nil }), "closed")
}

func TestTamperedPaymentHasNoLaterChanges(t *testing.T) {
	h := start(t, Options{PendingFor: time.Second})
	pending := h.charged("tok_pending", "p")
	h.tamper(func(tp *Tampering) error {
		return tp.ChangePayment(pending.ID, func(p *LedgerPayment) { p.Amount = 7 })
	})
	paid := h.charged("tok_refund_fails_late", "paid")
	require.Equal(t, http.StatusOK, h.post("/refunds", "r", fmt.Sprintf(`{"payment_id":%q,"reference":"r"}`, paid.ID)).status)
	h.tamper(func(tp *Tampering) error {
		return tp.ChangePayment(paid.ID, func(p *LedgerPayment) { p.RefundedAmount = 0 })
	})
	h.clock.advance(time.Hour)
	ledger := h.ledger()
	require.Equal(t, []any{"pending", int64(7)}, []any{ledger.Payments[0].Status, ledger.Payments[0].Amount})
	require.Equal(t, []any{int64(0), "succeeded"}, []any{ledger.Payments[1].RefundedAmount, ledger.Refunds[0].Status})
}

func TestManyPaymentsAreAddedInOneCall(t *testing.T) {
	h := start(t, Options{})
	const n = 20_000
	first := h.clock.now().Add(-n * time.Second)
	began := time.Now()
	h.tamper(func(tp *Tampering) error {
		for i := range n {
			if _, err := tp.AddPayment(LedgerPayment{Status: "succeeded", Amount: 1000, CapturedAmount: 1000, Currency: "EUR",
				Reference: fmt.Sprint("order ", i), CreatedAt: first.Add(time.Duration(i) * time.Second)}); err != nil {
				return err
			}
		}
		return nil
	})
	require.Less(t, time.Since(began), time.Minute)
	ledger := h.ledger()
	require.Len(t, ledger.Payments, n)
	require.Equal(t, []any{"order 9999", first.Add(9999 * time.Second)}, []any{ledger.Payments[9999].Reference, ledger.Payments[9999].CreatedAt})
	t.Logf("%d payments in %s", n, time.Since(began))
}
