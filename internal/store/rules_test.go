package store

// The rules that the databases enforce themselves, for every SQL client.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

const (
	rawPayment = `INSERT INTO payments (payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, captured_amount,
		processor, payment_method, created_at, updated_at, cause_by, cause_evidence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 'sql', '{}')`
	rawRefund = `INSERT INTO refunds (refund_id, payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency,
		processor, created_at, updated_at, cause_by, cause_evidence) VALUES ($1, $2, $3, $4, 'f', $5, $6, $7, $8, $9, $9, 'sql', '{}')`
)

func rawPaymentArgs(c payment.Charge) []any {
	return []any{c.PaymentID, c.MerchantID, c.IdempotencyKey, "f", string(c.Status), c.Amount, c.Currency, c.CapturedAmount, c.Processor, c.PaymentMethod, formatTime(c.CreatedAt)}
}

func rawRefundArgs(r payment.Refund) []any {
	return []any{r.RefundID, r.PaymentID, r.MerchantID, r.IdempotencyKey, string(r.Status), r.Amount, "EUR", "rest", formatTime(r.CreatedAt)}
}

func TestTransitionTableMatchesPackagePayment(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		for kind, want := range map[string]map[payment.Status][]payment.Status{"payment": payment.PaymentTransitions, "refund": payment.RefundTransitions} {
			got := map[payment.Status][]payment.Status{}
			for from := range want {
				got[from] = []payment.Status{}
			}
			for _, line := range queryLines(t, s.db, "SELECT from_status, to_status FROM transitions WHERE kind = $1", kind) {
				from, to, _ := strings.Cut(line, " ")
				got[payment.Status(from)] = append(got[payment.Status(from)], payment.Status(to))
			}
			require.Len(t, got, len(want), kind)
			for from := range want {
				require.ElementsMatch(t, want[from], got[from], "%s from %s", kind, from)
			}
		}
	})
}

func TestOpenPaymentsAreThoseInANonFinalStatus(t *testing.T) {
	for status := range payment.PaymentTransitions {
		require.Equal(t, !status.Final(), strings.Contains(openPayments, "'"+string(status)+"'"), status)
	}
}

// requireRefused runs statements by name. Each must fail and change nothing.
func requireRefused(t *testing.T, s *Store, statements map[string]string) {
	t.Helper()
	before := contents(t, s)
	for what, statement := range statements {
		_, err := s.db.Exec(statement)
		require.Error(t, err, what)
		if !strings.Contains(err.Error(), "UNIQUE") && !strings.Contains(err.Error(), "unique") {
			require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid, what)
		}
		require.Equal(t, before, contents(t, s), what)
	}
}

func contents(t *testing.T, s *Store) (all []string) {
	t.Helper()
	for _, query := range []string{
		"SELECT payment_id, status, amount, currency, captured_amount, refunded_amount, reserved_amount, processor_payment_id, revision FROM payments ORDER BY 1",
		"SELECT refund_id, status, amount, revision FROM refunds ORDER BY 1",
		"SELECT subject_id, revision, to_status, cause_by FROM payment_events ORDER BY 1, 2",
	} {
		all = append(all, queryLines(t, s.db, query)...)
	}
	return all
}

