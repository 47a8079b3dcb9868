package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// watched collects what a store tells.
func watched(s *Store) func() []Change {
	var mu sync.Mutex
	var seen []Change
	s.Watch(func(c Change) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, c)
	})
	return func() []Change {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func TestEveryChangeOfStatusIsToldOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		seen := watched(s)
		c := begin(t, s, aCharge("order-1"))
		_, created, err := s.BeginPayment(t.Context(), aCharge("order-1"), fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		record := func(status payment.Status, after time.Duration, change func(*payment.Charge)) {
			c.Status, c.UpdatedAt = status, c.CreatedAt.Add(after)
			if change != nil {
				change(&c)
			}
			for range 2 { // the activity was repeated
				_, err := s.RecordPayment(t.Context(), c, byProcessor)
				require.NoError(t, err)
			}
		}
		record(payment.Unknown, time.Second, nil)
		record(payment.Authorized, 3*time.Second, nil)
		record(payment.Authorized, 4*time.Second, func(c *payment.Charge) { c.Failure = &payment.Failure{Class: payment.ClassStateConflict} })
		record(payment.Unknown, 5*time.Second, nil)
		record(payment.Succeeded, 9*time.Second, func(c *payment.Charge) { c.Failure, c.CapturedAmount = nil, c.Amount })
		change := func(from, to payment.Status, first bool, after time.Duration) Change {
			return Change{Processor: c.Processor, Currency: c.Currency, From: from, To: to, FirstOutcome: first, After: after}
		}
		require.Equal(t, []Change{
			change("", payment.Processing, false, 0),
			change(payment.Processing, payment.Unknown, false, time.Second),
			change(payment.Unknown, payment.Authorized, true, 3*time.Second),
			change(payment.Authorized, payment.Unknown, false, 5*time.Second),
			change(payment.Unknown, payment.Succeeded, false, 9*time.Second),
		}, seen())
	})
}

func TestEveryChangeOfARefundIsToldOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		seen := watched(s)
		r := reserve(t, s, aRefund("refund-1", c, 100))
		_, _, created, err := s.ReserveRefund(t.Context(), aRefund("refund-1", c, 100), fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		r = settle(t, s, r, payment.NeedsReconciliation)
		r = settle(t, s, r, payment.Succeeded)
		settle(t, s, r, payment.Succeeded)
		moves := [][3]any{}
		for _, told := range seen() {
			require.True(t, told.Refund)
			require.Equal(t, []string{c.Processor, c.Currency}, []string{told.Processor, told.Currency})
			moves = append(moves, [3]any{told.From, told.To, told.FirstOutcome})
		}
		require.Equal(t, [][3]any{
			{payment.Status(""), payment.Processing, false},
			{payment.Processing, payment.NeedsReconciliation, true},
			{payment.NeedsReconciliation, payment.Succeeded, false},
		}, moves)
	})
}

func TestOfManyWhoRecordTheSameOneIsTold(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		begin(t, s, aCharge("order-1"))
		seen := watched(s)
		together(50, func(int) { _, _ = s.RecordPayment(t.Context(), succeeded(aCharge("order-1")), byProcessor) })
		require.Len(t, seen(), 1)
	})
}

func TestWhatIsRefusedIsNotTold(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		seen := watched(s)
		c.Status, c.CapturedAmount = payment.Declined, 0
		_, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.ErrorIs(t, err, ErrIllegalTransition)
		_, _, _, err = s.ReserveRefund(t.Context(), aRefund("refund-1", c, c.Amount+1), fingerprint)
		require.ErrorIs(t, err, ErrExceedsCaptured)
		require.Empty(t, seen())
	})
}

func TestWhatWaitsIsCountedWithItsOldest(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		none, err := s.Waiting(t.Context())
		require.NoError(t, err)
		require.Empty(t, none)

		at := func(minute int) time.Time { return morning.Add(time.Duration(minute) * time.Minute) }
		for i, status := range []payment.Status{payment.Unknown, payment.Unknown, payment.Conflicted, payment.Succeeded, payment.NeedsReconciliation} {
			c := aCharge(fmt.Sprintf("order-%d", i))
			c.CreatedAt = at(0)
			c = begin(t, s, c)
			if status == payment.NeedsReconciliation {
				c.Status, c.UpdatedAt = payment.Unknown, at(1)
				_, err := s.RecordPayment(t.Context(), c, byProcessor)
				require.NoError(t, err)
			}
			c.Status, c.UpdatedAt = status, at(10-i)
			_, err := s.RecordPayment(t.Context(), c, byProcessor)
			require.NoError(t, err)
		}
		of := paid(t, s, "order-9")
		pending := reserve(t, s, aRefund("refund-1", of, 100))
		settle(t, s, reserve(t, s, aRefund("refund-2", of, 100)), payment.Succeeded)

		waiting, err := s.Waiting(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, []Waiting{
			{Processor: of.Processor, Status: payment.Unknown, Count: 2, Since: at(9)},
			{Processor: of.Processor, Status: payment.NeedsReconciliation, Count: 1, Since: at(6)},
			{Refund: true, Processor: of.Processor, Status: payment.Processing, Count: 1, Since: pending.UpdatedAt},
		}, waiting)
	})
}

func TestWhatWaitsIsCountedFromTheIndexes(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		explain := "EXPLAIN QUERY PLAN "
		tx, err := s.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		if s.dialect.name == "postgres" { // which would rather read a small table whole
			explain = "EXPLAIN "
			_, err := tx.Exec("SET LOCAL enable_seqscan = off")
			require.NoError(t, err)
		}
		plan := strings.Join(lines(t, tx, explain+selectOpen), "\n")
		require.Contains(t, plan, "payments_open")
		require.Contains(t, plan, "refunds_open")
	})
}

func TestOpenRefundsAreTheSameEverywhere(t *testing.T) {
	for _, name := range []string{"postgres", "sqlite"} {
		script, err := migrations.ReadFile("migrations/" + name + "/00003_open_refunds.sql")
		require.NoError(t, err)
		require.Contains(t, string(script), "WHERE "+openRefunds+";")
	}
	for status, moves := range payment.RefundTransitions {
		require.Equal(t, len(moves) > 0, strings.Contains(openRefunds, "'"+string(status)+"'"), status)
	}
	for status := range payment.PaymentTransitions {
		require.Equal(t, !status.HasOutcome(), strings.Contains(noOutcome, "'"+string(status)+"'"), status)
	}
}
