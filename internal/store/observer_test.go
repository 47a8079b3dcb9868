package store

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// observe collects the transitions of s; the returned function reads those collected so far.
func observe(s *Store) func() []Transition {
	var mu sync.Mutex
	var observed []Transition
	s.SetObserver(func(t Transition) {
		mu.Lock()
		defer mu.Unlock()
		observed = append(observed, t)
	})
	return func() []Transition {
		mu.Lock()
		defer mu.Unlock()
		return observed
	}
}

func TestEveryTransitionOfAPaymentIsObservedOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		observed := observe(s)
		c := begin(t, s, newCharge("order-1"))
		_, created, err := s.BeginPayment(t.Context(), newCharge("order-1"), fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		record := func(status payment.Status, after time.Duration, change func(*payment.Charge)) {
			c.Status, c.UpdatedAt = status, c.CreatedAt.Add(after)
			if change != nil {
				change(&c)
			}
			for range 2 { // as if the activity was repeated
				_, err := s.RecordPayment(t.Context(), c, byProcessor)
				require.NoError(t, err)
			}
		}
		record(payment.Unknown, time.Second, nil)
		record(payment.Authorized, 3*time.Second, nil)
		record(payment.Authorized, 4*time.Second, func(c *payment.Charge) { c.Failure = &payment.Failure{Class: payment.ClassStateConflict} })
		record(payment.Unknown, 5*time.Second, nil)
		record(payment.Succeeded, 9*time.Second, func(c *payment.Charge) { c.Failure, c.CapturedAmount = nil, c.Amount })
		transition := func(from, to payment.Status, firstOutcome bool, after time.Duration) Transition {
			return Transition{Processor: c.Processor, Currency: c.Currency, From: from, To: to, FirstOutcome: firstOutcome, After: after}
		}
		require.Equal(t, []Transition{
			transition("", payment.Processing, false, 0),
			transition(payment.Processing, payment.Unknown, false, time.Second),
			transition(payment.Unknown, payment.Authorized, true, 3*time.Second),
			transition(payment.Authorized, payment.Unknown, false, 5*time.Second),
			transition(payment.Unknown, payment.Succeeded, false, 9*time.Second),
		}, observed())
	})
}

func TestEveryTransitionOfARefundIsObservedOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		observed := observe(s)
		r := reserve(t, s, newRefund("refund-1", c, 100))
		_, _, created, err := s.ReserveRefund(t.Context(), newRefund("refund-1", c, 100), fingerprint)
		require.NoError(t, err)
		require.False(t, created)
		r = settle(t, s, r, payment.NeedsReconciliation)
		r = settle(t, s, r, payment.Succeeded)
		settle(t, s, r, payment.Succeeded)
		transitions := observed()
		for i := range transitions {
			transitions[i].After = 0
		}
		transition := func(from, to payment.Status, firstOutcome bool) Transition {
			return Transition{Refund: true, Processor: c.Processor, Currency: c.Currency, From: from, To: to, FirstOutcome: firstOutcome}
		}
		require.Equal(t, []Transition{
			transition("", payment.Processing, false),
			transition(payment.Processing, payment.NeedsReconciliation, true),
			transition(payment.NeedsReconciliation, payment.Succeeded, false),
		}, transitions)
	})
}

func TestConcurrentRecordingOfOneTransitionIsObservedOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		begin(t, s, newCharge("order-1"))
		observed := observe(s)
		runConcurrently(50, func(int) { _, _ = s.RecordPayment(t.Context(), succeeded(newCharge("order-1")), byProcessor) })
		require.Len(t, observed(), 1)
	})
}

func TestRefusedChangesAreNotObserved(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		c := paid(t, s, "order-1")
		observed := observe(s)
		c.Status, c.CapturedAmount = payment.Declined, 0
		_, err := s.RecordPayment(t.Context(), c, byProcessor)
		require.ErrorIs(t, err, ErrIllegalTransition)
		_, _, _, err = s.ReserveRefund(t.Context(), newRefund("refund-1", c, c.Amount+1), fingerprint)
		require.ErrorIs(t, err, payment.ErrRefundExceedsCaptured)
		require.Empty(t, observed())
	})
}