func TestDatabaseRefusesInvalidChanges(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")                                    // ch_order-1, 10000 captured
		reserve(t, s, newRefund("r-1", c, 6_000))                     // processing
		begin(t, s, newCharge("order-2"))                             // processing
		settle(t, s, reserve(t, s, newRefund("r-2", c, 1)), "failed") // final
		settle(t, s, reserve(t, s, newRefund("r-3", c, 1)), "succeeded")
		first, second := "payment_id = '"+c.PaymentID+"'", "payment_id = '"+newCharge("order-2").PaymentID+"'"
		refund := "refund_id = '" + payment.RefundID("acme", "r-1") + "'"
		failed := "refund_id = '" + payment.RefundID("acme", "r-2") + "'"
		refunded := "refund_id = '" + payment.RefundID("acme", "r-3") + "'"
		// A valid cause for a change, so that each statement below breaks only the rule that names it.
		cause := ", revision = revision + 1, cause_by = 'sql', cause_evidence = '{}' WHERE "
		requireRefused(t, s, map[string]string{
			"payment id changed":                        "UPDATE payments SET payment_id = 'pay_x'" + cause + second,
			"payment's merchant changed":                "UPDATE payments SET merchant_id = 'emca'" + cause + second,
			"payment's idempotency key changed":         "UPDATE payments SET idempotency_key = 'k'" + cause + second,
			"payment's fingerprint changed":             "UPDATE payments SET fingerprint = 'k'" + cause + second,
			"payment's amount changed":                  "UPDATE payments SET amount = amount + 1" + cause + second,
			"payment's currency changed":                "UPDATE payments SET currency = 'USD'" + cause + second,
			"payment's processor changed":               "UPDATE payments SET processor = 'stripe'" + cause + second,
			"payment's payment method changed":          "UPDATE payments SET payment_method = 'tok_other'" + cause + second,
			"payment's creation time changed":           "UPDATE payments SET created_at = '2025-01-15T09:30:00.000000Z'" + cause + second,
			"payment's update time set back":            "UPDATE payments SET status = 'unknown', updated_at = '2025-01-15T09:30:00.000000Z'" + cause + second,
			"unknown status":                            "UPDATE payments SET status = 'paid'" + cause + second,
			"illegal transition":                        "UPDATE payments SET status = 'expired'" + cause + second,
			"transition from a final status":            "UPDATE payments SET status = 'processing'" + cause + first,
			"details of a final status changed":         "UPDATE payments SET captured_amount = 9999" + cause + first,
			"processor's id of a final status changed":  "UPDATE payments SET processor_payment_id = 'ch_9'" + cause + first,
			"captured amount above the amount":          "UPDATE payments SET status = 'succeeded', captured_amount = 10001" + cause + second,
			"negative captured amount":                  "UPDATE payments SET status = 'succeeded', captured_amount = -1" + cause + second,
			"processor's id of another payment":         "UPDATE payments SET status = 'succeeded', processor_payment_id = 'ch_order-1'" + cause + second,
			"empty processor's id":                      "UPDATE payments SET status = 'succeeded', processor_payment_id = ''" + cause + second,
			"failure that is not a JSON object":         "UPDATE payments SET status = 'failed', failure = '[]'" + cause + second,
			"payment changed without a cause":           "UPDATE payments SET status = 'failed' WHERE " + second,
			"payment changed with an empty cause":       "UPDATE payments SET status = 'failed', revision = revision + 1, cause_by = '' WHERE " + second,
			"revision skips a number":                   "UPDATE payments SET status = 'failed', revision = revision + 2 WHERE " + second,
			"revision set back":                         "UPDATE payments SET revision = 1 WHERE " + first,
			"refunded amount set":                       "UPDATE payments SET refunded_amount = 2 WHERE " + first,
			"reserved amount reduced":                   "UPDATE payments SET reserved_amount = 0 WHERE " + first,
			"reserved amount above the captured amount": "UPDATE payments SET reserved_amount = 10001 WHERE " + first,
			"negative reserved amount":                  "UPDATE payments SET reserved_amount = -1, refunded_amount = 6001 WHERE " + first,
			"all payments deleted":                      "DELETE FROM payments",
			"payment deleted":                           "DELETE FROM payments WHERE " + second,
			"all refunds deleted":                       "DELETE FROM refunds",
			"refund deleted":                            "DELETE FROM refunds WHERE " + failed,
			"refund's amount changed":                   "UPDATE refunds SET amount = 1" + cause + refund,
			"refund's payment changed":                  "UPDATE refunds SET payment_id = '" + newCharge("order-2").PaymentID + "'" + cause + refund,
			"refund's idempotency key changed":          "UPDATE refunds SET idempotency_key = 'k'" + cause + refund,
			"refund's merchant changed":                 "UPDATE refunds SET merchant_id = 'emca'" + cause + refund,
			"refund with a status of payments only":     "UPDATE refunds SET status = 'voided'" + cause + refund,
			"refund changed without a cause":            "UPDATE refunds SET status = 'succeeded' WHERE " + refund,
			"refund changed after a final status":       "UPDATE refunds SET status = 'succeeded'" + cause + failed,
			"succeeded refund declined":                 "UPDATE refunds SET status = 'declined'" + cause + refunded,
			"succeeded refund pending again":            "UPDATE refunds SET status = 'pending'" + cause + refunded,
			"details of a succeeded refund changed":     "UPDATE refunds SET processor_refund_id = 're_9'" + cause + refunded,
			"event changed":                             "UPDATE payment_events SET cause_by = 'other'",
			"event deleted":                             "DELETE FROM payment_events WHERE revision = 1",
			"all events deleted":                        "DELETE FROM payment_events",
			"event for a revision that does not exist": "INSERT INTO payment_events (subject_id, revision, at, to_status, amount, cause_by, evidence) VALUES ('" +
				c.PaymentID + "', 3, '2026-01-15T09:30:00.000000Z', 'succeeded', 0, 'sql', '{}')",
			"event inserted twice": "INSERT INTO payment_events (subject_id, revision, at, to_status, amount, cause_by, evidence) VALUES ('" +
				c.PaymentID + "', 2, '2026-01-15T09:30:00.000000Z', 'succeeded', 0, 'sql', '{}')",
		})
		if s.dialect.name == "postgres" {
			requireRefused(t, s, map[string]string{
				"truncate payments": "TRUNCATE payments CASCADE", "truncate refunds": "TRUNCATE refunds CASCADE", "truncate events": "TRUNCATE payment_events",
			})
			return
		}
		columns := "payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor, payment_method, created_at, updated_at, cause_by, cause_evidence"
		row := "'%s', 'acme', '%s', 'f', 'processing', 1, 'EUR', 'rest', 'tok', '2026-01-15T09:30:00.000000Z', '2026-01-15T09:30:00.000000Z', 'sql', '{}'"
		refundRow := "'%s', '" + c.PaymentID + "', 'acme', '%s', 'f', 'processing', %d, 'EUR', 'rest', '2026-01-15T09:30:00.000000Z', '2026-01-15T09:30:00.000000Z', 'sql', '{}'"
		refundColumns := "refund_id, payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor, created_at, updated_at, cause_by, cause_evidence"
		requireRefused(t, s, map[string]string{
			"payment replaced by its id and key":                       "INSERT OR REPLACE INTO payments (" + columns + ") VALUES (" + fmt.Sprintf(row, c.PaymentID, "order-1") + ")",
			"payment replaced by its id":                               "INSERT OR REPLACE INTO payments (" + columns + ") VALUES (" + fmt.Sprintf(row, c.PaymentID, "order-9") + ")",
			"payment replaced by its idempotency key":                  "INSERT OR REPLACE INTO payments (" + columns + ") VALUES (" + fmt.Sprintf(row, "pay_9", "order-1") + ")",
			"payment replaced by its rowid":                            "INSERT OR REPLACE INTO payments (rowid, " + columns + ") VALUES (2, " + fmt.Sprintf(row, "pay_9", "order-9") + ")",
			"rowid of another payment":                                 "UPDATE OR REPLACE payments SET rowid = 2 WHERE rowid = 1",
			"processor's id of another payment, replacing it":          "UPDATE OR REPLACE payments SET status = 'succeeded', processor_payment_id = 'ch_order-1'" + cause + second,
			"idempotency key of another payment, replacing it":         "UPDATE OR REPLACE payments SET idempotency_key = 'order-1'" + cause + second,
			"event replaced":                                           "INSERT OR REPLACE INTO payment_events (subject_id, revision, at, to_status, amount, cause_by, evidence) SELECT subject_id, revision, at, to_status, amount, 'other', evidence FROM payment_events",
			"refund replaced by its id":                                "INSERT OR REPLACE INTO refunds (" + refundColumns + ") VALUES (" + fmt.Sprintf(refundRow, payment.RefundID("acme", "r-1"), "r-1", 1) + ")",
			"refund replaced by its idempotency key":                   "INSERT OR REPLACE INTO refunds (" + refundColumns + ") VALUES (" + fmt.Sprintf(refundRow, "ref_9", "r-1", 1) + ")",
			"refund replaced by its rowid":                             "INSERT OR REPLACE INTO refunds (rowid, " + refundColumns + ") VALUES (1, " + fmt.Sprintf(refundRow, "ref_9", "r-9", 1) + ")",
			"refund above the remaining amount, ignoring conflicts":    "INSERT OR IGNORE INTO refunds (" + refundColumns + ") VALUES (" + fmt.Sprintf(refundRow, "ref_9", "r-9", 4_000) + ")",
			"refund above the remaining amount, stopping at conflicts": "INSERT OR FAIL INTO refunds (" + refundColumns + ") VALUES (" + fmt.Sprintf(refundRow, "ref_9", "r-9", 4_000) + ")",
			"illegal transition, ignoring conflicts":                   "UPDATE OR IGNORE payments SET status = 'expired'" + cause + second,
			"refund of another merchant's payment, ignoring conflicts": "INSERT OR IGNORE INTO refunds (" + refundColumns + ") VALUES (" + strings.Replace(fmt.Sprintf(refundRow, "ref_9", "r-9", 1), "'acme'", "'emca'", 1) + ")",
			"text as an amount":                                        "UPDATE payments SET status = 'succeeded', captured_amount = 'all'" + cause + second,
			"time in another format":                                   "UPDATE payments SET status = 'failed', updated_at = '2027-01-15 09:30'" + cause + second,
		})
	})
}

