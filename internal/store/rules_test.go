package store

// What the databases refuse by themselves, to whoever speaks SQL.

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
	return []any{c.PaymentID, c.MerchantID, c.IdempotencyKey, "f", string(c.Status), c.Amount, c.Currency, c.CapturedAmount, c.Processor, c.PaymentMethod, moment(c.CreatedAt)}
}

func rawRefundArgs(r payment.Refund) []any {
	return []any{r.RefundID, r.PaymentID, r.MerchantID, r.IdempotencyKey, string(r.Status), r.Amount, "EUR", "rest", moment(r.CreatedAt)}
}

func TestTheTransitionsAreThoseOfTheVocabulary(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		for kind, want := range map[string]map[payment.Status][]payment.Status{"payment": payment.PaymentTransitions, "refund": payment.RefundTransitions} {
			got := map[payment.Status][]payment.Status{}
			for from := range want {
				got[from] = []payment.Status{}
			}
			for _, line := range lines(t, s.db, "SELECT from_status, to_status FROM transitions WHERE kind = $1", kind) {
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

func TestOpenPaymentsAreTheSameEverywhere(t *testing.T) {
	for _, name := range []string{"postgres", "sqlite"} {
		script, err := migrations.ReadFile("migrations/" + name + "/00001_payments.sql")
		require.NoError(t, err)
		require.Contains(t, string(script), "WHERE "+openPayments+";")
	}
	require.Equal(t, len(openStatuses), strings.Count(openPayments, "', '")+1)
	for status := range openStatuses {
		require.Contains(t, openPayments, "'"+string(status)+"'")
	}
	for status, moves := range payment.PaymentTransitions {
		require.Equal(t, len(moves) > 0 || status == payment.Conflicted, openStatuses[status], status)
	}
}

// requireRefused runs statements, each of which must fail and leave everything as it is.
func requireRefused(t *testing.T, s *Store, statements map[string]string) {
	t.Helper()
	before := contents(t, s)
	for what, statement := range statements {
		_, err := s.db.Exec(statement)
		require.Error(t, err, what)
		if !strings.Contains(err.Error(), "UNIQUE") && !strings.Contains(err.Error(), "unique") {
			require.ErrorIs(t, s.fail(err, "raw"), ErrInvalid, what)
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
		all = append(all, lines(t, s.db, query)...)
	}
	return all
}

func TestTheDatabaseRefusesWrongChanges(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")                                  // ch_order-1, 10000 captured
		reserve(t, s, aRefund("r-1", c, 6_000))                     // processing
		begin(t, s, aCharge("order-2"))                             // processing
		settle(t, s, reserve(t, s, aRefund("r-2", c, 1)), "failed") // final
		first, second := "payment_id = '"+c.PaymentID+"'", "payment_id = '"+aCharge("order-2").PaymentID+"'"
		refund := "refund_id = '" + payment.RefundID("acme", "r-1") + "'"
		failed := "refund_id = '" + payment.RefundID("acme", "r-2") + "'"
		// The right way to change something, for all that is wrong with these otherwise.
		why := ", revision = revision + 1, cause_by = 'sql', cause_evidence = '{}' WHERE "
		requireRefused(t, s, map[string]string{
			"a payment's id":              "UPDATE payments SET payment_id = 'pay_x'" + why + second,
			"a payment's merchant":        "UPDATE payments SET merchant_id = 'emca'" + why + second,
			"a payment's key":             "UPDATE payments SET idempotency_key = 'k'" + why + second,
			"a payment's fingerprint":     "UPDATE payments SET fingerprint = 'k'" + why + second,
			"a payment's amount":          "UPDATE payments SET amount = amount + 1" + why + second,
			"a payment's currency":        "UPDATE payments SET currency = 'USD'" + why + second,
			"a payment's processor":       "UPDATE payments SET processor = 'stripe'" + why + second,
			"a payment's method":          "UPDATE payments SET payment_method = 'tok_other'" + why + second,
			"a payment's creation":        "UPDATE payments SET created_at = '2025-01-15T09:30:00.000000Z'" + why + second,
			"a payment's time back":       "UPDATE payments SET status = 'unknown', updated_at = '2025-01-15T09:30:00.000000Z'" + why + second,
			"an unknown status":           "UPDATE payments SET status = 'paid'" + why + second,
			"an illegal move":             "UPDATE payments SET status = 'expired'" + why + second,
			"a move back":                 "UPDATE payments SET status = 'processing'" + why + first,
			"details of what is final":    "UPDATE payments SET captured_amount = 9999" + why + first,
			"id of what is final":         "UPDATE payments SET processor_payment_id = 'ch_9'" + why + first,
			"more captured than asked":    "UPDATE payments SET status = 'succeeded', captured_amount = 10001" + why + second,
			"less than nothing captured":  "UPDATE payments SET status = 'succeeded', captured_amount = -1" + why + second,
			"a processor's id twice":      "UPDATE payments SET status = 'succeeded', processor_payment_id = 'ch_order-1'" + why + second,
			"an empty processor's id":     "UPDATE payments SET status = 'succeeded', processor_payment_id = ''" + why + second,
			"JSON that is none":           "UPDATE payments SET status = 'failed', failure = '[]'" + why + second,
			"a change without a cause":    "UPDATE payments SET status = 'failed' WHERE " + second,
			"an empty cause":              "UPDATE payments SET status = 'failed', revision = revision + 1, cause_by = '' WHERE " + second,
			"a revision that jumps":       "UPDATE payments SET status = 'failed', revision = revision + 2 WHERE " + second,
			"a revision that goes back":   "UPDATE payments SET revision = 1 WHERE " + first,
			"refunded by hand":            "UPDATE payments SET refunded_amount = 1 WHERE " + first,
			"less reserved by hand":       "UPDATE payments SET reserved_amount = 0 WHERE " + first,
			"more reserved than captured": "UPDATE payments SET reserved_amount = 10001 WHERE " + first,
			"less than nothing reserved":  "UPDATE payments SET reserved_amount = -1, refunded_amount = 6001 WHERE " + first,
			"all payments gone":           "DELETE FROM payments",
			"a payment gone":              "DELETE FROM payments WHERE " + second,
			"all refunds gone":            "DELETE FROM refunds",
			"a refund gone":               "DELETE FROM refunds WHERE " + failed,
			"a refund's amount":           "UPDATE refunds SET amount = 1" + why + refund,
			"a refund's payment":          "UPDATE refunds SET payment_id = '" + aCharge("order-2").PaymentID + "'" + why + refund,
			"a refund's key":              "UPDATE refunds SET idempotency_key = 'k'" + why + refund,
			"a refund's merchant":         "UPDATE refunds SET merchant_id = 'emca'" + why + refund,
			"a refund's status":           "UPDATE refunds SET status = 'voided'" + why + refund,
			"a refund without a cause":    "UPDATE refunds SET status = 'succeeded' WHERE " + refund,
			"a refund after its end":      "UPDATE refunds SET status = 'succeeded'" + why + failed,
			"an event changed":            "UPDATE payment_events SET cause_by = 'nobody'",
			"an event gone":               "DELETE FROM payment_events WHERE revision = 1",
			"all events gone":             "DELETE FROM payment_events",
			"an event made up": "INSERT INTO payment_events (subject_id, revision, at, to_status, amount, cause_by, evidence) VALUES ('" +
				c.PaymentID + "', 3, '2026-01-15T09:30:00.000000Z', 'succeeded', 0, 'sql', '{}')",
			"an event twice": "INSERT INTO payment_events (subject_id, revision, at, to_status, amount, cause_by, evidence) VALUES ('" +
				c.PaymentID + "', 2, '2026-01-15T09:30:00.000000Z', 'succeeded', 0, 'sql', '{}')",
		})
		if s.dialect.name == "postgres" {
			requireRefused(t, s, map[string]string{
				"truncate payments": "TRUNCATE payments CASCADE", "truncate refunds": "TRUNCATE refunds", "truncate events": "TRUNCATE payment_events",
			})
			return
		}
		columns := "payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor, payment_method, created_at, updated_at, cause_by, cause_evidence"
		row := "'%s', 'acme', '%s', 'f', 'processing', 1, 'EUR', 'rest', 'tok', '2026-01-15T09:30:00.000000Z', '2026-01-15T09:30:00.000000Z', 'sql', '{}'"
		refundRow := "'%s', '" + c.PaymentID + "', 'acme', '%s', 'f', 'processing', %d, 'EUR', 'rest', '2026-01-15T09:30:00.000000Z', '2026-01-15T09:30:00.000000Z', 'sql', '{}'"
		refundColumns := "refund_id, payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor, created_at, updated_at, cause_by, cause_evidence"
		requireRefused(t, s, map[string]string{
			"replaced by its id":           "INSERT OR REPLACE INTO payments (" + columns + ") VALUES (" + fmt.Sprintf(row, c.PaymentID, "order-1") + ")",
			"replaced by its id alone":     "INSERT OR REPLACE INTO payments (" + columns + ") VALUES (" + fmt.Sprintf(row, c.PaymentID, "order-9") + ")",
			"replaced by its key":          "INSERT OR REPLACE INTO payments (" + columns + ") VALUES (" + fmt.Sprintf(row, "pay_9", "order-1") + ")",
			"replaced by its rowid":        "INSERT OR REPLACE INTO payments (rowid, " + columns + ") VALUES (2, " + fmt.Sprintf(row, "pay_9", "order-9") + ")",
			"rowid taken over":             "UPDATE OR REPLACE payments SET rowid = 2 WHERE rowid = 1",
			"processor's id taken over":    "UPDATE OR REPLACE payments SET status = 'succeeded', processor_payment_id = 'ch_order-1'" + why + second,
			"key taken over":               "UPDATE OR REPLACE payments SET idempotency_key = 'order-1'" + why + second,
			"an event replaced":            "INSERT OR REPLACE INTO payment_events (subject_id, revision, at, to_status, amount, cause_by, evidence) SELECT subject_id, revision, at, to_status, amount, 'nobody', evidence FROM payment_events",
			"a refund replaced by its id":  "INSERT OR REPLACE INTO refunds (" + refundColumns + ") VALUES (" + fmt.Sprintf(refundRow, payment.RefundID("acme", "r-1"), "r-1", 1) + ")",
			"a refund replaced by its key": "INSERT OR REPLACE INTO refunds (" + refundColumns + ") VALUES (" + fmt.Sprintf(refundRow, "ref_9", "r-1", 1) + ")",
			"a refund replaced by its row": "INSERT OR REPLACE INTO refunds (rowid, " + refundColumns + ") VALUES (1, " + fmt.Sprintf(refundRow, "ref_9", "r-9", 1) + ")",
			"too much, ignoring conflicts": "INSERT OR IGNORE INTO refunds (" + refundColumns + ") VALUES (" + fmt.Sprintf(refundRow, "ref_9", "r-9", 4_001) + ")",
			"illegal, ignoring conflicts":  "UPDATE OR IGNORE payments SET status = 'expired'" + why + second,
			"refund of another's payment":  "INSERT OR IGNORE INTO refunds (" + refundColumns + ") VALUES (" + strings.Replace(fmt.Sprintf(refundRow, "ref_9", "r-9", 1), "'acme'", "'emca'", 1) + ")",
			"text for an amount":           "UPDATE payments SET status = 'succeeded', captured_amount = 'all'" + why + second,
			"a time of another shape":      "UPDATE payments SET status = 'failed', updated_at = '2027-01-15 09:30'" + why + second,
		})
	})
}

func TestTheDatabaseRefusesWrongRows(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		reserve(t, s, aRefund("r-1", c, 9_000))
		unpaid := begin(t, s, aCharge("order-2"))
		before := contents(t, s)
		for what, change := range map[string]func(*payment.Charge){
			"key twice":            func(c *payment.Charge) { c.IdempotencyKey = "order-1" },
			"id twice":             func(p *payment.Charge) { p.PaymentID = c.PaymentID },
			"amount 0":             func(c *payment.Charge) { c.Amount = 0 },
			"amount below 0":       func(c *payment.Charge) { c.Amount = -1 },
			"amount beyond bounds": func(c *payment.Charge) { c.Amount = payment.MaxAmount + 1 },
			"currency in small":    func(c *payment.Charge) { c.Currency = "eur" },
			"currency too long":    func(c *payment.Charge) { c.Currency = "EURO" },
			"currency with line":   func(c *payment.Charge) { c.Currency = "EUR\n" },
			"unknown status":       func(c *payment.Charge) { c.Status = "paid" },
			"begins at its end":    func(c *payment.Charge) { c.Status = payment.Succeeded },
			"begins captured":      func(c *payment.Charge) { c.CapturedAmount = 1 },
			"no merchant":          func(c *payment.Charge) { c.MerchantID = "" },
			"long merchant":        func(c *payment.Charge) { c.MerchantID = strings.Repeat("m", 65) },
			"no key":               func(c *payment.Charge) { c.IdempotencyKey = "" },
		} {
			p := aCharge("order-9")
			change(&p)
			_, err := s.db.Exec(rawPayment, rawPaymentArgs(p)...)
			require.ErrorIs(t, s.fail(err, "raw"), ErrInvalid, what)
		}
		for what, change := range map[string]func(*payment.Refund){
			"key twice":         func(r *payment.Refund) { r.IdempotencyKey = "r-1" },
			"more than is left": func(r *payment.Refund) { r.Amount = 1_001 },
			"amount 0":          func(r *payment.Refund) { r.Amount = 0 },
			"amount below 0":    func(r *payment.Refund) { r.Amount = -1 },
			"no payment":        func(r *payment.Refund) { r.PaymentID = "pay_9" },
			"unpaid payment":    func(r *payment.Refund) { r.PaymentID = unpaid.PaymentID },
			"another's payment": func(r *payment.Refund) { r.MerchantID = "emca" },
			"unknown status":    func(r *payment.Refund) { r.Status = payment.Voided },
			"begins at its end": func(r *payment.Refund) { r.Status = payment.Succeeded },
		} {
			r := aRefund("r-9", c, 100)
			change(&r)
			_, err := s.db.Exec(rawRefund, rawRefundArgs(r)...)
			require.ErrorIs(t, s.fail(err, "raw"), ErrInvalid, what)
		}
		require.Equal(t, before, contents(t, s))
	})
}