func TestBacklogCountsNonFinalStatusesWithTheirOldestUpdate(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		empty, err := s.Backlog(t.Context())
		require.NoError(t, err)
		require.Empty(t, empty)

		at := func(minute int) time.Time { return morning.Add(time.Duration(minute) * time.Minute) }
		for i, status := range []payment.Status{payment.Unknown, payment.Unknown, payment.Conflicted, payment.Succeeded, payment.NeedsReconciliation} {
			c := newCharge(fmt.Sprintf("order-%d", i))
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
		pending := reserve(t, s, newRefund("refund-1", of, 100))
		settle(t, s, reserve(t, s, newRefund("refund-2", of, 100)), payment.Succeeded)

		backlog, err := s.Backlog(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, []Backlog{
			{Processor: of.Processor, Status: payment.Unknown, Count: 2, Since: at(9)},
			{Processor: of.Processor, Status: payment.NeedsReconciliation, Count: 1, Since: at(6)},
			{Refund: true, Processor: of.Processor, Status: payment.Processing, Count: 1, Since: pending.UpdatedAt},
		}, backlog)
	})
}

// A lookup may record other details of the same status, such as another failure: the payment waits as long as before.
func TestBacklogIsAsOldAsTheLastTransition(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		of := paid(t, s, "order-9")
		c, r := begin(t, s, newCharge("order-1")), reserve(t, s, newRefund("refund-1", of, 100))
		for minute, status := range []payment.Status{payment.Unknown, payment.NeedsReconciliation, payment.NeedsReconciliation, payment.NeedsReconciliation} {
			at := later.Add(time.Duration(minute) * time.Minute)
			failure := &payment.Failure{Class: payment.ClassOutcomeUnknown, Message: fmt.Sprint(minute)}
			c.Status, c.Failure, c.UpdatedAt = status, failure, at
			_, err := s.RecordPayment(t.Context(), c, byProcessor)
			require.NoError(t, err)
			r.Failure, r.UpdatedAt = failure, at
			settle(t, s, r, status)
		}
		backlog, err := s.Backlog(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, []Backlog{
			{Processor: "rest", Status: payment.NeedsReconciliation, Count: 1, Since: later.Add(time.Minute)},
			{Refund: true, Processor: "rest", Status: payment.NeedsReconciliation, Count: 1, Since: later.Add(time.Minute)},
		}, backlog)
	})
}

func TestBacklogIsReadFromTheIndexes(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		for index, query := range map[string]string{"payments_open": selectOpenPayments, "refunds_open": selectOpenRefunds} {
			plan := readPlan(t, s, query)
			for _, line := range strings.Split(plan, "\n") {
				if regexp.MustCompile(`(on|SCAN|SEARCH) (payments|refunds)`).MatchString(line) {
					require.Contains(t, line, index, plan)
				}
			}
			require.Contains(t, plan, index)
		}
	})
}

// Counting must not take longer and longer: the time for a scrape is limited.
func TestBacklogCountsUpToAMaximum(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *Store) {
		backlogOf(t, s, MaxBacklog+1)
		backlog, err := s.Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, []Backlog{{Processor: "rest", Status: payment.Processing, Count: MaxBacklog, Since: morning}}, backlog)
	})
}

// backlogOf stores n payments that are processing, the oldest since morning.
func backlogOf(t *testing.T, s *Store, n int) {
	t.Helper()
	series := "generate_series(1, $1) AS series (n)"
	at := fmt.Sprintf("CASE n WHEN 1 THEN '%s' ELSE '%s' END", formatTime(morning), formatTime(later))
	if s.dialect.name == "sqlite" {
		series = "(WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < $1) SELECT n FROM series)"
	} else {
		at = "CAST(" + at + " AS timestamptz)"
	}
	execSQL(t, s, `INSERT INTO payments (payment_id, merchant_id, idempotency_key, fingerprint, status, amount, currency, processor, payment_method,
		created_at, updated_at, cause_by, cause_evidence)
		SELECT 'pay_' || n, 'acme', 'order-' || n, 'f', 'processing', 100, 'EUR', 'rest', 'tok',
			`+at+", "+at+`, 'sql', '{}' FROM `+series, n)
}

func TestConditionsOfOpenMatchIndexesAndTransitions(t *testing.T) {
	for _, name := range []string{"postgres", "sqlite"} {
		script, err := migrations.ReadFile("migrations/" + name + "/00011_lists_of_any_size.sql")
		require.NoError(t, err)
		require.Contains(t, string(script), "WHERE "+openPayments+";")
		require.Contains(t, string(script), "WHERE "+openRefunds+";")
	}
	for status := range payment.RefundTransitions {
		require.Equal(t, !status.Final(), strings.Contains(openRefunds, "'"+string(status)+"'"), status)
	}
	for status := range payment.PaymentTransitions {
		require.Equal(t, !status.HasOutcome(), strings.Contains(noOutcome, "'"+string(status)+"'"), status)
	}
}