func TestDatabaseRefusesInvalidRows(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		reserve(t, s, newRefund("r-1", c, 9_000))
		unpaid := begin(t, s, newCharge("order-2"))
		before := contents(t, s)
		for what, change := range map[string]func(*payment.Charge){
			"idempotency key used twice":    func(c *payment.Charge) { c.IdempotencyKey = "order-1" },
			"id used twice":                 func(p *payment.Charge) { p.PaymentID = c.PaymentID },
			"zero amount":                   func(c *payment.Charge) { c.Amount = 0 },
			"negative amount":               func(c *payment.Charge) { c.Amount = -1 },
			"amount above the maximum":      func(c *payment.Charge) { c.Amount = payment.MaxAmount + 1 },
			"lower-case currency":           func(c *payment.Charge) { c.Currency = "eur" },
			"currency too long":             func(c *payment.Charge) { c.Currency = "EURO" },
			"currency with a line break":    func(c *payment.Charge) { c.Currency = "EUR\n" },
			"unknown status":                func(c *payment.Charge) { c.Status = "paid" },
			"begins with a final status":    func(c *payment.Charge) { c.Status = payment.Succeeded },
			"begins with a captured amount": func(c *payment.Charge) { c.CapturedAmount = 1 },
			"no merchant":                   func(c *payment.Charge) { c.MerchantID = "" },
			"merchant too long":             func(c *payment.Charge) { c.MerchantID = strings.Repeat("m", 65) },
			"no idempotency key":            func(c *payment.Charge) { c.IdempotencyKey = "" },
		} {
			p := newCharge("order-9")
			change(&p)
			_, err := s.db.Exec(rawPayment, rawPaymentArgs(p)...)
			require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid, what)
		}
		for what, change := range map[string]func(*payment.Refund){
			"idempotency key used twice":        func(r *payment.Refund) { r.IdempotencyKey = "r-1" },
			"amount above the remaining amount": func(r *payment.Refund) { r.Amount = 1_001 },
			"zero amount":                       func(r *payment.Refund) { r.Amount = 0 },
			"negative amount":                   func(r *payment.Refund) { r.Amount = -1 },
			"unknown payment":                   func(r *payment.Refund) { r.PaymentID = "pay_9" },
			"payment not succeeded":             func(r *payment.Refund) { r.PaymentID = unpaid.PaymentID },
			"payment of another merchant":       func(r *payment.Refund) { r.MerchantID = "emca" },
			"unknown status":                    func(r *payment.Refund) { r.Status = payment.Voided },
			"begins with a final status":        func(r *payment.Refund) { r.Status = payment.Succeeded },
		} {
			r := newRefund("r-9", c, 100)
			change(&r)
			_, err := s.db.Exec(rawRefund, rawRefundArgs(r)...)
			require.ErrorIs(t, s.wrap(err, "raw"), ErrInvalid, what)
		}
		require.Equal(t, before, contents(t, s))
	})
}