// An operator who says why may do by hand what is legal, and it leaves an event.
func TestALegalChangeByHandLeavesAnEvent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := begin(t, s, aCharge("order-1"))
		execSQL(t, s, `UPDATE payments SET status = 'failed', failure = '{"class": "config", "message": "by hand"}',
			revision = revision + 1, cause_by = 'operator:jane', cause_evidence = '{"ticket": "42"}' WHERE payment_id = $1`, c.PaymentID)
		stored, err := s.PaymentByID(t.Context(), "acme", c.PaymentID)
		require.NoError(t, err)
		require.Equal(t, &payment.Failure{Class: payment.ClassConfig, Message: "by hand"}, stored.Failure)
		events, err := s.Events(t.Context(), c.PaymentID)
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.Equal(t, Cause{"operator:jane", map[string]string{"ticket": "42"}}, events[1].Cause)
	})
}

// One statement that makes several refunds is counted whole.
func TestSeveralRefundsInOneStatementAreCounted(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		for i := range 3 {
			reserve(t, s, aRefund(fmt.Sprintf("r-%d", i), c, 1_000))
		}
		execSQL(t, s, "UPDATE refunds SET status = 'succeeded', revision = revision + 1, cause_by = 'sql', cause_evidence = '{}' WHERE payment_id = $1", c.PaymentID)
		refunded, held := reserved(t, s, c)
		require.Equal(t, [2]int64{3_000, 0}, [2]int64{refunded, held})
		requireWhole(t, s)
	})
}