// An operator may make a legal change with SQL, if the statement gives a cause.
func TestLegalChangeWithSQLAppendsAnEvent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, newCharge("order-1"))
		execSQL(t, s, `UPDATE payments SET status = 'failed', failure = '{"class": "config", "message": "by hand"}',
			revision = revision + 1, cause_by = 'operator:jane', cause_evidence = '{"ticket": "42"}' WHERE payment_id = $1`, c.PaymentID)
		stored, err := s.PaymentByID(t.Context(), "acme", c.PaymentID)
		require.NoError(t, err)
		require.Equal(t, &payment.Failure{Class: payment.ClassConfig, Message: "by hand"}, stored.Failure)
		events, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.Equal(t, Cause{By: "operator:jane", Evidence: map[string]string{"ticket": "42"}}, events[1].Cause)
		requireConsistent(t, s)
	})
}

func TestStatementForSeveralRefundsUpdatesTheSumsForAll(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		for i := range 3 {
			reserve(t, s, newRefund(fmt.Sprintf("r-%d", i), c, 1_000))
		}
		execSQL(t, s, "UPDATE refunds SET status = 'succeeded', revision = revision + 1, cause_by = 'sql', cause_evidence = '{}' WHERE payment_id = $1", c.PaymentID)
		refundedAmount, reservedAmount := amounts(t, s, c)
		require.Equal(t, [2]int64{3_000, 0}, [2]int64{refundedAmount, reservedAmount})
		requireConsistent(t, s)
	})
}
